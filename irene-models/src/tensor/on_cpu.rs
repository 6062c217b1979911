//! The kernels as candle's custom operations, for contiguous 32-bit floats on the CPU. Everything else takes candle's own way.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::{Unary, kernels};

/// Whether the kernels can take it.
pub(super) fn takes(tensor: &Tensor) -> bool {
    matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32 && tensor.is_contiguous()
}

pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((from, to))) => Ok(&values[from..to]),
        _ => bail!("expected contiguous 32-bit floats"),
    }
}

/// A function of each element, or of each row.
struct Map(Unary, usize);

/// The kernel for this operation, if there is one.
pub(super) fn unary(x: &Tensor, op: Unary) -> Option<Result<Tensor>> {
    let has_kernel = matches!(op, Unary::Gelu | Unary::Tanh | Unary::Softmax);
    (has_kernel && takes(x) && x.elem_count() > 0)
        .then(|| x.apply_op1_no_bwd(&Map(op, x.dims().last().copied().unwrap_or(1))))
}

impl CustomOp1 for Map {
    fn name(&self) -> &'static str {
        self.0.kind().name()
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = slice(storage, layout)?.to_vec();
        match self.0 {
            Unary::Gelu => kernels::gelu(&mut values),
            Unary::Tanh => kernels::tanh(&mut values),
            Unary::Softmax => kernels::softmax(&mut values, self.1),
            _ => bail!("no kernel for {}", self.name()),
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

/// Layer norm of x, with its eps.
pub(super) struct Norm(pub(super) f32);

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "layer_norm"
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
        let x = slice(x, x_layout)?;
        let mut out = vec![0.0; x.len()];
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        kernels::layer_norm(x, None, weight, bias, self.0, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

/// Layer norm of the sum of two tensors.
pub(super) struct AddNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) eps: f32,
}

impl CustomOp2 for AddNorm {
    fn name(&self) -> &'static str {
        "add_layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        r: &CpuStorage,
        r_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, residual) = (slice(x, x_layout)?, slice(r, r_layout)?);
        let mut out = vec![0.0; x.len()];
        let ((weight, weight_layout), (bias, bias_layout)) =
            (self.weight.storage_and_layout(), self.bias.storage_and_layout());
        let (candle_core::Storage::Cpu(weight), candle_core::Storage::Cpu(bias)) = (&*weight, &*bias) else {
            bail!("expected parameters on the CPU");
        };
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        kernels::layer_norm(x, Some(residual), weight, bias, self.eps, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}
