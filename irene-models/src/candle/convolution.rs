//! Convolutions along a sequence: the separable ones are made of shifted views, sums and products, which every candle device has.

use candle_core::{Result, Tensor};

use super::{autograd::tracks, operations};

/// Convolves each channel of (batch, channels, sequence) with its own kernel, zeros beyond the ends: weight (channels, 1, kernel).
pub(crate) fn depthwise(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (channels, _, kernel) = weight.dims3()?;
    let padded = window(x, kernel)?;
    let shifted = |place| {
        let factor = weight.narrow(2, place, 1)?.reshape((1, channels, 1))?;
        padded.narrow(2, place, x.dim(2)?)?.broadcast_mul(&factor)
    };
    (1..kernel).try_fold(shifted(0)?, |sum, place| sum.add(&shifted(place)?))
}

/// Convolves (batch, channels, sequence) in groups, zeros beyond the ends: weight (channels, channels in a group, kernel).
pub(crate) fn grouped(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (channels, in_group, kernel) = weight.dims3()?;
    if tracks(&[x, weight]) {
        return grouped_by_products(x, weight);
    }
    x.conv1d(weight, kernel / 2, 1, 1, channels / in_group)
}

/// The same by products with windows: the gradients of candle 0.11's own are not those of its result.
fn grouped_by_products(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (outputs, in_group, kernel) = weight.dims3()?;
    let groups = x.dim(1)? / in_group.max(1);
    let out_group = outputs / groups.max(1);
    let of_group = |group: usize| {
        let windows = unfold(&x.narrow(1, group * in_group, in_group)?, kernel)?;
        let weight = weight.narrow(0, group * out_group, out_group)?.reshape((out_group, in_group * kernel))?;
        operations::matmul(&weight.broadcast_left(x.dim(0)?)?, &windows)
    };
    Tensor::cat(&(0..groups).map(of_group).collect::<Result<Vec<_>>>()?, 1)
}

/// Mixes the channels at each place of (batch, channels, sequence): weight (outputs, channels, 1).
pub(crate) fn pointwise(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    operations::matmul(&weight.squeeze(2)?.broadcast_left(x.dim(0)?)?, x)
}

/// (batch, channels, sequence) to (batch, channels x kernel, sequence): the window around each place.
pub(crate) fn unfold(x: &Tensor, kernel: usize) -> Result<Tensor> {
    let (batch, channels, seq_len) = x.dims3()?;
    let padded = window(x, kernel)?;
    let shifted: Vec<Tensor> = (0..kernel).map(|place| padded.narrow(2, place, seq_len)).collect::<Result<_>>()?;
    operations::stack(&shifted.iter().collect::<Vec<_>>(), 2)?.reshape((batch, channels * kernel, seq_len))
}

/// A sequence with zeros around it as far as a kernel of odd width reaches.
fn window(x: &Tensor, kernel: usize) -> Result<Tensor> {
    x.pad_with_zeros(2, kernel / 2, kernel / 2)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_window_beyond_the_ends_is_zero() {
        let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0], (1, 2, 2), &Device::Cpu).unwrap();
        let windows = unfold(&x, 3).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(windows, [[0.0, 1.0], [1.0, 2.0], [2.0, 0.0], [0.0, 3.0], [3.0, 4.0], [4.0, 0.0]]);
    }

    #[test]
    fn products_with_windows_are_the_convolution() {
        let numbers = |count: usize| (0..count).map(|i| (i * 37 % 23) as f32 - 11.0).collect::<Vec<_>>();
        let x = Tensor::from_vec(numbers(2 * 6 * 5), (2, 6, 5), &Device::Cpu).unwrap();
        for in_group in [1, 2, 3, 6] {
            let weight = Tensor::from_vec(numbers(6 * in_group * 3), (6, in_group, 3), &Device::Cpu).unwrap();
            let apart = (grouped(&x, &weight).unwrap() - grouped_by_products(&x, &weight).unwrap()).unwrap();
            assert_eq!(apart.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
        }
    }

    /// Sums over a window written out; the kernel is not reversed, as in every framework.
    #[test]
    fn channels_are_convolved_by_themselves_and_then_mixed() {
        let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0], (1, 2, 3), &Device::Cpu).unwrap();
        let weight = Tensor::from_slice(&[1f32, 10.0, 100.0, 0.0, 1.0, 2.0], (2, 1, 3), &Device::Cpu).unwrap();
        let convolved = depthwise(&x, &weight).unwrap();
        assert_eq!(convolved.squeeze(0).unwrap().to_vec2::<f32>().unwrap(), [[210.0, 321.0, 32.0], [14.0, 17.0, 6.0]]);
        let mix = Tensor::from_slice(&[1f32, -1.0], (1, 2, 1), &Device::Cpu).unwrap();
        let mixed = pointwise(&convolved, &mix).unwrap();
        assert_eq!(mixed.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [196.0, 304.0, 26.0]);
    }
}
