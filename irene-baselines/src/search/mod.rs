//! Searches to compare evolution with.

mod contest;
mod gradient;
mod random;

pub use self::{
    contest::Contest,
    gradient::{Gradient, ValueAndGradient, relaxed},
    random::Random,
};
