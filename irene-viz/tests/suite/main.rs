//! The HTTP API, asked as a browser or a script asks it.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod advice;
mod api;
mod attacks;
mod document;
mod jobs;
mod lists;
#[path = "../profiler/mod.rs"]
mod profiler;
mod schema;
mod selection;
#[path = "../server/mod.rs"]
mod server;
mod transport;
