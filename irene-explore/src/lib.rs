//! Design spaces of Transformers: profiled for latency, energy and peak power, learned from few measurements, searched (ProTran,
//! Tuli and Jha, 2023, and its sequel EdgeTran).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod candidate;
mod error;
mod features;
mod measure;
pub mod search;
pub mod space;
pub mod surrogate;

pub use candidate::Candidate;
pub use error::{Error, Result};
pub use features::Features;
pub use measure::{Measure, Measures};
