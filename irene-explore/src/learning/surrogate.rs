//! Surrogates: what a few measured designs say of all others.

mod boosted;
mod boshnas;
mod decision_tree;
mod file;
pub(crate) mod gaussian_process;
pub(crate) mod law;
mod records;
pub(crate) mod standard;
#[cfg(test)]
mod synthetic;

pub use boosted::{AdaBoost, AdaBoostLearner};
pub use boshnas::{Boshnas, BoshnasLearner, optimise_input};
pub use decision_tree::{DecisionTree, DecisionTreeLearner};
pub use file::{Saved, Surrogates};
pub use gaussian_process::{GaussianProcess, GaussianProcessLearner, Kernel};
pub use law::{Law, LawLearner};

use crate::{Candidate, Error, Result, space::DesignSpace};

/// What a surrogate expects of a design's figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The figure, in the measure's unit.
    pub value: f64,
    /// The standard deviation of what would be measured, in the measure's unit: what the data leaves open and the spread of
    /// measurements together.
    pub deviation: f64,
}

impl Prediction {
    /// Where the figure lies in nine of ten cases, if its logarithm is normally distributed; if itself is, for a value that is not
    /// above 0, as some of the papers' learners give them, or a deviation beyond all bounds.
    pub fn interval(&self) -> (f64, f64) {
        let factor = (NINE_OF_TEN * self.log_deviation()).exp();
        if self.value > 0.0 && factor.is_finite() {
            return (self.value / factor, self.value * factor);
        }
        let reach = NINE_OF_TEN * self.deviation;
        (self.value - reach, self.value + reach)
    }

    /// The standard deviation of the logarithm that goes with [`deviation`](Self::deviation).
    pub fn log_deviation(&self) -> f64 {
        (self.deviation / self.value).powi(2).ln_1p().sqrt()
    }

    /// A figure whose logarithm has this standard deviation.
    pub fn of_log(value: f64, log_deviation: f64) -> Self {
        Self { value, deviation: value * log_deviation.powi(2).exp_m1().sqrt() }
    }
}

/// Deviations of a normal distribution: 90% lie within.
const NINE_OF_TEN: f64 = 1.645;

/// Predicts one measure of designs.
pub trait Surrogate: Send + Sync {
    /// What it expects of a design.
    fn predict(&self, candidate: &Candidate) -> Prediction;

    /// The same as a file can hold it, if one can.
    fn saved(&self) -> Option<Saved> {
        None
    }
}

/// A way to learn a [`Surrogate`].
pub trait Learner: Send + Sync {
    /// Its name in files, options and reports.
    fn name(&self) -> &'static str;

    /// Learns from designs and their figures (above 0, one a design).
    ///
    /// # Errors
    /// [`Error::Data`] if they are too few.
    fn fit(&self, candidates: &[&Candidate], figures: &[f64], seed: u64) -> Result<Box<dyn Surrogate>>;
}

/// Every learner for designs of a space, ours first.
pub fn learners(space: &DesignSpace) -> Vec<Box<dyn Learner>> {
    vec![
        Box::new(LawLearner),
        Box::new(GaussianProcessLearner::Published),
        Box::new(GaussianProcessLearner::MaternLinear),
        Box::new(DecisionTreeLearner),
        Box::new(AdaBoostLearner::published()),
        Box::new(BoshnasLearner::of(space)),
    ]
}

/// The learner with this name, for designs of a space.
///
/// # Errors
/// [`Error::Data`] that lists the names there are.
pub fn learner(name: &str, space: &DesignSpace) -> Result<Box<dyn Learner>> {
    let mut all = learners(space);
    match all.iter().position(|learner| learner.name() == name) {
        Some(place) => Ok(all.swap_remove(place)),
        None => {
            let names: Vec<_> = all.iter().map(|learner| learner.name()).collect();
            Err(Error::Data(format!("unknown learner `{name}`; there are {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_the_value_in_it_whatever_that_is() {
        let interval = |value, deviation| Prediction { value, deviation }.interval();
        let (low, high) = interval(2.0, 0.2);
        assert!((low * high - 4.0).abs() < 1e-12 && (high / 2.0 - (1.645 * 1.01f64.ln().sqrt()).exp()).abs() < 1e-12);
        for (value, deviation) in [(0.0, 1.0), (-3.0, 1.0), (1e-300, 1.0), (2.0, 0.0), (0.0, 0.0)] {
            let (low, high) = interval(value, deviation);
            assert!(low.is_finite() && high.is_finite() && low <= value && value <= high, "{value}: {low} to {high}");
        }
        assert_eq!(interval(0.0, 1.0), (-1.645, 1.645));
    }
}
