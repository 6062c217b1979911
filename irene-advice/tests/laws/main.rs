//! Laws that answers about a selection keep, whatever the model.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that fails should say where

mod calibrated;
mod comparing;
mod explaining;
mod planning;
mod selections;
mod suggesting;
