//! Running on candle: each operation there, kernels of our own for the CPU, and sources of weights.

mod attention;
mod checkpoint;
pub(crate) mod convolution;
pub(crate) mod experts;
mod gguf;
mod greedy;
mod kernels;
mod made_up;
mod on_cpu;
pub(crate) mod operations;
pub(crate) mod panels;
pub(crate) mod picking;
mod product;
pub(crate) mod quantised;
pub(crate) mod transforms;

pub use checkpoint::Checkpoint;
pub(crate) use gguf::GgufWeights;
pub use greedy::{Generated, Greedy};
pub use made_up::{RandomWeights, ZeroWeights};
