use irene_tree::{Format, Kernels, OpKind, Operation, Role, Size};

use super::{Cx, Tensors, operations::label_of};
use crate::{CacheShape, LayerCache, Result, Tensor};

/// The keys and values of one layer, (batch, heads, tokens, width) each.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// The keys.
    pub key: Tensor,
    /// The values.
    pub value: Tensor,
    /// Memory with room for more tokens, which key and value are views of, where kernels are fused.
    #[cfg(feature = "candle")]
    room: Option<Room>,
}

#[cfg(feature = "candle")]
#[derive(Clone, Debug)]
struct Room {
    key: candle_core::Tensor,
    value: candle_core::Tensor,
    /// The place behind the last token.
    end: usize,
}

impl KeyValue {
    /// The last tokens of it, as many as a window keeps.
    fn last(&self, tokens: usize) -> Result<Self> {
        let all = self.key.dim(2);
        if tokens >= all {
            return Ok(self.clone());
        }
        let last = |x: &Tensor| x.narrow(2, all - tokens, tokens);
        let (key, value) = (last(&self.key)?, last(&self.value)?);
        Ok(Self {
            key,
            value,
            #[cfg(feature = "candle")]
            room: self.room.clone(),
        })
    }

    fn new(key: Tensor, value: Tensor) -> Self {
        Self::of_pass(key.with_role(Role::Cache), value.with_role(Role::Cache))
    }

    /// Those of a pass that keeps no cache.
    pub(crate) fn of_pass(key: Tensor, value: Tensor) -> Self {
        Self {
            key,
            value,
            #[cfg(feature = "candle")]
            room: None,
        }
    }

    /// The tokens that a later query may see.
    pub(crate) fn within(self, window: Option<usize>) -> Result<Self> {
        match window {
            Some(window) => self.last(window.saturating_sub(1)),
            None => Ok(self),
        }
    }

    /// Bytes of memory, room for more tokens included.
    fn bytes(&self) -> u64 {
        #[cfg(feature = "candle")]
        if let Some(room) = &self.room {
            let bytes = |tensor: &candle_core::Tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
            return bytes(&room.key) + bytes(&room.value);
        }
        self.key.operand().bytes().saturating_add(self.value.operand().bytes())
    }

    /// Keys and values of `past` tokens that are only followed by their shape.
    pub fn of_shape(sequences: usize, past: usize, layer: LayerCache, format: Format) -> Self {
        let of_width = |width| Tensor::of_shape([sequences, layer.heads, layer.kept(past), width], format);
        Self::new(of_width(layer.key_width), of_width(layer.value_width))
    }
}

impl Tensors for KeyValue {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.extend([&self.key, &self.value]);
    }
}

/// The keys and values of every layer. A pass takes those of earlier tokens and gives them back with its own behind them.
///
/// With fused kernels a pass writes behind the tokens in place: to continue one cache in two ways, copy it first.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// One for each layer; none before the first token.
    pub layers: Vec<KeyValue>,
    /// Tokens of each sequence so far. A layer with a sliding window keeps the last ones alone.
    pub past: usize,
    /// Tokens of the longest sequence that the keys hold for: a longer one is read again from its first token, because other angles turn
    /// its keys (LongRoPE).
    pub holds_to: Option<usize>,
}

impl Cache {
    /// The cache after `size.past` tokens of each sequence, followed by its shape.
    pub fn of_shape(size: Size, shape: &CacheShape, format: Format) -> Self {
        if size.past == 0 {
            return Self::default();
        }
        let layer = |&layer: &LayerCache| KeyValue::of_shape(size.sequences, size.past, layer, format);
        Self { layers: shape.0.iter().map(layer).collect(), past: size.past, holds_to: None }
    }

    /// The same keys and values in memory of their own. A clone shares its memory, which a pass with fused kernels writes to.
    ///
    /// # Errors
    /// Errors of candle.
    pub fn copied(&self) -> Result<Self> {
        let copied = |layer: &KeyValue| Ok(KeyValue::new(layer.key.copied()?, layer.value.copied()?));
        let layers = self.layers.iter().map(copied).collect::<Result<_>>()?;
        Ok(Self { layers, past: self.past, holds_to: self.holds_to })
    }

    /// Bytes of memory that it takes, room for more tokens included.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(KeyValue::bytes).fold(0, u64::saturating_add)
    }

    /// The earlier keys and values of the layer at this place.
    pub fn layer(&self, place: usize) -> Past<'_> {
        self.layers.get(place).map_or(Past::Empty, Past::Tokens)
    }
}

impl Tensors for Cache {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.layers.iter().for_each(|layer| layer.list(tensors));
    }
}

/// The earlier keys and values of an attention.
#[derive(Clone, Copy, Debug)]
pub enum Past<'a> {
    /// No cache is kept.
    NotKept,
    /// A cache is kept, and this pass brings its first tokens.
    Empty,
    /// Keys and values of earlier tokens.
    Tokens(&'a KeyValue),
}

impl Tensors for Past<'_> {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        if let Self::Tokens(layer) = self {
            layer.list(tensors);
        }
    }
}

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// Query, key and value, views (batch, heads, tokens, width), with the keys and values of earlier tokens before the new ones; and
    /// the keys and values to keep, if a cache is kept.
    ///
    /// Eager kernels make new tensors of both, as the cache of transformers does; fused ones write the new tokens behind those in the cache.
    /// A layer with a sliding window keeps the last tokens that a later query may see.
    pub fn remember(
        &mut self,
        past: Past<'_>,
        heads: [Tensor; 3],
        window: Option<usize>,
    ) -> Result<([Tensor; 3], Option<KeyValue>)> {
        let (heads, kept) = self.remember_all(past, heads, window)?;
        Ok((heads, kept.map(|kept| kept.within(window)).transpose()?))
    }

    /// The same with all tokens that a query of this pass may see.
    pub(crate) fn remember_all(
        &mut self,
        past: Past<'_>,
        heads: [Tensor; 3],
        window: Option<usize>,
    ) -> Result<([Tensor; 3], Option<KeyValue>)> {
        let [query, key, value] = heads;
        let [own_key, own_value] = [key.clone(), value.clone()];
        let kept = match (past, self.kernels()) {
            (Past::NotKept, _) => return Ok(([query, key, value], None)),
            (Past::Empty, Kernels::Eager) => KeyValue::new(key, value),
            (Past::Tokens(earlier), Kernels::Eager) => {
                KeyValue::new(self.concat(&earlier.key, &key)?, self.concat(&earlier.value, &value)?)
            }
            (Past::Empty, Kernels::Fused) => self.write_to_cache(None, [&key, &value], window)?,
            (Past::Tokens(earlier), Kernels::Fused) => self.write_to_cache(Some(earlier), [&key, &value], window)?,
        };
        // Keys and values that this pass computed are activations to its own attention.
        let heads = match past {
            Past::Tokens(_) => [query, kept.key.clone(), kept.value.clone()],
            _ => [query, own_key, own_value],
        };
        Ok((heads, Some(kept)))
    }

    fn concat(&mut self, earlier: &Tensor, new: &Tensor) -> Result<Tensor> {
        let both = || Ok(earlier.concat(new, 2)?.with_role(Role::Cache));
        let describe =
            |output: &Tensor| Operation::new(OpKind::Concat, &[earlier.operand(), new.operand()], output.operand());
        self.operate(|| label_of(OpKind::Concat), &[earlier, new], both, describe)
    }

    /// Stores what fused kernels keep of these tokens in place of keys and values, if a cache is kept.
    pub(crate) fn store(&mut self, past: Past<'_>, key: &Tensor, value: &Tensor) -> Result<Option<KeyValue>> {
        match past {
            Past::NotKept => Ok(None),
            Past::Empty => Ok(Some(self.write_to_cache(None, [key, value], None)?)),
            Past::Tokens(earlier) => Ok(Some(self.write_to_cache(Some(earlier), [key, value], None)?)),
        }
    }

    fn write_to_cache(
        &mut self,
        earlier: Option<&KeyValue>,
        [key, value]: [&Tensor; 2],
        window: Option<usize>,
    ) -> Result<KeyValue> {
        let format = earlier.map_or(self.cache_format().unwrap_or(key.format()), |earlier| earlier.key.format());
        let describe = |written: &KeyValue| {
            let mut shape = key.shape();
            if let [_, _, _, width] = shape.dims_mut() {
                *width += value.dim(3);
            }
            let output = irene_tree::Operand::new(shape, written.key.format(), Role::Cache);
            Operation::new(OpKind::CacheWrite, &[key.operand(), value.operand()], output)
        };
        // A window moves through its memory, and is copied back to the beginning when it is at the end.
        let least = window.map_or(self.cache_room(), |window| self.cache_room().min(2 * window));
        let write = || written(earlier, [key, value], format, least);
        self.operate(|| label_of(OpKind::CacheWrite), &[key, value], write, describe)
    }
}

/// The cache with the new tokens in it. The memory that is allocated has room for at least so many tokens.
#[cfg_attr(not(feature = "candle"), allow(unused_variables))]
fn written(earlier: Option<&KeyValue>, [key, value]: [&Tensor; 2], format: Format, least: usize) -> Result<KeyValue> {
    #[cfg(feature = "candle")]
    if let (Some(new_key), Some(new_value)) = (key.candle(), value.candle()) {
        use crate::candle::operations::stored_behind;
        let room = earlier.and_then(|earlier| earlier.room.as_ref());
        let [old_key, old_value] =
            [earlier.and_then(|old| old.key.candle()), earlier.and_then(|old| old.value.candle())];
        let (key, end) = stored_behind(room.map(|room| (&room.key, room.end)), old_key, least, new_key)?;
        let (value, _) = stored_behind(room.map(|room| (&room.value, room.end)), old_value, least, new_value)?;
        let tokens = earlier.map_or(0, |earlier| earlier.key.dim(2)) + new_key.dim(2)?;
        let view = |room: &candle_core::Tensor| Tensor::from_candle(room.narrow(2, end - tokens, tokens)?);
        let kept = KeyValue::new(view(&key)?, view(&value)?);
        return Ok(KeyValue { room: Some(Room { key, value, end }), ..kept });
    }
    let longer = |earlier: Option<&Tensor>, new: &Tensor| {
        let new = Tensor::of_shape(new.shape(), format);
        earlier.map_or(Ok(new.clone()), |earlier| earlier.concat(&new, 2))
    };
    let longer_key = longer(earlier.map(|earlier| &earlier.key), key)?;
    Ok(KeyValue::new(longer_key, longer(earlier.map(|earlier| &earlier.value), value)?))
}
