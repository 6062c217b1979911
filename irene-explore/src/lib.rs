//! Design spaces of Transformers: profiled for latency, energy and peak power, learned from few measurements, searched (ProTran,
//! Tuli and Jha, 2023, and its sequel EdgeTran).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod active;
mod candidate;
mod data;
mod error;
pub mod evaluate;
pub mod features;
mod measure;
pub mod space;
pub mod surrogate;

pub use candidate::{Candidate, Describer};
pub use data::{Dataset, Record};
pub use error::{Error, Result};
pub use measure::{Measure, Measures};
