//! Sensors, energy meters, and a protocol to measure what a closure costs.
//!
//! - [`sources`]: what can be read on this machine, each a [`Source`] in one list: utilisation and memory, GPUs through NVML, RAPL,
//!   hwmon, logs of external meters, and estimates from load.
//! - [`Sampler`]: reads sources from a background thread; [`Series::window`] says what happened between two times.
//! - [`Protocol`]: repeats a closure until its time and energy are known as well as asked.
//!
//! What could not be read is absent, never zero; what rests on too few readings is refused with the reason.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channel;
mod clock;
mod counter;
mod protocol;
mod sampler;
mod series;
pub mod sources;

pub use channel::{Channel, Provenance, Unit};
pub use clock::{Clock, Stamp};
pub use counter::{Counter, Step};
pub use protocol::{ChannelFigure, Estimate, MeasureError, Measurement, Protocol, Round};
pub use sampler::{PERIODS, Readings, Recorder, Recording, Sampler, SamplerOptions};
pub use series::{PEAK_SPAN, Series, Window, WindowError};
pub use sources::Source;

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
