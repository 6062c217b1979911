//! Predictors of the energy of every node of a model tree, trained on measured trees.
//!
//! A [`DeviceProfile`] is a predictor with its provenance: bundled, or read from a file. [`DeviceProfile::predict`] fills in a tree.
//! A [`Trainer`] makes a predictor from measured trees: [`PaperTrainer`] the four of IrEne (Cao et al., ACL 2021), [`Track`] our three,
//! which differ in what they need to know of a new model; a [`TreeSource`] gives trees that memory may not hold. [`crossvalidate`] and
//! [`evaluate`] measure their errors. [`Trainer`] and [`Predictor`] are open: your own method is trained, evaluated and saved like these.
//!
//! A program that knows its own model's operations predicts them like this.
//!
//! ```
//! use irene_regress::DeviceProfile;
//! use irene_tree::{Format, Level, OpKind, Operand, Operation, Quantity, Size, TreeBuilder};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut builder = TreeBuilder::new("my-model", Size::new(8, 128));
//! builder.enter("root", "MyModel", Level::Model);
//! let x = Operand::activation([8, 128, 768], Format::F32);
//! let (weight, bias) = (Operand::parameter([768, 768], Format::F32), Operand::parameter([768], Format::F32));
//! builder.leaf("dense", "Linear", Level::Ml, Some(Operation::new(OpKind::Linear, &[x, weight, bias], x)));
//! // An operation that irene-tree has no kind for brings its own counts.
//! let custom = builder.leaf("scan", "SelectiveScan", Level::Ml, None);
//! for (quantity, value) in [
//!     (Quantity::NumParameters, 0.0),
//!     (Quantity::Flops, 12.6), // millions
//!     (Quantity::MemBytes, 9.0), // MiB
//!     (Quantity::MovedBytes, 9.0),
//!     (Quantity::CopiedBytes, 0.0),
//!     (Quantity::Kernels, 1.0),
//! ] {
//!     custom.set(quantity, value);
//! }
//! builder.leave();
//! let mut tree = builder.finish()?;
//!
//! irene_features::annotate(&mut tree);
//! DeviceProfile::bundled("gtx-1080-ti")?.predict(&mut tree)?;
//! let joules = tree.root().get(Quantity::PredictedEnergy).unwrap_or(f64::NAN);
//! assert!((0.06..0.10).contains(&joules), "{joules} J");
//! assert!(tree.nodes()[2].marks.contains(irene_tree::Mark::UnseenOperation));
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ablation;
mod bottleneck;
mod crossvalidate;
mod error;
mod evaluate;
mod explain;
mod floor;
mod gpus;
mod interval;
mod memory;
mod noise;
mod paper;
mod physics;
mod prediction;
mod predictor;
mod provenance;
mod published;
mod range;
mod sample;
mod shares;
mod source;
mod splits;
mod store;
mod table;
mod tracks;
mod transfer;
mod wholes;

pub use ablation::{Ablation, Skipped, Tried};
pub use bottleneck::{Bottleneck, PRICE_PER_KWH, bottlenecks, kwh_per_million};
pub use crossvalidate::{CrossValidation, Fold, HeldOut, by_driver, crossvalidate, predict_held_out};
pub use error::{Error, Result};
pub use evaluate::{Errors, Evaluation, evaluate};
pub use explain::{Explanation, Term, find_node};
pub use floor::{Floor, noise_floor};
pub use interval::CONFIDENCE;
pub use memory::MemoryUse;
pub use paper::{PaperTrainer, Strategy};
pub use predictor::{DeviceProfile, Predictor, Reader, Trainer};
pub use provenance::{Provenance, SizeRanges};
pub use published::{
    ByModel, COST_SETTING, CostSetting, ENERGY_SHARES, ERRORS_WITHIN, EnergyShares, MACHINES, MINIATURES, Miniatures,
    NODE_COUNTS, NodeCounts, OfOthers, PRIMITIVES, PublicMachine, Reported,
};
pub use shares::{module_shares, node_shares};
pub use source::TreeSource;
pub use splits::{LeaveOut, Split, family};
pub use store::Store;
pub use tracks::Track;
pub use transfer::{Transfer, transfer};

use irene_features::MissingFeature;
use irene_tree::{Level, NodeId, Quantity, Tree};

/// The error of a node that lacks a number.
fn missing(tree: &Tree, id: NodeId, quantity: Quantity) -> Error {
    let scope = tree.node(id).scope().to_owned();
    MissingFeature { tree: tree.to_string(), scope, feature: quantity.name() }.into()
}

/// A node's measured latency, s, and energy, J, each finite and above 0; None if either was not measured.
fn measured(tree: &Tree, id: NodeId) -> Result<Option<[f64; 2]>> {
    let seconds = match latency(tree, id) {
        Err(Error::MissingFeature(_)) => None,
        known => Some(known?),
    };
    Ok(seconds.zip(paper::measured_energy(tree, id)?).map(|(seconds, joules)| [seconds, joules]))
}

/// The error where of these levels no node has both latency and energy, about the first node that lacks one.
fn unmeasured(trees: &[&Tree], levels: &[Level]) -> Error {
    let lacks = |quantity: Quantity| {
        let lacks =
            |tree: &Tree, id: NodeId| levels.contains(&tree.node(id).level()) && tree.node(id).get(quantity).is_none();
        trees.iter().find_map(|tree| Some((*tree, tree.ids().find(|&id| lacks(tree, id))?)))
    };
    if let Some((tree, id)) = lacks(Quantity::Latency) {
        return missing(tree, id, Quantity::Latency);
    }
    match lacks(Quantity::GroundTruthEnergy) {
        Some((tree, id)) => missing(tree, id, Quantity::GroundTruthEnergy),
        None => {
            let levels: Vec<&str> = levels.iter().map(|level| level.name()).collect();
            Error::Training(format!("no tree has a node of level {}", levels.join(" or ")))
        }
    }
}

/// A node's measured latency, s, finite and above 0.
fn latency(tree: &Tree, id: NodeId) -> Result<f64> {
    let seconds = tree.node(id).get(Quantity::Latency).ok_or_else(|| missing(tree, id, Quantity::Latency))?;
    if seconds.is_finite() && seconds > 0.0 {
        return Ok(seconds);
    }
    let (tree, scope) = (tree.to_string(), tree.node(id).scope().to_owned());
    Err(Error::Latency { tree, scope, found: seconds })
}

/// The README's example, which the tests run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
