//! Accelerators by their data sheets, and the law that turns a data sheet into seconds and joules of a Transformer's operations.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arithmetic;
mod catalogue;
mod data_sheets;
mod device;
mod engine;
mod error;
mod fit;
mod law;
mod named_operation;
mod operation_sheet;
mod spec;
mod work;

pub use arithmetic::Arithmetic;
pub use catalogue::Catalogue;
pub use data_sheets::{SheetCheck, read_data_sheets};
pub use device::{Device, DeviceClass, Peaks, Vendor};
pub use engine::Engine;
pub use error::{Error, Result};
pub use fit::{
    KernelFit, KernelMeasurement, constants_of, read_measurements, read_neusight_ops, read_vidur_collectives,
    read_vidur_layers, with_constants,
};
pub use law::{
    AttentionLaw, BusyTimes, EngineLaw, EngineModes, FigureSpread, HostLaw, KernelLaw, KernelTime, LaunchLaw, Law,
    LawOn, LinkLaw, MakerLaw, MemoryLaw, Pass, PassCost, PassLaw, PowerLaw, ProductLaw, RowLaw, SpreadLaw, VendorLaw,
    WorkCost,
};
pub use named_operation::NamedOperation;
pub use operation_sheet::OperationSheet;
pub use work::{Work, WorkKind};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
