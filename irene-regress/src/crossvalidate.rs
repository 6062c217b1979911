use std::collections::BTreeMap;

use irene_numerics::mean;
use irene_tree::{Level, Tree};
use rayon::prelude::*;

use crate::{Evaluation, LeaveOut, Result, Split, Trainer};

/// One fold: the group that was left out, and the errors of its predictions.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The model, size, family or part.
    pub left_out: String,
    /// Its errors.
    pub evaluation: Evaluation,
}

/// The errors of all folds, in the order of the data.
#[derive(Clone, Debug)]
pub struct CrossValidation {
    /// One a group.
    pub folds: Vec<Fold>,
}

impl CrossValidation {
    /// Evaluates trees that were held out.
    ///
    /// # Errors
    /// [`Error::GroundTruth`](crate::Error::GroundTruth) for a ground truth of zero; [`Error::Unmatched`](crate::Error::Unmatched) for
    /// a measured node without a prediction.
    pub fn of(held_out: &[HeldOut]) -> Result<Self> {
        let fold = |held_out: &HeldOut| {
            let mut evaluation = Evaluation::default();
            held_out.trees.iter().try_for_each(|tree| evaluation.add(tree))?;
            Ok(Fold { left_out: held_out.left_out.clone(), evaluation })
        };
        Ok(Self { folds: held_out.iter().map(fold).collect::<Result<_>>()? })
    }

    /// The mean over the folds of their mean errors at a level, in percent: the paper's average.
    pub fn mean(&self, level: Level) -> Option<f64> {
        self.mean_of(|evaluation| evaluation.mean(level))
    }

    /// The mean over the folds of a figure of each; None if no fold has it.
    pub fn mean_of(&self, figure: impl Fn(&Evaluation) -> Option<f64>) -> Option<f64> {
        mean(&self.folds.iter().filter_map(|fold| figure(&fold.evaluation)).collect::<Vec<_>>())
    }

    /// The mean over the folds of their mean errors, by instance type.
    pub fn by_instance_type(&self) -> BTreeMap<String, f64> {
        let mut means: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for fold in &self.folds {
            for (instance_type, errors) in &fold.evaluation.by_instance_type {
                means.entry(instance_type).or_default().extend(errors.mean());
            }
        }
        means.into_iter().filter_map(|(name, means)| Some((name.to_owned(), mean(&means)?))).collect()
    }
}

/// The trees that one fold left out, predicted.
#[derive(Clone, Debug)]
pub struct HeldOut {
    /// The model, size, family or part.
    pub left_out: String,
    /// Its trees with predictions, in the order of the data.
    pub trees: Vec<Tree>,
}

/// Trains once for each split of the trees and predicts the trees that it leaves out, splits in parallel.
///
/// # Errors
/// [`Error::Training`](crate::Error::Training) if there is too little to leave something out; the errors of training and predicting.
pub fn predict_held_out(
    trees: &[Tree],
    trainer: &dyn Trainer,
    leave_out: LeaveOut,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<HeldOut>> {
    of_splits(trees, leave_out, done, |split| {
        let trees = predicted(trees, trainer, split)?.collect::<Result<_>>()?;
        Ok(HeldOut { left_out: split.left_out.clone(), trees })
    })
}

/// Evaluates like [`predict_held_out`] predicts, without keeping the trees.
///
/// # Errors
/// Those of [`predict_held_out`]; [`Error::GroundTruth`](crate::Error::GroundTruth) for a ground truth of zero.
pub fn crossvalidate(
    trees: &[Tree],
    trainer: &dyn Trainer,
    leave_out: LeaveOut,
    done: &(dyn Fn() + Sync),
) -> Result<CrossValidation> {
    let folds = of_splits(trees, leave_out, done, |split| {
        let mut evaluation = Evaluation::default();
        predicted(trees, trainer, split)?.try_for_each(|tree| evaluation.add(&tree?))?;
        Ok(Fold { left_out: split.left_out.clone(), evaluation })
    })?;
    Ok(CrossValidation { folds })
}

fn of_splits<T: Send>(
    trees: &[Tree],
    leave_out: LeaveOut,
    done: &(dyn Fn() + Sync),
    of: impl Fn(&Split) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let splits = leave_out.splits(trees)?;
    splits.par_iter().map(|split| of(split).inspect(|_| done())).collect()
}

/// Predicts the trees that a split leaves out, one at a time.
fn predicted(trees: &[Tree], trainer: &dyn Trainer, split: &Split) -> Result<impl Iterator<Item = Result<Tree>>> {
    let training: Vec<&Tree> = split.training.iter().map(|&place| &trees[place]).collect();
    let predictor = trainer.train(&training)?;
    Ok(split.test.iter().map(move |&place| {
        let mut tree = trees[place].clone();
        predictor.predict(&mut tree)?;
        Ok(tree)
    }))
}
