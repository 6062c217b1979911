//! Measures the time and energy of requests to a running server of language models.
//!
//! - [`Target`], [`Server`]: the address, and the API found by asking it: OpenAI's (completions, chat, embeddings), that of
//!   text-generation-inference, that of llama.cpp. No other address is ever contacted.
//! - [`Prompts`]: texts of a known number of tokens, each different from its beginning on.
//! - [`Bench`]: keeps a number of requests running, finds the steady state, and takes its energy from an [`irene_sampler::Sampler`].
//! - [`SheetFile`]: a request sheet that grows by one whole line a setting, and continues where it was cut off.
//! - [`split`]: the energy of a prompt's token apart from that of a generated one, by differences over the settings.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
mod bench;
mod error;
mod events;
mod exchange;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod identity;
mod load;
mod measured;
mod prompts;
mod request;
mod server;
mod sheet;
mod split;
mod steady;
mod target;
mod words;

pub use bench::{Bench, Limits, Setting};
pub use error::{Error, Result};
use exchange::Exchange;
use failure::Failure;
pub use identity::Identity;
pub use measured::{Energy, Mark, Measured, Work};
pub use prompts::Prompts;
pub use server::{FindOptions, Server};
pub use sheet::SheetFile;
pub use split::{Split, split};
use steady::Steady;
pub use target::Target;

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
