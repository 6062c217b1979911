//! Matrices of numbers in blocks that share scales, and products with them: of few rows by candle's kernels, of many by dequantising.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail,
    quantized::{GgmlDType, QStorage, QTensor, QuantizedType},
};
use irene_tree::Format;

use super::{
    operations,
    pieces::for_pieces,
    product::{Matrix, Tile},
};
use crate::tensor::Then;

/// A matrix (outputs, inputs) whose rows are whole blocks.
#[derive(Clone)]
pub(crate) struct Quantised {
    dims: [usize; 2],
    stored: Stored,
}

#[derive(Clone)]
enum Stored {
    /// The blocks of the file alone. candle's `QTensor` would keep a second copy, a third larger.
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
                let numbers = floats(blocks.embedding(&ids, rows, width)?)?;
                Tensor::from_vec(numbers, dims, &Device::Cpu)?.to_dtype(dtype)
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

fn floats(storage: CpuStorage) -> Result<Vec<f32>> {
    match storage {
        CpuStorage::F32(numbers) => Ok(numbers),
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
        let sizes @ (rows, _) = layout.shape().dims2()?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("rows with gaps") };
        let x = &x.as_slice::<f32>()?[start..end];
        let product = if rows < self.many() { self.of_few(x, sizes) } else { self.of_many(x, sizes) };
        Ok((CpuStorage::F32(product?), (rows, self.outputs).into()))
    }
}

impl Product<'_> {
    /// Rows from which on it is faster to dequantise the weight once than to multiply each row with its blocks. Measured on a Zen 5 core
    /// with 8192 outputs of 2048 inputs: 0.5 ms a row for q4_k and 1.9 ms for q8_0, against 8 ms and 0.4 ms a row.
    fn many(&self) -> usize {
        if self.blocks.block_size() < 256 { 6 } else { 64 }
    }

    /// Each row quantised to 8 bits and multiplied with blocks, as llama.cpp does.
    fn of_few(&self, x: &[f32], (rows, inputs): (usize, usize)) -> Result<Vec<f32>> {
        let mut product = vec![0.0; rows * self.outputs];
        self.blocks.matmul_t((rows, inputs, self.outputs), x, &mut product)?;
        Ok(product)
    }

    /// The weight dequantised, some outputs at a time, so that they stay in a core's cache; rows keep their 32 bits.
    fn of_many(&self, x: &[f32], (rows, inputs): (usize, usize)) -> Result<Vec<f32>> {
        const WIDTH: usize = 256;
        let x = Matrix::new(x, (rows, inputs), inputs).transposed();
        // (outputs, rows), so that every task has numbers of its own.
        let mut product = vec![0.0; self.outputs * rows];
        let fault = OnceLock::new();
        for_pieces(&mut product, (WIDTH * rows).max(1), |piece, product| {
            let (first, count) = ((piece * WIDTH) as u32, product.len() / rows);
            let ids: Vec<u32> = (first..first + count as u32).collect();
            match self.blocks.embedding(&ids, self.outputs, inputs).and_then(floats) {
                Ok(weight) => {
                    let weight = Matrix::new(&weight, (count, inputs), inputs);
                    Tile::new(product, (count, rows), rows).fill_with_product(weight, x);
                }
                Err(error) => drop(fault.set(error)),
            }
        });
        if let Some(error) = fault.into_inner() {
            return Err(error);
        }
        let by_row = |row: usize| product[row..].iter().step_by(rows).copied();
        Ok((0..rows).flat_map(by_row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_few_and_of_many_rows_are_those_of_the_dequantised_weight() {
        let numbers = |count: usize, seed: usize| -> Vec<f32> {
            (0..count).map(|i| (((i * 7919 + seed) % 1009) as f32 / 504.0 - 1.0) * ((i % 13) as f32 - 6.0)).collect()
        };
        let (outputs, inputs) = (300, 512);
        let tensor = |rows: usize, seed| Tensor::from_vec(numbers(rows * inputs, seed), (rows, inputs), &Device::Cpu);
        let weight = tensor(outputs, 3).unwrap();
        for (format, dtype) in TYPES {
            let blocks = QTensor::quantize(&weight, dtype).unwrap();
            let plain = blocks.dequantize(&Device::Cpu).unwrap();
            let matrix = Quantised::new(&blocks.data().unwrap(), dtype, [outputs, inputs], &Device::Cpu).unwrap();
            // Rows that are quantised to 8 bits, and rows that are not.
            for (rows, tolerance) in [(1, 2e-2), (5, 2e-2), (70, 1e-5)] {
                let x = tensor(rows, rows).unwrap();
                let found = matrix.affine(&x, None, Then::Nothing).unwrap();
                let expected = operations::matmul(&x, &plain.t().unwrap()).unwrap();
                let largest = |x: Tensor| x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                let apart = largest((&found - &expected).unwrap()) / largest(expected);
                assert!(apart < tolerance, "{format}, {rows} rows: {apart}");
            }
        }
    }
}
