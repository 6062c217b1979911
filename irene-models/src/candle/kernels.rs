//! Loops over 32-bit floats for which candle has only scalar code or several passes.
//!
//! Each is compiled for several sets of vector instructions; the processor's widest is chosen at run time. Functions that a loop
//! calls are inlined, so that they are vectorised with it. exp is within 3e-7 relative, erf and tanh within 4e-7 and 3e-7 absolute of
//! the exact functions (the tests below hold them to it).

use multiversion::multiversion;

use super::pieces::for_pieces;
use crate::{Pairing, tensor::Then};

/// Elements of one task, enough that starting it costs less than doing it.
pub(super) const TASK: usize = 1 << 14;

/// A function of each element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Each {
    Gelu,
    GeluNew,
    Relu,
    Silu,
    Tanh,
    Cube,
    /// x · factor + term.
    Scale {
        factor: f32,
        term: f32,
    },
}

pub(super) fn each(f: Each, x: &[f32]) -> Vec<f32> {
    in_tasks(x, TASK, |chunk| each_of(f, chunk))
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn each_of(f: Each, values: &mut [f32]) {
    let values = values.iter_mut();
    match f {
        Each::Gelu => values.for_each(|x| *x = gelu_of(*x)),
        Each::GeluNew => values.for_each(|x| *x = gelu_new_of(*x)),
        Each::Relu => values.for_each(|x| *x = x.max(0.0)),
        Each::Silu => values.for_each(|x| *x /= 1.0 + exp_of(-*x)),
        Each::Tanh => values.for_each(|x| *x = tanh_of(*x)),
        Each::Cube => values.for_each(|x| *x = *x * *x * *x),
        Each::Scale { factor, term } => values.for_each(|x| *x = *x * factor + term),
    }
}

/// A copy that `f` changes in pieces of this length, each while it is in the cache.
fn in_tasks(x: &[f32], task: usize, f: impl Fn(&mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for_pieces(&mut out, task, |number, out| {
        out.copy_from_slice(&x[number * task..][..out.len()]);
        f(out);
    });
    out
}

/// A function of two elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pair {
    Add,
    Mul,
}

/// Applies a function to the rows of x and of y; `place` gives the start of each row of y.
pub(super) fn pairs(f: Pair, x: &[f32], width: usize, y: &[f32], place: impl Fn(usize) -> usize + Sync) -> Vec<f32> {
    by_rows(x.len(), width, |row, out| {
        out.copy_from_slice(&x[row * width..][..width]);
        pair_of(f, out, &y[place(row)..][..width]);
    })
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn pair_of(f: Pair, values: &mut [f32], y: &[f32]) {
    let pairs = values.iter_mut().zip(y);
    match f {
        Pair::Add => pairs.for_each(|(x, y)| *x += y),
        Pair::Mul => pairs.for_each(|(x, y)| *x *= y),
    }
}

/// The rows of x one after another; `place` gives the start of each.
pub(super) fn copy(len: usize, width: usize, x: &[f32], place: impl Fn(usize) -> usize + Sync) -> Vec<f32> {
    by_rows(len, width, |row, out| out.copy_from_slice(&x[place(row)..][..width]))
}

/// Rows, each filled by `f` from its number.
fn by_rows(len: usize, width: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; len];
    let rows = (TASK / width).max(1);
    for_pieces(&mut out, rows * width, |task, out| {
        out.chunks_exact_mut(width).enumerate().for_each(|(row, out)| f(task * rows + row, out));
    });
    out
}

/// Adds a bias to a row and applies the activation, on this thread.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn add_bias(row: &mut [f32], bias: &[f32], then: Then) {
    let pairs = row.iter_mut().zip(bias);
    match then {
        Then::Nothing => pairs.for_each(|(x, b)| *x += b),
        Then::Gelu => pairs.for_each(|(x, b)| *x = gelu_of(*x + b)),
        Then::GeluNew => pairs.for_each(|(x, b)| *x = gelu_new_of(*x + b)),
        Then::Relu => pairs.for_each(|(x, b)| *x = (*x + b).max(0.0)),
    }
}

/// Softmax of each row.
pub(super) fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    in_tasks(x, (TASK / width).max(1) * width, |rows| softmax_rows(rows, width))
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_rows(values: &mut [f32], width: usize) {
    values.chunks_exact_mut(width).for_each(softmax_row);
}

/// How rows are normed.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) weight: &'a [f32],
    /// Where there is one, the mean is taken off before.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) eps: f32,
}

/// Norms a row: (x - mean) / √(variance + eps) · weight + bias, mean before variance, or x / √(mean of x² + eps) · weight.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn norm_row(row: &mut [f32], norm: Norm<'_>) {
    match norm.bias {
        Some(bias) => layer_norm_row(row, norm.weight, bias, norm.eps),
        None => {
            let scale = 1.0 / (sum_of(row, |x| x * x) / row.len() as f32 + norm.eps).sqrt();
            row.iter_mut().zip(norm.weight).for_each(|(x, w)| *x = *x * scale * w);
        }
    }
}

/// Rotates the pairs of a row by their angles, each of which stands at both numbers of its pair.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate(row: &mut [f32], cos: &[f32], sin: &[f32], pairing: Pairing) {
    match pairing {
        Pairing::Halves | Pairing::NeighboursToHalves => {
            let half = row.len() / 2;
            let (first, second) = row.split_at_mut(half);
            for (place, (x, y)) in first.iter_mut().zip(second).enumerate() {
                (*x, *y) = (*x * cos[place] - *y * sin[place], *y * cos[half + place] + *x * sin[half + place]);
            }
        }
        Pairing::Neighbours => {
            for (pair, (cos, sin)) in row.chunks_exact_mut(2).zip(cos.chunks_exact(2).zip(sin.chunks_exact(2))) {
                (pair[0], pair[1]) = (pair[0] * cos[0] - pair[1] * sin[0], pair[1] * cos[1] + pair[0] * sin[1]);
            }
        }
    }
}

#[inline(always)]
fn layer_norm_row(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let count = row.len() as f32;
    let mean = sum_of(row, |x| x) / count;
    row.iter_mut().for_each(|x| *x -= mean);
    let variance = sum_of(row, |x| x * x) / count;
    let scale = 1.0 / (variance + eps).sqrt();
    for ((x, w), b) in row.iter_mut().zip(weight).zip(bias) {
        *x = *x * scale * w + b;
    }
}

#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    let greatest = greatest_of(row);
    row.iter_mut().for_each(|x| *x = exp_of(*x - greatest));
    let scale = 1.0 / sum_of(row, |x| x);
    row.iter_mut().for_each(|x| *x *= scale);
}

const LANES: usize = 16;

/// In sixteen partial sums, which the compiler turns into vector instructions.
#[inline(always)]
pub(super) fn sum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| f(x)).sum();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += f(chunk[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
pub(super) fn greatest_of(row: &[f32]) -> f32 {
    let mut greatest = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    for chunk in chunks {
        for lane in 0..LANES {
            greatest[lane] = if chunk[lane] > greatest[lane] { chunk[lane] } else { greatest[lane] };
        }
    }
    greatest.iter().fold(rest, |a, &b| a.max(b))
}

/// eˣ: 2ⁿ·eʳ with |r| ≤ ln 2 / 2 and a polynomial for eʳ (the coefficients of Cephes' expf).
#[inline(always)]
pub(super) fn exp_of(x: f32) -> f32 {
    // Beyond these, 2ⁿ has no exponent in 32 bits.
    let x = x.clamp(-87.0, 88.0);
    // Adding this rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let z = x * std::f32::consts::LOG2_E + ROUND;
    let n = z - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    let power = f32::from_bits((z.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    e * power
}

/// erf x by Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn erf_of(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let p = 1.061_405_4_f32;
    let p = p * t - 1.453_152;
    let p = p * t + 1.421_413_7;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let y = 1.0 - p * t * exp_of(-a * a);
    y.copysign(x)
}

#[inline(always)]
pub(super) fn tanh_of(x: f32) -> f32 {
    // Near 0 the difference of two numbers near 1 loses digits that the series keeps.
    let square = x * x;
    let near = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0 - square * (17.0 / 315.0))));
    let far = 1.0 - 2.0 / (exp_of(2.0 * x) + 1.0);
    if x.abs() < 0.1 { near } else { far }
}

#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    0.5 * x * (1.0 + erf_of(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_new_of(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh_of(ROOT * (x + 0.044715 * x * x * x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> impl Iterator<Item = f32> {
        (-4000..4000).map(|i| i as f32 * 0.005)
    }

    #[test]
    fn exp_is_within_its_stated_error() {
        for x in points() {
            let exact = f64::from(x).exp();
            assert!((f64::from(exp_of(x)) / exact - 1.0).abs() < 3e-7, "{x}: {} {exact}", exp_of(x));
        }
        assert_eq!(exp_of(0.0), 1.0);
        assert!(exp_of(f32::NEG_INFINITY) < 1e-37);
    }

    /// erf(0.5), erf(1), erf(2) to seven digits (Abramowitz and Stegun, table 7.1).
    #[test]
    fn erf_agrees_with_its_table() {
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (6.0, 1.0)] {
            assert!((erf_of(x) - expected).abs() < 4e-7, "{x}: {}", erf_of(x));
            assert!((erf_of(-x) + expected).abs() < 4e-7);
        }
    }

    #[test]
    fn tanh_agrees_with_the_standard_library() {
        for x in points() {
            assert!((tanh_of(x) - x.tanh()).abs() < 3e-7, "{x}: {} {}", tanh_of(x), x.tanh());
        }
    }

    #[test]
    fn softmax_rows_sum_to_one_and_survive_lowest_numbers() {
        let mut row: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 5.0).collect();
        row[3] = f32::MIN;
        let row = softmax(&row, 37);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[3] < 1e-30);
        let masked = softmax(&[f32::MIN; 20], 20);
        assert!(masked.iter().all(|x| (x - 0.05).abs() < 1e-6));
    }

    /// One pass would lose all digits here.
    #[test]
    fn layer_norm_survives_a_large_mean() {
        let mut out: Vec<f32> = (0..64).map(|i| 3000.0 + (i % 7) as f32).collect();
        norm_row(&mut out, Norm { weight: &[1.0; 64], bias: Some(&[0.0; 64]), eps: 1e-12 });
        assert!(sum_of(&out, |x| x).abs() < 1e-3 && (sum_of(&out, |x| x * x) / 64.0 - 1.0).abs() < 1e-4);
    }
}
