use irene_numerics::CovarianceFactor;
use nalgebra::DVector;
use serde::{Deserialize, Serialize};

/// Slow change of a device's figures in the course of a campaign: an Ornstein-Uhlenbeck process over the order of the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Correlation of neighbouring residuals.
    pub lag_one: f64,
    /// Its standard deviation, in e-folds.
    pub deviation: f64,
    /// Records after which it is forgotten.
    pub memory: f64,
    #[serde(skip)]
    orders: Vec<f64>,
    #[serde(skip)]
    weights: Vec<f64>,
}

/// The gain in log likelihood that drift needs, as two numbers more are fitted.
const SIGNIFICANT: f64 = 3.0;
/// Residuals beyond so many spreads count as there: outliers are no drift.
const FAR: f64 = 2.5;
const DEVIATIONS: [f64; 5] = [0.3, 0.6, 1.0, 1.5, 2.5];
const MEMORIES: [f64; 6] = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

impl Drift {
    /// From the residuals, in e-folds, of records with a place in the campaign; None if neighbours have nothing in common.
    /// Residuals that are no numbers are left out.
    pub fn find(orders: &[Option<usize>], residuals: &[f64]) -> Option<Self> {
        const FEWEST: usize = 20;
        let far = FAR * super::spread(residuals);
        let known = orders.iter().zip(residuals).filter(|(_, residual)| residual.is_finite());
        let placed = known.filter_map(|(order, residual)| Some(((*order)?, *residual)));
        let mut placed: Vec<(f64, f64)> =
            placed.map(|(order, residual)| (order as f64, residual.clamp(-far, far))).collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        if placed.len() < FEWEST {
            return None;
        }
        let (orders, mut residuals): (Vec<f64>, Vec<f64>) = placed.into_iter().unzip();
        let count = residuals.len() as f64;
        let mean = residuals.iter().sum::<f64>() / count;
        residuals.iter_mut().for_each(|residual| *residual -= mean);
        let square: f64 = residuals.iter().map(|residual| residual * residual).sum();
        let product: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let lag_one = product / square;
        if lag_one.is_nan() || lag_one <= 0.0 {
            return None;
        }
        let left = DVector::from_vec(residuals);
        let grid = DEVIATIONS.iter().flat_map(|&ratio| MEMORIES.map(|memory| (ratio, memory)));
        let fits = grid.filter_map(|(ratio, memory)| Some((fit(&orders, &left, ratio, memory)?, ratio, memory)));
        let (found, ratio, memory) = fits.max_by(|a, b| a.0.evidence.total_cmp(&b.0.evidence))?;
        if found.evidence < fit(&orders, &left, 0.0, 1.0)?.evidence + SIGNIFICANT {
            return None;
        }
        Some(Self { lag_one, deviation: ratio * found.noise, memory, orders, weights: found.weights })
    }

    /// The drift at a place in the campaign, in e-folds.
    pub fn at(&self, order: usize) -> f64 {
        let near = |(other, weight): (&f64, &f64)| weight * (-(order as f64 - other).abs() / self.memory).exp();
        self.orders.iter().zip(&self.weights).map(near).sum()
    }
}

struct Fit {
    evidence: f64,
    noise: f64,
    weights: Vec<f64>,
}

/// Fits a drift whose deviation is this many times the noise's.
fn fit(orders: &[f64], left: &DVector<f64>, ratio: f64, memory: f64) -> Option<Fit> {
    let square = ratio * ratio;
    let covariance = |i: usize, j: usize| square * (-(orders[i] - orders[j]).abs() / memory).exp();
    let factor = CovarianceFactor::of(orders.len(), covariance, |_| 1.0)?;
    let solved = factor.solve(left);
    let variance = left.dot(&solved) / left.len() as f64;
    let evidence = -0.5 * left.len() as f64 * variance.max(f64::MIN_POSITIVE).ln() - factor.half_log_determinant();
    Some(Fit { evidence, noise: variance.sqrt(), weights: solved.iter().map(|weight| square * weight).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_waves_are_found_and_noise_is_not() {
        let orders: Vec<Option<usize>> = (0..120).map(Some).collect();
        // Far from regular, and repeatable.
        let noise = |i: usize| 0.05 * ((i * i * 7 + 3 * i) as f64).sin();
        let still: Vec<f64> = (0..120).map(noise).collect();
        assert_eq!(Drift::find(&orders, &still), None);
        let wave = |i: usize| 0.2 * (i as f64 / 15.0).sin();
        let moving: Vec<f64> = (0..120).map(|i| wave(i) + noise(i)).collect();
        let drift = Drift::find(&orders, &moving).unwrap();
        for place in [10, 40, 77] {
            assert!((drift.at(place) - wave(place)).abs() < 0.1, "{} {}", drift.at(place), wave(place));
        }
    }
}
