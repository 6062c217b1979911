//! Intervals that hold what they promise on models and sizes that were left out of training (split conformal prediction, Lei et al.
//! 2018, with scores divided by a first guess of the deviation).

use irene_tree::{Level, Mark, Quantity, Tree};
use rayon::prelude::*;

use crate::{
    Result, Store,
    evaluate::mean,
    figures::{Figures, Prediction},
    splits::{Split, edges, held_out},
};

/// The share of nodes that lie in their interval.
pub const CONFIDENCE: f64 = 0.9;

/// How far off predictions were on trees that they were not trained on, in multiples of their guessed deviation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// By level, for nodes inside the training range and for those outside.
    multiples: [[f64; 2]; LEVELS.len()],
}

/// Operations have no ground truth of their own in IrEne's data: theirs is that of the modules' own parts.
const LEVELS: [Level; 4] = [Level::Model, Level::Module, Level::Ml, Level::Math];

/// Outside the training range, where no held-out node was, this many times as much as inside.
const WIDER: f64 = 2.0;

/// Own parts of less than this share of their module are lost in the difference of two measurements.
const LEAST_OWN_SHARE: f64 = 0.05;

fn place(level: Level) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap_or_default()
}

/// The multiples of held-out nodes, sorted as [`Spread`] is.
type Scores = [[Vec<f64>; 2]; LEVELS.len()];

impl Spread {
    /// Trains without each model (or, of a single one, without each size), and without the smallest and largest sizes, and sees how
    /// far off the others are. None where there is nothing to leave out.
    pub(crate) fn calibrate<P>(
        trees: &[&Tree],
        fit: &(impl Fn(&[&Tree]) -> Result<P> + Sync),
        predict: &(impl Fn(&P, &Tree) -> Result<Vec<Prediction>> + Sync),
    ) -> Result<Option<Self>> {
        let held_out = held_out(trees);
        if held_out.is_empty() {
            return Ok(None);
        }
        let splits: Vec<Split> = held_out.into_iter().chain(edges(trees)).collect();
        let scores = |split: &Split| {
            let model = fit(&split.training.iter().map(|&tree| trees[tree]).collect::<Vec<_>>())?;
            let mut scores = Scores::default();
            for &tree in &split.test {
                score(trees[tree], &predict(&model, trees[tree])?, &mut scores);
            }
            Ok(scores)
        };
        let scores = splits.par_iter().map(scores).collect::<Result<Vec<Scores>>>()?;
        Ok(Some(Self::of(&scores)))
    }

    fn of(splits: &[Scores]) -> Self {
        let of_place = |level: usize, outside: usize| {
            let scores = splits.iter().map(|scores| scores[level][outside].clone());
            multiple(scores.filter(|scores| !scores.is_empty()).collect())
        };
        let multiples = std::array::from_fn(|level| {
            let (inside, outside) = (of_place(level, 0), of_place(level, 1));
            // What was seldom tried is not known better than what often was.
            let inside = inside.or(outside).unwrap_or(f64::INFINITY);
            [inside, outside.unwrap_or(WIDER * inside).max(inside)]
        });
        Self { multiples }
    }

    /// Of a machine that the intervals were not tried on.
    pub(crate) fn widened(&self) -> Self {
        Self { multiples: self.multiples.map(|multiples| multiples.map(|multiple| WIDER * multiple)) }
    }

    /// Lower and upper end, J; None where nothing like it was ever held out.
    pub(crate) fn interval(&self, level: Level, figures: &Figures, extrapolated: bool) -> Option<[f64; 2]> {
        let multiple = self.multiples[place(level)][usize::from(extrapolated)];
        let reach = (multiple * figures.deviation).exp();
        reach.is_finite().then(|| [figures.energy / reach, figures.energy * reach])
    }

    pub(crate) fn write(&self, store: &mut Store) {
        // A level that was never held out is left out of the file too.
        for (level, multiples) in LEVELS.iter().zip(&self.multiples).filter(|(_, multiples)| multiples[0].is_finite()) {
            store.put(&format!("interval.{}", level.name()), multiples);
        }
    }

    /// None for a predictor without intervals.
    pub(crate) fn read(store: &Store) -> Result<Option<Self>> {
        let mut multiples = [[f64::INFINITY; 2]; LEVELS.len()];
        let mut found = None;
        for (level, multiples) in LEVELS.iter().zip(&mut multiples) {
            let name = format!("interval.{}", level.name());
            if store.has(&name) {
                *multiples = store.take_coefficients(&name)?;
                found = Some(());
            }
        }
        Ok(found.map(|()| Self { multiples }))
    }
}

/// Of a held-out tree, how far off each prediction is.
fn score(tree: &Tree, predictions: &[Prediction], scores: &mut Scores) {
    let truth = |id| tree.node(id).get(Quantity::GroundTruthEnergy).filter(|joules| *joules > 0.0);
    for id in tree.ids() {
        let prediction = &predictions[id.index()];
        let (Some(figures), Some(joules)) = (prediction.figures, truth(id)) else { continue };
        let outside = usize::from(prediction.marks.contains(Mark::Extrapolated));
        let mut push = |level, truth: f64, predicted: f64| {
            let score = (truth / predicted).ln().abs() / figures.deviation;
            if score.is_finite() {
                scores[place(level)][outside].push(score);
            }
        };
        push(tree.node(id).level(), joules, figures.energy);
        let children: Option<f64> = tree.children(id).map(truth).sum();
        if let (false, Some(children), Some(own)) = (tree.is_leaf(id), children, prediction.own)
            && (joules - children).min(own) > LEAST_OWN_SHARE * joules
        {
            push(Level::Math, joules - children, own);
        }
    }
}

/// The multiple that a share of [`CONFIDENCE`] of nodes like these does not exceed; None of none.
///
/// Nodes of one split are alike, and the next model is not one of them. So the quantile is the least that, taken of all splits but one,
/// holds for the share on average over the ones left out.
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
            let end = quantile(others, share)?;
            Some(split.partition_point(|score| *score <= end) as f64 / split.len() as f64)
        };
        let shares: Option<Vec<f64>> = splits.iter().zip(&others).map(covered).collect();
        shares.and_then(|shares| mean(&shares)).is_none_or(|mean| mean >= CONFIDENCE)
    };
    let shares = (0..=STEPS).map(|step| CONFIDENCE + (1.0 - CONFIDENCE) * f64::from(step) / f64::from(STEPS));
    let share = shares.into_iter().find(|&share| holds(share)).unwrap_or(1.0);
    quantile(&pooled(None), share)
}

/// The score that this share of sorted ones, and of one more, does not exceed; the greatest where there are too few for that.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = ((sorted.len() + 1) as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
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
        assert!(alike.unwrap() < 92.0 && differing > quantile(&pooled, CONFIDENCE), "{alike:?} {differing:?}");
        assert_eq!(multiple(Vec::new()), None);
    }
}
