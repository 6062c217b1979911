//! Accelerators by their data sheets, and the law that turns a data sheet into seconds and joules of a Transformer's operations.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arithmetic;
mod catalogue;
mod device;
mod engine;
mod error;
mod law;
mod spec;
mod work;

pub use arithmetic::Arithmetic;
pub use catalogue::Catalogue;
pub use device::{Device, DeviceClass, Peaks, Vendor};
pub use engine::Engine;
pub use error::{Error, Result};
pub use law::{EngineLaw, Law, Pass, PassCost, PowerLaw, WorkCost};
pub use work::{Work, WorkKind};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
