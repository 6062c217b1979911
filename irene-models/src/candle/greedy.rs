use candle_core::{D, Device};
use irene_tree::{Role, Size};

use crate::{Batch, Cache, Cx, Error, Model, Result, Tensor};

/// Generates the likeliest token at each step: one pass over the prompt, then one a token with a cache.
///
/// ```
/// use candle_core::{DType, Device};
/// use irene_models::{Config, Cx, Greedy, ModelSpec, RandomWeights, TaskHead};
/// use irene_tree::Size;
/// # fn main() -> irene_models::Result<()> {
/// let config = br#"{"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16, "vocab_size": 20}"#;
/// let spec = ModelSpec::from_config("small", Config::from_json("config.json", config)?)?;
/// let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
/// let model = spec.build_with_head(&weights, TaskHead::Lm)?;
/// let mut greedy = Greedy::new(model.as_ref(), vec![3, 1, 4, 1], None, Size::new(1, 4), &Device::Cpu)?;
/// let first = greedy.step(&mut Cx::silent())?;
/// let second = greedy.step(&mut Cx::silent())?;
/// assert_eq!((first.tokens.len(), second.tokens.len()), (1, 1));
/// # Ok(())
/// # }
/// ```
pub struct Greedy<'m> {
    model: &'m dyn Model,
    device: Device,
    /// The mask of all tokens so far, row after row; None if all count.
    mask: Option<Vec<i64>>,
    next: Batch,
}

/// The result of a pass.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Scores of the next token, (batch, vocabulary).
    pub logits: Tensor,
    /// The likeliest token of each sequence.
    pub tokens: Vec<i64>,
}

impl<'m> Greedy<'m> {
    /// Starts from prompts of one length, row after row, padded on the left where the mask is 0.
    ///
    /// # Errors
    /// As [`Batch::of_ids`].
    pub fn new(
        model: &'m dyn Model,
        ids: Vec<i64>,
        mask: Option<Vec<i64>>,
        size: Size,
        device: &Device,
    ) -> Result<Self> {
        let mut rows = mask.iter().flat_map(|mask| mask.chunks(size.new.max(1)));
        if let Some(row) = rows.position(|row| row.last() == Some(&0)) {
            let reason =
                format!("prompt {row} is padded on the right; a token follows the last one, so pad on the left");
            return Err(Error::Input { model: model.instance_type().into(), reason });
        }
        let next = batch(ids, mask.as_deref(), size, Cache::default(), device)?;
        Ok(Self { model, device: device.clone(), mask, next })
    }

    /// The input of the next pass.
    pub fn next(&self) -> &Batch {
        &self.next
    }

    /// Runs the next pass.
    ///
    /// # Errors
    /// [`Error::Input`] for a model without a language model's head or without a cache, or past its last position; candle's error.
    pub fn step(&mut self, cx: &mut Cx<'_>) -> Result<Generated> {
        let size = self.next.size();
        let output = self.model.run(cx, &self.next)?;
        let refuse = |reason: &str| Error::Input { model: self.model.instance_type().into(), reason: reason.into() };
        let logits = output.logits.ok_or_else(|| refuse("it generates with the head `lm` alone"))?;
        let cache = output.cache.ok_or_else(|| refuse("it keeps no keys and values"))?;
        let logits = logits.squeeze(1)?;
        let best = match logits.candle() {
            Some(logits) => logits.argmax(D::Minus1)?.to_dtype(candle_core::DType::I64)?.to_vec1::<i64>()?,
            None => return Err(refuse("its weights are shapes alone")),
        };
        self.mask = self.mask.take().map(|mask| with_one_more(&mask, size.keys()));
        let next_size = Size::new(size.sequences, 1).after(size.keys());
        self.next = batch(best.clone(), self.mask.as_deref(), next_size, cache, &self.device)?;
        Ok(Generated { logits, tokens: best })
    }
}

/// A pass over new tokens. Positions skip padding, as in transformers' `generate`.
fn batch(ids: Vec<i64>, mask: Option<&[i64]>, size: Size, cache: Cache, device: &Device) -> Result<Batch> {
    let mut batch = Batch::of_ids(ids, mask.map(<[i64]>::to_vec), size, device)?.after(cache).scoring_last();
    if let Some(mask) = mask {
        let positions = mask.chunks(size.keys()).flat_map(|row| {
            let mut count = 0;
            let counted = row.iter().map(move |&token| {
                count += token;
                // Padding needs a position too, though no token attends to it.
                if token == 0 { 1 } else { count - 1 }
            });
            counted.skip(size.past).collect::<Vec<_>>()
        });
        let positions = candle_core::Tensor::from_iter(positions, device)?.reshape((size.sequences, size.new))?;
        batch.position_ids = Some(Tensor::from_candle(positions)?.with_role(Role::Ids));
    }
    Ok(batch)
}

/// A mask with a token behind each row.
fn with_one_more(mask: &[i64], row: usize) -> Vec<i64> {
    mask.chunks(row).flat_map(|row| row.iter().copied().chain([1])).collect()
}
