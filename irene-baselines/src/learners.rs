use irene_explore::{
    Error, Result,
    learning::{CostLawLearner, Learner, Reader, read_as},
    space::DesignSpace,
};

use crate::{
    Boshnas, BoshnasLearner,
    boosted::{AdaBoost, AdaBoostLearner},
    decision_tree::{DecisionTree, DecisionTreeLearner},
    gaussian_process::{GaussianProcess, GaussianProcessLearner},
    ridge::{Ridge, RidgeLearner},
};

/// Readers of this crate's surrogates, for [`Surrogates::read_with`](irene_explore::learning::Surrogates::read_with).
pub const READERS: &[(&str, Reader)] = &[
    ("ridge", read_as::<Ridge>),
    ("gaussian-process", read_as::<GaussianProcess>),
    ("decision-tree", read_as::<DecisionTree>),
    ("ada-boost", read_as::<AdaBoost>),
    ("boshnas", read_as::<Boshnas>),
];

/// Every learner for designs of a space, ours first.
pub fn learners(space: &DesignSpace) -> Vec<Box<dyn Learner>> {
    vec![
        Box::new(CostLawLearner),
        Box::new(RidgeLearner),
        Box::new(GaussianProcessLearner::Published),
        Box::new(GaussianProcessLearner::MaternLinear),
        Box::new(DecisionTreeLearner),
        Box::new(AdaBoostLearner),
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
