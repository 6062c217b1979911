//! Measuring nodes in place while a model runs, apart from following and running it.

#[cfg(feature = "profile")]
pub mod profile;
#[cfg(feature = "profile")]
mod training;
#[cfg(feature = "profile")]
mod visitor;
