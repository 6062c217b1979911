//! Fits of the law to public measurements.

mod constants;
mod kernels;
mod neusight;
mod vidur;

pub use constants::{constants_of, with_constants};
pub use kernels::{KernelFit, KernelMeasurement};
pub use neusight::read_neusight_ops;
pub use vidur::{read_vidur_collectives, read_vidur_layers};

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The rows of a table of measurements (CSV with a header).
///
/// # Errors
/// [`Error::Measurements`] if there is no such file, or its columns are others.
pub fn read_measurements<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let fault = |message: String| Error::Measurements { path: path.to_owned(), message };
    let mut reader = csv::Reader::from_path(path).map_err(|error| fault(error.to_string()))?;
    reader.deserialize().map(|row| row.map_err(|error| fault(error.to_string()))).collect()
}
