//! The papers' surrogates and searches, replayed.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod files;
mod replay;
