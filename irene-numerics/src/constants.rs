use nalgebra::{DMatrix, DVector};

use crate::{CovarianceFactor, LevenbergMarquardt};

/// The prior of a positive constant: a log-normal distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Its likeliest value, where the search starts.
    pub value: f64,
    /// The standard deviation of its logarithm: 0 holds it at its value, infinity leaves it free.
    pub spread: f64,
}

impl Prior {
    /// A constant that only the data decides; the search starts at this value.
    pub fn free(value: f64) -> Self {
        Self { value, spread: f64::INFINITY }
    }

    /// The distance of a logarithm from that of the prior value, in spreads; 0 if the constant is held.
    pub fn residual(&self, log_constant: f64) -> f64 {
        if self.spread > 0.0 { (log_constant - self.value.ln()) / self.spread } else { 0.0 }
    }
}

/// Fits positive constants to residuals by damped Gauss-Newton steps over their logarithms, with slopes from differences.
///
/// Divide residuals by their standard deviation, so that they weigh rightly against the priors. A residual r costs
/// 2 outlier² (√(1 + (r / outlier)²) - 1): about r² where it is small, and in proportion to |r| beyond `outlier`.
///
/// ```
/// use irene_numerics::{ConstantsFit, Prior};
///
/// // Time = launch + bytes / bandwidth, by relative errors of 1%.
/// let runs = [(1e3, 5.01e-6), (1e6, 6.0e-6), (1e9, 1.005e-3)];
/// let residuals = |constants: &[f64]| {
///     runs.iter().map(|(bytes, time): &(f64, f64)| ((constants[0] + bytes / constants[1]) / time).ln() / 0.01).collect()
/// };
/// let constants = ConstantsFit::default().fit(&[Prior::free(1e-5), Prior::free(1e11)], residuals);
/// assert!((constants[0] / 5e-6).ln().abs() < 0.01 && (constants[1] / 1e12).ln().abs() < 0.01);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConstantsFit {
    /// The damping, and when the search ends.
    pub steps: LevenbergMarquardt,
    /// Beyond this size, residuals cost in proportion to their size, not its square; infinity gives plain least squares.
    pub outlier: f64,
}

impl Default for ConstantsFit {
    fn default() -> Self {
        Self { steps: LevenbergMarquardt { rounds: 60, tolerance: 1e-6, most_damping: 1e9 }, outlier: 1.0 }
    }
}

impl ConstantsFit {
    /// The constants, in the order of their priors, for which residuals and distances from the priors cost least in sum.
    pub fn fit(&self, priors: &[Prior], residuals: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let start: Vec<f64> = priors.iter().map(|prior| prior.value).collect();
        self.fit_from(&start, priors, residuals)
    }

    /// [`fit`](Self::fit), with the search started elsewhere than at the priors.
    pub fn fit_from(&self, start: &[f64], priors: &[Prior], residuals: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let at = |logs: &DVector<f64>| residuals(logs.map(f64::exp).as_slice());
        let start = DVector::from_iterator(priors.len(), start.iter().map(|constant| constant.ln()));
        let loss = |logs: &DVector<f64>| {
            let data: f64 = at(logs).iter().map(|residual| self.cost(*residual)).sum();
            let distance: f64 = priors.iter().zip(logs.iter()).map(|(prior, log)| prior.residual(*log).powi(2)).sum();
            let total = data + distance;
            if total.is_nan() { f64::INFINITY } else { total }
        };
        // A step that is refused is tried again from the same place, whose slopes are kept.
        let mut here: Option<(DVector<f64>, Normal)> = None;
        let stepped = |logs: &DVector<f64>, damping: f64| {
            let known = here.take().filter(|(place, _)| place == logs);
            let (_, normal) = here.insert(known.unwrap_or_else(|| (logs.clone(), self.normal(priors, logs, &at))));
            normal.step(damping).map(|step| logs + step)
        };
        self.steps.minimise(start, loss, stepped).map(f64::exp).as_slice().to_vec()
    }

    fn cost(&self, residual: f64) -> f64 {
        if self.outlier.is_finite() {
            2.0 * self.outlier.powi(2) * ((1.0 + (residual / self.outlier).powi(2)).sqrt() - 1.0)
        } else {
            residual * residual
        }
    }

    fn normal(&self, priors: &[Prior], logs: &DVector<f64>, at: &impl Fn(&DVector<f64>) -> Vec<f64>) -> Normal {
        /// Step of the logarithms that the differences are taken over.
        const STEP: f64 = 1e-5;
        let residuals = at(logs);
        let free: Vec<usize> = (0..priors.len()).filter(|&constant| priors[constant].spread > 0.0).collect();
        let slopes = free.iter().map(|&constant| {
            let mut moved = logs.clone();
            moved[constant] += STEP;
            let moved = at(&moved);
            DVector::from_fn(residuals.len(), |row, _| (moved[row] - residuals[row]) / STEP)
        });
        let slopes: Vec<DVector<f64>> = slopes.collect();
        let weight = |residual: &f64| (1.0 + (residual / self.outlier).powi(2)).sqrt().recip();
        let weights = DVector::from_iterator(residuals.len(), residuals.iter().map(weight));
        let residuals = DVector::from_vec(residuals);
        let mut gram = DMatrix::zeros(free.len(), free.len());
        let mut right = DVector::zeros(free.len());
        for (i, &constant) in free.iter().enumerate() {
            let weighted = slopes[i].component_mul(&weights);
            slopes.iter().enumerate().for_each(|(j, other)| gram[(i, j)] = weighted.dot(other));
            let prior = priors[constant];
            gram[(i, i)] += prior.spread.powi(-2);
            right[i] = -weighted.dot(&residuals) - prior.residual(logs[constant]) / prior.spread;
        }
        Normal { free, constants: priors.len(), gram, right }
    }
}

/// The normal equations of a step of the free constants.
struct Normal {
    free: Vec<usize>,
    constants: usize,
    gram: DMatrix<f64>,
    right: DVector<f64>,
}

impl Normal {
    fn step(&self, damping: f64) -> Option<DVector<f64>> {
        /// The longest step of a logarithm: slopes say little beyond.
        const FAR: f64 = 1.0;
        let mut damped = self.gram.clone();
        let least = 1e-12 * self.gram.diagonal().amax().max(1e-300);
        for i in 0..damped.nrows() {
            damped[(i, i)] += damping * self.gram[(i, i)] + least;
        }
        let solved = CovarianceFactor::new(damped)?.solve(&self.right);
        let mut step = DVector::zeros(self.constants);
        self.free.iter().zip(solved.iter()).for_each(|(&constant, value)| step[constant] = value.clamp(-FAR, FAR));
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn power_law(constants: &[f64], x: f64) -> f64 {
        constants[0] * x.powf(constants[1])
    }

    #[test]
    fn one_wild_measurement_moves_robust_constants_little() {
        let measured: Vec<(f64, f64)> = (1..40).map(|i| (f64::from(i), power_law(&[3.0, 0.5], f64::from(i)))).collect();
        let residuals = |constants: &[f64]| {
            let wild = |i: usize| if i == 20 { 10.0 } else { 1.0 };
            let residual = |(i, (x, y)): (usize, &(f64, f64))| (power_law(constants, *x) / (y * wild(i))).ln() / 0.01;
            measured.iter().enumerate().map(residual).collect()
        };
        let priors = [Prior::free(1.0), Prior::free(1.0)];
        let robust = ConstantsFit::default().fit(&priors, residuals);
        assert!((robust[0] - 3.0).abs() < 0.01 && (robust[1] - 0.5).abs() < 0.002, "{robust:?}");
        let squares = ConstantsFit { outlier: f64::INFINITY, ..ConstantsFit::default() }.fit(&priors, residuals);
        assert!((squares[0] - 3.0).abs() > 0.02, "{squares:?}");
    }

    #[test]
    fn a_prior_settles_what_the_data_leaves_open() {
        // Only the product of the first two shows.
        let residuals = |c: &[f64]| vec![(c[0] * c[1] / 8.0).ln() / 0.01, (c[2] / 5.0).ln() / 0.01];
        let priors =
            [Prior { value: 1.0, spread: 1.0 }, Prior { value: 1.0, spread: 0.5 }, Prior { value: 2.0, spread: 0.0 }];
        let found = ConstantsFit::default().fit(&priors, residuals);
        // The distance ln 8 is shared in proportion to the variances, 4 to 1.
        assert!((found[0].ln() - 0.8 * 8f64.ln()).abs() < 0.01, "{found:?}");
        assert!((found[1].ln() - 0.2 * 8f64.ln()).abs() < 0.01, "{found:?}");
        assert!((found[2] - 2.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn constants_that_made_the_data_are_found_from_afar(a in 0.1..10.0f64, b in 0.2..3.0f64, c in 0.1..5.0f64) {
            let time = |k: &[f64], x: f64| k[0] + k[1] * x + k[2] * x * x;
            let at: Vec<f64> = (0..30).map(|i| 10f64.powf(f64::from(i) / 10.0 - 1.5)).collect();
            let residuals =
                |k: &[f64]| at.iter().map(|&x| (time(k, x) / time(&[a, b, c], x)).ln() / 0.01).collect::<Vec<_>>();
            let found = ConstantsFit::default().fit(&[Prior::free(1.0); 3], residuals);
            for (found, made) in found.iter().zip([a, b, c]) {
                prop_assert!((found / made).ln().abs() < 1e-3, "{found} {made}");
            }
        }
    }
}
