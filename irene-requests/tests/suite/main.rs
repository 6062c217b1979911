//! Request sheets, read and compared.
#![allow(clippy::panic, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod comparisons;
mod imports;
mod sheets;
