use irene_numerics::CovarianceFactor;
use nalgebra::DMatrix;

use super::{
    candidate::Candidate,
    covariance::{KernelScales, kernels},
    law::coordinates,
    standard::Standard,
    surrogate::{PredictedValue, Surrogate},
};

/// The same for every device and measure, so that it works from the first record on.
const SCALES: KernelScales = KernelScales { linear: 8.0, smooth: 3.0 };

/// The designs of a pool to measure next: their places, best first; fewer where the pool has fewer.
///
/// A design counts by a product. One factor is the sum of the relative variances that the surrogates predict, so designs come first
/// whose figures on this device are uncertain. The other is the variance that the measured designs leave open whatever their figures
/// were, so nothing is measured twice. A chosen design counts as measured for the next choice.
pub fn most_open(
    surrogates: &[Box<dyn Surrogate>],
    measured: &[&Candidate],
    pool: &[&Candidate],
    count: usize,
) -> Vec<usize> {
    let spread = |candidate: &&Candidate| {
        surrogates.iter().map(|surrogate| relative_deviation(surrogate.predict(candidate)).powi(2)).sum()
    };
    let worth: Vec<f64> = pool.iter().map(spread).collect();
    let mut open = OpenVariances::new(measured, pool);
    let mut chosen = Vec::new();
    while chosen.len() < count.min(pool.len()) {
        let left = (0..pool.len()).filter(|place| !chosen.contains(place));
        let gains = left.map(|place| (worth[place] * (open.variances[place] + 1.0), place));
        let Some((_, best)) = gains.max_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        chosen.push(best);
        if chosen.len() < count {
            open.measure(best);
        }
    }
    chosen
}

/// The standard deviation as a share of the value.
fn relative_deviation(prediction: PredictedValue) -> f64 {
    prediction.deviation / prediction.value.abs().max(f64::MIN_POSITIVE)
}

/// The variances of a pool's designs given the measured ones, if the logarithm of a figure is a Gaussian process over logarithms of
/// costs.
struct OpenVariances {
    /// In units of the noise's variance, a design each.
    variances: Vec<f64>,
    /// Covariances with the measured and the chosen designs, whitened: a list a design.
    whitened: Vec<Vec<f64>>,
    points: Vec<Vec<f64>>,
}

impl OpenVariances {
    fn new(measured: &[&Candidate], pool: &[&Candidate]) -> Self {
        let all: Vec<_> = pool.iter().chain(measured).map(|candidate| coordinates(&candidate.features)).collect();
        let standard = Standard::of(&all);
        let mut points: Vec<Vec<f64>> = all.iter().map(|point| standard.within_reach(point)).collect();
        let known = points.split_off(pool.len());
        let mut across = DMatrix::from_fn(known.len(), pool.len(), |i, j| covariance(&known[i], &points[j]));
        if let Some(factor) = CovarianceFactor::of(known.len(), |i, j| covariance(&known[i], &known[j]), |_| 1.0) {
            factor.whiten(&mut across);
        }
        let whitened: Vec<Vec<f64>> = across.column_iter().map(|column| column.iter().copied().collect()).collect();
        let variance =
            |(point, whitened): (&Vec<f64>, &Vec<f64>)| (covariance(point, point) - dot(whitened, whitened)).max(0.0);
        let variances = points.iter().zip(&whitened).map(variance).collect();
        Self { variances, whitened, points }
    }

    /// Takes a design as measured.
    fn measure(&mut self, place: usize) {
        let deviation = (self.variances[place] + 1.0).sqrt();
        let (point, known) = (self.points[place].clone(), self.whitened[place].clone());
        for (other, variance) in self.variances.iter_mut().enumerate() {
            let left = covariance(&point, &self.points[other]) - dot(&known, &self.whitened[other]);
            let taken = left / deviation;
            *variance = (*variance - taken * taken).max(0.0);
            self.whitened[other].push(taken);
        }
    }
}

fn covariance(x: &[f64], y: &[f64]) -> f64 {
    SCALES.covariance(kernels(x, y))
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::{Always, candidates};

    #[test]
    fn a_measured_design_comes_last_and_a_batch_has_no_design_twice() {
        let all = candidates(12, 0);
        let pool: Vec<&Candidate> = all.iter().collect();
        let surrogates: Vec<Box<dyn Surrogate>> = vec![Box::new(Always(PredictedValue { value: 2.0, deviation: 0.2 }))];
        let order = most_open(&surrogates, &pool[..4], &pool, 12);
        let mut places = order.clone();
        places.sort_unstable();
        assert_eq!(places, (0..12).collect::<Vec<_>>());
        assert!(order[..4].iter().all(|place| *place >= 4), "{order:?}");
        assert_eq!(most_open(&surrogates, &pool[..4], &pool, 3), order[..3]);
        assert_eq!(most_open(&surrogates, &[], &pool[..2], 9).len(), 2);
        assert!(most_open(&surrogates, &pool, &[], 3).is_empty());
    }
}
