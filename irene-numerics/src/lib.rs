//! The numerics that irene's predictors and surrogates share: scaling, fits, Gaussian processes and quantiles for small regressions.
//!
//! - Columns: [`StandardScaler`] and [`PolynomialFeatures`] give scikit-learn's numbers; [`mean`], [`moments`].
//! - Fits: [`least_squares`], [`nonnegative_least_squares`], both also of more rows than memory holds ([`Triangle`], [`NormalEquations`]),
//!   [`LevenbergMarquardt`], [`ConstantsFit`] (the constants of any formula, with priors), [`Adam`].
//! - Gaussian processes: [`CovarianceFactor`]; the kernels [`matern52`] and [`linear_and_matern52`].
//! - Distributions: [`median`] and [`quantile`] for reports, [`upper_median`], [`rank_quantile`] and [`conformal_quantile`] for fits;
//!   [`standard_normal`].
//! - Several costs: [`dominates`]. A part of a long list: [`drawn`], [`rank`].
//! - Numbers that look random: [`mixed`]. Units: [`GIB`], [`JOULES_PER_KWH`].
//!
//! Matrices and vectors are those of [nalgebra](https://docs.rs/nalgebra).
//!
//! ```
//! use irene_numerics::{StandardScaler, least_squares};
//!
//! let rows = [[8.0, 1.0], [16.0, 1.0], [24.0, 3.0]];
//! let scaler = StandardScaler::fit(2, rows.iter().map(|row| row.as_slice()));
//! let scaled = rows.map(|row| scaler.transformed(&row).collect::<Vec<f64>>());
//! let scaled: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
//! let slopes = least_squares(&scaled, &[-8.0, 0.0, 8.0], &[1.0; 3]);
//! assert!((slopes[0] - scaler.scale[0]).abs() < 1e-9 && slopes[1].abs() < 1e-9);
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adam;
mod constants;
mod covariance;
mod drawn;
mod front;
mod kernel;
mod least_squares;
mod levenberg_marquardt;
mod nonnegative;
mod normal;
mod polynomial;
mod quantile;
mod standardise;
mod triangle;
mod units;

pub use adam::Adam;
pub use constants::{ConstantsFit, Prior};
pub use covariance::CovarianceFactor;
pub use drawn::{GOLDEN, drawn, mixed, rank};
pub use front::dominates;
pub use kernel::{linear_and_matern52, matern52};
pub use least_squares::least_squares;
pub use levenberg_marquardt::LevenbergMarquardt;
pub use nonnegative::{NormalEquations, nonnegative_least_squares, nonnegative_minimum};
pub use normal::{NORMAL_90, standard_normal};
pub use polynomial::PolynomialFeatures;
pub use quantile::{conformal_quantile, median, quantile, rank_quantile, upper_median};
pub use standardise::{StandardScaler, mean, moments};
pub use triangle::Triangle;
pub use units::{GIB, JOULES_PER_KWH};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
