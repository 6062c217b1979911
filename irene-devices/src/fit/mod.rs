//! Fits of the law to public measurements.

mod constants;
mod kernels;
mod neusight;
mod vidur;

pub use constants::{constants_of, with_constants};
pub use kernels::{KernelMeasurement, fit_kernel_constants, fit_kernels, with_kernel_spreads};
pub use neusight::read_neusight_ops;
pub use vidur::{read_vidur_collectives, read_vidur_layers};

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{Error, Result};

/// A figure of a table of measurements: finite, above 0.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Positive(f64);

impl Positive {
    /// The figure.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Positive {
    type Error = String;

    fn try_from(figure: f64) -> std::result::Result<Self, String> {
        let is_one = figure.is_finite() && figure > 0.0;
        is_one.then_some(Self(figure)).ok_or_else(|| format!("expected a number above 0, found {figure}"))
    }
}

/// The rows of a table of measurements (CSV with a header).
///
/// # Errors
/// [`Error::Measurements`] if there is no such file, or its columns are others.
pub fn read_measurements<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let fault = |message: String| Error::Measurements { path: path.to_owned(), message };
    let mut reader = csv::Reader::from_path(path).map_err(|error| fault(error.to_string()))?;
    reader.deserialize().map(|row| row.map_err(|error| fault(error.to_string()))).collect()
}
