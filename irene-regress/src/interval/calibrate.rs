//! Calibration on trees that were left out: without each model, without some sizes, without each family.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    iter::repeat_n,
};

use irene_numerics::mean;
use irene_tree::{Level, Tree};
use rayon::prelude::*;

use super::{
    Spread,
    conformal::multiple,
    held_out::{HeldOut, Miss},
    reach::{Kind, MOST, Reach, Reaches, STANDINGS, Standings, filled},
    sum::{Sum, WHOLES},
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

/// The least number of splits that held a class of primitives out, for it to have a reach of its own.
const LEAST_SPLITS: usize = 3;

/// The held-out trees of one split.
#[derive(Default)]
struct Fold<'t> {
    /// Those of families that its training data has.
    known: Vec<HeldOut<'t>>,
    of_new_families: Vec<HeldOut<'t>>,
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
                let is_known = training.iter().any(|other| family(other) == family(tree));
                let held_out = HeldOut { tree, predictions };
                if is_known { &mut fold.known } else { &mut fold.of_new_families }.push(held_out);
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
        let mut spread = Self { families, ..Self::default() };
        spread.learn_reaches(&folds);
        spread.learn_wholes(&folds);
        spread.learn_growths(&folds);
        (spread.reaches != Reaches::default()).then_some(spread)
    }

    /// The reaches of what is predicted at once.
    fn learn_reaches(&mut self, folds: &[Vec<Fold<'_>>]) {
        for kind in [Kind::Leaf, Kind::Whole] {
            self.reaches.by_kind[kind] = filled(STANDINGS.map(|standing| narrowest(&misses(folds, kind, standing))));
        }
        let mut by_class: BTreeMap<String, Standings> = BTreeMap::new();
        for standing in STANDINGS {
            let misses = misses(folds, Kind::Leaf, standing);
            let classes: BTreeSet<String> =
                misses.iter().flatten().map(|miss| miss.class.to_ascii_lowercase()).collect();
            for class in classes {
                let is_of = |miss: &&Miss<'_>| miss.class.eq_ignore_ascii_case(&class);
                let of_class = misses.iter().map(|misses| misses.iter().filter(is_of).copied().collect::<Vec<_>>());
                let of_class: Vec<_> = of_class.filter(|misses| !misses.is_empty()).collect();
                if of_class.len() >= LEAST_SPLITS {
                    by_class.entry(class).or_default()[standing] = narrowest(&of_class);
                }
            }
        }
        by_class.into_iter().for_each(|(class, reaches)| self.reaches.set_class(class, reaches));
    }

    /// The reach of own parts, the mismatch and the correlation: of those with which composed intervals hold by each protocol at each level,
    /// the narrowest; where none holds, the widest, and what is left.
    fn learn_wholes(&mut self, folds: &[Vec<Fold<'_>>]) {
        let of_fold = |fold: &Fold<'_>| -> Vec<Sum> {
            fold.known.iter().flat_map(|held_out| Sum::all(held_out, &self.reaches)).collect()
        };
        let sums: Vec<Vec<Vec<Sum>>> = folds.iter().map(|folds| folds.iter().map(of_fold).collect()).collect();
        let pairs = CORRELATIONS.into_iter().flat_map(|of| MISMATCHES.map(|mismatch| [of, mismatch]));
        let tried = |[correlation, mismatch]: [f64; 2]| {
            let own = greatest(&sums, |sum| sum.own_needed(correlation, mismatch))?;
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
            let unexplained = || greatest(&sums, |sum| sum.unexplained(correlation, mismatch));
            self.unexplained = if own.is_finite() { 0.0 } else { unexplained().unwrap_or_default() };
            self.reaches.by_kind[Kind::Own] = [Some(Reach { multiple: own.min(MOST), power: 0.0 }); 3];
        }
    }

    /// Learns how much farther parts reach in trees of a family that is not in the training data: first those that are predicted at once, then
    /// own parts, where composed intervals are still too short.
    fn learn_growths(&mut self, folds: &[Vec<Fold<'_>>]) {
        for kinds in [&[Kind::Leaf, Kind::Whole][..], &[Kind::Own]] {
            if folds.iter().flatten().any(|fold| !fold.of_new_families.is_empty()) {
                // Beyond the reaches alone, not beyond those that stand in where no family was held out.
                kinds.iter().for_each(|&kind| self.growths[kind] = Some(0.0));
            }
            let mut missing: HashMap<(Level, &str), Vec<f64>> = HashMap::new();
            for held_out in folds.iter().flatten().flat_map(|fold| &fold.of_new_families) {
                for (level, reach) in held_out.missing_reaches(self, kinds) {
                    missing.entry((level, family(held_out.tree))).or_default().push(reach);
                }
            }
            for level in [Level::Ml, Level::Module, Level::Model] {
                let families = missing.iter().filter(|((of, _), _)| *of == level);
                let Some(more) = multiple(families.map(|(_, reaches)| reaches.clone()).collect()) else { continue };
                for &kind in kinds {
                    let known = &mut self.growths[kind];
                    *known = Some(known.map_or(more, |known| known.max(more)));
                }
            }
        }
        // Own parts are what a family has of its own. A new one departs from the mean as each does, and the mean of a few departs itself.
        if let (Some(more), Some(own)) = (self.growths[Kind::Own], self.reaches.by_kind[Kind::Own][0]) {
            let spread = (1.0 + 1.0 / self.families.len() as f64).sqrt();
            self.growths[Kind::Own] = Some(more.max((spread - 1.0) * own.multiple));
        }
    }
}

/// The misses of each split, of parts of a kind that stand to its training data like this.
fn misses<'t>(folds: &[Vec<Fold<'t>>], kind: Kind, standing: usize) -> Vec<Vec<Miss<'t>>> {
    let of_fold = |fold: &Fold<'t>| -> Vec<Miss<'t>> {
        let misses = fold.known.iter().flat_map(|held_out| held_out.misses(kind));
        misses.filter(|miss| miss.uncertainty.standing() == standing).collect()
    };
    folds.iter().flatten().map(of_fold).collect()
}

/// The greatest multiple of a score, of the sums of each protocol at each level.
fn greatest(protocols: &[Vec<Vec<Sum>>], score: impl Fn(&Sum) -> f64) -> Option<f64> {
    let scores = |sums: &Vec<Sum>, level: Level| -> Vec<f64> {
        let of_level = sums.iter().filter(|sum| sum.level == level);
        of_level.flat_map(|sum| repeat_n(score(sum), sum.count)).collect()
    };
    let each = protocols
        .iter()
        .flat_map(|folds| WHOLES.map(|level| multiple(folds.iter().map(|sums| scores(sums, level)).collect())));
    each.flatten().reduce(f64::max)
}

/// Among the reaches that hold, the one with the narrowest intervals on average, and of those that are as good as narrowest the one that trusts the
/// guesses least: it depends least on which sizes were held out. None without held-out nodes.
fn narrowest(splits: &[Vec<Miss<'_>>]) -> Option<Reach> {
    /// The factor on the least width that is as good.
    const AS_GOOD: f64 = 1.02;
    let tried = POWERS.into_iter().filter_map(|power| {
        let scores = |misses: &Vec<Miss<'_>>| {
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
    use irene_tree::{NodeId, Quantity, Size, TreeBuilder};

    use super::*;
    use crate::{
        Store,
        interval::Uncertainty,
        prediction::{self, PredictedCost},
    };

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
    fn held_out_of(tree: &Tree) -> HeldOut<'_> {
        let part = |id: NodeId| {
            let (kind, energy) = if tree.is_leaf(id) { (Kind::Leaf, 1.0) } else { (Kind::Own, 0.0) };
            let group = id.index() as u64;
            let uncertainty = Uncertainty { kind, group, deviation: 1.0, is_seen: true, ..Uncertainty::default() };
            Ok(NodePrediction::of(PredictedCost { energy, ..PredictedCost::default() }, uncertainty))
        };
        HeldOut { tree, predictions: prediction::sum_up(tree, |id, _| part(id)).unwrap() }
    }

    #[test]
    fn a_class_that_is_predicted_worse_than_most_reaches_farther_and_leaves_the_others_as_they_are() {
        let tree = |name: &str| {
            let mut builder = TreeBuilder::new(name, Size::new(1, 1));
            builder.enter("root", "M", Level::Model);
            for place in 0..20 {
                let (class, more) = if place == 0 { ("MatMul", 0.2) } else { ("Linear", 0.01) };
                let leaf = builder.leaf(&place.to_string(), class, Level::Ml, None);
                leaf.set(Quantity::GroundTruthEnergy, 1.0 + more);
            }
            builder.leave();
            builder.finish().unwrap()
        };
        let trees: Vec<Tree> = ["a", "b", "c"].map(tree).into();
        let fold = |tree| Fold { known: vec![held_out_of(tree)], of_new_families: Vec::new() };
        let mut spread = Spread::default();
        spread.learn_reaches(&[trees.iter().map(fold).collect()]);
        let uncertainty = Uncertainty { deviation: 0.01, is_seen: true, ..Uncertainty::default() };
        let reach = |place: usize| {
            let id = trees[0].find(&format!("root.{place}")).unwrap();
            spread.reaches.part(&trees[0], id, &uncertainty).unwrap().within
        };
        assert!((reach(0) - 1.2f64.ln()).abs() < 1e-9 && (reach(1) - 1.01f64.ln()).abs() < 1e-9);
        // Files keep it, and those without classes are read.
        let mut store = Store::new("specs");
        spread.reaches.write(&mut store);
        assert_eq!(Reaches::read(&store).unwrap(), spread.reaches);
    }

    #[test]
    fn errors_that_all_parts_share_are_learned_although_narrower_intervals_could_be_had() {
        let leaf = [Some(Reach { multiple: 0.05, power: 0.0 }); 3];
        let learned = |more: f64| {
            let tree = tree(20, more);
            let mut spread = Spread::default();
            spread.reaches.by_kind[Kind::Leaf] = leaf;
            spread.learn_wholes(&[vec![Fold { known: vec![held_out_of(&tree)], of_new_families: Vec::new() }]]);
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
