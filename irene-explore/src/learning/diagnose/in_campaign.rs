use rayon::prelude::*;

use super::{Clock, Drift, residuals};
use crate::{
    Candidate, Result,
    learning::{
        evaluate::{HeldOutRecord, Split, crossvalidate},
        surrogate::{Learner, PredictedValue},
    },
};

/// Held-out records with three kinds of predictions.
#[derive(Clone, Debug, Default)]
pub struct InCampaign {
    /// The predictions for the design alone.
    pub design: Vec<HeldOutRecord>,
    /// The same as the device's clock shows them, where the training records show a clock.
    pub shown: Vec<HeldOutRecord>,
    /// The same at the record's place in the campaign, where the training records drift.
    pub placed: Vec<HeldOutRecord>,
}

/// [`crossvalidate`], with what [`diagnose`](super::diagnose) finds in the training records of each fold: records that were held out
/// come from the same campaign, so that its clock and its drift are known of them.
///
/// # Errors
/// As [`crossvalidate`].
pub fn crossvalidate_in_campaign(
    learner: &dyn Learner,
    candidates: &[Candidate],
    figures: &[f64],
    orders: &[Option<usize>],
    count: usize,
    repeats: usize,
    seed: u64,
) -> Result<InCampaign> {
    let splits = Split::at_random(candidates.len(), count, repeats, seed);
    let of_fold = |split: &Split| {
        let held_out = split.predict(learner, candidates, figures, seed)?;
        let train: Vec<Candidate> = split.kept.iter().map(|&record| candidates[record].clone()).collect();
        let train_figures: Vec<f64> = split.kept.iter().map(|&record| figures[record]).collect();
        let train_orders: Vec<Option<usize>> = split.kept.iter().map(|&record| orders[record]).collect();
        let clock = Clock::find(&train_figures);
        let inner = crossvalidate(learner, &train, &train_figures, count, 1, seed)?;
        let drift = Drift::find(&train_orders, &residuals(&inner, train.len()));
        let scaled = |held: &HeldOutRecord, factor: f64| PredictedValue {
            value: held.prediction.value * factor,
            deviation: held.prediction.deviation * factor,
        };
        let shown = |held: &HeldOutRecord, prediction: PredictedValue| {
            let value = clock.map_or(prediction.value, |clock| clock.shown(prediction.value));
            HeldOutRecord { prediction: PredictedValue { value, ..prediction }, ..*held }
        };
        let at_place = |held: &HeldOutRecord| {
            let drift = drift.as_ref().zip(orders[held.record]).map_or(0.0, |(drift, order)| drift.at(order));
            shown(held, scaled(held, drift.exp()))
        };
        Ok(InCampaign {
            shown: held_out.iter().map(|held| shown(held, held.prediction)).collect(),
            placed: held_out.iter().map(at_place).collect(),
            design: held_out,
        })
    };
    let mut all = InCampaign::default();
    for fold in splits.par_iter().map(of_fold).collect::<Result<Vec<_>>>()? {
        all.design.extend(fold.design);
        all.shown.extend(fold.shown);
        all.placed.extend(fold.placed);
    }
    Ok(all)
}
