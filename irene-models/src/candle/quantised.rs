//! Matrices of numbers in blocks that share scales, as candle multiplies with them: it quantises each row of the other operand to 8
//! bits, as llama.cpp does.

use std::{borrow::Cow, sync::Arc};

use candle_core::{
    DType, Device, Result, Tensor,
    quantized::{GgmlDType, QStorage, QTensor},
};
use irene_tree::Format;

use super::operations;
use crate::tensor::Then;

/// A matrix (outputs, inputs) whose rows are whole blocks.
#[derive(Clone, Debug)]
pub(crate) struct Quantised(Arc<QTensor>);

/// Candle's types of blocks.
const TYPES: [(Format, GgmlDType); 10] = [
    (Format::Q4_0, GgmlDType::Q4_0),
    (Format::Q4_1, GgmlDType::Q4_1),
    (Format::Q5_0, GgmlDType::Q5_0),
    (Format::Q5_1, GgmlDType::Q5_1),
    (Format::Q8_0, GgmlDType::Q8_0),
    (Format::Q2K, GgmlDType::Q2K),
    (Format::Q3K, GgmlDType::Q3K),
    (Format::Q4K, GgmlDType::Q4K),
    (Format::Q5K, GgmlDType::Q5K),
    (Format::Q6K, GgmlDType::Q6K),
];

/// Candle's type for a format in blocks, if it multiplies with it.
pub(crate) fn block_type(format: Format) -> Option<GgmlDType> {
    TYPES.iter().find(|(known, _)| *known == format).map(|(_, dtype)| *dtype)
}

impl Quantised {
    /// The matrix in these bytes, row after row.
    pub(crate) fn new(bytes: &[u8], dtype: GgmlDType, dims: &[usize], device: &Device) -> Result<Self> {
        // Blocks hold 16-bit numbers, and candle reads them where they lie.
        const ALIGNMENT: usize = 4;
        let blocks = dims.iter().product::<usize>() / dtype.block_size();
        if bytes.len() != blocks * dtype.type_size() {
            candle_core::bail!("{} bytes for {dims:?} in {dtype:?}", bytes.len());
        }
        let storage = match bytes.as_ptr().align_offset(ALIGNMENT) {
            0 => QStorage::from_data(Cow::Borrowed(bytes), device, dtype)?,
            _ => {
                let mut room = vec![0; bytes.len() + ALIGNMENT];
                let start = room.as_ptr().align_offset(ALIGNMENT);
                let aligned = &mut room[start..start + bytes.len()];
                aligned.copy_from_slice(bytes);
                QStorage::from_data(Cow::Borrowed(aligned), device, dtype)?
            }
        };
        Ok(Self(Arc::new(QTensor::new(storage, dims)?)))
    }

    pub(crate) fn format(&self) -> Format {
        TYPES.iter().find(|(_, dtype)| *dtype == self.0.dtype()).map_or(Format::F32, |(format, _)| *format)
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.0.shape().dims()
    }

    pub(crate) fn device(&self) -> Device {
        self.0.device()
    }

    pub(crate) fn dequantised(&self) -> Result<Tensor> {
        self.0.dequantize(&self.0.device())
    }

    /// The rows at these ids, as plain numbers.
    pub(crate) fn rows(&self, ids: &Tensor, dtype: DType) -> Result<Tensor> {
        self.0.embedding(ids)?.to_dtype(dtype)
    }

    /// x Wᵀ + b and the activation: one product over all rows.
    pub(crate) fn affine(&self, x: &Tensor, bias: Option<&Tensor>, then: Then) -> Result<Tensor> {
        let (outputs, inputs) = self.0.shape().dims2()?;
        let rows = x.elem_count() / inputs.max(1);
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        let product = x.contiguous()?.reshape((rows, inputs))?.apply_op1_no_bwd(self.0.as_ref())?.reshape(dims)?;
        operations::finished(product, bias, then)
    }

    /// Matrices of one width below each other: as blocks if all have the same ones.
    pub(crate) fn below_each_other(all: &[&Self]) -> Result<Option<Self>> {
        let Some(first) = all.first() else { return Ok(None) };
        let dtype = first.0.dtype();
        let (_, width) = first.0.shape().dims2()?;
        let is_alike = |one: &&Self| one.0.dtype() == dtype && one.dims().last() == Some(&width);
        if !all.iter().all(is_alike) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut rows = 0;
        for one in all {
            bytes.extend_from_slice(&one.0.data()?);
            rows += one.dims().first().copied().unwrap_or(0);
        }
        Self::new(&bytes, dtype, &[rows, width], &first.device()).map(Some)
    }
}
