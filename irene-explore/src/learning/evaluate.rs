//! How well surrogates do on records they were not trained on.

use irene_numerics::{mean, median};
use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

use crate::{
    Candidate, Result,
    learning::surrogate::{Learner, PredictedValue},
};

/// A record that was held out.
#[derive(Clone, Copy, Debug)]
pub struct HeldOutRecord {
    /// Its place among the records.
    pub record: usize,
    /// The repeat in which it was held out.
    pub repeat: usize,
    /// The figure.
    pub figure: f64,
    /// The prediction.
    pub prediction: PredictedValue,
}

impl HeldOutRecord {
    /// How far off the prediction is, in percent of the figure.
    pub fn error(&self) -> f64 {
        100.0 * (self.prediction.value - self.figure).abs() / self.figure
    }

    /// Whether the figure is in the prediction's interval.
    fn is_covered(&self) -> bool {
        let (low, high) = self.prediction.interval();
        (low..=high).contains(&self.figure)
    }

    /// Half the width of the interval, in percent of the prediction's size.
    fn half_width(&self) -> f64 {
        let (low, high) = self.prediction.interval();
        50.0 * (high - low) / self.prediction.value.abs().max(f64::MIN_POSITIVE)
    }
}

/// Errors of many predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurrogateErrors {
    /// Mean absolute percentage error.
    pub mean: f64,
    /// Median absolute percentage error.
    pub median: f64,
    /// The share of figures in their 90% interval, percent.
    pub covered: f64,
    /// The median of half an interval's width, percent of the prediction.
    pub half_width: f64,
}

impl SurrogateErrors {
    /// The errors of these predictions; None if there are none.
    pub fn of<'a>(held_out: impl Iterator<Item = &'a HeldOutRecord>) -> Option<Self> {
        let held_out: Vec<&HeldOutRecord> = held_out.collect();
        let mut errors: Vec<f64> = held_out.iter().map(|held| held.error()).collect();
        // Sums of sorted numbers do not depend on the order of the records.
        errors.sort_by(f64::total_cmp);
        let inside = held_out.iter().filter(|held| held.is_covered()).count() as f64;
        Some(Self {
            mean: mean(&errors)?,
            median: median(errors.iter().copied())?,
            covered: 100.0 * inside / errors.len() as f64,
            half_width: median(held_out.iter().map(|held| held.half_width()))?,
        })
    }
}

/// Places 0 to `count`, in random order.
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
    places
}

/// Predicts the records of each fold from all others, in each repeat. All learners see the same folds.
///
/// # Errors
/// The learner's error for too few records.
pub fn crossvalidate(
    learner: &dyn Learner,
    candidates: &[Candidate],
    figures: &[f64],
    folds: usize,
    repeats: usize,
    seed: u64,
) -> Result<Vec<HeldOutRecord>> {
    let splits = Split::at_random(candidates.len(), folds, repeats, seed);
    let of_folds = splits.par_iter().map(|split| split.predict(learner, candidates, figures, seed));
    Ok(of_folds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Records to learn from, and others to predict.
pub(crate) struct Split {
    pub(crate) repeat: usize,
    pub(crate) kept: Vec<usize>,
    pub(crate) held: Vec<usize>,
}

impl Split {
    /// Holds out records, and keeps all others of so many.
    pub(crate) fn hold_out(records: usize, repeat: usize, mut held: Vec<usize>) -> Self {
        held.sort_unstable();
        let kept = (0..records).filter(|record| held.binary_search(record).is_err()).collect();
        Self { repeat, kept, held }
    }

    /// Folds at random, each held out in turn, for each repeat.
    pub(crate) fn at_random(records: usize, folds: usize, repeats: usize, seed: u64) -> Vec<Self> {
        let of_repeat = |repeat: usize| {
            let shuffled = shuffled(records, seed.wrapping_add(repeat as u64));
            let held = |fold| shuffled.iter().skip(fold).step_by(folds).copied().collect();
            let splits: Vec<Self> = (0..folds).map(|fold| Self::hold_out(records, repeat, held(fold))).collect();
            splits.into_iter().filter(|split| !split.held.is_empty())
        };
        (0..repeats).flat_map(of_repeat).collect()
    }

    /// Learns from the records that are kept, and predicts the others.
    pub(crate) fn predict(
        &self,
        learner: &dyn Learner,
        candidates: &[Candidate],
        figures: &[f64],
        seed: u64,
    ) -> Result<Vec<HeldOutRecord>> {
        let (train, train_figures): (Vec<&Candidate>, Vec<f64>) =
            self.kept.iter().map(|&record| (&candidates[record], figures[record])).unzip();
        let surrogate = learner.fit(&train, &train_figures, seed)?;
        let held_out = |&record: &usize| HeldOutRecord {
            record,
            repeat: self.repeat,
            figure: figures[record],
            prediction: surrogate.predict(&candidates[record]),
        };
        Ok(self.held.iter().map(held_out).collect())
    }
}
