//! The papers' surrogates and searches of design spaces, and a plain regression, to compare irene-explore's with.
//!
//! | to compare | with |
//! |---|---|
//! | surrogates | [`learners`]: ours, a ridge regression, Gaussian processes, a decision tree, boosted trees, [BOSHNAS](BoshnasLearner) |
//! | how many measurements are enough | [`replay`] of recorded data by several [`Way`]s |
//! | searches | [`Contest`] of evolution and [random designs](Random); [`Gradient`], BOSHNAS's search |
//! | all of them | [`published_device`]: the papers' own figures |
//!
//! The papers are ProTran (Tuli and Jha, 2023) and BOSHNAS (Tuli et al., 2022). Every surrogate is a
//! [`Learner`](irene_explore::learning::Learner) of irene-explore. To read their files, hand [`READERS`] to
//! [`Surrogates::read_with`](irene_explore::learning::Surrogates::read_with).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod boosted;
mod boshnas;
mod decision_tree;
mod gaussian_process;
mod learners;
mod published;
mod records;
mod replay;
mod ridge;
mod search;
#[cfg(test)]
mod synthetic;

pub use boshnas::{Boshnas, BoshnasLearner};
pub use learners::{READERS, learner, learners};
pub use published::{AtLeast, PublishedDevice, TheirTrees, published_device};
pub use replay::{Acquisition, Curve, Judged, MeanErrors, Replay, ReplayOptions, Samples, Way, replay};
pub use search::{Contest, Gradient, Random, ValueAndGradient, relaxed};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
