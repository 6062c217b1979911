//! Predicts the energy of a Transformer's inference, node by node, in one call.
//!
//! [`predict`] follows the model's own code by shape, counts every operation, and predicts every node by a profile that was measured on the
//! device. [`forecast()`] predicts requests from a device's data sheet; a [`Service`] does so for rows of request sheets, and a [`Calibration`]
//! corrects the answer by measured requests. [`fit_law`] fits the law of data sheets to measurements. The crate re-exports the types of the
//! crates below it that its callers need.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod calibration;
mod evaluation;
mod fit;
mod forecast;
mod interval;
mod passes;
mod request;
mod schedule;
mod service;
mod training;
mod ways;

pub use calibration::{Calibration, CalibrationProvenance, LeftOutError, TrialError, try_calibrations};
pub use evaluation::{
    KernelsLeftOut, Order, PublicData, PublicFile, RequestErrors, Server, TreeErrors, check_trees,
    order_of_configurations, training_steps, try_laws,
};
pub use fit::{Key, LawsWithout, Measured, fit_law, prior_law, with_spreads};
pub use forecast::{Forecast, Host, Memory, Note, Part, forecast};
pub use irene_devices::{Catalogue, Device, Engine, Law};
pub use irene_models::{ModelSpec, Run, TaskHead};
pub use irene_regress::DeviceProfile;
pub use irene_requests::{Load, RequestRow};
pub use irene_tree::{Format, Kernels, Parallel, Precision, Quantity, Size, Training, Tree};
pub use passes::Passes;
pub use request::{Request, usual_engine};
pub use schedule::{Figures, PassesCost};
pub(crate) use schedule::{Runs, Schedule, ScheduleCost};
pub use service::{Fault, Service, ServiceOptions, Setting};
pub use training::{
    Phase, StepFigures, StepMemory, TrainingForecast, TrainingLength, TrainingNote, TrainingRun, forecast_training,
};

// For irene's own crates alone: it may change with any version.
#[doc(hidden)]
pub use forecast::rounded_down;

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
    /// A device or an engine is unknown, or measurements cannot be read.
    #[error(transparent)]
    Devices(#[from] irene_devices::Error),
    /// A sheet of requests cannot be read.
    #[error(transparent)]
    Requests(#[from] irene_requests::Error),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A load that has no schedule of its own.
    #[error("a rate of requests has no schedule of its own; find the concurrency that it settles at")]
    Load,
    /// A needed cell is absent.
    #[error("is missing: add the column, or fill the cell")]
    Missing,
    /// Tokens that no request has.
    #[error("expected from 0 to 1000000000 tokens, found {0}")]
    Tokens(f64),
    /// A request, a device or a machine that cannot be.
    #[error("{field}: {reason}")]
    Request {
        /// The field.
        field: &'static str,
        /// The values that it can have, and the one found.
        reason: String,
    },
    /// A row that does not say how many requests run at once.
    #[error("how many requests run at once is missing: fill one of sequences, concurrency and rate")]
    NoLoad,
    /// A measured row without a figure.
    #[error(
        "has no measured energy, power or time: fill energy_per_request_j, energy_per_token_j, power_w, latency_s, itl_s or tokens_per_s"
    )]
    NotMeasured,
    /// A measured figure that cannot be.
    #[error("measured figures must be above 0, found {0}")]
    NotAbove0(f64),
    /// A row that says how fast requests arrive, and not how fast they are served.
    #[error("says how fast requests arrive, not how long they take: fill latency_s or itl_s, or give the concurrency")]
    RateAlone,
    /// A row whose requests arrived faster than they were served.
    #[error(
        "is more than was served by tokens_per_s, and latency_s has the queue in it: fill itl_s, or give the concurrency"
    )]
    FellBehind,
    /// Measurements that make no calibration, or a file that is none.
    #[error("{origin}: {reason}")]
    Calibration {
        /// The file.
        origin: String,
        /// The reason, and the way out.
        reason: String,
    },
    /// A model that is too large for the device.
    #[error("{model} does not fit {device}: one sequence needs {needed_gib:.1} GiB of each GPU, which has {available_gib:.1}: {} too little; {ways} would do", lack(*needed_gib, *available_gib))]
    DoesNotFit {
        /// The model.
        model: String,
        /// The device.
        device: String,
        /// The memory that one sequence needs on each GPU, GiB.
        needed_gib: f64,
        /// Its memory, GiB.
        available_gib: f64,
        /// Settings that would fit.
        ways: String,
    },
    /// A run that is no step of training.
    #[error("the run is no step of training: say its optimizer")]
    NoTraining,
    /// A step of training that is too large for the device.
    #[error("{model} does not fit {device} in training: a step needs {needed_gib:.1} GiB of each GPU, which has {available_gib:.1}: {} too little; {ways} would do", lack(*needed_gib, *available_gib))]
    StepDoesNotFit {
        /// The model.
        model: String,
        /// The device.
        device: String,
        /// The memory that a step needs of each GPU, GiB.
        needed_gib: f64,
        /// Its memory, GiB.
        available_gib: f64,
        /// Settings that would fit.
        ways: String,
    },
    /// A device that is no card in a machine.
    #[error("no usual machine is known around {device}, whose class is {class}: give its power (Host::Watts)")]
    NoHost {
        /// The device.
        device: String,
        /// Its class.
        class: &'static str,
    },
    /// Requests so far apart that the device's idle energy between two is beyond reason.
    #[error(
        "{rate} requests a second are too few: the device idles between two of them for longer than numbers reach; ask for a higher rate"
    )]
    TooRare {
        /// Requests that arrive in a second.
        rate: f64,
    },
    /// More requests arrive than can be served.
    #[error(
        "{rate} requests a second are more than are served: at most {}; ask for a lower rate, or give it more GPUs (a greater parallel.data)", rounded_down(*greatest)
    )]
    Overload {
        /// Requests that arrive in a second.
        rate: f64,
        /// The most that are served in a second.
        greatest: f64,
    },
}

/// How much memory is missing, in a unit that does not round it to nothing.
fn lack(needed_gib: f64, available_gib: f64) -> String {
    let gib = needed_gib - available_gib;
    if gib < 0.1 { format!("{:.0} MiB", (1024.0 * gib).max(1.0)) } else { format!("{gib:.1} GiB") }
}

/// The tree of a run with its counts and the predicted energy of every node, in joules.
///
/// A [`Size`] alone means one pass in 32-bit floats by eager kernels, without a head: `head: TaskHead::Lm` adds that of a language model,
/// which a generation has anyway.
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_small_lack_of_memory_is_told_in_mib() {
        for (needed, told) in [(22.54, "41 MiB"), (22.500_01, "1 MiB"), (22.6, "0.1 GiB"), (30.0, "7.5 GiB")] {
            assert_eq!(super::lack(needed, 22.5), told);
        }
    }
}
