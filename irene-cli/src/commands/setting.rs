//! How and where a model runs: for every command that predicts one run.

use super::{
    following::{ParallelArgs, RunArgs, SizesArgs},
    predict::ServiceArgs,
    predictor::PredictorArgs,
};

#[derive(clap::Args)]
pub(crate) struct SettingArgs {
    #[command(flatten)]
    pub(crate) sizes: SizesArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    #[command(flatten)]
    pub(crate) predictor: PredictorArgs,
    #[command(flatten)]
    pub(crate) parallel: ParallelArgs,
}
