//! Measured designs and the files that hold them.

mod dataset;
mod designs;
mod measure;

pub use self::{
    dataset::{Conditions, Dataset, Record},
    designs::parse_designs,
    measure::{Measure, Measures},
};
pub(crate) use measure::Dimension;
