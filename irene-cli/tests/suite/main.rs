//! The command, run as a person runs it.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod advice;
#[cfg(unix)]
mod bench;
mod calibrating;
#[path = "../command/mod.rs"]
mod command;
mod commands;
mod devices;
mod doctor;
mod explore;
mod files;
mod forecasts;
#[cfg(feature = "candle")]
mod generate;
mod imports;
#[cfg(feature = "candle")]
mod jobs;
mod manners;
mod meters;
mod models;
mod operations;
mod own_data;
mod predicting_training;
mod predictors;
#[cfg(feature = "candle")]
mod profiling;
mod recordings;
mod reproduce;
#[cfg(unix)]
mod round_trip;
#[cfg(feature = "candle")]
mod run_training;
mod running;
#[cfg(target_os = "linux")]
mod scraping;
mod serving;
mod streams;
mod usage;
mod widths;
