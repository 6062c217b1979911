//! A catalogue of accelerators' data sheets, and the law that predicts seconds and joules of a Transformer's operations from them.
//!
//! - [`Catalogue`]: finds a [`Device`] by any of its names; [`Device::read`] reads your own data sheet.
//! - [`Work`]: an operation as the law sees it. [`KernelLaw`] gives the time of one kernel, [`Law`] the time and energy of kernels and of the
//!   passes of a model under an [`Engine`].
//! - [`OperationSheet`]: predicts a table of operations.
//! - [`fit_kernels`], [`read_measurements`] and the like fit the law to public measurements.
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
    KernelMeasurement, Positive, constants_of, fit_kernel_constants, fit_kernels, read_measurements, read_neusight_ops,
    read_vidur_collectives, read_vidur_layers, with_constants, with_kernel_spreads,
};
pub use law::{
    BusyTimes, EngineLaw, EngineModes, FigureSpread, HostLaw, KernelLaw, KernelTime, Law, LawOn, MakerLaw, Pass,
    PassCost, PassLaw, PowerLaw, WorkCost, WorkParts,
};
pub use operation_sheet::OperationSheet;
pub use work::{Work, WorkKind};

/// The provenance of figures that follow from a data sheet alone.
pub const FROM_DATA_SHEET: &str = "estimated from its data sheet";

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
