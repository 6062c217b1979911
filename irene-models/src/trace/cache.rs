use irene_tree::{Format, Kernels, OpKind, Operation, Role, Size};

use super::{Cx, Tensors, operations::label_of};
use crate::{CacheShape, Result, Tensor};

/// The keys and values of one layer, (batch, heads, tokens, width) each.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// The keys.
    pub key: Tensor,
    /// The values.
    pub value: Tensor,
    /// Memory with room for more tokens, which key and value are views of, where kernels are fused.
    #[cfg(feature = "candle")]
    room: Option<[candle_core::Tensor; 2]>,
}

impl KeyValue {
    fn new(key: Tensor, value: Tensor) -> Self {
        Self {
            key: key.with_role(Role::Cache),
            value: value.with_role(Role::Cache),
            #[cfg(feature = "candle")]
            room: None,
        }
    }

    /// Bytes of memory, room for more tokens included.
    fn bytes(&self) -> u64 {
        #[cfg(feature = "candle")]
        if let Some(room) = &self.room {
            let bytes = |tensor: &candle_core::Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
            return room.iter().map(|tensor| bytes(tensor) as u64).sum();
        }
        self.key.operand().bytes().saturating_add(self.value.operand().bytes())
    }

    /// Keys and values that are only followed by their shape.
    pub fn of_shape(shape: [usize; 4], format: Format) -> Self {
        Self::new(Tensor::of_shape(shape, format), Tensor::of_shape(shape, format))
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
}

impl Cache {
    /// The cache after `size.past` tokens of each sequence, followed by its shape.
    pub fn of_shape(size: Size, shape: CacheShape, format: Format) -> Self {
        if size.past == 0 {
            return Self::default();
        }
        let layer = KeyValue::of_shape([size.sequences, shape.heads, size.past, shape.width], format);
        Self { layers: vec![layer; shape.layers] }
    }

    /// The same keys and values in memory of their own. A clone shares its memory, which a pass with fused kernels writes to.
    ///
    /// # Errors
    /// Errors of candle.
    pub fn copied(&self) -> Result<Self> {
        let copied = |layer: &KeyValue| Ok(KeyValue::new(layer.key.copied()?, layer.value.copied()?));
        Ok(Self { layers: self.layers.iter().map(copied).collect::<Result<_>>()? })
    }

    /// Bytes of memory that it takes, room for more tokens included.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(KeyValue::bytes).fold(0, u64::saturating_add)
    }

    /// Tokens of each sequence that are in it.
    pub fn past(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.key.dim(2))
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
    pub fn remember(&mut self, past: Past<'_>, heads: [Tensor; 3]) -> Result<([Tensor; 3], Option<KeyValue>)> {
        let [query, key, value] = heads;
        let [own_key, own_value] = [key.clone(), value.clone()];
        let kept = match (past, self.kernels()) {
            (Past::NotKept, _) => return Ok(([query, key, value], None)),
            (Past::Empty, Kernels::Eager) => KeyValue::new(key, value),
            (Past::Tokens(earlier), Kernels::Eager) => {
                KeyValue::new(self.concat(&earlier.key, &key)?, self.concat(&earlier.value, &value)?)
            }
            (Past::Empty, Kernels::Fused) => self.write_to_cache(None, &key, &value)?,
            (Past::Tokens(earlier), Kernels::Fused) => self.write_to_cache(Some(earlier), &key, &value)?,
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

    fn write_to_cache(&mut self, earlier: Option<&KeyValue>, key: &Tensor, value: &Tensor) -> Result<KeyValue> {
        let format = earlier.map_or(self.cache_format().unwrap_or(key.format()), |earlier| earlier.key.format());
        let describe = |written: &KeyValue| {
            let mut shape = key.shape();
            if let [_, _, _, width] = shape.dims_mut() {
                *width += value.dim(3);
            }
            let output = irene_tree::Operand::new(shape, written.key.format(), Role::Cache);
            Operation::new(OpKind::CacheWrite, &[key.operand(), value.operand()], output)
        };
        let least = self.cache_room();
        let write = || written(earlier, [key, value], format, least);
        self.operate(|| label_of(OpKind::CacheWrite), &[key, value], write, describe)
    }
}

/// The cache with the new tokens in it. What is allocated has room for at least so many tokens.
#[cfg_attr(not(feature = "candle"), allow(unused_variables))]
fn written(earlier: Option<&KeyValue>, [key, value]: [&Tensor; 2], format: Format, least: usize) -> Result<KeyValue> {
    #[cfg(feature = "candle")]
    if let (Some(new_key), Some(new_value)) = (key.candle(), value.candle()) {
        let len = earlier.map_or(0, |earlier| earlier.key.dim(2));
        let room = earlier.and_then(|earlier| earlier.room.as_ref());
        let views = earlier.and_then(|earlier| Some([earlier.key.candle()?, earlier.value.candle()?]));
        let stored = |place: usize, new: &candle_core::Tensor| {
            let (room, earlier) = (room.map(|room| &room[place]), views.map(|views| views[place]));
            crate::candle::operations::stored_behind(room, earlier, (len, least), new)
        };
        let room = [stored(0, new_key)?, stored(1, new_value)?];
        let view = |room: &candle_core::Tensor| Tensor::from_candle(room.narrow(2, 0, len + key.dim(2))?);
        return Ok(KeyValue { room: Some(room.clone()), ..KeyValue::new(view(&room[0])?, view(&room[1])?) });
    }
    let longer = |earlier: Option<&Tensor>, new: &Tensor| {
        let new = Tensor::of_shape(new.shape(), format);
        earlier.map_or(Ok(new.clone()), |earlier| earlier.concat(&new, 2))
    };
    let longer_key = longer(earlier.map(|earlier| &earlier.key), key)?;
    Ok(KeyValue::new(longer_key, longer(earlier.map(|earlier| &earlier.value), value)?))
}
