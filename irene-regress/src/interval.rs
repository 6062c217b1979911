//! 90% intervals that are calibrated on models and sizes left out of training (split conformal prediction, Lei et al. 2018, with scores
//! divided by a first guess of the deviation).

use irene_numerics::{conformal_quantile, mean};
use irene_tree::{Level, Mark, Quantity, Tree};
use rayon::prelude::*;

use crate::{
    Result, Store,
    prediction::{NodePrediction, PredictedCost},
    splits::{Split, edges, held_out},
};

/// The share of nodes that lie in their interval.
pub const CONFIDENCE: f64 = 0.9;

/// The reach of intervals, calibrated on trees that were held out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// By level, for nodes inside the training range and for those outside; None if no such node was held out.
    reaches: [[Option<Reach>; 2]; LEVELS.len()],
}

/// The reach of an interval, in e-folds: a multiple of a power of the guessed deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reach {
    multiple: f64,
    power: f64,
}

impl Reach {
    fn of(self, deviation: f64) -> f64 {
        self.multiple * deviation.powf(self.power)
    }

    fn times(self, factor: f64) -> Self {
        Self { multiple: factor * self.multiple, ..self }
    }
}

/// Powers that are tried: guesses tell which nodes are predicted better than others, and may exaggerate it.
const POWERS: [f64; 4] = [1.0, 0.5, 0.25, 0.0];

/// Single operations have no ground truth in IrEne's data; their intervals are calibrated on modules' own parts.
const LEVELS: [Level; 4] = [Level::Model, Level::Module, Level::Ml, Level::Math];

/// The factor on the reach outside the training range if no held-out node was there.
const WIDER: f64 = 2.0;

/// Own parts below this share of their module are not used: the error of the two measurements is as large.
const LEAST_OWN_SHARE: f64 = 0.05;

fn place(level: Level) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap_or_default()
}

/// A held-out node.
#[derive(Clone, Copy)]
struct Miss {
    /// The error of its prediction, in e-folds.
    error: f64,
    /// The guessed deviation.
    deviation: f64,
}

/// The guessed deviation, which is the same for all own parts.
fn deviation(level: Level, cost: &PredictedCost) -> f64 {
    if level == Level::Math { 1.0 } else { cost.deviation }
}

/// Held-out nodes, sorted as [`Spread`] is.
type Misses = [[Vec<Miss>; 2]; LEVELS.len()];

impl Spread {
    /// Trains without each model (without each size, if there are one or two models), and without the smallest and largest sizes, and
    /// predicts the trees left out. None if there is nothing to leave out.
    pub(crate) fn calibrate<P>(
        trees: &[&Tree],
        fit: &(impl Fn(&[&Tree]) -> Result<P> + Sync),
        predict: &(impl Fn(&P, &Tree) -> Result<Vec<NodePrediction>> + Sync),
    ) -> Option<Self> {
        let held_out = held_out(trees);
        if held_out.is_empty() {
            return None;
        }
        let splits: Vec<Split> = held_out.into_iter().chain(edges(trees)).collect();
        let misses = |split: &Split| -> Result<Misses> {
            let model = fit(&split.training.iter().map(|&tree| trees[tree]).collect::<Vec<_>>())?;
            let mut misses = Misses::default();
            for &tree in &split.test {
                compare(trees[tree], &predict(&model, trees[tree])?, &mut misses);
            }
            Ok(misses)
        };
        // A split may leave too little to train on.
        let misses: Vec<Misses> = splits.par_iter().filter_map(|split| misses(split).ok()).collect();
        let reach = |level: usize, outside: usize| {
            let of_splits = misses.iter().map(|misses| misses[level][outside].as_slice());
            narrowest(&of_splits.filter(|misses| !misses.is_empty()).collect::<Vec<_>>())
        };
        let reaches = std::array::from_fn(|level| {
            let (inside, outside) = (reach(level, 0), reach(level, 1));
            [inside.or(outside), outside.or(inside.map(|reach| reach.times(WIDER)))]
        });
        Some(Self { reaches })
    }

    /// The wider of both reaches where both have one.
    pub(crate) fn or_wider(&self, other: &Self) -> Self {
        /// A typical guess of a deviation, to compare reaches at.
        const TYPICAL: f64 = 0.03;
        let wider = |a: Option<Reach>, b: Option<Reach>| match (a, b) {
            (Some(a), Some(b)) => Some(if a.of(TYPICAL) >= b.of(TYPICAL) { a } else { b }),
            (a, b) => a.or(b),
        };
        let both =
            |level: usize| std::array::from_fn(|class| wider(self.reaches[level][class], other.reaches[level][class]));
        Self { reaches: std::array::from_fn(both) }
    }

    /// The reaches for a machine that they were not calibrated on.
    pub(crate) fn widened(&self) -> Self {
        Self { reaches: self.reaches.map(|reaches| reaches.map(|reach| Some(reach?.times(WIDER)))) }
    }

    /// Lower and upper end, J; None if no node like it was held out.
    pub(crate) fn interval(&self, level: Level, cost: &PredictedCost, extrapolated: bool) -> Option<[f64; 2]> {
        let deviation = deviation(level, cost);
        let [inside, outside] = self.reaches[place(level)].map(|reach| Some(reach?.of(deviation)));
        // A few held-out nodes outside the range must not make intervals narrower than inside.
        let reach = if extrapolated { inside?.max(outside?) } else { inside? };
        let reach = reach.max(cost.least_reach).exp();
        reach.is_finite().then(|| [cost.energy / reach, cost.energy * reach])
    }

    pub(crate) fn write(&self, store: &mut Store) {
        for (level, reaches) in LEVELS.iter().zip(&self.reaches) {
            if let [Some(inside), Some(outside)] = reaches {
                let numbers = [inside.multiple, inside.power, outside.multiple, outside.power];
                store.put(&format!("interval.{}", level.name()), &numbers);
            }
        }
    }

    /// None for a predictor without intervals.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>> {
        let mut reaches = [[None; 2]; LEVELS.len()];
        for (level, reaches) in LEVELS.iter().zip(&mut reaches) {
            let name = format!("interval.{}", level.name());
            if store.has(&name) {
                let [inside, inside_power, outside, outside_power] = store.take_coefficients(&name)?;
                let reach = |multiple, power| Some(Reach { multiple, power });
                *reaches = [reach(inside, inside_power), reach(outside, outside_power)];
            }
        }
        Ok(reaches.iter().flatten().any(Option::is_some).then_some(Self { reaches }))
    }
}

/// Adds the errors of a held-out tree's predictions.
fn compare(tree: &Tree, predictions: &[NodePrediction], misses: &mut Misses) {
    let truth = |id| tree.node(id).get(Quantity::GroundTruthEnergy).filter(|joules| *joules > 0.0);
    for id in tree.ids() {
        let prediction = &predictions[id.index()];
        let (Some(cost), Some(joules)) = (prediction.cost, truth(id)) else { continue };
        let outside = usize::from(prediction.marks.contains(Mark::Extrapolated));
        let mut push = |level, truth: f64, predicted: f64| {
            let miss = Miss { error: (truth / predicted).ln().abs(), deviation: deviation(level, &cost) };
            if miss.error.is_finite() {
                misses[place(level)][outside].push(miss);
            }
        };
        push(tree.node(id).level(), joules, cost.energy);
        let parts = tree.children(id).map(|child| Some(tree.node(child).times() * truth(child)?));
        let children: Option<f64> = parts.sum();
        if let (false, Some(children), Some(own)) = (tree.is_leaf(id), children, prediction.own)
            && (joules - children).min(own) > LEAST_OWN_SHARE * joules
        {
            push(Level::Math, joules - children, own);
        }
    }
}

/// Among the reaches that hold, the one with the narrowest intervals on average; None without held-out nodes.
fn narrowest(splits: &[&[Miss]]) -> Option<Reach> {
    let tried = POWERS.into_iter().filter_map(|power| {
        let scores = |misses: &&[Miss]| {
            let unit = Reach { multiple: 1.0, power };
            misses.iter().map(|miss| miss.error / unit.of(miss.deviation)).collect()
        };
        let reach = Reach { multiple: multiple(splits.iter().map(scores).collect())?, power };
        let width = mean(&splits.concat().iter().map(|miss| reach.of(miss.deviation)).collect::<Vec<_>>())?;
        Some((width, reach))
    });
    tried.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, reach)| reach)
}

/// The multiple that a share of [`CONFIDENCE`] of nodes like these does not exceed; None without any.
///
/// Nodes of one split are alike, and a new model is not among them. So the share is raised until its quantile over all splits but one
/// covers, on average, [`CONFIDENCE`] of the split left out.
fn multiple(mut splits: Vec<Vec<f64>>) -> Option<f64> {
    const STEPS: u32 = 100;
    splits.iter_mut().for_each(|scores| scores.sort_by(f64::total_cmp));
    let pooled = |without: Option<usize>| {
        let others = splits.iter().enumerate().filter(|(place, _)| Some(*place) != without);
        let mut scores: Vec<f64> = others.flat_map(|(_, scores)| scores.iter().copied()).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let others: Vec<Vec<f64>> = (0..splits.len()).map(|split| pooled(Some(split))).collect();
    let holds = |share: f64| {
        let covered = |(split, others): (&Vec<f64>, &Vec<f64>)| {
            let end = conformal_quantile(others, share)?;
            Some(split.partition_point(|score| *score <= end) as f64 / split.len() as f64)
        };
        let shares: Option<Vec<f64>> = splits.iter().zip(&others).map(covered).collect();
        shares.and_then(|shares| mean(&shares)).is_none_or(|mean| mean >= CONFIDENCE)
    };
    let shares = (0..=STEPS).map(|step| CONFIDENCE + (1.0 - CONFIDENCE) * f64::from(step) / f64::from(STEPS));
    let share = shares.into_iter().find(|&share| holds(share)).unwrap_or(1.0);
    conformal_quantile(&pooled(None), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_that_are_alike_give_the_plain_quantile() {
        let split: Vec<f64> = (1..=1000).map(f64::from).collect();
        let found = multiple(vec![split.clone(), split.clone(), split]).unwrap();
        assert!((900.0..=903.0).contains(&found), "{found}");
    }

    #[test]
    fn splits_that_differ_widen_it() {
        let split = |scale: f64| (1..=100).map(|i| scale * f64::from(i)).collect::<Vec<f64>>();
        let (alike, differing) = (multiple(vec![split(1.0); 5]), multiple([0.5, 0.7, 1.0, 1.4, 2.0].map(split).into()));
        let pooled: Vec<f64> = [0.5, 0.7, 1.0, 1.4, 2.0].into_iter().flat_map(split).collect();
        let mut pooled = pooled;
        pooled.sort_by(f64::total_cmp);
        assert!(
            alike.unwrap() < 92.0 && differing > conformal_quantile(&pooled, CONFIDENCE),
            "{alike:?} {differing:?}"
        );
        assert_eq!(multiple(Vec::new()), None);
    }
}
