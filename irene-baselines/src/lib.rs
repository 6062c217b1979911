//! Baselines to compare irene-explore with: the surrogates of ProTran and BOSHNAS (Tuli and Jha; Tuli et al.), replays of recorded
//! campaigns, rival searches, and the figures that the papers report.
//!
//! | to compare | with |
//! |---|---|
//! | surrogates | [`learners`]: ours, [Gaussian processes](GaussianProcessLearner), a [decision tree](DecisionTreeLearner), [boosted trees](AdaBoostLearner), [BOSHNAS](BoshnasLearner) |
//! | the number of measurements that is enough | [`replay`] of recorded data by several [`Way`]s |
//! | searches | [`Contest`] of evolution and [random designs](Random); [`Gradient`], BOSHNAS's search |
//! | all of them | [`published_device`]: the papers' own figures |
//!
//! The learners stand behind irene-explore's open trait [`Learner`](irene_explore::learning::Learner). A program that reads their
//! files hands [`READERS`] to [`Surrogates::read_with`](irene_explore::learning::Surrogates::read_with).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod boosted;
mod boshnas;
mod decision_tree;
mod gaussian_process;
mod learners;
mod published;
mod records;
mod replay;
mod search;
#[cfg(test)]
mod synthetic;

pub use boosted::{AdaBoost, AdaBoostLearner};
pub use boshnas::{Boshnas, BoshnasLearner, optimise_input};
pub use decision_tree::{DecisionTree, DecisionTreeLearner};
pub use gaussian_process::{GaussianProcess, GaussianProcessLearner, Kernel};
pub use learners::{READERS, learner, learners};
pub use published::{AtLeast, PublishedDevice, TheirTrees, published_device};
pub use replay::{Acquisition, Curve, Judged, MeanErrors, Replay, ReplayOptions, Samples, Way, replay};
pub use search::{Contest, Gradient, Random, ValueAndGradient, relaxed};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
