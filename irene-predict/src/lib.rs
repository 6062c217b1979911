//! Predicts a model's energy in one call: follows the model's own code by shape, counts every operation, predicts every node.
//!
//! The crate is one function, [`predict`]. It re-exports what a caller needs of irene-models (the model, the run) and irene-regress
//! (the device's profile).

mod neusight;
mod request;
mod schedule;

pub use irene_models::{ModelSpec, Run, TaskHead};
pub use irene_regress::DeviceProfile;
use irene_tree::Tree;
pub use neusight::read_neusight_models;
pub use request::{Load, Request};
pub use schedule::{Figures, Schedule, ScheduleCost, Spent};

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model cannot be followed in this run.
    #[error(transparent)]
    Model(#[from] irene_models::Error),
    /// The profile cannot predict it.
    #[error(transparent)]
    Predict(#[from] irene_regress::Error),
    /// The measurements, or a device, cannot be read.
    #[error(transparent)]
    Devices(#[from] irene_devices::Error),
    /// A load that has no schedule of its own.
    #[error("a rate of requests has no schedule of its own; find the concurrency that it settles at")]
    Load,
}

/// The tree of a run with its counts and the predicted energy of every node, in joules.
///
/// # Errors
/// [`Error::Model`] from [`ModelSpec::trace`], [`Error::Predict`] from [`DeviceProfile::predict`].
pub fn predict(model: &ModelSpec, run: impl Into<Run>, profile: &DeviceProfile) -> Result<Tree, Error> {
    let mut tree = model.trace(run)?;
    profile.predict(&mut tree)?;
    Ok(tree)
}

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
