//! 90% intervals that are calibrated on what was left out of training (split conformal prediction, Lei et al. 2018, with scores divided
//! by a first guess of the deviation) and composed up the tree.
//!
//! A leaf's energy and a module's own part have a reach, in e-folds. A node above them is uncertain as its parts are, in joules:
//!
//! W = √((1 − c)·Σ w² + c·(Σ w)²) + Σ x + u·E
//!
//! over the groups of parts below a node. Parts of one group are off alike: w is their sum. c is the share of the errors that all groups
//! have in common. x is what a reach grows by where the training data says little (outside its range, unlike it), and is added up: such
//! errors have one cause. u is what is left of errors that no reach of own parts explains (modules that take less than their parts, so that they
//! have none), as a share of the energy E; hardly ever is there any. So a parent's interval reaches at least as far as that of each child, and,
//! where u is 0, no farther than those of all of its parts together.

mod calibrate;
mod compose;
mod conformal;
mod held_out;
mod reach;
mod sum;

use std::collections::BTreeSet;

use irene_tree::{NodeId, Tree};

pub(crate) use self::reach::{Kind, SEEN_DEVIATION, Uncertainty, group};
use self::{
    compose::Composition,
    reach::{Growths, Part, Reaches},
};
use crate::{Result, Store, noise, prediction::NodePrediction, splits::family};

/// The share of nodes that lie in their interval.
pub const CONFIDENCE: f64 = 0.9;

/// The factor on a reach where it was not calibrated: no such node was held out, or another machine.
const WIDER: f64 = 2.0;

/// The factor on a reach in a tree of another family, where only one was ever known.
const STRANGER: f64 = 3.0;

/// The list of [`Spread::unexplained`] in files.
const UNEXPLAINED: &str = "interval.unexplained";

/// The reach of intervals, calibrated on trees that were held out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// By kind of part.
    reaches: Reaches,
    /// The share of the errors that all groups of parts have in common.
    correlation: f64,
    /// A further error of modules with operations of their own, as a share: run alone, a module does not overlap as it does in the whole.
    mismatch: f64,
    /// A further error of modules and models, as a share, where no reach of own parts explained those of held-out ones.
    unexplained: f64,
    /// How much farther parts reach in a tree of a family that was not in the training data.
    growths: Growths,
    /// The families of the training data.
    families: Vec<String>,
    /// The part that comes from the training data's own measurement uncertainty, e-folds.
    noise: f64,
}

impl Default for Spread {
    /// Without any reach. Nothing is known of how errors go together, so they are added up.
    fn default() -> Self {
        Self {
            reaches: Reaches::default(),
            correlation: 1.0,
            mismatch: 0.0,
            unexplained: 0.0,
            growths: Growths::default(),
            families: Vec::new(),
            noise: 0.0,
        }
    }
}

impl Spread {
    /// Lower and upper end of each node's interval, J; None where no node like it was held out.
    pub(crate) fn intervals(&self, tree: &Tree, predictions: &[NodePrediction]) -> Vec<Option<[f64; 2]>> {
        let is_of_new_family = self.is_of_new_family(tree);
        let part = |id: NodeId| self.part(tree, id, &predictions[id.index()].uncertainty, is_of_new_family);
        let composition = Composition::of(tree, predictions, part);
        let interval = |(id, prediction): (NodeId, &NodePrediction)| {
            let ([down, up], energy) = (composition.reach(tree, id, predictions, self)?, prediction.cost?.energy);
            Some([(energy - down).max(0.0), energy + up])
        };
        let mut intervals: Vec<Option<[f64; 2]>> = tree.ids().zip(predictions).map(interval).collect();
        compose::hold_children(tree, predictions, &mut intervals);
        intervals
    }

    /// Whether no tree of its family was in the training data.
    fn is_of_new_family(&self, tree: &Tree) -> bool {
        !self.families.is_empty() && self.families.iter().all(|known| known != family(tree))
    }

    fn part(&self, tree: &Tree, id: NodeId, uncertainty: &Uncertainty, is_of_new_family: bool) -> Option<Part> {
        let Part { within, beyond } = self.reaches.part(tree, id, uncertainty)?;
        // A module that is like none that was measured may be as far off as those of a new family.
        let is_new = is_of_new_family || uncertainty.kind == Kind::Own && !uncertainty.is_seen;
        let growth = match (is_new, self.growths[uncertainty.kind]) {
            (false, _) => 0.0,
            (true, Some(more)) => more,
            (true, None) => (STRANGER - 1.0) * within,
        };
        Some(Part { within, beyond: beyond + growth + self.noise })
    }

    /// A few trees, left out, say little of what others do: the fewer settings (models at a size) they have, the farther it reaches.
    pub(crate) fn of_few(self, trees: &[&Tree]) -> Self {
        /// With so many settings, twice as far.
        const FEW: f64 = 3.0;
        let settings: BTreeSet<String> = trees.iter().map(ToString::to_string).collect();
        self.times(1.0 + (FEW / settings.len().max(1) as f64).powi(2))
    }

    /// With what the measurement uncertainty of the trees adds that it was learned from.
    pub(crate) fn with_noise_of(self, trees: &[&Tree]) -> Self {
        Self { noise: self.noise.max(noise::reach(trees)), ..self }
    }

    /// The wider of both where both know.
    pub(crate) fn or_wider(&self, other: &Self) -> Self {
        let new = other.families.iter().filter(|family| !self.families.contains(family));
        Self {
            reaches: self.reaches.or_wider(&other.reaches),
            correlation: self.correlation.max(other.correlation),
            mismatch: self.mismatch.max(other.mismatch),
            unexplained: self.unexplained.max(other.unexplained),
            growths: self.growths.or_wider(&other.growths),
            families: self.families.iter().chain(new).cloned().collect(),
            noise: self.noise.max(other.noise),
        }
    }

    /// The reaches for a machine that they were not calibrated on, of which so many trees are known.
    pub(crate) fn widened(&self, trees: usize) -> Self {
        // Less with each more, so that intervals hardly jump where these reaches no longer count.
        self.times(1.0 + (WIDER - 1.0) / (trees.max(1) as f64).sqrt())
    }

    /// With parts that reach so many times as far.
    fn times(&self, factor: f64) -> Self {
        Self {
            reaches: self.reaches.times(factor),
            mismatch: factor * self.mismatch,
            unexplained: factor * self.unexplained,
            growths: self.growths.times(factor),
            ..self.clone()
        }
    }

    pub(crate) fn write(&self, store: &mut Store) {
        self.reaches.write(store);
        store.put("interval.correlation", &[self.correlation]);
        store.put("interval.mismatch", &[self.mismatch]);
        if self.unexplained > 0.0 {
            store.put(UNEXPLAINED, &[self.unexplained]);
        }
        store.put("interval.noise", &[self.noise]);
        self.growths.write(store);
        store.set_list("families", self.families.iter());
    }

    /// None for a predictor without intervals.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>> {
        if !store.has("interval.correlation") {
            // An older file has a reach for each level.
            return Ok(Reaches::read_by_level(store)?.map(|reaches| Self { reaches, ..Self::default() }));
        }
        let number = |name: &str| store.take_coefficients::<1>(name).map(|[number]| number);
        Ok(Some(Self {
            reaches: Reaches::read(store)?,
            correlation: number("interval.correlation")?.min(1.0),
            mismatch: number("interval.mismatch")?,
            // Absent where there is none.
            unexplained: if store.has(UNEXPLAINED) { number(UNEXPLAINED)? } else { 0.0 },
            growths: Growths::read(store)?,
            families: store.get_list("families")?,
            noise: number("interval.noise")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Level, Size, TreeBuilder};

    use super::*;

    #[test]
    fn what_few_trees_left_out_reaches_farther_and_repeats_count_once() {
        let trees: Vec<Tree> = [1, 2, 3, 3, 4, 5, 6].map(tree).into();
        let trees: Vec<&Tree> = trees.iter().collect();
        for (trees, factor) in [(&trees[..3], 2.0), (&trees[..4], 2.0), (&trees[..], 1.25)] {
            let spread = Spread { mismatch: 0.01, ..Spread::default() }.of_few(trees);
            assert!((spread.mismatch / 0.01 - factor).abs() < 1e-9, "{} {}", trees.len(), spread.mismatch);
        }
    }

    fn tree(batch: usize) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(batch, 8));
        builder.leaf("root", "Linear", Level::Ml, None);
        builder.finish().unwrap()
    }

    #[test]
    fn trees_of_another_family_reach_three_times_as_far_where_only_one_was_known() {
        let mut spread = Spread { families: vec!["GPT-like".into()], ..Spread::default() };
        spread.reaches.by_kind[Kind::Own] = [Some(reach::Reach { multiple: 0.1, power: 0.0 }); 3];
        let uncertainty = Uncertainty { kind: Kind::Own, deviation: 1.0, is_seen: true, ..Uncertainty::default() };
        let part = spread.part(&tree(1), NodeId::ROOT, &uncertainty, true).unwrap();
        assert!((part.within - 0.1).abs() < 1e-9 && (part.beyond - 0.2).abs() < 1e-9, "{part:?}");
    }

    #[test]
    fn what_is_carried_over_is_widened_less_the_more_trees_of_the_machine_are_known() {
        let spread = Spread { mismatch: 0.01, unexplained: 0.1, ..Spread::default() };
        for (trees, factor) in [(1, 2.0), (4, 1.5), (16, 1.25)] {
            let widened = spread.widened(trees);
            let [mismatch, unexplained] = [widened.mismatch / 0.01, widened.unexplained / 0.1];
            assert!((mismatch - factor).abs() < 1e-9 && (unexplained - factor).abs() < 1e-9, "{trees}: {mismatch}");
        }
    }
}
