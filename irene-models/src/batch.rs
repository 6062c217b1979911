use irene_tree::{DType, Shape};

use crate::{Error, Result, Tensor, Tensors};

/// The input of a model: token ids (batch, sequence), and where there is padding, which of them count.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids, I64 (batch, sequence).
    pub input_ids: Tensor,
    /// 1 for tokens, 0 for padding, I64 (batch, sequence). None means that all count.
    pub attention_mask: Option<Tensor>,
}

impl Batch {
    /// A batch that is only followed by its shape.
    pub fn of_shape(batch_size: usize, seq_len: usize) -> Self {
        Self { input_ids: Tensor::of_shape([batch_size, seq_len], DType::I64), attention_mask: None }
    }

    /// A batch of texts that is only followed by its shape.
    #[cfg(feature = "text")]
    pub fn of_encoded_shape(encoded: &crate::Encoded) -> Self {
        let ids = Tensor::of_shape([encoded.batch_size, encoded.seq_len], DType::I64);
        Self { attention_mask: encoded.mask.as_ref().map(|_| ids.clone()), input_ids: ids }
    }

    /// The same shapes without numbers.
    pub(crate) fn shape_alone(&self) -> Self {
        let shape_of = |tensor: &Tensor| Tensor::of_shape(tensor.shape(), tensor.dtype());
        Self { input_ids: shape_of(&self.input_ids), attention_mask: self.attention_mask.as_ref().map(shape_of) }
    }

    /// A batch to be run: ids row after row, and the mask where there is padding.
    ///
    /// # Errors
    /// [`Error::Candle`] if the numbers are not `batch_size` x `seq_len`, or what the device says.
    #[cfg(feature = "candle")]
    pub fn of_ids(
        ids: Vec<i64>,
        mask: Option<Vec<i64>>,
        (batch_size, seq_len): (usize, usize),
        device: &candle_core::Device,
    ) -> Result<Self> {
        let tensor = |numbers: Vec<i64>| {
            Tensor::from_candle(candle_core::Tensor::from_vec(numbers, (batch_size, seq_len), device)?)
        };
        Ok(Self { input_ids: tensor(ids)?, attention_mask: mask.map(tensor).transpose()? })
    }

    /// A batch to be run, of a size. Its tokens are of the model's vocabulary and not all the same; which they are does not change
    /// what they cost.
    ///
    /// # Errors
    /// [`Error::Config`] without a vocabulary; what the device says.
    #[cfg(feature = "candle")]
    pub fn made_up(spec: &crate::ModelSpec, size: (usize, usize), device: &candle_core::Device) -> Result<Self> {
        let vocabulary = spec.vocab_size()?;
        let ids = (0..size.0 * size.1).map(|i| (1000 + 7 * i) as i64 % vocabulary as i64).collect();
        Self::of_ids(ids, None, size, device)
    }

    /// Sequences in the batch.
    pub fn batch_size(&self) -> usize {
        self.input_ids.dim(0)
    }

    /// Tokens in a sequence.
    pub fn seq_len(&self) -> usize {
        self.input_ids.dim(1)
    }

    /// A tensor beside the ids (same device, or shape alone) filled with what `value` gives for its last two indices.
    ///
    /// For what a model keeps as a buffer: position ids, masks. Not part of the trace, as reading a buffer is not.
    ///
    /// # Errors
    /// What candle says.
    #[cfg_attr(not(feature = "candle"), allow(unused_variables, clippy::unnecessary_wraps))]
    pub fn buffer(&self, shape: impl Into<Shape>, dtype: DType, value: impl Fn(usize, usize) -> i64) -> Result<Tensor> {
        let shape = shape.into();
        #[cfg(feature = "candle")]
        if let Some(ids) = self.input_ids.candle() {
            let (columns, elements) = (shape.last(), shape.elements() as usize);
            let rows = elements / columns.max(1);
            let numbers: Vec<i64> = (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(row, column)| value(row, column))
                .collect();
            let tensor = candle_core::Tensor::from_vec(numbers, shape.dims(), ids.device())?;
            return Tensor::from_candle(tensor.to_dtype(crate::tensor::candle_dtype(dtype))?);
        }
        Ok(Tensor::of_shape(shape, dtype))
    }

    /// The attention mask, or ones.
    ///
    /// # Errors
    /// What candle says.
    pub fn mask_or_ones(&self) -> Result<Tensor> {
        match &self.attention_mask {
            Some(mask) => Ok(mask.clone()),
            None => self.buffer(self.input_ids.shape(), DType::I64, |_, _| 1),
        }
    }

    /// Refuses ids that are not in a vocabulary of this size: beyond the CPU they would not be noticed in time.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first and where it stands; what candle says.
    #[cfg(feature = "candle")]
    pub fn check_ids(&self, model: &str, vocabulary: usize) -> Result<()> {
        let Some(ids) = self.input_ids.candle() else { return Ok(()) };
        let ids = ids.flatten_all()?.to_vec1::<i64>()?;
        let Some(place) = ids.iter().position(|id| !(0..vocabulary as i64).contains(id)) else { return Ok(()) };
        let (row, column) = (place / self.seq_len(), place % self.seq_len());
        let id = ids[place];
        let reason = format!("token {column} of sequence {row} is {id}, beyond the vocabulary of {vocabulary}");
        Err(Error::Input { model: model.to_owned(), reason })
    }

    /// Refuses sequences that are longer than the model has positions.
    ///
    /// # Errors
    /// [`Error::Input`] naming both lengths.
    pub fn check_positions(&self, model: &str, positions: usize) -> Result<()> {
        let seq_len = self.seq_len();
        if seq_len <= positions {
            return Ok(());
        }
        let reason = format!("sequence length {seq_len} is longer than the model's {positions} positions");
        Err(Error::Input { model: model.to_owned(), reason })
    }
}

impl Tensors for Batch {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.input_ids);
        self.attention_mask.list(tensors);
    }
}

/// The output of a model.
#[derive(Clone, Debug)]
pub struct ModelOutput {
    /// (batch, sequence, hidden).
    pub last_hidden_state: Tensor,
    /// (batch, hidden), for models with a pooler.
    pub pooler_output: Option<Tensor>,
}

impl Tensors for ModelOutput {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.last_hidden_state);
        self.pooler_output.list(tensors);
    }
}
