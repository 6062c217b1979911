//! The sensors of this machine: each kind is one file, and one line in [`KINDS`].

mod board;
mod choice;
mod drm;
mod grace;
mod growing_file;
mod hwmon;
mod impact_tracker;
mod ina3221;
mod ipmi;
mod log_time;
#[cfg(feature = "nvml")]
mod nvml;
mod power_log;
mod powermetrics;
mod process_tree;
mod rapl;
mod selection;
mod shares;
mod tdp;
mod text_file;
mod utilisation;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use choice::Choice;
pub use impact_tracker::PUE;
pub(crate) use process_tree::held_memory;
pub use process_tree::{ProcessRoot, ProcessTree, SharedPart};
pub use selection::Selection;
pub use shares::{Idle, ShareMethod};
pub(crate) use utilisation::kilobytes;

use crate::{Channel, Findings, Missing, Readings, Stamp};

/// Something that is read over and over: a probe of utilisation, or a meter of energy.
pub trait Sensor: Send {
    /// Its channels, always the same.
    fn channels(&self) -> &[Channel];

    /// Reads. A channel that cannot be read now gets no reading. It allocates nothing, unless a driver's own interface does.
    fn sample(&mut self, readings: &mut Readings<'_>);

    /// Values that the machine has and this sensor cannot read.
    fn missing(&self) -> &[Missing] {
        &[]
    }

    /// Why it has no reading of this moment, if it knows better than that there is none. A reading counts for `_longest_gap` seconds.
    fn trouble(&self, _now: Stamp, _longest_gap: f64) -> Option<String> {
        None
    }
}

/// The sensors to sample.
#[derive(Default)]
pub struct Sensors {
    /// Sensors whose energies are recorded and are no part of the total.
    pub probes: Vec<Box<dyn Sensor>>,
    /// Sensors whose energies add up to the total, but for what others [cover](crate::Resource::covers).
    pub meters: Vec<Box<dyn Sensor>>,
    /// Knowledge about the meters' sensors beside their resources.
    pub findings: Findings,
}

/// The names of their channels, and what is known beside.
impl fmt::Debug for Sensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |sensors: &[Box<dyn Sensor>]| -> Vec<String> {
            sensors.iter().flat_map(|sensor| sensor.channels()).map(|channel| channel.id.to_string()).collect()
        };
        let (probes, meters) = (names(&self.probes), names(&self.meters));
        let mut debug = f.debug_struct("Sensors");
        debug.field("probes", &probes).field("meters", &meters).field("findings", &self.findings).finish()
    }
}

/// All of them are meters.
impl From<Vec<Box<dyn Sensor>>> for Sensors {
    fn from(meters: Vec<Box<dyn Sensor>>) -> Self {
        Self { meters, ..Self::default() }
    }
}

/// Where sensors look, so that a test can show them another machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// NVIDIA's management library, if it is not where the system looks.
    pub nvml_library: Option<PathBuf>,
    /// The GPUs, as `CUDA_VISIBLE_DEVICES` lists them; None for all.
    pub visible_devices: Option<String>,
    /// The log of an external meter.
    pub power_log: Option<PathBuf>,
    /// The output of ipmitool, which grows.
    pub ipmi_log: Option<PathBuf>,
    /// The output of powermetrics, which grows.
    pub powermetrics_log: Option<PathBuf>,
    /// How much the clock of a log's meter is ahead of this machine's, seconds.
    pub power_log_ahead: f64,
    /// The processor's thermal design power, watts.
    pub tdp_watts: Option<f64>,
}

impl Places {
    /// This machine.
    pub fn here() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            nvml_library: None,
            visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            power_log: None,
            ipmi_log: None,
            powermetrics_log: None,
            power_log_ahead: 0.0,
            tdp_watts: None,
        }
    }
}

/// Why a sensor cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default())]
pub struct Unavailable {
    /// The cause.
    pub reason: String,
    /// The way out, if there is one.
    pub fix: Option<String>,
    /// Whether the machine has it all the same: a permission is lacking, or a driver is broken.
    pub is_there: bool,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), fix: None, is_there: false }
    }

    /// Something about a file or a directory.
    pub(crate) fn at(path: &Path, reason: impl fmt::Display) -> Self {
        Self::new(format!("{}: {reason}", path.display()))
    }

    pub(crate) fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A kind of sensor.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name on a command line.
    pub name: &'static str,
    /// Its readings, in a line.
    pub what: &'static str,
    /// Opens it.
    #[allow(clippy::type_complexity)] // it is written once
    pub open: fn(&Places) -> Result<Box<dyn Sensor>, Unavailable>,
}

/// Every kind of sensor.
pub const KINDS: &[Kind] = &[
    utilisation::KIND,
    #[cfg(feature = "nvml")]
    nvml::KIND,
    drm::KIND,
    rapl::KIND,
    hwmon::KIND,
    power_log::KIND,
    ipmi::KIND,
    powermetrics::KIND,
    tdp::KIND,
    impact_tracker::KIND,
];

/// The kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
