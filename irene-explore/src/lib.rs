//! Design spaces of Transformers: profiled for latency, energy and peak power, learned from few measurements, searched (ProTran,
//! Tuli and Jha, 2023, and its sequel EdgeTran).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod active;
pub mod campaign;
mod candidate;
pub mod chart;
mod data;
mod designs;
pub mod devices;
pub mod diagnose;
mod error;
pub mod evaluate;
pub mod features;
#[cfg(test)]
mod made_up;
mod measure;
pub mod published;
pub mod search;
pub mod space;
pub mod surrogate;

pub use candidate::{Candidate, Describer};
pub use data::{Basis, Dataset, Record};
pub use designs::read_designs;
pub use error::{Error, Result};
pub use measure::{Measure, Measures};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
