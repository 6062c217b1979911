use candle_core::{DType, Device, Tensor as Candle};
use irene_tree::{Role, Size};

use super::sampling::Sampler;
use crate::{Batch, Cache, Cx, Error, Model, ModelOutput, Result, Sampling, Tensor};

/// Generates a token at each step for every sequence: one pass over the prompts, then one pass a token with a cache.
///
/// | setting | default |
/// |---|---|
/// | [`with_sampling`](Self::with_sampling) | the likeliest token |
/// | [`ending_at`](Self::ending_at) | no token ends a sequence |
/// | [`excluding`](Self::excluding) | every token may be chosen |
/// | [`with_prompt_logits`](Self::with_prompt_logits) | the head scores the last token of each prompt alone |
/// | [`with_room`](Self::with_room) | the cache's memory doubles whenever it is full |
///
/// With room for all tokens, the cache is allocated once, and steps keep nothing else that grows with the number of tokens but the mask
/// of ragged prompts (8 bytes a token of each sequence).
///
/// ```
/// use candle_core::{DType, Device};
/// use irene_models::{Batch, Config, Cx, Generator, ModelSpec, RandomWeights, TaskHead};
/// # fn main() -> irene_models::Result<()> {
/// let config = br#"{"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16, "vocab_size": 20}"#;
/// let spec = ModelSpec::from_config("small", Config::from_json("config.json", config)?)?;
/// let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
/// let model = spec.build_with_head(&weights, TaskHead::Lm)?;
/// let prompts = Batch::of_prompts(&[vec![3, 1, 4, 1], vec![5, 9]], &Device::Cpu)?;
/// let mut generator = Generator::new(model.as_ref(), prompts)?.with_room(6);
/// let first = generator.step(&mut Cx::silent())?;
/// let second = generator.step(&mut Cx::silent())?;
/// assert_eq!((first.tokens.len(), second.tokens.len()), (2, 2));
/// # Ok(())
/// # }
/// ```
pub struct Generator<'m> {
    model: &'m dyn Model,
    device: Device,
    sampler: Sampler,
    ends: Vec<i64>,
    /// Tokens of each sequence that the cache has room for from the start.
    room: usize,
    mask: Option<Mask>,
    sequences: Vec<Sequence>,
    /// All tokens so far, (sequences, tokens), while the model may have to read them again.
    read: Option<Candle>,
    next: Batch,
}

impl std::fmt::Debug for Generator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator")
            .field("device", &self.device)
            .field("sequences", &self.sequences)
            .finish_non_exhaustive()
    }
}

/// Where a sequence stands.
#[derive(Debug)]
struct Sequence {
    /// Its tokens so far, without padding: the position of its next token.
    len: i64,
    has_ended: bool,
}

/// The result of a step.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The pass's output; the cache is with the generator.
    pub output: ModelOutput,
    /// Scores of the next token, (sequences, vocabulary).
    pub logits: Tensor,
    /// The chosen token of each sequence; None for one that ended in an earlier step.
    pub tokens: Vec<Option<i64>>,
}

impl<'m> Generator<'m> {
    /// Starts from a batch of prompts, padded on the left where the mask is 0. A cache of earlier tokens is gone on from.
    ///
    /// # Errors
    /// [`Error::Input`] for prompts that are padded on the right, or are shapes alone; errors of candle.
    pub fn new(model: &'m dyn Model, prompts: Batch) -> Result<Self> {
        let refuse = |reason: String| Error::Input { model: model.instance_type().into(), reason };
        let Some(ids) = prompts.input_ids.candle() else {
            return Err(refuse("prompts that are shapes alone give no tokens".into()));
        };
        let (device, keys) = (ids.device().clone(), prompts.size().keys());
        let mask = prompts.mask_numbers()?;
        let mut rows = mask.iter().flat_map(|mask| mask.chunks(keys.max(1)));
        if let Some(row) = rows.position(|row| row.last() == Some(&0)) {
            return Err(refuse(format!(
                "prompt {row} is padded on the right; a token follows the last one, so pad on the left"
            )));
        }
        let lens = match &mask {
            Some(mask) => mask.chunks(keys.max(1)).map(|row| row.iter().sum()).collect(),
            None => vec![keys as i64; prompts.sequences()],
        };
        let mut next = prompts.with_counted_positions()?.scoring_last();
        next.cache.get_or_insert_default();
        Ok(Self {
            model,
            device,
            sampler: Sampler::new(Sampling::default())?,
            ends: Vec::new(),
            room: 0,
            mask: next.attention_mask.as_ref().and_then(Tensor::candle).cloned().map(Mask),
            sequences: lens.into_iter().map(|len| Sequence { len, has_ended: false }).collect(),
            read: None,
            next,
        })
    }

    /// Chooses tokens this way.
    ///
    /// # Errors
    /// [`Error::Sampling`] for a setting outside its range.
    pub fn with_sampling(self, sampling: Sampling) -> Result<Self> {
        Ok(Self { sampler: self.sampler.with(sampling)?, ..self })
    }

    /// Ends a sequence with the first of these tokens, which is its last.
    pub fn ending_at(self, tokens: impl IntoIterator<Item = i64>) -> Self {
        Self { ends: tokens.into_iter().collect(), ..self }
    }

    /// Never chooses these tokens.
    pub fn excluding(self, tokens: impl IntoIterator<Item = i64>) -> Self {
        Self { sampler: self.sampler.excluding(tokens.into_iter().collect()), ..self }
    }

    /// Allocates the cache once, with room for this many tokens of each sequence, prompt included.
    pub fn with_room(self, tokens: usize) -> Self {
        Self { room: tokens, ..self }
    }

    /// Gives the scores after every token of the prompts, in the first step's output.
    pub fn with_prompt_logits(mut self) -> Self {
        self.next.scores_last = false;
        self
    }

    /// The input of the next step.
    pub fn next(&self) -> &Batch {
        &self.next
    }

    /// Whether every sequence has ended.
    pub fn has_ended(&self) -> bool {
        self.sequences.iter().all(|sequence| sequence.has_ended)
    }

    /// Runs the next pass and chooses a token of each sequence.
    ///
    /// # Errors
    /// [`Error::Input`] for a model without a language model's head or without a cache, past its last position, or with logits that are
    /// no numbers; candle's error.
    pub fn step(&mut self, cx: &mut Cx<'_>) -> Result<Generated> {
        let refuse = |reason: &str| Error::Input { model: self.model.instance_type().into(), reason: reason.into() };
        cx.set_cache_room(self.room);
        let mut output = self.model.run(cx, &self.next)?;
        let logits = output.logits.as_ref().ok_or_else(|| refuse("it generates with the head `lm` alone"))?;
        let cache = output.cache.take().ok_or_else(|| refuse("it keeps no keys and values"))?;
        let logits = logits.narrow(1, logits.dim(1) - 1, 1)?.squeeze(1)?;
        let numbers = logits.candle().ok_or_else(|| refuse("its weights are shapes alone"))?;
        let tokens = self.sampler.choose(numbers, self.model.instance_type())?;
        self.next = match self.again(&tokens, &cache)? {
            Some(again) => again,
            None => self.following(&tokens, cache)?,
        };
        self.sequences.iter_mut().for_each(|sequence| sequence.len += 1);
        let tokens = self.sequences.iter_mut().zip(tokens).map(|(sequence, token)| {
            let is_part = !sequence.has_ended;
            sequence.has_ended |= self.ends.contains(&token);
            is_part.then_some(token)
        });
        Ok(Generated { tokens: tokens.collect(), logits, output })
    }

    /// The batch with these tokens as the newest of their sequences. Ended sequences run on beside the others.
    fn following(&mut self, tokens: &[i64], cache: Cache) -> Result<Batch> {
        let size = Size::new(tokens.len(), 1).after(cache.past);
        let mut batch = Batch::of_ids(tokens.to_vec(), None, size, &self.device)?.after(cache).scoring_last();
        if let Some(mask) = &mut self.mask {
            batch.attention_mask = Some(ids(mask.of(size.keys(), self.room)?)?);
            let positions = self.sequences.iter().map(|sequence| sequence.len);
            batch.position_ids = Some(ids(Candle::from_iter(positions, &self.device)?.unsqueeze(1)?)?);
        }
        Ok(batch)
    }

    /// All tokens as one batch, where the cache's keys do not hold for one token more.
    fn again(&mut self, tokens: &[i64], cache: &Cache) -> Result<Option<Batch>> {
        let Some(limit) = cache.holds_to else {
            self.read = None;
            return Ok(None);
        };
        let newest = Candle::from_slice(tokens, (tokens.len(), 1), &self.device)?;
        let before = self.read.take().or_else(|| self.next.input_ids.candle().cloned());
        let all = before.map_or(Ok(newest.clone()), |before| Candle::cat(&[&before, &newest], 1))?;
        self.read = Some(all.clone());
        let len = all.dim(1)?;
        if len <= limit {
            return Ok(None);
        }
        let mut batch = Batch::of(ids(all)?).after(Cache::default()).scoring_last();
        if let Some(mask) = &mut self.mask {
            batch.attention_mask = Some(ids(mask.of(len, self.room)?)?);
        }
        Ok(Some(batch.with_counted_positions()?))
    }
}

fn ids(tensor: Candle) -> Result<Tensor> {
    Ok(Tensor::from_candle(tensor)?.with_role(Role::Ids))
}

/// The mask of all tokens (sequences, room): whatever follows the prompts is no padding.
struct Mask(Candle);

impl Mask {
    /// The mask of this many tokens.
    fn of(&mut self, tokens: usize, room: usize) -> Result<Candle> {
        let (sequences, len) = self.0.dims2()?;
        if len < tokens {
            let more = tokens.next_power_of_two().max(room) - len;
            let ones = Candle::ones((sequences, more), DType::I64, self.0.device())?;
            self.0 = Candle::cat(&[&self.0, &ones], 1)?;
        }
        Ok(self.0.narrow(1, 0, tokens)?.contiguous()?)
    }
}
