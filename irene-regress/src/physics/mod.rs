//! The laws of the predictors from specs: an operation's latency and energy on a machine, by its shape.
//!
//! A [`TimeCurve`] gives the latency of a primitive: that of a launch, or of its FLOPs and bytes if they take longer. An [`EnergyLaw`] gives
//! its energy: power for as long as it runs, and energy for each FLOP and byte. A smooth [`Correction`] follows the training data where it
//! departs from these laws. A module costs the sum of its children and an [`OwnPart`], with [`Departures`] like those of modules that run the
//! same.

mod adapt;
mod carry;
mod correction;
mod departures;
mod energy;
mod key;
mod own_part;
mod primitive;
mod time;

use irene_tree::{NodeId, Quantity, Tree};

pub(crate) use carry::carried_over;
pub(crate) use correction::Correction;
use departures::Departures;
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

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// One measurement of a shape, for tests of the laws.
    pub(super) fn sample(shape: Shape, seconds: f64, joules: f64) -> Sample {
        let (log_time, log_energy) = (seconds.ln(), joules.ln());
        Sample { shape, log_time, log_energy, log_gpu_energy: None, count: 1.0, energy_count: 1.0 }
    }

    /// Shapes whose FLOPs and bytes do not grow together.
    pub(super) fn shapes() -> impl Iterator<Item = Shape> {
        (0..24).map(|i| {
            let size = 1.5f64.powi(i % 12);
            [size * if i < 12 { 20.0 } else { 1.0 }, size, 0.0, 1.0]
        })
    }

    #[test]
    fn the_shape_of_a_leaf_has_its_flops_in_tiles_or_else_all_of_them() {
        let mut builder = TreeBuilder::new("m", Size::new(2, 7));
        let leaf = builder.leaf("root", "Linear", irene_tree::Level::Ml, None);
        leaf.set(Quantity::Flops, 3.0);
        leaf.set(Quantity::MovedBytes, 5.0);
        leaf.set(Quantity::NumParameters, 11.0);
        let mut tree = builder.finish().unwrap();
        assert_eq!(shape(&tree, NodeId::ROOT).unwrap(), [3.0, 5.0, 11.0, 7.0]);
        tree.node_mut(NodeId::ROOT).set(Quantity::TiledFlops, 4.0);
        assert_eq!(shape(&tree, NodeId::ROOT).unwrap(), [4.0, 5.0, 11.0, 7.0]);
        let mut builder = TreeBuilder::new("m", Size::new(2, 7));
        builder.leaf("root", "Linear", irene_tree::Level::Ml, None);
        let error = shape(&builder.finish().unwrap(), NodeId::ROOT).unwrap_err().to_string();
        assert!(error.contains("flops"), "{error}");
    }
}
