//! The laws of the predictors from specs: an operation's latency and energy on a machine, by its shape.
//!
//! A [`TimeCurve`] gives the latency of a primitive: that of a launch, or of its FLOPs and bytes if they take longer. An [`EnergyLaw`] gives
//! its energy: power for as long as it runs, and energy for each FLOP and byte. A smooth [`Correction`] follows the training data where it
//! departs from these laws. A module costs the sum of its children and an [`OwnPart`].

mod adapt;
mod carry;
mod correction;
mod energy;
mod key;
mod own_part;
mod primitive;
mod time;

use irene_tree::{NodeId, Quantity, Tree};

pub(crate) use carry::carried_over;
pub(crate) use correction::Correction;
pub(crate) use energy::EnergyLaw;
pub(crate) use key::{keys, kind, without_formats};
pub(crate) use own_part::OwnPart;
pub(crate) use primitive::{Primitive, Sample, Samples, samples};
pub(crate) use time::TimeCurve;

use crate::{Result, missing};

/// The numbers that decide a primitive's cost: MFLOP in tiles, MiB moved, parameters, tokens in a sequence.
pub(crate) type Shape = [f64; 4];

/// The names of a shape's numbers.
pub(crate) const SHAPE: [&str; 4] =
    [Quantity::TiledFlops.name(), Quantity::MovedBytes.name(), Quantity::NumParameters.name(), "seq_len"];

/// The shape of a leaf. A leaf without FLOPs in tiles is taken to fill its tiles.
pub(crate) fn shape(tree: &Tree, id: NodeId) -> Result<Shape> {
    let flops = tree.node(id).get(Quantity::TiledFlops);
    let flops = flops.map_or_else(|| number(tree, id, Quantity::Flops), Ok)?;
    let (bytes, parameters) = (number(tree, id, Quantity::MovedBytes)?, number(tree, id, Quantity::NumParameters)?);
    Ok([flops, bytes, parameters, tree.size_of(id).new as f64])
}

/// A number of a node, or the error that it is missing.
pub(crate) fn number(tree: &Tree, id: NodeId, quantity: Quantity) -> Result<f64> {
    tree.node(id).get(quantity).ok_or_else(|| missing(tree, id, quantity))
}
