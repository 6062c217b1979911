//! Parameters from a GGUF file.

use std::borrow::Cow;

use candle_core::{DType as CandleDType, Device, Tensor as Candle};
use irene_tree::{Precision, Shape};

use super::{
    checkpoint::{precision_of, release},
    operations::candle_dtype,
    quantised::{Quantised, block_type},
};
use crate::{
    Error, ParameterSpec, Result, Tensor, WeightSource,
    gguf::{Gguf, Names, Place, Rows},
};

/// The tensors of a GGUF file, read one by one. Matrices stay in their blocks, all else becomes plain numbers.
#[derive(Debug)]
pub(crate) struct GgufWeights {
    file: Gguf,
    names: Names,
    dtype: CandleDType,
    device: Device,
}

impl GgufWeights {
    /// The tensors of this file, for a device and a type of activations.
    ///
    /// # Errors
    /// [`Error::Config`] for a file that is followed by shape alone.
    pub(crate) fn new(file: Gguf, dtype: CandleDType, device: &Device) -> Result<Self> {
        file.refuse_to_run()?;
        Ok(Self { names: file.names()?, file, dtype, device: device.clone() })
    }

    fn read(&self, bytes: &[u8], place: &Place, shape: Shape, format: irene_tree::Format) -> Result<Option<Tensor>> {
        let mut dims = shape.dims().to_vec();
        if place.is_conv1d {
            dims.reverse();
        }
        let bytes = in_order(bytes, place.rows, dims.first().copied().unwrap_or(1));
        if let (Some(dtype), &[rows, columns]) = (block_type(format), &dims[..]) {
            let matrix = Tensor::quantised(Quantised::new(&bytes, dtype, [rows, columns], &self.device)?);
            return if place.is_conv1d { matrix.transpose(0, 1) } else { Ok(matrix) }.map(Some);
        }
        let Some(dtype) = candle_dtype(format).filter(CandleDType::is_float) else { return Ok(None) };
        let plain = Candle::from_raw_buffer(&bytes, dtype, &dims, &self.device)?;
        let plain = if place.added == 0.0 { plain } else { (plain - f64::from(place.added))? };
        let plain = plain.to_dtype(self.dtype)?;
        Tensor::from_candle(if place.is_conv1d { plain.t()? } else { plain }).map(Some)
    }
}

/// A tensor's bytes with its rows in the order of transformers.
fn in_order(bytes: &[u8], order: Rows, rows: usize) -> Cow<'_, [u8]> {
    if order == Rows::AsTheyAre {
        return Cow::Borrowed(bytes);
    }
    let width = bytes.len() / rows.max(1);
    let mut sorted = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let start = order.stored(row, rows) * width;
        sorted.extend_from_slice(&bytes[start..start + width]);
    }
    Cow::Owned(sorted)
}

impl WeightSource for GgufWeights {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let ParameterSpec { key, shape, .. } = *spec;
        let place = self.file.place_of(&self.names, key, shape)?;
        let refuse = |found: String| Error::Weight {
            origin: self.file.origin(),
            key: key.to_owned(),
            expected: Box::new(shape),
            found,
        };
        let Some((map, stored)) = self.file.mapped(&place.name) else { return Err(refuse("no such tensor".into())) };
        let mut range = stored.bytes.clone();
        let of_third = place.third.map(|third| (third, 3));
        if let Some((part, parts)) = place.expert.map(|expert| (expert, stored.shape.dims()[0])).or(of_third) {
            let of_one = range.len() / parts.max(1);
            range = range.start + part * of_one..range.start + (part + 1) * of_one;
        }
        let read = self.read(&map[range.clone()], &place, shape, stored.format)?;
        release(map, range);
        read.ok_or_else(|| refuse(format!("numbers in {}, which candle does not multiply with", stored.format)))
    }

    fn precision(&self) -> Precision {
        precision_of(self.dtype)
    }

    fn has(&self, key: &str) -> bool {
        self.file.find(&self.names, key).is_some()
    }
}
