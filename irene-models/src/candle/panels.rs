//! Affine maps by panels, for 32-bit floats on the CPU: where a Transformer spends most of its time.
//!
//! A weight lies in panels of 64 outputs, each with its inputs one after another, so that a product reads memory in order. With few
//! rows, reading takes most of the time, and in a row-major weight an output's next input is pages away. Bias and activation are
//! applied to a panel of the result while it is in the cache.

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::product::{Matrix, filled_by_panels};
use super::{kernels, on_cpu::slice};
use crate::tensor::Then;

/// Four AVX-512 registers, which is the height of gemm's kernel.
const WIDTH: usize = 64;

/// A weight (inputs, outputs) in panels, or None if it is not 32-bit floats on the CPU.
pub(crate) fn of(weight: &Tensor) -> Option<Result<Tensor>> {
    let takes = matches!(weight.device(), Device::Cpu) && weight.dtype() == DType::F32 && weight.elem_count() > 0;
    takes.then(|| {
        let (inputs, outputs) = weight.dims2()?;
        let (storage, layout) = weight.storage_and_layout();
        let (Storage::Cpu(CpuStorage::F32(values)), &[input_step, output_step]) = (&*storage, layout.stride()) else {
            bail!("expected a matrix of 32-bit floats");
        };
        let values = &values[layout.start_offset()..];
        let mut panels = vec![0.0; inputs * outputs];
        panels.par_chunks_mut(WIDTH * inputs).enumerate().for_each(|(panel, to)| {
            let width = to.len() / inputs;
            for (input, row) in to.chunks_exact_mut(width).enumerate() {
                for (column, to) in row.iter_mut().enumerate() {
                    *to = values[input * input_step + (panel * WIDTH + column) * output_step];
                }
            }
        });
        Tensor::from_vec(panels, inputs * outputs, weight.device())
    })
}

/// x W + b and the activation, with W in panels.
pub(crate) fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor, then: Then) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(weight, bias, &Affine(then))
}

struct Affine(Then);

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (slice(x, x_layout)?, slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        let rows = x.len() / inputs;
        let x = Matrix::new(x, (rows, inputs), inputs);
        let out = filled_by_panels((rows, outputs), WIDTH, |panel, mut tile| {
            let first = panel * WIDTH;
            let width = WIDTH.min(outputs - first);
            let weight = Matrix::new(&weight[first * inputs..], (inputs, width), width);
            tile.fill_with_product(x, weight, 1.0);
            let bias = &bias[first..first + width];
            tile.for_each_row(|row| kernels::add_bias(row, bias, self.0));
        });
        let mut dims = x_layout.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        Ok((CpuStorage::F32(out), Shape::from(dims)))
    }
}
