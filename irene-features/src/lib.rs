//! The FLOPs, bytes and kernels of a Transformer's operations, counted from their shapes alone.
//!
//! - [`cost`]: one operation, by IrEne's counting rules and by the work of a machine; [`annotate`] writes the counts on every node of a tree.
//! - [`gradient`], [`update`]: the operations of a training step that follow from an operation and a weight.
//! - [`FeatureSet`]: the named columns that energy predictors are trained on, read from a node.
//!
//! ```
//! use irene_features::{FeatureSet, annotate};
//! use irene_tree::{Format, Level, OpKind, Operand, Operation, Quantity, Size, TreeBuilder};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = TreeBuilder::new("tiny", Size::new(8, 32));
//! builder.enter("root", "Tiny", Level::Model);
//! let x = Operand::activation([8, 32, 768], Format::F32);
//! let (weight, bias) = (Operand::parameter([768, 768], Format::F32), Operand::parameter([768], Format::F32));
//! builder.leaf("dense", "Linear", Level::Ml, Some(Operation::new(OpKind::Linear, &[x, weight, bias], x)));
//! builder.leave();
//! let mut tree = builder.finish()?;
//!
//! annotate(&mut tree);
//! assert_eq!(tree.root().get(Quantity::Flops), Some(302.186496)); // millions
//! let row = FeatureSet::specs().row(&tree, irene_tree::NodeId::ROOT)?;
//! assert_eq!(row[..4], [590_592.0, 256.0, 8.0, 32.0]); // parameters, tokens, batch, sequence
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod annotate;
pub mod cost;
mod feature_set;
pub mod gradient;
mod join;
pub mod update;

pub use annotate::annotate;
pub use feature_set::{Feature, FeatureSet, MissingFeature, UnknownFeature};
pub use join::{join_specs, missing_counts};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
