//! Running on candle: each operation there, kernels of our own for the CPU, and sources of weights.

mod attention;
mod checkpoint;
pub(crate) mod convolution;
mod generator;
mod kernels;
mod made_up;
mod on_cpu;
pub(crate) mod operations;
pub(crate) mod panels;
mod product;
mod sampling;
pub(crate) mod transforms;

pub use checkpoint::Checkpoint;
pub use generator::{Generated, Generator};
pub use made_up::{RandomWeights, ZeroWeights};
pub use sampling::Sampling;
