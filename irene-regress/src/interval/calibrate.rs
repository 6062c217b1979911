//! Calibration on trees that were left out: without each model, without some sizes, without each family.

use std::collections::{BTreeMap, HashMap};

use irene_numerics::mean;
use irene_tree::{Level, NodeId, Quantity, Tree};
use rayon::prelude::*;

use super::{
    Spread,
    compose::{Composition, combined, runs_alone, sides},
    conformal::multiple,
    reach::{Kind, Part, Reach, Reaches, Strangers, Uncertainty, filled},
};
use crate::{
    Result,
    prediction::NodePrediction,
    splits::{Split, family, held_out, held_out_families, held_out_sizes},
};

/// Powers of the guessed deviation that are tried: guesses tell which nodes are predicted better than others, and may exaggerate it.
const POWERS: [f64; 4] = [1.0, 0.5, 0.25, 0.0];

/// Correlations that are tried.
const CORRELATIONS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Mismatches that are tried.
const MISMATCHES: [f64; 4] = [0.0, 0.01, 0.02, 0.04];

/// The farthest that own parts reach, e-folds: beyond a factor of 20 an interval says nothing.
const MOST: f64 = 3.0;

/// Levels whose energies are composed, or predicted as a whole.
const WHOLES: [Level; 2] = [Level::Module, Level::Model];

/// A tree that was left out, with its predictions.
struct Held<'t> {
    tree: &'t Tree,
    predictions: Vec<NodePrediction>,
}

/// The held-out trees of one split: those of families that its training data has, and those of new ones.
#[derive(Default)]
struct Fold<'t> {
    known: Vec<Held<'t>>,
    strangers: Vec<Held<'t>>,
}

impl Spread {
    /// Trains without each model (without each size, if there are one or two models), without some sizes and without each family, and
    /// predicts the trees left out. None if there is nothing to leave out.
    pub(crate) fn calibrate<P>(
        trees: &[&Tree],
        fit: &(impl Fn(&[&Tree]) -> Result<P> + Sync),
        predict: &(impl Fn(&P, &Tree) -> Result<Vec<NodePrediction>> + Sync),
    ) -> Option<Self> {
        let by_protocol = [held_out(trees), held_out_sizes(trees), held_out_families(trees)];
        if by_protocol[0].is_empty() {
            return None;
        }
        let fold = |split: &Split| -> Result<Fold<'_>> {
            let training: Vec<&Tree> = split.training.iter().map(|&tree| trees[tree]).collect();
            let model = fit(&training)?;
            let mut fold = Fold::default();
            for tree in split.test.iter().map(|&tree| trees[tree]) {
                // A tree may lack what the others have.
                let Ok(predictions) = predict(&model, tree) else { continue };
                let held = Held { tree, predictions };
                let is_known = training.iter().any(|other| family(other) == family(tree));
                if is_known { &mut fold.known } else { &mut fold.strangers }.push(held);
            }
            Ok(fold)
        };
        // A split may leave too little to train on.
        let folds =
            by_protocol.map(|splits| splits.par_iter().filter_map(|split| fold(split).ok()).collect::<Vec<_>>());
        let mut families: Vec<String> = Vec::new();
        for name in trees.iter().map(|tree| family(tree)) {
            if families.iter().all(|known| known != name) {
                families.push(name.to_owned());
            }
        }
        let mut spread = Self {
            reaches: Reaches::default(),
            correlation: 1.0,
            mismatch: 0.0,
            unexplained: 0.0,
            strangers: Strangers::default(),
            families,
            noise: 0.0,
        };
        spread.learn_reaches(&folds);
        spread.learn_wholes(&folds);
        spread.learn_strangers(&folds);
        (spread.reaches != Reaches::default()).then_some(spread)
    }

    /// The reaches of what is predicted at once.
    fn learn_reaches(&mut self, folds: &[Vec<Fold<'_>>]) {
        let mut misses: [Vec<[Vec<Miss>; 3]>; 2] = Default::default();
        for fold in folds.iter().flatten() {
            let [mut leaves, mut wholes] = <[[Vec<Miss>; 3]; 2]>::default();
            for held in &fold.known {
                for (level, miss) in held.misses() {
                    let standing = miss.uncertainty.standing();
                    match miss.uncertainty.kind {
                        Kind::Leaf if level == Level::Ml => leaves[standing].push(miss),
                        Kind::Whole => wholes[standing].push(miss),
                        _ => {}
                    }
                }
            }
            misses[0].push(leaves);
            misses[1].push(wholes);
        }
        for (kind, misses) in [Kind::Leaf, Kind::Whole].into_iter().zip(misses) {
            let standing = |standing: usize| {
                let of_splits = misses.iter().map(|misses| misses[standing].as_slice());
                narrowest(&of_splits.filter(|misses| !misses.is_empty()).collect::<Vec<_>>())
            };
            self.reaches.set(kind, filled(std::array::from_fn(standing)));
        }
    }

    /// The reach of own parts, the mismatch and the correlation: of those with which composed intervals hold by each protocol at each level,
    /// the narrowest; where none holds, the widest, and what is left.
    fn learn_wholes(&mut self, folds: &[Vec<Fold<'_>>]) {
        let sums: Vec<Vec<Vec<Sum>>> = folds
            .iter()
            .map(|folds| {
                let sums = |fold: &Fold<'_>| fold.known.iter().flat_map(|held| held.sums(&self.reaches)).collect();
                folds.iter().map(sums).collect()
            })
            .collect();
        let pairs = CORRELATIONS.into_iter().flat_map(|of| MISMATCHES.map(|mismatch| [of, mismatch]));
        let tried = |[correlation, mismatch]: [f64; 2]| {
            let needed = |protocol: &Vec<Vec<Sum>>, level: Level| {
                let of_level = |sums: &Vec<Sum>| {
                    let scores = sums.iter().filter(|sum| sum.level == level);
                    scores.flat_map(|sum| repeat(sum.own_needed(correlation, mismatch), sum.count)).collect()
                };
                multiple(protocol.iter().map(of_level).collect())
            };
            let each = sums.iter().flat_map(|protocol| WHOLES.map(|level| needed(protocol, level)));
            let own = each.flatten().reduce(f64::max)?;
            let widths: Vec<f64> =
                sums.iter().flatten().flatten().map(|sum| sum.width(correlation, mismatch, own)).collect();
            Some((mean(&widths)?, [correlation, mismatch, own]))
        };
        let tried: Vec<(f64, [f64; 3])> = pairs.filter_map(tried).collect();
        let holding = tried.iter().filter(|(_, [.., own])| own.is_finite());
        let narrowest = holding.min_by(|(a, _), (b, _)| a.total_cmp(b));
        // The last one tried is the widest.
        if let Some(&(_, [correlation, mismatch, own])) = narrowest.or(tried.last()) {
            (self.correlation, self.mismatch) = (correlation, mismatch);
            self.unexplained = if own.is_finite() { 0.0 } else { unexplained(&sums, correlation, mismatch) };
            self.reaches.set(Kind::Own, [Some(Reach { multiple: own.min(MOST), power: 0.0 }); 3]);
        }
    }

    /// Learns how much reaches grow for a family that is not in the training data: first for parts that are predicted at once, then for own
    /// parts, where composed intervals are still too short.
    fn learn_strangers(&mut self, folds: &[Vec<Fold<'_>>]) {
        let strangers: Vec<&Held<'_>> = folds.iter().flatten().flat_map(|fold| &fold.strangers).collect();
        for kinds in [&[Kind::Leaf, Kind::Whole][..], &[Kind::Own]] {
            let mut lacks: HashMap<(Level, &str), Vec<f64>> = HashMap::new();
            for held in &strangers {
                for (level, lack) in held.lacks(self, kinds) {
                    lacks.entry((level, family(held.tree))).or_default().push(lack);
                }
            }
            for level in [Level::Ml, Level::Module, Level::Model] {
                let families = lacks.iter().filter(|((of, _), _)| *of == level);
                let Some(more) = multiple(families.map(|(_, lacks)| lacks.clone()).collect()) else { continue };
                for &kind in kinds {
                    let known = self.strangers.get_mut(kind);
                    *known = Some(known.map_or(more, |known| known.max(more)));
                }
            }
        }
        // Own parts are what a family has of its own. A new one departs from the mean as each does, and the mean of a few departs itself.
        if let (Some(more), Some(own)) = (self.strangers.get(Kind::Own), self.reaches.own[0]) {
            let spread = (1.0 + 1.0 / self.families.len() as f64).sqrt();
            *self.strangers.get_mut(Kind::Own) = Some(more.max((spread - 1.0) * own.multiple));
        }
    }
}

/// The share of their energy by which held-out wholes are off beyond all that their parts may be.
fn unexplained(sums: &[Vec<Vec<Sum>>], correlation: f64, mismatch: f64) -> f64 {
    let needed = |protocol: &Vec<Vec<Sum>>, level: Level| {
        let of_level = |sums: &Vec<Sum>| -> Vec<f64> {
            let sums = sums.iter().filter(|sum| sum.level == level);
            sums.flat_map(|sum| repeat(sum.unexplained(correlation, mismatch), sum.count)).collect()
        };
        multiple(protocol.iter().map(of_level).collect())
    };
    let each = sums.iter().flat_map(|protocol| WHOLES.map(|level| needed(protocol, level)));
    each.flatten().fold(0.0, f64::max)
}

fn repeat(score: f64, count: usize) -> impl Iterator<Item = f64> {
    std::iter::repeat_n(score, count)
}

/// A held-out node that is predicted at once.
#[derive(Clone, Copy)]
struct Miss {
    /// The error of its prediction, e-folds.
    error: f64,
    uncertainty: Uncertainty,
}

/// A held-out node whose energy is a sum; equal ones stand together.
struct Sum {
    level: Level,
    count: usize,
    /// J.
    energy: f64,
    /// Measured less predicted, J.
    error: f64,
    /// For the leaves on each side: squares over the groups, sum, and the part beyond, J.
    leaves: [[f64; 3]; 2],
    /// The energies of the groups of own parts: their squares, and their sum, J.
    own: [f64; 2],
    /// Its energy if it is [run alone](compose::runs_alone) when it is measured, J; 0 otherwise.
    alone: f64,
    /// The own parts outside the training range, J, and how much farther they reach on average.
    outside: [f64; 2],
}

impl Sum {
    /// The half-width of one side of its interval, J, for a mismatch and a reach of own parts.
    fn half_width(&self, side: usize, correlation: f64, mismatch: f64, own: f64) -> f64 {
        let [squares, sum, beyond] = self.leaves[side];
        let share = sides(1.0, own)[side];
        let [of_own, own_parts] = self.own;
        let (squares, sum) = (squares + share * share * of_own, sum + share * own_parts);
        let [outside, growth] = self.outside;
        let beyond = beyond + outside * (sides(1.0, own * growth)[side] - share);
        combined(correlation, squares, sum) + beyond + mismatch * self.alone
    }

    /// The smallest reach of own parts (e-folds) with which its interval holds the truth; infinite if none up to [`MOST`] does.
    fn own_needed(&self, correlation: f64, mismatch: f64) -> f64 {
        const HALVINGS: usize = 12;
        let side = usize::from(self.error >= 0.0);
        let holds = |own: f64| self.half_width(side, correlation, mismatch, own) >= self.error.abs();
        if holds(0.0) {
            return 0.0;
        }
        if !holds(MOST) {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, MOST);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if holds(middle) { high = middle } else { low = middle }
        }
        high
    }

    /// How far it is off beyond what its parts may be, as a share of its energy.
    fn unexplained(&self, correlation: f64, mismatch: f64) -> f64 {
        let side = usize::from(self.error >= 0.0);
        ((self.error.abs() - self.half_width(side, correlation, mismatch, MOST)) / self.energy).max(0.0)
    }

    /// The half-width of its interval, as a share of its energy.
    fn width(&self, correlation: f64, mismatch: f64, own: f64) -> f64 {
        self.half_width(1, correlation, mismatch, own) / self.energy
    }
}

impl Held<'_> {
    fn truth(&self, id: NodeId) -> Option<f64> {
        self.tree.node(id).get(Quantity::GroundTruthEnergy).filter(|joules| *joules > 0.0)
    }

    /// The nodes that are predicted at once, with their levels.
    fn misses(&self) -> impl Iterator<Item = (Level, Miss)> + '_ {
        let miss = |id: NodeId| {
            let prediction = &self.predictions[id.index()];
            let (cost, joules) = (prediction.cost?, self.truth(id)?);
            let error = (joules / cost.energy).ln().abs();
            let miss = Miss { error, uncertainty: prediction.uncertainty };
            error.is_finite().then_some((self.tree.node(id).level(), miss))
        };
        self.tree.ids().filter_map(miss)
    }

    /// The nodes whose energies are sums.
    fn sums(&self, reaches: &Reaches) -> Vec<Sum> {
        let leaf = |uncertainty: &Uncertainty| match uncertainty.kind {
            Kind::Own => Some(Part::default()),
            _ => reaches.part(uncertainty),
        };
        let composition = Composition::of(self.tree, &self.predictions, leaf);
        // A reach of a factor of two makes the upper side equal to the energy.
        let own = Composition::of(self.tree, &self.predictions, |uncertainty| match uncertainty.kind {
            Kind::Own => Some(Part { within: std::f64::consts::LN_2, beyond: 0.0 }),
            _ => Some(Part::default()),
        });
        let outside = self.own_parts_outside();
        let mut sums: BTreeMap<[u64; 3], Sum> = BTreeMap::new();
        for id in self.tree.ids() {
            let (place, level) = (id.index(), self.tree.node(id).level());
            let prediction = &self.predictions[place];
            let (Some(cost), Some(joules)) = (prediction.cost, self.truth(id)) else { continue };
            let (Some(leaves), Some([_, [squares, sum, _]])) = (composition.sums(id), own.sums(id)) else { continue };
            if !prediction.is_sum || !WHOLES.contains(&level) {
                continue;
            }
            let key = [level as u64, cost.energy.to_bits(), joules.to_bits()];
            let new = || Sum {
                level,
                count: 0,
                energy: cost.energy,
                error: joules - cost.energy,
                leaves,
                own: [squares, sum],
                alone: if runs_alone(self.tree, id, &self.predictions) { cost.energy } else { 0.0 },
                outside: outside[place],
            };
            sums.entry(key).or_insert_with(new).count += 1;
        }
        sums.into_values().collect()
    }

    /// The own parts below each node that are outside the training range, J, and how much farther they reach on average.
    fn own_parts_outside(&self) -> Vec<[f64; 2]> {
        const UNIT: Reach = Reach { multiple: 1.0, power: 0.0 };
        let mut sums = vec![[0.0; 2]; self.predictions.len()];
        for id in self.tree.ids().rev() {
            let prediction = &self.predictions[id.index()];
            if prediction.uncertainty.kind == Kind::Own && prediction.uncertainty.distance > 0.0 {
                let energy = prediction.own.unwrap_or_default();
                sums[id.index()][0] += energy;
                sums[id.index()][1] += energy * UNIT.of(&prediction.uncertainty);
            }
            if let Some(parent) = self.tree.parent(id) {
                let (times, below) = (self.tree.node(id).times(), sums[id.index()]);
                sums[parent.index()].iter_mut().zip(below).for_each(|(sum, below)| *sum += times * below);
            }
        }
        for [energy, grown] in &mut sums {
            *grown = if *energy > 0.0 { *grown / *energy } else { 1.0 };
        }
        sums
    }

    /// How much each node's interval is too short to hold the truth, as e-folds of parts of these kinds. Only nodes count that are such a part,
    /// or have one as own part somewhere below.
    fn lacks(&self, spread: &Spread, kinds: &[Kind]) -> Vec<(Level, f64)> {
        let part = |uncertainty: &Uncertainty| spread.part(uncertainty, true);
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
        let lack = |id: NodeId| {
            let prediction = &self.predictions[id.index()];
            let is_composed = prediction.is_sum && !self.tree.is_leaf(id);
            let (cost, joules) = (prediction.cost?, self.truth(id)?);
            let of = if is_composed { energies[id.index()] } else { cost.energy };
            if is_composed != kinds.contains(&Kind::Own) || of <= 0.0 {
                return None;
            }
            let [down, up] = composition.reach(self.tree, id, &self.predictions, spread)?;
            let error = joules - cost.energy;
            let lacks = if error < 0.0 { -error - down } else { error - up };
            let lack = if lacks > 0.0 { (lacks / of).ln_1p() } else { 0.0 };
            Some((self.tree.node(id).level(), lack))
        };
        self.tree.ids().filter_map(lack).collect()
    }
}

/// Among the reaches that hold, the one with the narrowest intervals on average, and of those that are as good as narrowest the one that trusts the
/// guesses least: it depends least on which sizes were held out. None without held-out nodes.
fn narrowest(splits: &[&[Miss]]) -> Option<Reach> {
    /// The factor on the least width that is as good.
    const AS_GOOD: f64 = 1.02;
    let tried = POWERS.into_iter().filter_map(|power| {
        let scores = |misses: &&[Miss]| {
            let unit = Reach { multiple: 1.0, power };
            misses.iter().map(|miss| miss.error / unit.of(&miss.uncertainty)).collect()
        };
        let reach = Reach { multiple: multiple(splits.iter().map(scores).collect())?, power };
        let width = mean(&splits.concat().iter().map(|miss| reach.of(&miss.uncertainty)).collect::<Vec<_>>())?;
        Some((width, reach))
    });
    let tried: Vec<(f64, Reach)> = tried.collect();
    let least = tried.iter().map(|(width, _)| *width).min_by(f64::total_cmp)?;
    // The last ones have the least powers.
    tried.into_iter().rfind(|(width, _)| *width <= AS_GOOD * least).map(|(_, reach)| reach)
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;
    use crate::prediction::{self, PredictedCost};

    /// A model of so many primitives of a joule, which all took a few percent more.
    fn tree(primitives: usize, more: f64) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        let joules = primitives as f64 * (1.0 + more);
        builder.enter("root", "M", Level::Model).set(Quantity::GroundTruthEnergy, joules);
        for place in 0..primitives {
            let leaf = builder.leaf(&place.to_string(), "Linear", Level::Ml, None);
            leaf.set(Quantity::GroundTruthEnergy, 1.0 + more);
        }
        builder.leave();
        builder.finish().unwrap()
    }

    /// Each primitive in a group of its own; the model has no own part.
    fn held(tree: &Tree) -> Held<'_> {
        let part = |id: NodeId| {
            let (kind, energy) = if tree.is_leaf(id) { (Kind::Leaf, 1.0) } else { (Kind::Own, 0.0) };
            let group = id.index() as u64;
            let uncertainty = Uncertainty { kind, group, deviation: 1.0, is_seen: true, ..Uncertainty::default() };
            Ok(NodePrediction::of(PredictedCost { energy, ..PredictedCost::default() }, uncertainty))
        };
        Held { tree, predictions: prediction::sum_up(tree, part).unwrap() }
    }

    #[test]
    fn errors_that_all_parts_share_are_learned_although_narrower_intervals_could_be_had() {
        let leaf = [Some(Reach { multiple: 0.05, power: 0.0 }); 3];
        let learned = |more: f64| {
            let tree = tree(20, more);
            let mut spread = Spread {
                reaches: Reaches { leaf, ..Reaches::default() },
                correlation: 1.0,
                mismatch: 0.0,
                unexplained: 0.0,
                strangers: Strangers::default(),
                families: Vec::new(),
                noise: 0.0,
            };
            spread.learn_wholes(&[vec![Fold { known: vec![held(&tree)], strangers: Vec::new() }]]);
            (spread.correlation, spread.mismatch, spread.unexplained)
        };
        // 20 independent errors of 5% make about 1% of the whole.
        assert_eq!(learned(0.005), (0.0, 0.0, 0.0));
        let (correlation, ..) = learned(0.04);
        assert!(correlation >= 0.75, "{correlation}");
        // None holds: what is left after 5% of each part is an error of its own.
        let (correlation, mismatch, unexplained) = learned(0.2);
        assert_eq!((correlation, mismatch), (1.0, 0.04));
        assert!((unexplained - 0.15).abs() < 0.005, "{unexplained}");
    }
}
