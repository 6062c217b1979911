//! Made-up records for tests: whole coordinates as an embedding has, and a smooth function of them.

use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

/// The function of a row of five.
pub(super) fn figure(row: &[f64]) -> f64 {
    1.0 + 0.5 * row[0] + 0.01 * row[0] * row[1] + (0.3 * row[2]).sin()
}

/// Rows of five whole numbers from 0 to 6, 9, 9, 9 and 9, and their figures.
pub(super) fn records(count: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut row = || (0..5).map(|at| f64::from(random.random_range(0..=if at == 0 { 6 } else { 9 }))).collect();
    let rows: Vec<Vec<f64>> = (0..count).map(|_| row()).collect();
    let figures = rows.iter().map(|row| figure(row)).collect();
    (rows, figures)
}

/// The bounds of [`records`].
pub(super) fn bounds() -> Vec<(f64, f64)> {
    vec![(0.0, 6.0), (0.0, 9.0), (0.0, 9.0), (0.0, 9.0), (0.0, 9.0)]
}

/// The share of the variance that predictions explain.
pub(super) fn r2(predictions: &[f64], truth: &[f64]) -> f64 {
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let left: f64 = predictions.iter().zip(truth).map(|(prediction, truth)| (prediction - truth).powi(2)).sum();
    1.0 - left / truth.iter().map(|truth| (truth - mean).powi(2)).sum::<f64>()
}

/// The least and the largest.
pub(super) fn range(numbers: &[f64]) -> (f64, f64) {
    numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &x| (least.min(x), most.max(x)))
}
