//! Transformer architectures, each written once: one `forward` gives the model tree at any input size, and runs the model.
//!
//! [`ModelSpec::trace`] gives the tree from shapes alone: no weights, no arithmetic, no ML framework. With the feature `candle` the
//! same code runs the model, with the same nodes.
//!
//! ```
//! use irene_models::ModelSpec;
//! use irene_tree::{Quantity, Size};
//! # fn main() -> irene_models::Result<()> {
//! let tree = ModelSpec::find("gpt2")?.trace(Size::new(1, 1024))?;
//! assert_eq!(tree.root().get(Quantity::NumParameters), Some(124_439_808.0));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod activation;
mod batch;
mod builtin;
#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "text")]
mod chat;
mod complete;
mod config;
mod error;
mod families;
mod files;
mod generation;
mod gguf;
mod head;
mod layers;
#[cfg(feature = "profile")]
mod measuring;
mod models;
mod quantisation;
mod registry;
mod run;
mod sentence;
mod tensor;
#[cfg(feature = "text")]
mod text;
mod trace;
mod training;
mod weights;

pub use activation::Activation;
pub use batch::{Batch, ModelOutput};
pub use builtin::BuiltinModel;
#[cfg(feature = "candle")]
pub use candle::{
    ByHeart, Checkpoint, Generated, Generator, Gradients, Loss, NewHead, RandomWeights, Sampling, Targets, Trainer,
};
#[cfg(feature = "text")]
pub use chat::{ChatTemplate, Message};
pub use complete::complete;
pub use config::Config;
pub use error::{Error, Result};
pub use files::ModelFiles;
pub use head::{FileHead, FileKind};
pub use layers::{AffineLayer, Conv1D, Convolution, Embedding, ExpertWeights, LayerNorm, Linear, Norm, RmsNorm, Tanh};
#[cfg(feature = "profile")]
pub use measuring::profile;
pub use models::{architectures, flexibert};
pub use registry::{Architecture, Model, ModelSpec, ModelTask};
pub use run::{CacheShape, LayerCache, Run, TaskHead};
pub use tensor::{Layout, Tensor};
#[cfg(feature = "text")]
pub use text::{Encoded, TextEncoder, TextStream};
pub use trace::{
    Angles, Attention, Cache, Causal, Cx, Done, KeyValue, Label, Labelled, Module, OutputVisitor, Padding, Pairing,
    Past, Routed, Scaling, Tensors, TreeVisitor, Visitor,
};
pub use training::{TrainingMemory, TrainingPhases};
pub use weights::{ParameterKind, ParameterSpec, ShapesOnly, WeightSource, Weights};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
