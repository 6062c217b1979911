//! The discrete Fourier and cosine transforms of rows and columns, as products with the matrices of their waves.
//!
//! Exact for any length, on any device. A wave of n points takes at most 4n different values, so that its matrix costs far less
//! than the product with it.

use std::f64::consts::TAU;

use candle_core::{DType, Result, Tensor};

use super::operations;
use crate::tensor::Transform;

/// The transform over the last two dimensions of (batch, rows, columns), in 32 bits at least.
pub(crate) fn transform(x: &Tensor, transform: Transform) -> Result<Tensor> {
    let (batch, rows, columns) = x.dims3()?;
    let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let numbers = x.to_dtype(wide)?;
    let along_both = |wave: Wave| {
        let along_columns = operations::matmul_matrix(&numbers, &wave.matrix(columns, &numbers)?.t()?)?;
        operations::matmul(&wave.matrix(rows, &numbers)?.broadcast_left(batch)?, &along_columns)
    };
    let transformed = match transform {
        // (C - iS) x (C - iS) has the real part C x C - S x S.
        Transform::Fourier => along_both(COSINE)?.sub(&along_both(SINE)?)?,
        Transform::Cosine => along_both(HALF_COSINE)?,
    };
    transformed.to_dtype(x.dtype())
}

/// The factors of a transform for the numbers at n places.
#[derive(Clone, Copy)]
struct Wave {
    /// Its value at an angle.
    value: fn(f64) -> f64,
    /// Steps in a full turn, in n.
    turn: usize,
    /// The steps turned at a place for a frequency.
    steps: fn(usize, usize) -> usize,
}

/// cos(2π jk / n) at place j for frequency k.
const COSINE: Wave = Wave { value: f64::cos, turn: 1, steps: |place, frequency| place * frequency };

/// sin(2π jk / n).
const SINE: Wave = Wave { value: f64::sin, ..COSINE };

/// 2 cos(π (2j + 1) k / 2n).
const HALF_COSINE: Wave =
    Wave { value: |angle| 2.0 * angle.cos(), turn: 4, steps: |place, frequency| (2 * place + 1) * frequency };

impl Wave {
    /// (frequencies, places) of n points, of the type and on the device of a tensor.
    fn matrix(self, n: usize, like: &Tensor) -> Result<Tensor> {
        let turn = self.turn * n;
        let values: Vec<f64> = (0..turn).map(|step| (self.value)(TAU * step as f64 / turn as f64)).collect();
        let places = (0..n).flat_map(|frequency| (0..n).map(move |place| (self.steps)(place, frequency) % turn));
        Tensor::from_iter(places.map(|step| values[step]), like.device())?.reshape((n, n))?.to_dtype(like.dtype())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The defining sums, in 64 bits.
    fn directly(x: &[f64], rows: usize, columns: usize, wave: impl Fn([usize; 2], [usize; 2]) -> f64) -> Vec<f64> {
        let places = |rows, columns| (0..rows).flat_map(move |row| (0..columns).map(move |column| [row, column]));
        let sum = |frequency| {
            places(rows, columns).map(|place| x[place[0] * columns + place[1]] * wave(frequency, place)).sum::<f64>()
        };
        places(rows, columns).map(sum).collect()
    }

    fn numbers(count: usize) -> Vec<f64> {
        (0..count).map(|i| (i as f64 * 1.7).sin() + 0.1 * (i % 5) as f64).collect()
    }

    #[test]
    fn transforms_of_any_length_agree_with_their_sums() {
        for (rows, columns) in [(1, 1), (1, 7), (8, 4), (5, 3), (17, 10), (13, 16), (128, 12)] {
            let x = numbers(2 * rows * columns);
            let fourier = |k: [usize; 2], j: [usize; 2]| {
                let turns = (k[0] * j[0]) as f64 / rows as f64 + (k[1] * j[1]) as f64 / columns as f64;
                (TAU * turns).cos()
            };
            let half = |k: usize, j: usize, n: usize| 2.0 * (TAU * ((2 * j + 1) * k) as f64 / (4 * n) as f64).cos();
            let cosine = |k: [usize; 2], j: [usize; 2]| half(k[0], j[0], rows) * half(k[1], j[1], columns);
            for (name, expected) in [
                (
                    Transform::Fourier,
                    x.chunks(rows * columns).flat_map(|x| directly(x, rows, columns, fourier)).collect(),
                ),
                (
                    Transform::Cosine,
                    x.chunks(rows * columns).flat_map(|x| directly(x, rows, columns, cosine)).collect::<Vec<_>>(),
                ),
            ] {
                for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
                    let x = Tensor::from_slice(&x, (2, rows, columns), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                    let found = transform(&x, name).unwrap().to_dtype(DType::F64).unwrap();
                    let found: Vec<f64> = found.flatten_all().unwrap().to_vec1().unwrap();
                    let scale = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
                    let worst = found.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
                    assert!(
                        worst <= tolerance * scale,
                        "{name:?} of {rows}x{columns} in {dtype:?}: {worst} of {scale}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_transposed_view_is_transformed_as_its_copy() {
        let x = Tensor::from_vec(numbers(2 * 6 * 5), (2, 5, 6), &Device::Cpu).unwrap().transpose(1, 2).unwrap();
        for name in [Transform::Fourier, Transform::Cosine] {
            let (view, copy) = (transform(&x, name).unwrap(), transform(&x.contiguous().unwrap(), name).unwrap());
            let difference = view.sub(&copy).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f64>().unwrap() <= 1e-12);
        }
    }
}
