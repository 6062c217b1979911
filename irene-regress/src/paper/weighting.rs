use irene_numerics::{PolynomialFeatures, StandardScaler};
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{Result, Store};

/// τ of equation 3: a child's weight stays within 1 ± 1/τ.
const TAU: f64 = 10.0;

const DEGREE: usize = 3;

/// The linear map of equation 3: w·f + b over polynomial terms of standardised features.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weighting {
    pub(super) scaler: StandardScaler,
    /// One weight a term, in single precision as in the authors' code.
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

impl Weighting {
    /// Weights and bias uniform within ±1/√terms, as PyTorch's Linear begins.
    pub(super) fn initial(scaler: StandardScaler, seed: u64) -> Self {
        let terms = PolynomialFeatures::new(scaler.mean.len(), DEGREE).terms();
        let bound = 1.0 / (terms as f64).sqrt();
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        // The upper 53 bits, as a number from 0 to 1.
        let mut uniform = || ((random.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * bound;
        let weights = (0..terms).map(|_| uniform() as f32).collect();
        Self { scaler, weights, bias: uniform() as f32 }
    }

    /// The polynomial terms of a row of features, appended.
    pub(super) fn terms(&self, row: &[f64], terms: &mut Vec<f32>) {
        let scaled: Vec<f64> = self.scaler.transformed(row).collect();
        let mut exact = Vec::with_capacity(self.weights.len());
        PolynomialFeatures::new(row.len(), DEGREE).transform(&scaled, &mut exact);
        terms.extend(exact.iter().map(|&term| term as f32));
    }

    /// w·f + b for a row of features.
    pub(super) fn score(&self, row: &[f64]) -> f64 {
        let mut terms = Vec::with_capacity(self.weights.len());
        self.terms(row, &mut terms);
        self.score_of(&terms)
    }

    pub(super) fn score_of(&self, terms: &[f32]) -> f64 {
        f64::from(dot(&self.weights, terms) + self.bias)
    }

    /// α = 1 + tanh(score)/τ: the weight of a child's energy in its parent's.
    pub(super) fn share(score: f64) -> f64 {
        1.0 + score.tanh() / TAU
    }

    /// The derivative of [`share`](Self::share).
    pub(super) fn share_slope(score: f64) -> f64 {
        (1.0 - score.tanh().powi(2)) / TAU
    }

    pub(super) fn write(&self, store: &mut Store) {
        store.put_scaler("weighting", &self.scaler);
        store.put("weighting.weights", &self.weights.iter().map(|&weight| f64::from(weight)).collect::<Vec<_>>());
        store.put("weighting.bias", &[f64::from(self.bias)]);
    }

    pub(super) fn read(store: &Store, columns: usize) -> Result<Self> {
        let terms = PolynomialFeatures::new(columns, DEGREE).terms();
        Ok(Self {
            scaler: store.take_scaler("weighting", columns)?,
            weights: store.take("weighting.weights", terms)?.into_iter().map(|weight| weight as f32).collect(),
            bias: store.take("weighting.bias", 1)?[0] as f32,
        })
    }
}

/// In sixteen partial sums, which the compiler turns into vector instructions.
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (x_chunks, y_chunks) = (x.chunks_exact(16), y.chunks_exact(16));
    let rest: f32 = x_chunks.remainder().iter().zip(y_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in x_chunks.zip(y_chunks) {
        for lane in 0..16 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
