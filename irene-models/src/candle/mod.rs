//! Running on candle: each operation there, kernels of our own for the CPU, and sources of weights.

mod attention;
mod checkpoint;
pub(crate) mod convolution;
pub(crate) mod experts;
mod generator;
mod gguf;
mod kernels;
mod made_up;
mod on_cpu;
pub(crate) mod operations;
pub(crate) mod panels;
pub(crate) mod picking;
mod product;
pub(crate) mod quantised;
mod sampling;
pub(crate) mod transforms;

pub use checkpoint::Checkpoint;
pub use generator::{Generated, Generator};
pub(crate) use gguf::GgufWeights;
pub use made_up::{RandomWeights, ZeroWeights};
pub use sampling::Sampling;
