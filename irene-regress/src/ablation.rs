//! The paper's predictors and ours, each cross-validated on one machine's trees.

use irene_features::{Feature, FeatureSet};
use irene_tree::{Level, Tree};

use crate::{
    CrossValidation, Error, HeldOut, LeaveOut, PaperTrainer, Result, Strategy, Track, Trainer, crossvalidate,
    predict_held_out,
};

/// A row of the paper's ablations (its tables 8 and 9), or one of our tracks beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablation {
    /// The paper's predictor with all features.
    End2End,
    /// Weights learned on the children's true energies.
    StepWise,
    /// The sum of the children.
    PredictedSum,
    /// Regression on each node's own features.
    Unstructured,
    /// End2End without resource features.
    SpecsOnly,
    /// End2End without model features.
    ResourcesOnly,
    /// Ours.
    Ours(Track),
}

impl Ablation {
    /// All, the paper's first.
    pub const ALL: [Self; 9] = [
        Self::End2End,
        Self::StepWise,
        Self::PredictedSum,
        Self::Unstructured,
        Self::SpecsOnly,
        Self::ResourcesOnly,
        Self::Ours(Track::Measured),
        Self::Ours(Track::Primitives),
        Self::Ours(Track::Specs),
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::End2End => "End2End",
            Self::StepWise => "StepWise",
            Self::PredictedSum => "PredictedSum",
            Self::Unstructured => "Unstructured",
            Self::SpecsOnly => "End2End, specs only",
            Self::ResourcesOnly => "End2End, resources only",
            Self::Ours(Track::Measured) => "ours, all measured",
            Self::Ours(Track::Primitives) => "ours, primitives measured",
            Self::Ours(Track::Specs) => "ours, specs only",
        }
    }

    /// How it is trained on these trees, and the features that it does without because some node of them has none; the seed decides the
    /// initial weights of the paper's predictors.
    ///
    /// # Errors
    /// [`Error::MissingFeature`](crate::Error::MissingFeature) for resources only, of which the trees have none.
    pub fn trainer(self, seed: u64, trees: &[Tree]) -> Result<(Box<dyn Trainer>, Vec<Feature>)> {
        let (strategy, features) = match self {
            Self::End2End => (Strategy::End2End, FeatureSet::all()),
            Self::StepWise => (Strategy::StepWise, FeatureSet::all()),
            Self::PredictedSum => (Strategy::PredictedSum, FeatureSet::all()),
            Self::Unstructured => (Strategy::Unstructured, FeatureSet::all()),
            Self::SpecsOnly => (Strategy::End2End, FeatureSet::specs()),
            Self::ResourcesOnly => (Strategy::End2End, FeatureSet::resources()),
            Self::Ours(track) => return Ok((Box::new(track), Vec::new())),
        };
        let (trainer, missing) = PaperTrainer { strategy, features, seed }.with_features_of(trees)?;
        Ok((Box::new(trainer), missing))
    }

    /// Tries all on these trees, leaving one model out; those that the trees have too little for come with the reason.
    ///
    /// # Errors
    /// As [`Tried::new`], but for missing features.
    pub fn try_all(trees: &[Tree], seed: u64, done: &(dyn Fn() + Sync)) -> Result<(Vec<Tried>, Vec<Skipped>)> {
        let (mut tried, mut skipped) = (Vec::new(), Vec::new());
        for ablation in Self::ALL {
            match Tried::new(ablation, trees, seed, done) {
                Ok(found) => tried.push(found),
                Err(error) if error.is_about_what_is_missing() => skipped.push((ablation, error)),
                Err(error) => return Err(error),
            }
        }
        Ok((tried, skipped))
    }

    /// Least and greatest error at a level over several seeds, %; None where nothing is at this level.
    ///
    /// # Errors
    /// As [`trainer`](Self::trainer) and [`crossvalidate`].
    pub fn spread(
        self,
        trees: &[Tree],
        seeds: impl Iterator<Item = u64>,
    ) -> Result<impl Fn(Level) -> Option<[f64; 2]>> {
        let run = |seed| crossvalidate(trees, self.trainer(seed, trees)?.0.as_ref(), LeaveOut::Model, &|| ());
        let runs: Vec<CrossValidation> = seeds.map(run).collect::<Result<_>>()?;
        Ok(move |level| {
            let means = runs.iter().filter_map(|run| run.mean(level));
            means.map(|mean| [mean; 2]).reduce(|[low, high], [mean, _]| [low.min(mean), high.max(mean)])
        })
    }
}

/// One of the predictors that trees have too little for, and why.
pub type Skipped = (Ablation, Error);

/// One of the predictors, with its predictions for each model that was left out.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Which.
    pub ablation: Ablation,
    /// The predicted trees.
    pub held_out: Vec<HeldOut>,
    /// Their errors.
    pub errors: CrossValidation,
    /// The features that it did without.
    pub missing: Vec<Feature>,
}

impl Tried {
    /// Cross-validates, leaving one model out.
    ///
    /// # Errors
    /// As [`Ablation::trainer`], [`predict_held_out`] and [`CrossValidation::of`].
    pub fn new(ablation: Ablation, trees: &[Tree], seed: u64, done: &(dyn Fn() + Sync)) -> Result<Self> {
        let (trainer, missing) = ablation.trainer(seed, trees)?;
        let held_out = predict_held_out(trees, trainer.as_ref(), LeaveOut::Model, done)?;
        Ok(Self { ablation, errors: CrossValidation::of(&held_out)?, held_out, missing })
    }
}
