use irene_numerics::CovarianceFactor;
use nalgebra::{DMatrix, DVector};

use super::Measured;
use crate::{
    Candidate,
    surrogate::{gaussian_process::linear_and_matern52, law::coordinates, standard::Standard},
};

/// Designs that stand for all, at most.
const REFERENCES: usize = 256;
/// Prior standard deviations of the linear and the smooth part of the logarithm, in units of the noise's.
const LINEAR: f64 = 8.0;
const SMOOTH: f64 = 3.0;
/// Standard deviations that the smooth part reaches, for each root of a coordinate.
const REACH: f64 = 1.5;

/// What measured designs leave open about others, if the logarithm of a figure is a Gaussian process over logarithms of costs
/// with a linear and a Matérn 5/2 kernel: the same for every device and measure, so that it works from the first record on.
///
/// A design that is chosen counts as measured for the next, whatever its figure will be, so that a batch is not the same design
/// over again.
pub(super) struct Field {
    /// Between references (rows) and designs of the pool (columns), given what is measured; in units of the noise's variance.
    covariance: DMatrix<f64>,
    /// Of the pool.
    variances: DVector<f64>,
    /// Between designs of the pool and what was measured and chosen, whitened: a column a design.
    whitened: Vec<Vec<f64>>,
    references: Vec<usize>,
    points: Vec<Vec<f64>>,
}

/// What counts of a design of the pool.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Gain {
    /// The variance of what would be measured of it, by its worth.
    Own,
    /// The variance that its measurement takes from all references r, Σ wᵣ cov(r, x)² / (var(x) + 1): the active learning of Cohn
    /// (1996) for Gaussian processes (Seo et al., 2000).
    OfAll,
}

impl Field {
    /// Of a pool.
    pub(super) fn new(measured: &[Measured], pool: &[&Candidate]) -> Self {
        let all = pool.iter().copied().chain(measured.iter().map(|measured| &measured.candidate));
        let all: Vec<_> = all.map(|candidate| coordinates(&candidate.features)).collect();
        let standard = Standard::of(&all);
        let mut points: Vec<Vec<f64>> = all.iter().map(|point| standard.within_reach(point)).collect();
        let known = points.split_off(pool.len());
        let step = pool.len().div_ceil(REFERENCES).max(1);
        let references: Vec<usize> = (0..pool.len()).step_by(step).collect();
        let mut across = DMatrix::from_fn(known.len(), pool.len(), |i, j| kernel(&known[i], &points[j]));
        if let Some(factor) = CovarianceFactor::of(known.len(), |i, j| kernel(&known[i], &known[j]), |_| 1.0) {
            factor.whiten(&mut across);
        }
        let whitened: Vec<Vec<f64>> = across.column_iter().map(|column| column.iter().copied().collect()).collect();
        let open = |i: usize, j: usize| kernel(&points[i], &points[j]) - dot(&whitened[i], &whitened[j]);
        let covariance = DMatrix::from_fn(references.len(), pool.len(), |i, j| open(references[i], j));
        let variances = DVector::from_fn(pool.len(), |i, _| open(i, i).max(0.0));
        Self { covariance, variances, whitened, references, points }
    }

    /// Places of the best, one after the other, if each design counts by its worth.
    pub(super) fn best(mut self, gain: Gain, worth: &[f64], count: usize) -> Vec<usize> {
        let mut chosen = Vec::new();
        while chosen.len() < count.min(self.points.len()) {
            let open = (0..self.points.len()).filter(|place| !chosen.contains(place));
            let gains = open.map(|place| (self.gain(gain, worth, place), place));
            let Some((_, best)) = gains.max_by(|a, b| a.0.total_cmp(&b.0)) else { break };
            chosen.push(best);
            if chosen.len() < count {
                self.take(best);
            }
        }
        chosen
    }

    fn gain(&self, gain: Gain, worth: &[f64], place: usize) -> f64 {
        match gain {
            Gain::Own => worth[place] * (self.variances[place] + 1.0),
            Gain::OfAll => {
                let taken = self.covariance.column(place);
                let of_reference = |(taken, &reference): (&f64, &usize)| worth[reference] * taken * taken;
                taken.iter().zip(&self.references).map(of_reference).sum::<f64>() / (self.variances[place] + 1.0)
            }
        }
    }

    /// As if this design was measured.
    fn take(&mut self, place: usize) {
        let deviation = (self.variances[place] + 1.0).sqrt();
        let column: Vec<f64> = (0..self.points.len())
            .map(|other| {
                let prior = kernel(&self.points[place], &self.points[other]);
                (prior - dot(&self.whitened[place], &self.whitened[other])) / deviation
            })
            .collect();
        for (other, taken) in column.iter().enumerate() {
            self.variances[other] = (self.variances[other] - taken * taken).max(0.0);
            self.whitened[other].push(*taken);
            for (row, &reference) in self.references.iter().enumerate() {
                self.covariance[(row, other)] -= column[reference] * taken;
            }
        }
    }
}

fn kernel(x: &[f64], y: &[f64]) -> f64 {
    let (linear, smooth) = linear_and_matern52(x, y, REACH);
    LINEAR * LINEAR * (1.0 + linear) + SMOOTH * SMOOTH * smooth
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
