mod buffers;

use irene_tree::{Format, Role, Size};

#[cfg(feature = "candle")]
use crate::Cx;
use crate::{Cache, Error, Past, Result, Tensor, Tensors};

/// The input of a model: token ids (batch, new tokens), the mask if there is padding, and the cache of earlier tokens.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids, I64 (batch, new tokens).
    pub input_ids: Tensor,
    /// 1 for tokens, 0 for padding, I64 (batch, earlier and new tokens). None means that all count.
    pub attention_mask: Option<Tensor>,
    /// Positions, I64 (batch, new tokens). None means that they go on from the tokens in the cache.
    pub position_ids: Option<Tensor>,
    /// Keys and values of earlier tokens. None means that none are kept.
    pub cache: Option<Cache>,
    /// Whether a language model's head scores the last token of each sequence alone, as a generation needs it.
    pub scores_last: bool,
}

impl Batch {
    /// A batch of whole sequences that is only followed by its shape.
    pub fn of_shape(size: Size) -> Self {
        Self::of(ids([size.sequences, size.new]))
    }

    /// A batch of whole sequences with these ids.
    pub fn of(input_ids: Tensor) -> Self {
        Self {
            input_ids: input_ids.with_role(Role::Ids),
            attention_mask: None,
            position_ids: None,
            cache: None,
            scores_last: false,
        }
    }

    /// The same batch with or without padding, followed by its shape.
    pub fn padded(self, is_padded: bool) -> Self {
        let mask = is_padded.then(|| ids([self.sequences(), self.size().keys()]));
        Self { attention_mask: mask, ..self }
    }

    /// The same batch after the tokens in a cache.
    pub fn after(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The same batch, of which a language model's head scores the last tokens alone.
    pub fn scoring_last(self) -> Self {
        Self { scores_last: true, ..self }
    }

    /// A batch to be run: ids row after row, and the mask where there is padding.
    ///
    /// # Errors
    /// [`Error::Candle`] if the ids or the mask do not have the size's length, or from the device.
    #[cfg(feature = "candle")]
    pub fn of_ids(ids: Vec<i64>, mask: Option<Vec<i64>>, size: Size, device: &candle_core::Device) -> Result<Self> {
        let tensor = |numbers: Vec<i64>, len: usize| -> Result<Tensor> {
            let tensor = candle_core::Tensor::from_vec(numbers, (size.sequences, len), device)?;
            Ok(Tensor::from_candle(tensor)?.with_role(Role::Ids))
        };
        let attention_mask = mask.map(|mask| tensor(mask, size.keys())).transpose()?;
        Ok(Self { attention_mask, ..Self::of(tensor(ids, size.new)?) })
    }

    /// Prompts of any lengths, padded on the left to the longest.
    ///
    /// # Errors
    /// [`Error::Input`] without prompts, or for one without tokens; the device's error.
    #[cfg(feature = "candle")]
    pub fn of_prompts(prompts: &[Vec<i64>], device: &candle_core::Device) -> Result<Self> {
        let refuse = |reason: String| Error::Input { model: "prompts".into(), reason };
        if let Some(place) = prompts.iter().position(Vec::is_empty) {
            return Err(refuse(format!("number {} has no tokens", place + 1)));
        }
        let longest = prompts.iter().map(Vec::len).max().ok_or_else(|| refuse("there are none".into()))?;
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for prompt in prompts {
            let padding = longest - prompt.len();
            // Every vocabulary has a token 0.
            ids.extend(std::iter::repeat_n(0, padding).chain(prompt.iter().copied()));
            mask.extend(std::iter::repeat_n(0, padding).chain(std::iter::repeat_n(1, prompt.len())));
        }
        let mask = mask.contains(&0).then_some(mask);
        Self::of_ids(ids, mask, Size::new(prompts.len(), longest), device)
    }

    /// The ids, row after row; none where they are a shape alone.
    #[cfg(feature = "candle")]
    pub(crate) fn id_numbers(&self) -> Result<Vec<i64>> {
        let ids = self.input_ids.candle();
        Ok(ids.map(|ids| ids.flatten_all()?.to_vec1()).transpose()?.unwrap_or_default())
    }

    /// The numbers of the mask, row after row, if there is one to be run.
    #[cfg(feature = "candle")]
    pub(crate) fn mask_numbers(&self) -> Result<Option<Vec<i64>>> {
        let mask = self.attention_mask.as_ref().and_then(Tensor::candle);
        Ok(mask.map(|mask| mask.flatten_all()?.to_vec1()).transpose()?)
    }

    /// The same batch with positions that count tokens and skip padding, as transformers' `generate` gives them to decoders. Without a
    /// mask it stays as it is.
    ///
    /// # Errors
    /// Candle's error.
    #[cfg(feature = "candle")]
    pub fn with_counted_positions(self) -> Result<Self> {
        let size = self.size();
        let (Some(mask), Some(ids)) = (self.mask_numbers()?, self.input_ids.candle()) else { return Ok(self) };
        let positions = mask.chunks(size.keys().max(1)).flat_map(|row| {
            let mut count = 0;
            let counted = row.iter().map(move |&token| {
                count += token;
                // Padding needs a position too, though no token attends to it.
                if token == 0 { 1 } else { count - 1 }
            });
            counted.skip(size.past).collect::<Vec<_>>()
        });
        let positions = candle_core::Tensor::from_iter(positions, ids.device())?.reshape((size.sequences, size.new))?;
        Ok(Self { position_ids: Some(Tensor::from_candle(positions)?.with_role(Role::Ids)), ..self })
    }

    /// Whether padding stands before the tokens of a sequence.
    ///
    /// # Errors
    /// Candle's error.
    #[cfg(feature = "candle")]
    pub fn is_padded_left(&self) -> Result<bool> {
        let keys = self.size().keys().max(1);
        Ok(self.mask_numbers()?.is_some_and(|mask| mask.chunks(keys).any(|row| row.first() == Some(&0))))
    }

    /// A batch of whole sequences to be run. Its made-up tokens are from the model's vocabulary and not all the same; their values do
    /// not change the cost.
    ///
    /// # Errors
    /// [`Error::Config`] without a vocabulary; the device's error.
    #[cfg(feature = "candle")]
    pub fn made_up(spec: &crate::ModelSpec, size: Size, device: &candle_core::Device) -> Result<Self> {
        let vocabulary = spec.vocab_size()?;
        let ids = (0..size.tokens()).map(|i| (1000 + 7 * i) as i64 % vocabulary as i64).collect();
        Self::of_ids(ids, None, size, device)
    }

    /// The made-up batch of a run: after a past, it is a step of a generation, and the model reads the past first to fill the cache.
    ///
    /// # Errors
    /// As [`made_up`](Self::made_up), [`Error::Input`] for a past where the model keeps no cache; the model's error.
    #[cfg(feature = "candle")]
    pub fn made_up_for(
        spec: &crate::ModelSpec,
        model: &dyn crate::Model,
        run: crate::Run,
        device: &candle_core::Device,
    ) -> Result<Self> {
        let Size { sequences, new, past } = run.size;
        let batch = Self::made_up(spec, Size::new(sequences, new), device)?;
        if past == 0 {
            return Ok(batch);
        }
        let earlier = Self::made_up(spec, Size::new(sequences, past), device)?.after(Cache::default()).scoring_last();
        let read = model.run(&mut Cx::silent().with_kernels(run.kernels), &earlier)?;
        let reason = || format!("it keeps no cache, so it cannot continue after {past} earlier tokens");
        let cache = read.cache.ok_or_else(|| Error::Input { model: spec.name().to_owned(), reason: reason() })?;
        Ok(batch.after(cache).scoring_last())
    }

    /// The input size.
    pub fn size(&self) -> Size {
        Size { sequences: self.sequences(), new: self.new_tokens(), past: self.past() }
    }

    /// Tokens of each sequence in the cache.
    pub fn past(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.past)
    }

    /// The earlier keys and values of the layer at this place.
    pub fn past_of_layer(&self, place: usize) -> Past<'_> {
        self.cache.as_ref().map_or(Past::NotKept, |cache| cache.layer(place))
    }

    /// Sequences in the batch.
    pub fn sequences(&self) -> usize {
        self.input_ids.dim(0)
    }

    /// New tokens of each sequence.
    pub fn new_tokens(&self) -> usize {
        self.input_ids.dim(1)
    }

    /// Refuses ids that are not in a vocabulary of this size: only the CPU would notice them in time.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first and its place; candle's error.
    #[cfg(feature = "candle")]
    pub fn check_ids(&self, model: &str, vocabulary: usize) -> Result<()> {
        let ids = self.id_numbers()?;
        let Some(place) = ids.iter().position(|id| !(0..vocabulary as i64).contains(id)) else { return Ok(()) };
        let (row, column) = (place / self.new_tokens(), place % self.new_tokens());
        let id = ids[place];
        let reason = format!("token {column} of sequence {row} is {id}, beyond the vocabulary of {vocabulary}");
        Err(Error::Input { model: model.to_owned(), reason })
    }

    /// Refuses sequences that are longer than the model has positions.
    ///
    /// # Errors
    /// [`Error::Input`] naming both lengths.
    pub fn check_positions(&self, model: &str, positions: usize) -> Result<()> {
        let Size { new, past, .. } = self.size();
        if self.size().keys() <= positions {
            return Ok(());
        }
        let length = if past == 0 { format!("{new}") } else { format!("{new} after {past} tokens") };
        let reason = format!("sequence length {length} is longer than the model's {positions} positions");
        Err(Error::Input { model: model.to_owned(), reason })
    }

    /// For a model that reads whole sequences: refuses a cache, and more tokens than the model has positions.
    ///
    /// # Errors
    /// [`Error::Input`] saying which.
    pub fn check_whole(&self, model: &str, positions: usize) -> Result<()> {
        if self.cache.is_some() {
            let reason = "it reads whole sequences and keeps no keys and values: leave the cache out".into();
            return Err(Error::Input { model: model.to_owned(), reason });
        }
        self.check_positions(model, positions)
    }
}

impl Tensors for Batch {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.input_ids);
        self.attention_mask.list(tensors);
        self.position_ids.list(tensors);
        self.cache.list(tensors);
    }
}

/// The output of a model.
#[derive(Clone, Debug)]
pub struct ModelOutput {
    /// (batch, sequence, hidden).
    pub last_hidden_state: Tensor,
    /// (batch, hidden), for models with a pooler.
    pub pooler_output: Option<Tensor>,
    /// (batch, width), for models with the modules of sentence-transformers.
    pub sentence_embedding: Option<Tensor>,
    /// (batch, tokens, classes) of a head, for models that have one; (batch, classes) if the head classifies whole sequences.
    pub logits: Option<Tensor>,
    /// The keys and values of all tokens so far, where a cache is kept.
    pub cache: Option<Cache>,
}

impl From<Tensor> for ModelOutput {
    fn from(last_hidden_state: Tensor) -> Self {
        Self { last_hidden_state, pooler_output: None, sentence_embedding: None, logits: None, cache: None }
    }
}

impl Tensors for ModelOutput {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.last_hidden_state);
        self.pooler_output.list(tensors);
        self.sentence_embedding.list(tensors);
        self.logits.list(tensors);
        self.cache.list(tensors);
    }
}

/// Ids that are only followed by their shape.
fn ids(shape: [usize; 2]) -> Tensor {
    Tensor::of_shape(shape, Format::I64).with_role(Role::Ids)
}
