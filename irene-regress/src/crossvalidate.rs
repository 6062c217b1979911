use std::collections::BTreeMap;

use irene_numerics::mean;
use irene_tree::{Level, Quantity, Tree};
use rayon::prelude::*;

use crate::{Errors, Evaluation, LeaveOut, Result, Split, Trainer};

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

    /// The share of a level's nodes, of all folds together, whose error is at most this many percent: the paper's figure 3.
    pub fn share_within(&self, level: Level, percent: f64) -> Option<f64> {
        let errors = || self.folds.iter().filter_map(|fold| fold.evaluation.by_level.get(&level));
        let within = |errors: &Errors| Some(errors.count() as f64 * errors.share_within(percent)?);
        let nodes: usize = errors().map(Errors::count).sum();
        (nodes > 0).then(|| errors().filter_map(within).sum::<f64>() / nodes as f64)
    }

    /// How many nodes of a level were judged.
    pub fn count(&self, level: Level) -> usize {
        self.folds.iter().filter_map(|fold| fold.evaluation.by_level.get(&level)).map(Errors::count).sum()
    }

    /// How many nodes of an instance type were judged.
    pub fn count_of(&self, instance_type: &str) -> usize {
        let all = self.folds.iter().flat_map(|fold| &fold.evaluation.by_instance_type);
        all.filter(|(name, _)| name.eq_ignore_ascii_case(instance_type)).map(|(_, errors)| errors.count()).sum()
    }

    /// The mean over the folds of the mean error of one instance type, %.
    pub fn of_instance_type(&self, instance_type: &str) -> Option<f64> {
        let means = self.by_instance_type();
        means.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(instance_type)).map(|(_, mean)| mean)
    }

    /// The mean over the folds of their mean errors, by instance type in the spelling of its first fold.
    pub fn by_instance_type(&self) -> BTreeMap<String, f64> {
        let mut means: BTreeMap<String, (&str, Vec<f64>)> = BTreeMap::new();
        for (name, errors) in self.folds.iter().flat_map(|fold| &fold.evaluation.by_instance_type) {
            let (_, means) = means.entry(name.to_ascii_lowercase()).or_insert_with(|| (name.as_str(), Vec::new()));
            means.extend(errors.mean());
        }
        means.into_values().filter_map(|(name, means)| Some((name.to_owned(), mean(&means)?))).collect()
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

/// Each model's trees as they would be predicted by a factor on what the GPU's driver counts; None where a node has no such figure.
///
/// # Errors
/// [`Error::Training`](crate::Error::Training) for trees of a single model; [`Error::GroundTruth`](crate::Error::GroundTruth) for a
/// ground truth of zero.
pub fn by_driver(trees: &[Tree], factor: f64) -> Result<Option<CrossValidation>> {
    let read = |place: &usize| {
        let mut tree = trees[*place].clone();
        for node in tree.nodes_mut() {
            node.set(Quantity::PredictedEnergy, factor * node.get(Quantity::GpuEnergy)?);
        }
        Some(tree)
    };
    let splits = LeaveOut::Model.splits(trees)?;
    let fold = |split: &Split| {
        Some(HeldOut { left_out: split.left_out.clone(), trees: split.test.iter().map(read).collect::<Option<_>>()? })
    };
    splits.iter().map(fold).collect::<Option<Vec<_>>>().map(|held_out| CrossValidation::of(&held_out)).transpose()
}

/// Trains once for each split of the trees and predicts what it leaves out, splits in parallel.
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
/// As [`predict_held_out`]; [`Error::GroundTruth`](crate::Error::GroundTruth) for a ground truth of zero.
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

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// A fold of one node of this class, predicted so much too high.
    fn held_out(instance_type: &'static str, percent: f64) -> HeldOut {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        let node = builder.leaf("root", instance_type, Level::Ml, None);
        node.set(Quantity::GroundTruthEnergy, 100.0);
        node.set(Quantity::PredictedEnergy, 100.0 + percent);
        HeldOut { left_out: instance_type.into(), trees: vec![builder.finish().unwrap()] }
    }

    #[test]
    fn a_class_is_the_same_in_all_folds_however_it_is_spelt() {
        let folds = [held_out("MatMul", 2.0), held_out("matmul", 4.0), held_out("Linear", 1.0)];
        let result = CrossValidation::of(&folds).unwrap();
        let expected = BTreeMap::from([("MatMul".to_owned(), 3.0), ("Linear".to_owned(), 1.0)]);
        assert_eq!(result.by_instance_type(), expected);
        assert_eq!((result.count_of("matMul"), result.of_instance_type("MATMUL")), (2, Some(3.0)));
    }
}
