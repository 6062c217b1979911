use std::collections::BTreeMap;

use irene_tree::{Level, Tree};
use rayon::prelude::*;

use crate::{Error, Evaluation, Result, Trainer, evaluate};

/// What is left out in each fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// All trees of one model (the paper's).
    LeaveModelOut,
    /// All trees of one input size.
    LeaveSizeOut,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 2] = [Self::LeaveModelOut, Self::LeaveSizeOut];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaveModelOut => "leave-model-out",
            Self::LeaveSizeOut => "leave-size-out",
        }
    }

    /// The groups of these trees, each left out once, in the order of the data.
    pub fn groups(self, trees: &[Tree]) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for tree in trees {
            let group = self.group(tree);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    fn group(self, tree: &Tree) -> String {
        match self {
            Self::LeaveModelOut => tree.model_name.clone(),
            Self::LeaveSizeOut => format!("{}x{}", tree.batch_size, tree.seq_len),
        }
    }
}

/// One fold: what was left out, and how well it was predicted.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The model or size.
    pub left_out: String,
    /// Its errors.
    pub evaluation: Evaluation,
}

/// The folds in the order of the data.
#[derive(Clone, Debug)]
pub struct CrossValidation {
    /// One a group.
    pub folds: Vec<Fold>,
}

impl CrossValidation {
    /// The mean over the folds of their mean errors at a level, in percent: the paper's average.
    pub fn mean(&self, level: Level) -> Option<f64> {
        let means: Vec<f64> = self.folds.iter().filter_map(|fold| fold.evaluation.mean(level)).collect();
        evaluate::mean(&means)
    }

    /// The mean over the folds of their mean errors, by instance type.
    pub fn by_instance_type(&self) -> BTreeMap<String, f64> {
        let mut means: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for fold in &self.folds {
            for (instance_type, errors) in &fold.evaluation.by_instance_type {
                means.entry(instance_type).or_default().extend(errors.mean());
            }
        }
        means.into_iter().filter_map(|(name, means)| Some((name.to_owned(), evaluate::mean(&means)?))).collect()
    }
}

/// Trains once a group of trees on all others and predicts the group, groups in parallel.
///
/// # Errors
/// [`Error::Training`] for fewer than two groups; what training and predicting say.
pub fn crossvalidate(
    trees: &[Tree],
    trainer: &dyn Trainer,
    protocol: Protocol,
    done: &(dyn Fn() + Sync),
) -> Result<CrossValidation> {
    let groups = protocol.groups(trees);
    if groups.len() < 2 {
        let found = groups.first().map_or_else(|| "none".into(), |group| format!("only {group}"));
        return Err(Error::Training(format!("{} needs at least two groups, found {found}", protocol.name())));
    }
    let fold = |left_out: &String| {
        let (test, training): (Vec<&Tree>, Vec<&Tree>) =
            trees.iter().partition(|tree| protocol.group(tree) == *left_out);
        let predictor = trainer.train(&training)?;
        let mut evaluation = Evaluation::default();
        for tree in test {
            let mut tree = tree.clone();
            predictor.predict(&mut tree)?;
            evaluation.add(&tree)?;
        }
        done();
        Ok(Fold { left_out: left_out.clone(), evaluation })
    };
    Ok(CrossValidation { folds: groups.par_iter().map(fold).collect::<Result<_>>()? })
}
