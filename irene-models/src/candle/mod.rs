//! Running on candle: each operation there, kernels of our own for the CPU, and sources of weights.

mod attention;
pub(crate) mod autograd;
mod checkpoint;
pub(crate) mod convolution;
pub(crate) mod experts;
mod generator;
mod gguf;
mod kernels;
mod made_up;
mod masks;
mod memory;
mod numbers;
mod on_cpu;
pub(crate) mod operations;
mod panel_product;
pub(crate) mod panels;
mod passes;
pub(crate) mod picking;
mod pieces;
mod product;
pub(crate) mod quantised;
mod sampling;
mod scores;
mod trainer;
pub(crate) mod transforms;

pub use checkpoint::Checkpoint;
pub use generator::{Generated, Generator};
pub(crate) use gguf::GgufWeights;
pub use made_up::RandomWeights;
pub(crate) use made_up::ZeroWeights;
pub use sampling::Sampling;
pub use trainer::{ByHeart, Gradients, Loss, NewHead, Targets, Trainer};
