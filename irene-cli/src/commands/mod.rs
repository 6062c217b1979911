//! One file a command.

pub(crate) mod ablate;
pub(crate) mod calibrate;
pub(crate) mod completions;
pub(crate) mod crossvalidate;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod explore;
mod following;
#[cfg(feature = "candle")]
mod generate;
pub(crate) mod import;
#[cfg(feature = "candle")]
mod jobs;
mod learning_curves;
#[cfg(feature = "candle")]
mod measuring;
mod meters;
pub(crate) mod models;
pub(crate) mod predict;
mod predictor;
#[cfg(feature = "candle")]
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod reproduce;
#[cfg(feature = "candle")]
pub(crate) mod run;
#[cfg(feature = "candle")]
mod running;
pub(crate) mod sample;
pub(crate) mod serve;
#[cfg(feature = "text")]
mod text;
pub(crate) mod trace;
pub(crate) mod train;

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use irene_features::FeatureSet;
use irene_regress::{PaperTrainer, Strategy, Track, Trainer};
use irene_tree::{Tree, jsonl};

/// Arguments that contradict each other, or lack one another.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The name of a machine without one.
const UNNAMED: &str = "a machine without a name";

/// A size of at least one.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if size > 0 => Ok(size),
        _ => Err("expected a whole number of at least 1".into()),
    }
}

/// A size that may be 0.
pub(crate) fn size_or_zero(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number of at least 0".into())
}

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
    /// Decides the initial weights (method irene) [default: 13370]
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

impl MethodArgs {
    pub(crate) fn trainer(&self) -> Result<Box<dyn Trainer>> {
        if let Some(track) = self.method.track() {
            if self.strategy.is_some() || self.features.is_some() || self.seed.is_some() {
                return Err(Usage("--strategy, --features and --seed belong to --method irene".into()).into());
            }
            return Ok(Box::new(track));
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
        Ok(Box::new(PaperTrainer { strategy, features, seed: self.seed.unwrap_or(default.seed) }))
    }
}

/// The trees of a file, which must have at least one.
pub(crate) fn read_trees(path: &Path) -> Result<Vec<Tree>> {
    let trees = jsonl::read_trees(path)?;
    anyhow::ensure!(!trees.is_empty(), "{}: no trees", path.display());
    Ok(trees)
}

/// A device's memory, GiB.
pub(crate) fn gib(text: &str) -> Result<f64, String> {
    let gib = text.parse().ok().filter(|gib: &f64| gib.is_finite() && *gib > 0.0);
    gib.ok_or_else(|| "expected a number of GiB above 0, such as 11".into())
}

/// Says what whoever trained a predictor should know of its training data.
fn tell_of_training(provenance: &irene_regress::Provenance) {
    if provenance.estimated {
        crate::output::tell(
            "the energies are estimates (a power model's, not a meter's), and so is what is predicted from them",
        );
    }
    if let Some(warning) = provenance.warning() {
        crate::output::tell(&format!("warning: {warning}"));
    }
}
