//! Accelerators by their data sheets, and the law that turns a data sheet into seconds and joules of a Transformer's operations.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod engine;
mod error;
mod fit;
mod law;
mod named_operation;
mod work;

pub use device::{Device, DeviceClass, Peaks, Vendor};
pub use engine::Engine;
pub use error::{Error, Result};
pub use fit::{KernelFit, KernelMeasurement, constants_of, with_constants, read_neusight_ops, read_vidur_collectives, read_vidur_layers};
pub use law::{AttentionLaw, EngineLaw, KernelLaw, KernelTime, LaunchLaw, LinkLaw, MemoryLaw, ProductLaw, RowLaw, SpreadLaw, VendorLaw, Law, Pass, PassCost, PowerLaw, WorkCost};
pub use named_operation::NamedOperation;
pub use work::{Work, WorkKind};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
