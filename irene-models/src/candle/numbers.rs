//! Floats of 32 and 16 bits on the CPU. Kernels compute in 32 bits; 16 bits are how numbers are stored.

use std::ops::Deref;

use candle_core::{DType, Device, Layout, Result, Storage, Tensor, WithDType, bail};
use half::{bf16, f16, slice::HalfFloatSliceExt, vec::HalfBitsVecExt};
use multiversion::multiversion;

/// An element that is stored in 16 or 32 bits.
pub(super) trait Number: WithDType {
    /// So many zeros: memory that the system has cleared, where it can.
    fn zeros(count: usize) -> Vec<Self>;

    /// Both slices have one length.
    fn widen(from: &[Self], to: &mut [f32]);

    /// To the nearest; both slices have one length.
    fn narrow(from: &[f32], to: &mut [Self]);

    /// The numbers as they are, if they have 32 bits.
    fn as_wide(_numbers: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Number for f32 {
    fn zeros(count: usize) -> Vec<Self> {
        vec![0.0; count]
    }

    #[inline]
    fn widen(from: &[Self], to: &mut [f32]) {
        to.copy_from_slice(from);
    }

    #[inline]
    fn narrow(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }

    fn as_wide(numbers: &[Self]) -> Option<&[f32]> {
        Some(numbers)
    }
}

impl Number for f16 {
    fn zeros(count: usize) -> Vec<Self> {
        vec![0u16; count].reinterpret_into()
    }

    fn widen(from: &[Self], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }

    fn narrow(from: &[f32], to: &mut [Self]) {
        to.convert_from_f32_slice(from);
    }
}

impl Number for bf16 {
    fn zeros(count: usize) -> Vec<Self> {
        vec![0u16; count].reinterpret_into()
    }

    fn widen(from: &[Self], to: &mut [f32]) {
        widened(from, to);
    }

    fn narrow(from: &[f32], to: &mut [Self]) {
        narrowed(from, to);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn widened(from: &[bf16], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::from_bits(u32::from(from.to_bits()) << 16));
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn narrowed(from: &[f32], to: &mut [bf16]) {
    to.iter_mut().zip(from).for_each(|(to, from)| {
        let bits = from.to_bits();
        // Half of the last place that is kept, or just below it where that place is even already.
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        *to = bf16::from_bits(if from.is_nan() { 0x7fc0 } else { nearest as u16 });
    });
}

/// Runs an expression with `$number` as the type of a tensor's elements; None for others than [`Number`]s.
macro_rules! by_number {
    ($dtype:expr, $number:ident => $run:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $number = f32;
                Some($run)
            }
            candle_core::DType::F16 => {
                type $number = half::f16;
                Some($run)
            }
            candle_core::DType::BF16 => {
                type $number = half::bf16;
                Some($run)
            }
            _ => None,
        }
    };
}
pub(super) use by_number;

/// Whether its elements are [`Number`]s on the CPU.
pub(super) fn has_numbers(x: &Tensor) -> bool {
    matches!(x.device(), Device::Cpu) && matches!(x.dtype(), DType::F32 | DType::F16 | DType::BF16)
}

/// A tensor's memory while it is read.
pub(super) struct Held<'a> {
    storage: Box<dyn Deref<Target = Storage> + 'a>,
    layout: &'a Layout,
}

impl<'a> Held<'a> {
    pub(super) fn new(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage: Box::new(storage), layout }
    }

    /// The memory from the tensor's first element on.
    pub(super) fn numbers<T: WithDType>(&self) -> Result<&[T]> {
        match &**self.storage {
            Storage::Cpu(storage) => Ok(&T::cpu_storage_as_slice(storage)?[self.layout.start_offset()..]),
            _ => bail!("expected numbers on the CPU"),
        }
    }
}

/// All elements in order, in 32 bits.
pub(super) fn wide(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// The same tensor, or a copy if the elements of a row are not neighbours.
pub(super) fn with_rows(x: &Tensor) -> Result<Tensor> {
    match x.stride().last() {
        Some(1) => Ok(x.clone()),
        _ => x.contiguous(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bf16_survives_and_halves_are_rounded_to_even() {
        let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let (mut wide, mut back) = (vec![0.0; all.len()], vec![bf16::ZERO; all.len()]);
        bf16::widen(&all, &mut wide);
        bf16::narrow(&wide, &mut back);
        assert!(all.iter().zip(&back).all(|(x, y)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan()));
        let between: Vec<f32> = (0..70_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x1_2345))).collect();
        let mut rounded = vec![bf16::ZERO; between.len()];
        bf16::narrow(&between, &mut rounded);
        assert!(between.iter().zip(&rounded).all(|(x, y)| bf16::from_f32(*x) == *y || x.is_nan()));
    }
}
