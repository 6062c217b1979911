//! The page in a real browser: what a person does with it, against what the API answers.
//!
//! Needs `chromium` and `chromedriver` on the PATH; the tests are ignored unless asked for (`-- --ignored`).
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot be set up should stop, and say so

mod access;
mod page;
mod profiler;
mod questions;
mod server;
mod views;
mod visit;
mod webdriver;
