//! Design spaces, and the public data.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod design_space;
mod public_data;
