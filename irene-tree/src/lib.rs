//! The model tree of IrEne (Cao et al., ACL 2021): the parts of a Transformer, and the cost of each.
//!
//! A [`Tree`] holds one model at one input size: the model at the root, its modules, the primitives they call (Linear, LayerNorm,
//! MatMul ...) and the single tensor operations they run themselves. Every [`Node`] has its known numbers by [`Quantity`]: counts,
//! measured features, energies. An unknown number is absent, never zero. The crate depends on no machine learning framework.
//!
//! ```
//! use irene_tree::{Level, Quantity, Size, TreeBuilder, render};
//! # fn main() -> irene_tree::Result<()> {
//! let mut builder = TreeBuilder::new("tiny", Size::new(1, 8));
//! builder.enter("root", "Tiny", Level::Model).set(Quantity::PredictedEnergy, 0.004);
//! builder.leaf("dense", "Linear", Level::Ml, None).set(Quantity::PredictedEnergy, 0.003);
//! builder.leave();
//! let tree = builder.finish()?;
//! tree.check()?;
//!
//! let own = tree.own(irene_tree::NodeId::ROOT, Quantity::PredictedEnergy);
//! assert!(own.is_some_and(|joules| (joules - 0.001).abs() < 1e-12));
//! let line = irene_tree::jsonl::to_json(&tree);
//! assert_eq!(irene_tree::jsonl::parse_tree(line.as_bytes(), "memory", 1)?.nodes().len(), 2);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod builder;
mod component;
mod error;
mod file_fault;
mod folding;
mod format;
pub mod irene_csv;
pub mod jsonl;
mod lines;
pub mod measurements;
mod node;
mod operand;
mod operation;
mod parallel;
#[cfg(feature = "parquet")]
pub mod parquet;
mod quantity;
pub mod render;
mod shape;
mod similar;
mod size;
mod training;
mod tree;
mod validate;

pub use builder::TreeBuilder;
pub use component::Component;
pub use error::{Error, Result};
pub use folding::{Repeat, first_of_folded};
pub use format::{Format, Kernels, Precision, UnknownFormat};
pub use node::{Level, Mark, Marks, Node};
pub use operand::{Operand, ParameterId, Role};
pub use operation::{OpKind, Operation};
pub use parallel::Parallel;
pub use quantity::Quantity;
pub use shape::Shape;
pub use size::Size;
pub use training::{Checkpoint, Optimizer, Training};
pub use tree::{NodeId, Tree};

// For irene's own crates alone: they may change with any version.
#[doc(hidden)]
pub use file_fault::{file_fault, read_text};
#[doc(hidden)]
pub use lines::Lines;
#[doc(hidden)]
pub use similar::{did_you_mean, similar, suggestion};

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
