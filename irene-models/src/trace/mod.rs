//! The trace: how a model's own `forward` is followed, run, measured and costed without being written twice.
//!
//! A model is made of [`Module`]s. Its `forward` gets a [`Cx`] and enters every child and every operation through it:
//! `cx.call(&self.query, x)?`, `cx.matmul(&q, &k)?`. A [`Visitor`] attached to the context sees each of them begin and end;
//! without one, the context costs a branch a call.

mod attention;
mod cache;
mod collectives;
mod cx;
mod elementwise;
mod fusion;
mod indexer;
mod latent;
mod launches;
mod operations;
mod output_visitor;
mod picking;
mod rotary;
mod routing;
mod tensors;
mod tree_visitor;

pub use attention::{Attention, Causal, Padding, Scaling};
pub use cache::{Cache, KeyValue, Past};
pub use cx::{Cx, Done, Label, Labelled, Module, Visitor};
pub(crate) use fusion::LIMITED_SLOPE;
pub(crate) use latent::{HeadWeight, Part};
pub(crate) use launches::LaunchVisitor;
pub(crate) use operations::label_of;
pub use output_visitor::OutputVisitor;
pub use rotary::{Angles, Pairing};
#[cfg(feature = "candle")]
pub(crate) use routing::Order;
pub use routing::Routed;
pub use tensors::Tensors;
pub use tree_visitor::TreeVisitor;
