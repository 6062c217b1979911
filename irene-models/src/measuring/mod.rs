//! Measuring nodes in place while a model runs, apart from following and running it.

#[cfg(feature = "profile")]
pub mod profile;
#[cfg(feature = "profile")]
mod training;
mod visitor;

pub use visitor::{MeasuredNode, MeasuringVisitor, ToMeasure};
