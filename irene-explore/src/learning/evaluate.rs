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
pub struct HeldOut {
    /// Its place among the records.
    pub record: usize,
    /// The repeat in which it was.
    pub repeat: usize,
    /// The figure.
    pub figure: f64,
    /// The prediction.
    pub prediction: PredictedValue,
}

impl HeldOut {
    /// How far off the prediction is, in percent of the figure.
    pub fn error(&self) -> f64 {
        100.0 * (self.prediction.value - self.figure).abs() / self.figure
    }

    /// Whether the figure is in the prediction's interval.
    pub fn is_covered(&self) -> bool {
        let (low, high) = self.prediction.interval();
        (low..=high).contains(&self.figure)
    }
}

/// Errors of many predictions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean absolute percentage error.
    pub mean: f64,
    /// The median of the same.
    pub median: f64,
    /// The share of figures in their 90% interval, percent.
    pub covered: f64,
}

impl Errors {
    /// The errors of these predictions; None if there are none.
    pub fn of<'a>(held_out: impl Iterator<Item = &'a HeldOut>) -> Option<Self> {
        let (mut errors, covered): (Vec<f64>, Vec<bool>) =
            held_out.map(|held| (held.error(), held.is_covered())).unzip();
        // Sums of sorted numbers do not depend on the order of the records.
        errors.sort_by(f64::total_cmp);
        let inside = covered.iter().filter(|covered| **covered).count() as f64;
        let median = median(errors.iter().copied())?;
        Some(Self { mean: mean(&errors)?, median, covered: 100.0 * inside / errors.len() as f64 })
    }
}

/// Which records each fold of a cross-validation holds out.
fn folds(records: usize, folds: usize, seed: u64) -> Vec<Vec<usize>> {
    let shuffled = shuffled(records, seed);
    let fold = |fold: usize| {
        let mut held: Vec<usize> = shuffled.iter().skip(fold).step_by(folds).copied().collect();
        held.sort_unstable();
        held
    };
    (0..folds).map(fold).filter(|held| !held.is_empty()).collect()
}

/// Places 0 to `count`, in random order.
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
    places
}

/// Learns from all records but those of a fold and predicts these, for each fold of each repeat; all learners see the same folds.
///
/// # Errors
/// The learner's error for too few records.
pub fn crossvalidate(
    learner: &dyn Learner,
    candidates: &[Candidate],
    figures: &[f64],
    count: usize,
    repeats: usize,
    seed: u64,
) -> Result<Vec<HeldOut>> {
    let splits = splits(candidates.len(), count, repeats, seed);
    let of_folds = splits.par_iter().map(|split| split.predict(learner, candidates, figures, seed));
    Ok(of_folds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A fold of a repeat.
pub(crate) struct Split {
    repeat: usize,
    records: usize,
    held: Vec<usize>,
}

pub(crate) fn splits(records: usize, count: usize, repeats: usize, seed: u64) -> Vec<Split> {
    let of_repeat = |repeat: usize| {
        let folds = folds(records, count, seed.wrapping_add(repeat as u64)).into_iter();
        folds.map(move |held| Split { repeat, records, held })
    };
    (0..repeats).flat_map(of_repeat).collect()
}

impl Split {
    /// The records that are not held out.
    pub(crate) fn kept(&self) -> impl Iterator<Item = usize> {
        (0..self.records).filter(|record| self.held.binary_search(record).is_err())
    }

    /// Learns from these, and predicts the others.
    pub(crate) fn predict(
        &self,
        learner: &dyn Learner,
        candidates: &[Candidate],
        figures: &[f64],
        seed: u64,
    ) -> Result<Vec<HeldOut>> {
        let (train, train_figures): (Vec<&Candidate>, Vec<f64>) =
            self.kept().map(|record| (&candidates[record], figures[record])).unzip();
        let surrogate = learner.fit(&train, &train_figures, seed)?;
        let held_out = |&record: &usize| HeldOut {
            record,
            repeat: self.repeat,
            figure: figures[record],
            prediction: surrogate.predict(&candidates[record]),
        };
        Ok(self.held.iter().map(held_out).collect())
    }
}
