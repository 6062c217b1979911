//! Request sheets: CSV files with the time and energy of requests to language models, measured or predicted, one setting a row.
//!
//! A [`RequestRow`] holds the setting and the figures. A [`RequestReader`] reads a sheet row by row, and [`write()`] writes one. [`import()`]
//! reads public measurements as rows; [`compare()`] compares two sheets. An unknown figure is absent, never zero.
//!
//! | column | what it holds |
//! |---|---|
//! | `model`, `device`, `engine` | names |
//! | `weights`, `kernels` | format of the weights; `eager` or `fused` |
//! | `sequences`, `concurrency` or `rate` | a static batch; the mean number of running sequences; requests a second |
//! | `prompt`, `generated` | tokens of a request |
//! | `tensor_parallel`, `pipeline_parallel`, `expert_parallel`, `data_parallel` | GPUs; 1 where absent |
//! | `energy_per_request_j`, `energy_per_token_j` | joules of all GPUs; tokens are the generated ones |
//! | `power_w` | mean power of all GPUs |
//! | `ttft_s`, `itl_s`, `latency_s` | time to the first token, median time between tokens, time of the batch or of the request |
//! | `tokens_per_s` | generated tokens a second of all sequences and GPUs |
//!
//! A figure may have `_low` and `_high` beside it: the interval of a prediction. Further columns are kept as they are.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compare;
mod error;
mod import;
mod sheet;

pub use compare::{Comparison, Group, PercentErrors, Rank, Table, compare, kendall};
pub use error::{Error, Result};
pub use import::{ASSUMED, Imported, METER, import, import_bytes};
pub use sheet::{Figure, Figures, Load, RequestReader, RequestRow, write};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
