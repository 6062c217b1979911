//! What operations cost a machine, by their shapes: the laws that the predictors from specs are made of.
//!
//! A launch of a primitive takes the time of its [`TimeCurve`]: a launch, or the FLOPs and bytes where they take longer. Its energy
//! follows by an [`EnergyLaw`]: power for as long as it runs, and energy for each FLOP and byte. Where training data departs from
//! these, a smooth [`Correction`] follows it. A module is its children and an [`OwnPart`].

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
pub(crate) use primitive::{Primitive, Sample, samples};
pub(crate) use time::TimeCurve;

use crate::{Result, missing};

/// What a primitive's cost depends on: MFLOP in tiles, MiB moved, parameters, tokens in a sequence.
pub(crate) type Shape = [f64; 4];

/// The names of a shape's numbers.
pub(crate) const SHAPE: [&str; 4] =
    [Quantity::TiledFlops.name(), Quantity::MovedBytes.name(), Quantity::NumParameters.name(), "seq_len"];

/// The shape of a leaf. One that brings FLOPs of its own and says nothing of tiles has none that are not filled.
pub(crate) fn shape(tree: &Tree, id: NodeId) -> Result<Shape> {
    let flops = tree.node(id).get(Quantity::TiledFlops);
    let flops = flops.map_or_else(|| number(tree, id, Quantity::Flops), Ok)?;
    let (bytes, parameters) = (number(tree, id, Quantity::MovedBytes)?, number(tree, id, Quantity::NumParameters)?);
    Ok([flops, bytes, parameters, tree.size_of(id).new as f64])
}

/// A node's number, which must be there.
pub(crate) fn number(tree: &Tree, id: NodeId, quantity: Quantity) -> Result<f64> {
    tree.node(id).get(quantity).ok_or_else(|| missing(tree, id, quantity))
}
