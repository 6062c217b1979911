//! Predictors: trained, saved, read, calibrated, and on the public data.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod calibration;
mod coverage;
mod intervals;
#[path = "../made_up/mod.rs"]
mod made_up;
mod partial;
mod predictors;
mod public;
mod public_data;
mod tracks;
