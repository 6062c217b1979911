//! The rules of attribution.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod accuracy;
mod laws;
#[cfg(feature = "prometheus")]
mod metrics;
mod rules;
mod scripted_time;
mod simulated;
