use std::path::PathBuf;

use anyhow::Result;
use irene_explore::{
    Dataset,
    surrogate::{Surrogates, learner},
};

use super::{MeasureArgs, OURS, SpaceArgs};
use crate::output;

/// Learns a device's surrogates from measured designs
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore fit mine.jsonl -o mine.surrogates.json
  irene explore fit mine.jsonl --learner gp-matern --measure latency -o latency.json")]
pub(crate) struct Args {
    /// Records of `irene explore profile`, or a device's file as ProTran's data is laid out
    data: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "SURROGATES.json")]
    output: PathBuf,
    /// How to learn: law (ours), gp-rbf, gp-matern, decision-tree, adaboost, boshnas
    #[arg(long, value_name = "NAME", default_value = OURS)]
    learner: String,
    #[command(flatten)]
    measures: MeasureArgs,
    #[command(flatten)]
    space: SpaceArgs,
    /// Decides what the learner draws
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let space = args.space.find()?;
    let learner = learner(&args.learner, &space)?;
    let data = Dataset::read(&args.data)?;
    let measures = args.measures.of(&data)?;
    let surrogates = Surrogates::learn(learner.as_ref(), &data, &space, &measures, args.seed)?;
    output::write_text(&args.output, &surrogates.to_json()?)?;
    let names: Vec<&str> = measures.iter().map(|measure| measure.name()).collect();
    output::tell(&format!(
        "{} of {}, by {} from {} records, written to {}",
        names.join(", "),
        data.device,
        learner.name(),
        data.records.len(),
        args.output.display()
    ));
    Ok(())
}
