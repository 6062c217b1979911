//! Trees that were left out of training, and how far off their predictions are.

use irene_tree::{Level, NodeId, Quantity, Tree};

use super::{
    Spread,
    compose::Composition,
    reach::{Kind, Uncertainty},
};
use crate::prediction::NodePrediction;

/// A tree that was left out, with its predictions.
pub(super) struct HeldOut<'t> {
    pub(super) tree: &'t Tree,
    pub(super) predictions: Vec<NodePrediction>,
}

/// A held-out node that is predicted at once.
#[derive(Clone, Copy)]
pub(super) struct Miss<'t> {
    /// The class of its node.
    pub(super) class: &'t str,
    /// The error of its prediction, e-folds.
    pub(super) error: f64,
    pub(super) uncertainty: Uncertainty,
}

impl<'t> HeldOut<'t> {
    /// The measured energy of a node, J.
    pub(super) fn measured(&self, id: NodeId) -> Option<f64> {
        self.tree.node(id).get(Quantity::GroundTruthEnergy).filter(|joules| *joules > 0.0)
    }

    /// The primitives, or the wholes, that are predicted at once.
    pub(super) fn misses(&self, kind: Kind) -> impl Iterator<Item = Miss<'t>> + '_ {
        let miss = move |id: NodeId| {
            let NodePrediction { cost, uncertainty, .. } = &self.predictions[id.index()];
            if uncertainty.kind != kind || kind == Kind::Leaf && self.tree.node(id).level() != Level::Ml {
                return None;
            }
            let error = (self.measured(id)? / (*cost)?.energy).ln().abs();
            let class = self.tree.node(id).instance_type();
            error.is_finite().then_some(Miss { class, error, uncertainty: *uncertainty })
        };
        self.tree.ids().filter_map(miss)
    }

    /// How much farther parts of these kinds must reach, e-folds, for each node's interval to hold the truth. Only nodes count that are such a
    /// part, or have one as own part somewhere below.
    pub(super) fn missing_reaches(&self, spread: &Spread, kinds: &[Kind]) -> Vec<(Level, f64)> {
        let part = |id: NodeId| spread.part(self.tree, id, &self.predictions[id.index()].uncertainty, true);
        let composition = Composition::of(self.tree, &self.predictions, part);
        let mut energies = vec![0.0; self.predictions.len()];
        for id in self.tree.ids().rev() {
            let prediction = &self.predictions[id.index()];
            if kinds.contains(&prediction.uncertainty.kind) {
                energies[id.index()] += prediction.own.unwrap_or_default();
            }
            if let Some(parent) = self.tree.parent(id).filter(|parent| self.predictions[parent.index()].is_sum) {
                energies[parent.index()] += self.tree.node(id).times() * energies[id.index()];
            }
        }
        let missing = |id: NodeId| {
            let prediction = &self.predictions[id.index()];
            let is_composed = prediction.is_sum && !self.tree.is_leaf(id);
            let (cost, joules) = (prediction.cost?, self.measured(id)?);
            let of = if is_composed { energies[id.index()] } else { cost.energy };
            if is_composed != kinds.contains(&Kind::Own) || of <= 0.0 {
                return None;
            }
            let [down, up] = composition.reach(self.tree, id, &self.predictions, spread)?;
            let error = joules - cost.energy;
            let outside = if error < 0.0 { -error - down } else { error - up };
            Some((self.tree.node(id).level(), (outside.max(0.0) / of).ln_1p()))
        };
        self.tree.ids().filter_map(missing).collect()
    }
}
