//! Transformer architectures, each written once.
//!
//! A model's `forward` is the only place where its structure stands. From that code come the model tree at any input size,
//! followed by shape alone ([`ModelSpec::trace`], no weights, no arithmetic, no ML framework), and, with the feature
//! `candle` (on by default), the running model, node by node the same.
//!
//! ```
//! use irene_models::ModelSpec;
//! use irene_tree::Quantity;
//! # fn main() -> irene_models::Result<()> {
//! let mut tree = ModelSpec::find("gpt2")?.trace(1, 1024)?;
//! irene_features::annotate(&mut tree);
//! assert_eq!(tree.root().get(Quantity::NumParameters), Some(124_439_808.0));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod builtin;
#[cfg(feature = "candle")]
mod checkpoint;
mod config;
mod error;
mod files;
#[cfg(feature = "hub")]
mod hub;
mod layers;
mod models;
#[cfg(feature = "profile")]
pub mod profile;
mod registry;
mod tensor;
#[cfg(feature = "text")]
mod text;
mod trace;
mod weights;

pub use batch::{Batch, ModelOutput};
#[cfg(feature = "candle")]
pub use checkpoint::{Checkpoint, RandomWeights, ZeroWeights};
pub use config::Config;
pub use error::{Error, Result};
pub use files::ModelFiles;
pub use layers::{Activation, AffineLayer, Conv1D, Convolution, Embedding, LayerNorm, Linear, Tanh};
pub use models::{ARCHITECTURES, flexibert};
pub use registry::{Architecture, Model, ModelSpec};
pub use tensor::{Layout, Tensor};
#[cfg(feature = "text")]
pub use text::{Encoded, TextEncoder};
pub use trace::{
    Cx, Done, Found, MeasuringVisitor, Module, Node, OutputVisitor, Padding, Scores, Tensors, ToMeasure, TreeVisitor,
    Visitor,
};
pub use weights::{ShapesOnly, WeightSource, Weights};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
