//! Measuring nodes in place while a model runs, apart from following and running it.

pub mod profile;
mod training;
mod visitor;
