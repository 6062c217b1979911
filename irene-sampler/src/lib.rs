//! Measures the time and energy of any piece of a program, from the sensors and energy meters of the machine.
//!
//! - [`sensors`]: one list of everything that can be read on this machine, each a [`Sensor`]: utilisation and memory, GPUs through
//!   NVML and Linux's DRM, RAPL, hwmon, logs of external meters, of ipmitool and of powermetrics, and estimates from load.
//! - [`sensors::ProcessTree`]: the part of one process tree, or of one control group, in the meter's energy.
//! - [`Channel`]: a [`Metric`] of a [`Resource`]. Resources know which includes which, so that nothing counts twice.
//! - [`Total`]: which sensors make up the machine's power, and why the others do not.
//! - [`Sampler`]: reads sensors from a background thread; [`Series::window`] gives the figures between two times.
//! - [`Sampler::span`], [`Sampler::measure`]: the energy of a piece of a program, which [comes](Pending) once the meters have caught up.
//! - [`Steps`]: the energy of the total from one reading to the next.
//! - [`MeasuringProtocol`]: repeats a closure until its time and energy are known well enough.
//!
//! A value that cannot be read is absent, never zero; a figure that would rest on too few readings is refused with the reason.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channel;
mod clock;
mod counter;
mod evidence;
mod memory;
mod pending;
mod protocol;
mod recording;
mod resource;
mod sampler;
pub mod sensors;
mod series;
mod span;
mod steps;
mod total;
mod updates;

pub use channel::{Averaging, Channel, ChannelId, Metric, Provenance, Reach};
pub use clock::{Clock, Stamp};
pub use evidence::Doubt;
pub use pending::{Pending, Promise};
pub use protocol::{ChannelFigure, Mean, MeasureError, Measurement, MeasuringProtocol, Round};
pub use recording::{Readings, Recorder, Recording, Silent};
pub use resource::{Package, Resource, SocPart};
pub use sampler::{Sampler, SamplerOptions};
pub use sensors::{Sensor, Sensors, ShareMethod};
pub use series::{Series, Window, WindowError};
pub use span::{Span, SpanError, Spent};
pub use steps::{Step, Steps};
pub use total::{Findings, LeftOut, Missing, Need, NoEnergy, Total, TotalWindow};

// For irene's own crates alone: they may change with any version.
#[doc(hidden)]
pub use memory::{available_memory, peak_memory};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
