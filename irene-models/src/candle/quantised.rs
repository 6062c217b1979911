//! Matrices of numbers in blocks that share scales, as candle multiplies with them: it quantises each row of the other operand to 8
//! bits, as llama.cpp does.

use std::{borrow::Cow, fmt, sync::Arc};

use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail,
    quantized::{GgmlDType, QStorage, QTensor, QuantizedType},
};
use irene_tree::Format;

use super::operations;
use crate::tensor::Then;

/// A matrix (outputs, inputs) whose rows are whole blocks.
#[derive(Clone)]
pub(crate) struct Quantised {
    dims: [usize; 2],
    stored: Stored,
}

#[derive(Clone)]
enum Stored {
    /// The blocks of the file. candle's `QTensor` would keep a second copy for products of many rows, half as large again, and quantise
    /// the rows that q8_0 multiplies in larger blocks.
    Cpu(Arc<dyn QuantizedType>),
    Device(Arc<QTensor>),
    /// Matrices below each other.
    Parts(Arc<[Quantised]>),
}

impl fmt::Debug for Quantised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantised({:?}, {:?})", self.dims, self.dtype())
    }
}

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

/// Blocks hold 16-bit numbers, and candle reads them where they lie.
const ALIGNMENT: usize = 4;

impl Quantised {
    /// The matrix in these bytes, row after row.
    pub(crate) fn new(bytes: &[u8], dtype: GgmlDType, dims: [usize; 2], device: &Device) -> Result<Self> {
        let numbers = dims[0] * dims[1];
        if !dims[1].is_multiple_of(dtype.block_size())
            || bytes.len() != numbers / dtype.block_size() * dtype.type_size()
        {
            bail!("{} bytes for {dims:?} in {dtype:?}", bytes.len());
        }
        let mut room = Vec::new();
        let bytes = if bytes.as_ptr().align_offset(ALIGNMENT) == 0 {
            bytes
        } else {
            room.resize(bytes.len() + ALIGNMENT, 0);
            let start = room.as_ptr().align_offset(ALIGNMENT);
            room[start..start + bytes.len()].copy_from_slice(bytes);
            &room[start..start + bytes.len()]
        };
        let stored = match device {
            Device::Cpu => Stored::Cpu(Arc::from(dtype.from_data(Cow::Borrowed(bytes)))),
            _ => {
                let storage = QStorage::from_data(Cow::Borrowed(bytes), device, dtype)?;
                Stored::Device(Arc::new(QTensor::new(storage, &dims[..])?))
            }
        };
        Ok(Self { dims, stored })
    }

    fn dtype(&self) -> GgmlDType {
        match &self.stored {
            Stored::Cpu(blocks) => blocks.dtype(),
            Stored::Device(tensor) => tensor.dtype(),
            Stored::Parts(parts) => parts[0].dtype(),
        }
    }

    pub(crate) fn format(&self) -> Format {
        TYPES.iter().find(|(_, dtype)| *dtype == self.dtype()).map_or(Format::F32, |(format, _)| *format)
    }

    /// Outputs, and inputs.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.dims
    }

    pub(crate) fn device(&self) -> Device {
        match &self.stored {
            Stored::Cpu(_) => Device::Cpu,
            Stored::Device(tensor) => tensor.device(),
            Stored::Parts(parts) => parts[0].device(),
        }
    }

    /// The rows at these ids, as plain numbers.
    pub(crate) fn rows(&self, ids: &Tensor, dtype: DType) -> Result<Tensor> {
        let [rows, width] = self.dims;
        match &self.stored {
            Stored::Cpu(blocks) => {
                let dims = [ids.dims(), &[width]].concat();
                let ids = ids.flatten_all()?.to_dtype(DType::U32)?.to_vec1()?;
                plain(blocks.embedding(&ids, rows, width)?, &dims)?.to_dtype(dtype)
            }
            Stored::Device(tensor) => tensor.embedding(ids)?.to_dtype(dtype),
            Stored::Parts(_) => bail!("rows of matrices below each other"),
        }
    }

    /// x Wᵀ + b and the activation: one product over all rows.
    pub(crate) fn affine(&self, x: &Tensor, bias: Option<&Tensor>, then: Then) -> Result<Tensor> {
        let [outputs, inputs] = self.dims;
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        let rows = x.contiguous()?.reshape((x.elem_count() / inputs.max(1), inputs))?;
        operations::finished(self.product(&rows)?.reshape(dims)?, bias, then)
    }

    /// (rows, outputs) of (rows, inputs).
    fn product(&self, rows: &Tensor) -> Result<Tensor> {
        match &self.stored {
            Stored::Cpu(blocks) => {
                let product = Product { blocks: blocks.as_ref(), outputs: self.dims[0] };
                rows.to_dtype(DType::F32)?.apply_op1_no_bwd(&product)?.to_dtype(rows.dtype())
            }
            Stored::Device(tensor) => rows.apply_op1_no_bwd(tensor.as_ref()),
            Stored::Parts(parts) => {
                let products = parts.iter().map(|part| part.product(rows)).collect::<Result<Vec<_>>>()?;
                Tensor::cat(&products, 1)
            }
        }
    }

    /// Matrices of one width below each other, if there are any.
    pub(crate) fn below_each_other(parts: Vec<Self>) -> Option<Self> {
        let width = parts.first()?.dims[1];
        let rows = parts.iter().map(|part| part.dims[0]).sum();
        let is_even = parts.iter().all(|part| part.dims[1] == width);
        is_even.then(|| Self { dims: [rows, width], stored: Stored::Parts(parts.into()) })
    }
}

fn plain(storage: CpuStorage, dims: &[usize]) -> Result<Tensor> {
    match storage {
        CpuStorage::F32(numbers) => Tensor::from_vec(numbers, dims, &Device::Cpu),
        _ => bail!("blocks become 32-bit floats"),
    }
}

/// The product of rows (rows, inputs) with a matrix in blocks.
struct Product<'a> {
    blocks: &'a dyn QuantizedType,
    outputs: usize,
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "product with blocks"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = layout.shape().dims2()?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("rows with gaps") };
        let mut product = vec![0.0; rows * self.outputs];
        self.blocks.matmul_t((rows, inputs, self.outputs), &x.as_slice::<f32>()?[start..end], &mut product)?;
        Ok((CpuStorage::F32(product), (rows, self.outputs).into()))
    }
}
