//! The buffers of a model beside a batch: positions, masks and constants.

use irene_tree::{Format, Role, Shape};

use crate::{Batch, Result, Tensor};

impl Batch {
    /// A tensor beside the ids (same device, or shape alone) filled with what `value` gives for its last two indices.
    ///
    /// For the buffers of a model: position ids, masks. The trace leaves it out, because a model only reads its buffers.
    ///
    /// # Errors
    /// Candle's error.
    #[cfg_attr(not(feature = "candle"), allow(unused_variables, clippy::unnecessary_wraps))]
    pub fn buffer(
        &self,
        shape: impl Into<Shape>,
        format: Format,
        value: impl Fn(usize, usize) -> i64,
    ) -> Result<Tensor> {
        let shape = shape.into();
        #[cfg(feature = "candle")]
        if let Some(ids) = self.input_ids.candle() {
            let (columns, elements) = (shape.last(), shape.elements() as usize);
            let rows = elements / columns.max(1);
            let numbers: Vec<i64> = (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(row, column)| value(row, column))
                .collect();
            return Ok(beside(ids, numbers, shape.dims(), format)?.with_role(role(format)));
        }
        Ok(Tensor::of_shape(shape, format).with_role(role(format)))
    }

    /// Floats beside the ids, in 32 bits: a buffer of the model's.
    ///
    /// # Errors
    /// Candle's error.
    #[cfg_attr(not(feature = "candle"), allow(unused_variables))]
    pub fn constants(&self, shape: impl Into<Shape>, numbers: &[f32]) -> Result<Tensor> {
        let shape = shape.into();
        #[cfg(feature = "candle")]
        if let Some(ids) = self.input_ids.candle() {
            return Tensor::from_candle(candle_core::Tensor::from_slice(numbers, shape.dims(), ids.device())?);
        }
        Ok(Tensor::of_shape(shape, Format::F32))
    }

    /// The mask's rows, if there is a mask with numbers.
    #[cfg_attr(not(feature = "candle"), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(crate) fn rows_of_mask(&self) -> Result<Option<Vec<Vec<i64>>>> {
        #[cfg(feature = "candle")]
        if let Some(mask) = self.attention_mask.as_ref().and_then(Tensor::candle) {
            return Ok(Some(mask.to_vec2()?));
        }
        Ok(None)
    }

    /// A number for each new token, as `value` gives it for its position, in 32 bits: (batch or 1, 1, tokens, 1).
    #[cfg_attr(not(feature = "candle"), allow(unused_variables, clippy::unnecessary_wraps))]
    pub(crate) fn by_new_position(&self, value: impl Fn(i64) -> f64) -> Result<Tensor> {
        let rows = self.position_ids.as_ref().map_or(1, |positions| positions.dim(0));
        let shape = [rows, 1, self.new_tokens(), 1];
        #[cfg(feature = "candle")]
        if let Some(positions) = self.positions()?.candle() {
            let positions = positions.flatten_all()?.to_vec1::<i64>()?;
            let numbers: Vec<f32> = positions.into_iter().map(|position| value(position) as f32).collect();
            return self.constants(shape, &numbers);
        }
        Ok(Tensor::of_shape(shape, Format::F32))
    }

    /// For each head what `value` gives for it and the position of each token so far, (batch or 1, heads, 1, tokens); padding does not
    /// count as a position.
    ///
    /// # Errors
    /// Candle's error.
    #[cfg_attr(not(feature = "candle"), allow(unused_variables))]
    pub fn by_position(&self, heads: usize, format: Format, value: impl Fn(usize, usize) -> f64) -> Result<Tensor> {
        let rows = if self.attention_mask.is_some() { self.sequences() } else { 1 };
        let shape = [rows, heads, 1, self.size().keys()];
        #[cfg(feature = "candle")]
        if let Some(ids) = self.input_ids.candle() {
            let tokens = self.rows_of_mask()?;
            let mut numbers = Vec::with_capacity(shape.iter().product());
            for row in 0..rows {
                let mut count = 0;
                let positions: Vec<usize> = (0..shape[3])
                    .map(|place| {
                        let is_token = tokens.as_ref().is_none_or(|tokens| tokens[row][place] != 0);
                        count += usize::from(is_token);
                        if is_token { count - 1 } else { 0 }
                    })
                    .collect();
                for head in 0..heads {
                    numbers.extend(positions.iter().map(|&position| value(head, position)));
                }
            }
            return beside(ids, numbers, &shape, format);
        }
        Ok(Tensor::of_shape(shape, format))
    }

    /// The attention mask, or ones.
    ///
    /// # Errors
    /// Candle's error.
    pub fn mask_or_ones(&self) -> Result<Tensor> {
        match &self.attention_mask {
            Some(mask) => Ok(mask.clone()),
            None => self.buffer([self.sequences(), self.size().keys()], Format::I64, |_, _| 1),
        }
    }

    /// Numbers to be added to scores over the last `keys` tokens: 0 where a query sees the key, the lowest number of the format
    /// elsewhere. (batch, 1, query, key), or (1, 1, query, key) without padding.
    ///
    /// # Errors
    /// Candle's error.
    pub fn hidden_keys(&self, keys: usize, format: Format, sees: impl Fn(usize, usize) -> bool) -> Result<Tensor> {
        let (queries, all) = (self.new_tokens(), self.size().keys());
        self.added(queries, keys, format, |query, key| sees(all - queries + query, key))
    }

    /// The same for padding alone, if there is any: (batch, 1, 1, key).
    ///
    /// # Errors
    /// Candle's error.
    pub fn hidden_padding(&self, keys: usize, format: Format) -> Result<Option<Tensor>> {
        self.attention_mask.is_some().then(|| self.added(1, keys, format, |_, _| true)).transpose()
    }

    /// As [`hidden_keys`](Self::hidden_keys), where `sees` gets a query's place among the queries and a key's among all tokens.
    #[cfg_attr(not(feature = "candle"), allow(unused_variables))]
    fn added(
        &self,
        queries: usize,
        keys: usize,
        format: Format,
        sees: impl Fn(usize, usize) -> bool,
    ) -> Result<Tensor> {
        let rows = if self.attention_mask.is_some() { self.sequences() } else { 1 };
        #[cfg(feature = "candle")]
        if let Some(ids) = self.input_ids.candle() {
            let first = self.size().keys().saturating_sub(keys);
            let tokens = self.rows_of_mask()?;
            let mut numbers = Vec::with_capacity(rows * queries * keys);
            for row in 0..rows {
                let is_token = |key: usize| tokens.as_ref().is_none_or(|tokens| tokens[row][key] != 0);
                for query in 0..queries {
                    let places = first..first + keys;
                    numbers.extend(
                        places.map(|key| if sees(query, key) && is_token(key) { 0.0 } else { format.lowest() }),
                    );
                }
            }
            return beside(ids, numbers, &[rows, 1, queries, keys], format);
        }
        Ok(Tensor::of_shape([rows, 1, queries, keys], format))
    }

    /// The positions of the new tokens: those given, or (1, new tokens) counted from the tokens in the cache on.
    ///
    /// # Errors
    /// Candle's error.
    pub fn positions(&self) -> Result<Tensor> {
        match &self.position_ids {
            Some(positions) => Ok(positions.clone()),
            None => self.buffer([1, self.new_tokens()], Format::I64, |_, place| (self.past() + place) as i64),
        }
    }
}

/// Numbers on the device of the ids.
#[cfg(feature = "candle")]
fn beside<N: candle_core::WithDType>(
    ids: &candle_core::Tensor,
    numbers: Vec<N>,
    dims: &[usize],
    format: Format,
) -> Result<Tensor> {
    let tensor = candle_core::Tensor::from_vec(numbers, dims, ids.device())?;
    let dtype = crate::candle::operations::candle_dtype(format).unwrap_or(candle_core::DType::F32);
    Tensor::from_candle(tensor.to_dtype(dtype)?)
}

/// The role of a buffer in this format: whole numbers are positions and masks.
fn role(format: Format) -> Role {
    if format.holds_activations() { Role::Activation } else { Role::Ids }
}
