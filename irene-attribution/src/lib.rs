//! Shares the energy that a server's meter counts among the requests that run at the same time.
//!
//! - [`Meter`]: follows a [`Sampler`](irene_sampler::Sampler) from a thread of its own, or any other source of energy that is [fed](Feed).
//! - [`Request`]: enters ([`Meter::begin`]), tells its work ([`Request::prompt`], [`Request::tokens`]), and leaves ([`Request::end`], or by
//!   being dropped). Its [`Share`] comes once the meter's readings have passed it, as a [`Pending`](irene_sampler::Pending).
//! - [`Accounts`]: the energy of each model and of nobody; [`Share::attributes`] and [`Meter::register`] hand it on to OpenTelemetry and to
//!   Prometheus.
//!
//! Energy is kept in whole nanojoules. The shares of all requests and the account of nobody add up to the energy of the meter exactly,
//! whatever the order, the threads and the cancellations.
//!
//! Between two readings the idle power is shared evenly among those that run, at each moment. The rest is shared by the work that was
//! done in that time: tokens times their [`Weights`]. A prompt's work is known when its first token comes; it is spread over the time
//! from the request's begin, or from [`Request::prompt_started`], and a token's work over the time since the report before. So an
//! interval is settled when every request that ran in it has reported past it or has left, or after [`Options::horizon`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accounts;
mod attributes;
mod error;
mod feed;
mod idle;
mod meter;
mod now;
mod options;
mod placement;
#[cfg(feature = "prometheus")]
mod prometheus;
mod proportions;
mod request;
mod running;
mod settle;
mod share;
mod state;
mod timeline;

pub use accounts::{Accounts, BUCKETS, ModelAccount};
pub use attributes::Value;
pub use error::Error;
pub use feed::Feed;
pub use irene_sampler::sensors::Idle;
pub use meter::Meter;
pub use options::{IdlePower, Operation, Options, RequestInfo, Weights};
pub use request::Request;
pub use share::Share;

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
