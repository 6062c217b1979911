//! Shows the energy of Transformer models as a web page and an HTTP API, after IrEne-viz (Lal et al.).
//!
//! [`Server`] answers from memory: built-in models and uploaded configs are followed by their shapes and predicted in
//! milliseconds, nothing is read from the file system, and no request leaves the machine. `/api/v1/openapi.json` describes the API.
//! [`report()`] writes the page of one prediction as a file.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod api;
mod app;
mod bars;
mod body;
mod chart;
mod connection;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod host;
mod job_state;
mod jobs;
mod kept;
mod metrics;
mod options;
mod page;
mod preview;
mod problem;
mod profiling;
mod report;
mod room;
mod search_page;
mod serve;

pub use bars::{Group, bars};
pub use chart::{Axis, Mark, Panel, chart};
pub use options::{Limits, Options};
pub use profiling::{Profiling, ProfilingError, ProfilingRequest, Progress};
pub use report::report;
pub use search_page::SearchPage;
pub use serve::Server;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot listen on the address.
    #[error("{address}: {source}; another address may be free")]
    Address {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The model of a report cannot be predicted.
    #[error("{0}")]
    Report(String),
    /// A bundled profile cannot be read.
    #[error(transparent)]
    Profile(#[from] irene_regress::Error),
}

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
