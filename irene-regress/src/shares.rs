//! Shares of a model's energy, averaged over its sizes: the paper's tables 10 and 12, and its figure 5.

use std::collections::BTreeMap;

use irene_numerics::mean;
use irene_tree::{Level, NodeId, Quantity, Tree};

/// Shares of the lowest modules by class, greatest first, averaged over the trees (tables 10 and 12).
///
/// A lowest module is one that has primitives as its only children; a primitive beside modules stands for itself. They are the whole:
/// what modules above them run themselves is left out. A tree without the energy is left out.
pub fn module_shares(trees: &[&Tree], energy: Quantity) -> Vec<(String, f64)> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let of_tree: Vec<BTreeMap<&str, f64>> = trees.iter().filter_map(|tree| lowest(tree, energy)).collect();
    for (class, joules) in of_tree.iter().flatten() {
        *sums.entry((*class).to_owned()).or_default() += joules / of_tree.len() as f64;
    }
    let mut shares: Vec<(String, f64)> = sums.into_iter().collect();
    shares.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    shares
}

/// The share of each class in one tree.
fn lowest(tree: &Tree, energy: Quantity) -> Option<BTreeMap<&str, f64>> {
    let is_primitive = |id: NodeId| tree.node(id).level() == Level::Ml;
    let is_lowest = |id: NodeId| !is_primitive(id) && !tree.is_leaf(id) && tree.children(id).all(is_primitive);
    let units = tree.ids().filter(|&id| match tree.parent(id) {
        Some(parent) if is_primitive(id) => !is_lowest(parent),
        _ => is_lowest(id),
    });
    let mut joules: BTreeMap<&str, f64> = BTreeMap::new();
    for id in units {
        *joules.entry(tree.node(id).instance_type()).or_default() += tree.node(id).get(energy)?;
    }
    let whole: f64 = joules.values().sum();
    joules.values_mut().for_each(|joules| *joules /= whole);
    (whole > 0.0).then_some(joules)
}

/// The share of each node of a model in its whole energy, in pre-order, averaged over trees of the same nodes (figure 5). None for trees of
/// different nodes, and where one lacks the energy.
pub fn node_shares(trees: &[&Tree], energy: Quantity) -> Option<Vec<f64>> {
    let first = trees.first()?;
    let scopes = |tree: &Tree| tree.nodes().iter().map(|node| node.scope().to_owned()).collect::<Vec<_>>();
    if trees.iter().any(|tree| scopes(tree) != scopes(first)) {
        return None;
    }
    let share = |tree: &&Tree, place: usize| Some(tree.nodes()[place].get(energy)? / tree.root().get(energy)?);
    let of_node = |place: usize| mean(&trees.iter().map(|tree| share(tree, place)).collect::<Option<Vec<f64>>>()?);
    (0..first.nodes().len()).map(of_node).collect()
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// A block of a module and a LayerNorm.
    fn tree(size: usize, module: f64, norm: f64) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(size, 1));
        let energy = Quantity::PredictedEnergy;
        builder.enter("root", "M", Level::Model).set(energy, 1.25 * (module + norm));
        builder.enter("mlp", "MLP", Level::Module).set(energy, module);
        builder.leaf("fc", "Conv1D", Level::Ml, None).set(energy, 0.5 * module);
        builder.leave();
        builder.leaf("ln", "LayerNorm", Level::Ml, None).set(energy, norm);
        builder.leave();
        builder.finish().unwrap()
    }

    #[test]
    fn shares_are_those_of_the_lowest_modules_and_of_primitives_beside_modules() {
        let (one, two) = (tree(1, 3.0, 1.0), tree(2, 2.0, 2.0));
        let shares = module_shares(&[&one, &two], Quantity::PredictedEnergy);
        assert_eq!(shares, [("MLP".to_owned(), 0.625), ("LayerNorm".to_owned(), 0.375)]);
        assert!(module_shares(&[&one], Quantity::GroundTruthEnergy).is_empty());
    }

    #[test]
    fn each_nodes_share_is_of_the_whole() {
        let (one, two) = (tree(1, 3.0, 1.0), tree(2, 2.0, 2.0));
        let shares = node_shares(&[&one, &two], Quantity::PredictedEnergy).unwrap();
        assert!(
            shares.iter().zip([1.0, 0.5, 0.25, 0.3]).all(|(share, expected)| (share - expected).abs() < 1e-12),
            "{shares:?}"
        );
        assert_eq!(shares.len(), one.nodes().len());
        assert_eq!(node_shares(&[&one], Quantity::GroundTruthEnergy), None);
    }
}
