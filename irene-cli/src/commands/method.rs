//! How a predictor is trained: for every command that trains one.

use anyhow::Result;
use clap::ValueEnum;
use irene_features::{Feature, FeatureSet};
use irene_regress::{PaperTrainer, Strategy, Track, Trainer, TreeSource};

use super::usage;
use crate::output;

/// How a predictor is trained.
#[derive(clap::Args)]
pub(crate) struct MethodArgs {
    /// The paper's predictor, or one of ours, by what is known of a new model on the machine
    #[arg(long, value_enum)]
    method: Method,
    /// How energies go up the tree (method irene) [default: end2end]
    #[arg(long, value_enum)]
    strategy: Option<StrategyName>,
    /// Which features the regressors see (method irene) [default: all]
    #[arg(long, value_enum)]
    features: Option<Features>,
    /// Seed of the initial weights (method irene) [default: 13370]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// IrEne's (Cao et al., ACL 2021)
    Irene,
    /// Ours, every node's own latency and driver energy measured
    Measured,
    /// Ours, only the primitives measured; modules and models inferred
    Primitives,
    /// Ours, from architecture and input size alone
    Specs,
}

impl Method {
    /// None for the paper's.
    fn track(self) -> Option<Track> {
        match self {
            Self::Irene => None,
            Self::Measured => Some(Track::Measured),
            Self::Primitives => Some(Track::Primitives),
            Self::Specs => Some(Track::Specs),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum StrategyName {
    /// Weighted sum of children, learned over whole trees
    #[value(name = "end2end")]
    End2End,
    /// Weighted sum, learned on the children's true energies
    #[value(name = "stepwise")]
    StepWise,
    /// Sum of the children's predictions
    PredictedSum,
    /// Regression on each node's own features
    Unstructured,
}

#[derive(Clone, Copy, ValueEnum)]
enum Features {
    /// Specs and resources
    All,
    /// Features from architecture and input size alone
    Specs,
    /// Features from running on the machine
    Resources,
}

/// A method with its settings.
pub(crate) enum Chosen {
    Paper(PaperTrainer),
    Ours(Track),
}

impl Chosen {
    /// Its name, if it predicts from measured latencies.
    pub(crate) fn needs_latencies(&self) -> Option<&'static str> {
        match self {
            Self::Ours(track @ (Track::Measured | Track::Primitives)) => Some(track.name()),
            _ => None,
        }
    }

    /// How it is trained on these trees, and the features that it does without because some node has none, which it says.
    pub(crate) fn trainer(self, trees: &(impl TreeSource + ?Sized)) -> Result<(Box<dyn Trainer>, Vec<Feature>)> {
        let trainer = match self {
            Self::Ours(track) => return Ok((Box::new(track), Vec::new())),
            Self::Paper(trainer) => trainer,
        };
        let (trainer, missing) = trainer.with_features_of(trees)?;
        if !missing.is_empty() {
            output::tell(&format!("IrEne's method does without {}, which not every node has", names(&missing)));
        }
        Ok((Box::new(trainer), missing))
    }
}

pub(crate) fn names(features: &[Feature]) -> String {
    features.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(", ")
}

/// Says what learning needs beside the error of a node that lacks it.
pub(crate) fn needs(error: irene_regress::Error) -> anyhow::Error {
    let is_missing = matches!(error, irene_regress::Error::MissingFeature(_));
    let error = anyhow::Error::from(error);
    if !is_missing {
        return error;
    }
    error.context(
        "our methods learn from energies, latencies, FLOPs, bytes and kernels, as `irene profile` writes them; \
         --method irene --features specs does without latencies",
    )
}

impl MethodArgs {
    /// The method, if its settings belong to it.
    pub(crate) fn chosen(&self) -> Result<Chosen> {
        if let Some(track) = self.method.track() {
            if self.strategy.is_some() || self.features.is_some() || self.seed.is_some() {
                return usage("--strategy, --features and --seed work only with --method irene");
            }
            return Ok(Chosen::Ours(track));
        }
        let default = PaperTrainer::default();
        let strategy = self.strategy.map_or(default.strategy, |name| match name {
            StrategyName::End2End => Strategy::End2End,
            StrategyName::StepWise => Strategy::StepWise,
            StrategyName::PredictedSum => Strategy::PredictedSum,
            StrategyName::Unstructured => Strategy::Unstructured,
        });
        let features = self.features.map_or(default.features, |features| match features {
            Features::All => FeatureSet::all(),
            Features::Specs => FeatureSet::specs(),
            Features::Resources => FeatureSet::resources(),
        });
        Ok(Chosen::Paper(PaperTrainer { strategy, features, seed: self.seed.unwrap_or(default.seed) }))
    }
}
