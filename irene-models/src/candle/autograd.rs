//! Operations that candle's autograd follows, in place of the kernels for inference, which it cannot look into.
//!
//! candle follows an operation only if one of its own kind made the result: a result that a kernel without a gradient wrote, or that was
//! copied out and in again, has none, and the parameters before it would silently stay as they are.

// All operations of the context end here.
#![allow(clippy::disallowed_methods)]

use std::{
    cell::RefCell,
    sync::{Mutex, PoisonError},
};

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Storage, Tensor, bail};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use super::panels::{self, Panels};
use crate::tensor::{Then, Unary};

/// Whether gradients of a result of these tensors are wanted.
pub(crate) fn tracks(tensors: &[&Tensor]) -> bool {
    tensors.iter().any(|tensor| tensor.track_op())
}

/// The operations of one tensor for which candle has no gradient, or another one than PyTorch.
pub(super) fn unary(x: &Tensor, op: Unary) -> Option<Result<Tensor>> {
    match op {
        Unary::Softmax => Some(softmax(x)),
        Unary::Relu => Some(relu(x)),
        Unary::Pow(3.0) => Some(x.sqr().and_then(|square| square.mul(x))),
        _ => None,
    }
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    // The result does not depend on the shift.
    let greatest = x.detach().max_keepdim(D::Minus1)?;
    let powers = x.broadcast_sub(&greatest)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// At 0, candle's own has a slope of 1, and PyTorch's none.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x.mul(&x.gt(&x.zeros_like()?)?.to_dtype(x.dtype())?)
}

/// The product of matrices, and of batches of them.
pub(super) fn matmul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (x, y) = (evenly_spaced(x)?, evenly_spaced(y)?);
    // candle multiplies no bf16 on the CPU.
    if x.device().is_cpu() && x.dtype() == DType::BF16 {
        return x.to_dtype(DType::F32)?.matmul(&y.to_dtype(DType::F32)?)?.to_dtype(DType::BF16);
    }
    x.matmul(&y)
}

/// candle takes batches of matrices at equal distances.
fn evenly_spaced(x: &Tensor) -> Result<Tensor> {
    let is_even = x.rank() <= 3 || x.is_contiguous() || x.t()?.is_contiguous();
    if is_even { Ok(x.clone()) } else { x.contiguous() }
}

/// The product of (.., n) with one matrix (n, p), as a single product over all rows: so is its gradient.
pub(super) fn matmul_matrix(x: &Tensor, matrix: &Tensor) -> Result<Tensor> {
    let (inputs, outputs) = matrix.dims2()?;
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = outputs;
    }
    matmul(&x.reshape((x.elem_count() / inputs.max(1), inputs))?, matrix)?.reshape(dims)
}

/// The product with a weight that is not trained itself, and is packed for inference.
pub(crate) fn product_with_frozen(x: &Tensor, weight: &Panels) -> Result<Tensor> {
    let product = panels::affine(&x.detach(), &[(weight, None)], Then::Nothing)?.swap_remove(0);
    x.apply_op1(Frozen { weight: weight.clone(), product: Mutex::new(Some(product)) })
}

struct Frozen {
    weight: Panels,
    /// Until it is asked for.
    product: Mutex<Option<Tensor>>,
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "product with a frozen weight"
    }

    fn cpu_fwd(&self, _x: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let product = self.product.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(product) = product else { bail!("the product was taken before") };
        match &*product.storage_and_layout().0 {
            Storage::Cpu(numbers) => Ok((numbers.clone(), product.shape().clone())),
            _ => bail!("expected a product on the CPU"),
        }
    }

    fn bwd(&self, _x: &Tensor, _product: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(matmul_matrix(gradient, &self.weight.matrix()?.t()?)?))
    }
}

thread_local!(static DROPPED: RefCell<Pcg64Mcg> = RefCell::new(Pcg64Mcg::seed_from_u64(0)));

/// Starts this thread's choice of dropped numbers anew: candle's own generator on the CPU takes no seed.
pub(super) fn seed_dropout(seed: u64) {
    DROPPED.set(Pcg64Mcg::seed_from_u64(seed));
}

/// Numbers set to zero with this probability, the others scaled up so that the mean stays.
pub(crate) fn dropped(x: &Tensor, probability: f64) -> Result<Tensor> {
    // Two choices of 32 bits from each draw.
    let bound = (probability * (1u64 << 32) as f64) as u64;
    let scale = if probability < 1.0 { (1.0 / (1.0 - probability)) as f32 } else { 0.0 };
    let kept = |choice: u64| if choice < bound { 0.0 } else { scale };
    let mut mask = vec![0f32; x.elem_count()];
    DROPPED.with_borrow_mut(|random| {
        for pair in mask.chunks_mut(2) {
            let draw = random.next_u64();
            pair.iter_mut().zip([draw >> 32, draw & u64::from(u32::MAX)]).for_each(|(x, choice)| *x = kept(choice));
        }
    });
    x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn numbers(rows: usize, columns: usize, dtype: DType) -> Tensor {
        let numbers: Vec<f32> = (0..rows * columns).map(|i| ((i * 7919 % 101) as f32 - 50.0) / 64.0).collect();
        Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    #[test]
    fn a_frozen_weight_in_panels_passes_the_gradient_of_a_plain_one() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            // More outputs than a panel has, and an odd number of inputs.
            let (x, weight) = (Var::from_tensor(&numbers(3, 5, dtype)).unwrap(), numbers(5, 70, dtype));
            let packed = panels::of(&weight).unwrap().unwrap();
            let factors = numbers(3, 70, dtype);
            let gradient = |product: Tensor| {
                let loss = product.mul(&factors).unwrap().sum_all().unwrap();
                loss.backward().unwrap().get(&x).unwrap().to_dtype(DType::F32).unwrap()
            };
            let plain = gradient(matmul(&x, &weight).unwrap());
            let frozen = gradient(product_with_frozen(&x, &packed).unwrap());
            let apart = (plain - frozen).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(apart < 1e-6, "{dtype:?}: {apart}");
        }
    }

    #[test]
    fn so_many_numbers_are_dropped_and_the_mean_stays() {
        let ones = Tensor::ones(20_001, DType::F32, &Device::Cpu).unwrap();
        for probability in [0.0, 0.1, 0.5, 1.0] {
            seed_dropout(1);
            let kept = dropped(&ones, probability).unwrap().to_vec1::<f32>().unwrap();
            let zeros = kept.iter().filter(|x| **x == 0.0).count() as f64 / kept.len() as f64;
            assert!((zeros - probability).abs() < 0.01, "{zeros} of {probability}");
            let scale = (1.0 / (1.0 - probability)) as f32;
            assert!(kept.iter().all(|x| *x == 0.0 || *x == scale));
            seed_dropout(1);
            assert_eq!(dropped(&ones, probability).unwrap().to_vec1::<f32>().unwrap(), kept);
            assert!(
                probability == 0.0
                    || probability == 1.0
                    || dropped(&ones, probability).unwrap().to_vec1::<f32>().unwrap() != kept
            );
        }
    }

    #[test]
    fn a_number_at_zero_has_no_slope_behind_relu() {
        let x = Var::new(&[-1f32, 0.0, 2.0], &Device::Cpu).unwrap();
        let gradients = relu(&x).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
    }
}
