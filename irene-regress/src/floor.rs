//! How far apart measurements of the same work are, which no predictor from specs can know.

use std::collections::HashMap;

use irene_numerics::mean;
use irene_tree::{Level, Quantity, Size, Tree};

use crate::{CrossValidation, HeldOut, LeaveOut, Result};

/// The key of equal work: a node's size, level and, for a primitive, class, and the bits of the counts that its shapes decide. Modules of different
/// names may do the same (BertSelfOutput and RobertaSelfOutput).
type Work = (Size, Level, String, [Option<u64>; SPECS.len()]);

const SPECS: [Quantity; 7] = [
    Quantity::NumParameters,
    Quantity::Flops,
    Quantity::MemBytes,
    Quantity::TiledFlops,
    Quantity::MovedBytes,
    Quantity::CopiedBytes,
    Quantity::Kernels,
];

fn works(tree: &Tree) -> impl Iterator<Item = Work> {
    tree.nodes().iter().map(|node| {
        let class = if node.level() == Level::Ml { node.instance_type().to_ascii_lowercase() } else { String::new() };
        let specs = SPECS.map(|quantity| node.get(quantity).map(f64::to_bits));
        (tree.size, node.level(), class, specs)
    })
}

/// Predicts every node by the mean of what nodes with the same work were measured to cost in other models, each model counting once. A
/// node that occurs in no other model is left out of the judgement.
///
/// The error of that is the noise floor: all that a predictor from specs could know of the node is known, and the rest is how measurements
/// of the same differ. A mean of k models has noise of its own, so that the floor is the noise of one measurement times √(1 + 1/k).
///
/// # Errors
/// [`Error::Training`](crate::Error::Training) for trees of a single model.
pub fn noise_floor(trees: &[Tree]) -> Result<Floor> {
    let mut measured: HashMap<Work, HashMap<&str, Vec<f64>>> = HashMap::new();
    for tree in trees {
        for (node, work) in tree.nodes().iter().zip(works(tree)) {
            let joules = node.get(Quantity::GroundTruthEnergy);
            measured.entry(work).or_default().entry(&tree.model_name).or_default().extend(joules);
        }
    }
    let of_others = |tree: &Tree, work: &Work| {
        let others = measured.get(work)?.iter().filter(|(model, _)| **model != tree.model_name);
        mean(&others.filter_map(|(_, joules)| mean(joules)).collect::<Vec<_>>())
    };
    let predicted = |tree: &Tree| {
        let mut predicted = tree.clone();
        for (node, work) in predicted.nodes_mut().iter_mut().zip(works(tree)) {
            match of_others(tree, &work) {
                Some(joules) => node.set(Quantity::PredictedEnergy, joules),
                None => node.clear(Quantity::GroundTruthEnergy),
            }
        }
        predicted
    };
    let fold = |split: crate::Split| HeldOut {
        trees: split.test.iter().map(|&place| predicted(&trees[place])).collect(),
        left_out: split.left_out,
    };
    let held_out: Vec<HeldOut> = LeaveOut::Model.splits(trees)?.into_iter().map(fold).collect();
    Ok(Floor { errors: CrossValidation::of(&held_out)?, held_out })
}

/// Measurements of the same work against each other.
#[derive(Clone, Debug)]
pub struct Floor {
    /// How far apart they are, in %, by level and class: the mean over the nodes of a model, then over the models.
    pub errors: CrossValidation,
    held_out: Vec<HeldOut>,
}

impl Floor {
    /// The errors of predictions of the same trees on those nodes alone that have a floor.
    ///
    /// # Errors
    /// As [`CrossValidation::of`].
    pub fn judge(&self, predicted: &[HeldOut]) -> Result<CrossValidation> {
        let judged = |(held_out, floor): (&HeldOut, &HeldOut)| {
            let mut judged = held_out.clone();
            for (tree, floor) in judged.trees.iter_mut().zip(&floor.trees) {
                for (node, floor) in tree.nodes_mut().iter_mut().zip(floor.nodes()) {
                    if floor.get(Quantity::GroundTruthEnergy).is_none() {
                        node.clear(Quantity::GroundTruthEnergy);
                    }
                }
            }
            judged
        };
        CrossValidation::of(&predicted.iter().zip(&self.held_out).map(judged).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::TreeBuilder;

    use super::*;

    fn tree(model: &str, class: &'static str, joules: f64, flops: f64) -> Tree {
        let mut builder = TreeBuilder::new(model, Size::new(1, 1));
        builder.enter("root", class, Level::Model).set(Quantity::GroundTruthEnergy, 2.0 * joules);
        let leaf = builder.leaf("x", "Linear", Level::Ml, None);
        leaf.set(Quantity::GroundTruthEnergy, joules);
        leaf.set(Quantity::Flops, flops);
        builder.leave();
        builder.finish().unwrap()
    }

    #[test]
    fn the_floor_is_how_far_equal_work_is_from_the_mean_of_the_other_models() {
        let trees =
            [tree("a", "A", 1.0, 5.0), tree("b", "B", 2.0, 5.0), tree("c", "C", 3.0, 5.0), tree("d", "D", 9.0, 6.0)];
        let floor = noise_floor(&trees).unwrap();
        // a: 2.5 of b and c for 1; b: 2 for 2; c: 1.5 for 3; nobody does what d does.
        assert_eq!(floor.errors.mean(Level::Ml), Some((150.0 + 0.0 + 50.0) / 3.0));
        assert_eq!(floor.errors.count(Level::Ml), 3);
        // A predictor is judged on the same nodes.
        let held_out = |tree: &Tree| {
            let mut tree = tree.clone();
            tree.nodes_mut().iter_mut().for_each(|node| node.set(Quantity::PredictedEnergy, 3.0));
            HeldOut { left_out: tree.model_name.clone(), trees: vec![tree] }
        };
        let judged = floor.judge(&trees.each_ref().map(held_out)).unwrap();
        assert_eq!(judged.mean(Level::Ml), Some((200.0 + 50.0 + 0.0) / 3.0));
    }
}
