//! Finds the best Transformer designs for a device: measures a few, learns what all others cost, and searches within constraints.
//!
//! It follows ProTran (Tuli and Jha, 2023) and its sequel EdgeTran.
//!
//! | module | holds |
//! |---|---|
//! | [`space`] | which designs there are: choices, embeddings, hashes, samples, moves |
//! | [`learning`] | what surrogates learn from measured records, how well they do, and what is wrong with records |
//! | [`search`] | objectives, constraints and searches |
//! | [`campaign`] | which designs are measured next; with the feature `profile`, the measuring on candle |
//!
//! The papers' surrogates and the searches that ours are compared with are in the crate irene-baselines.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod campaign;
mod error;
pub mod learning;
#[cfg(test)]
mod made_up;
mod records;
pub mod search;
pub mod space;

pub use error::{Error, Result};
pub use learning::candidate::{Candidate, Describer};
/// The random numbers in the methods of [`Variation`](search::Variation).
pub use rand_pcg;
pub use records::{Conditions, Dataset, Measure, Measures, Record, parse_designs};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
