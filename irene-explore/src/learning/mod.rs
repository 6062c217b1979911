//! Active learning: which design to measure next, and when enough are measured.
//!
//! A [`Plan`] says how: where designs come from, which learner learns from them, what chooses the next. [`run`] measures with an
//! [`Oracle`] until a [`Stopping`] rule says so; what was measured is all its state, so that it goes on from there. [`replay`] does
//! the same on recorded data, without a device, and compares ways by their errors on the designs that they have not seen.

mod acquisition;
mod curves;
mod field;
mod learned;
mod learning;
mod replay;
mod stopping;

pub use acquisition::Acquisition;
pub use curves::{Curve, Replay, Samples};
pub use learned::{Learned, MeanErrors, Measured};
pub use learning::{Learning, Oracle, Plan, Source, Stopped, run};
pub use replay::{Judged, ReplayOptions, Way, replay};
pub use stopping::{PUBLISHED_ERROR, Stopping, converged_at};
