//! Forecasts, calibrations and machines.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod calibrated;
mod calibration;
mod forecast;
mod kernels;
mod loads;
mod machines;
mod published;
mod requests;
mod training;
