//! Surrogates: what a few measured designs say of all others.

mod boosted;
mod boshnas;
mod decision_tree;
mod file;
mod gaussian_process;
pub(crate) mod law;
mod records;
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
    /// Where the figure lies in nine of ten cases, if its logarithm is normally distributed.
    pub fn interval(&self) -> (f64, f64) {
        const NINE_OF_TEN: f64 = 1.645;
        let factor = (NINE_OF_TEN * self.deviation / self.value).exp();
        (self.value / factor, self.value * factor)
    }
}

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
