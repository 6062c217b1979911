//! How and where a model runs: for every command that predicts one run.

use irene_predict::Load;

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

impl SettingArgs {
    /// How many run at once, one after the other.
    pub(crate) fn loads(&self) -> Vec<Load> {
        let batches = self.sizes.batch_size.iter().map(|&sequences| Load::Sequences(sequences));
        let concurrencies = self.service.concurrency.iter().map(|&running| Load::Concurrency(running));
        batches.chain(concurrencies).chain(self.service.rate.iter().map(|&rate| Load::Rate(rate))).collect()
    }
}
