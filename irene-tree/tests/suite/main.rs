//! Trees in files, and the tables of IrEne.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod interchange;
mod irene_csv;
mod render;
mod rules;
