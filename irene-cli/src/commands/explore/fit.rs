use std::path::PathBuf;

use anyhow::Result;
use irene_explore::learning::{CostLawLearner, Learner, Surrogates};

use super::{MeasureArgs, SpaceArgs, read_records};
use crate::{commands::trees::count, output};

/// Learns a device's surrogates from measured designs
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore fit mine.jsonl -o mine.surrogates.json
  irene explore fit mine.jsonl --measure latency -o latency.json")]
pub(crate) struct Args {
    /// Records of `irene explore profile`, or a device's file as ProTran's data is laid out
    data: PathBuf,
    #[command(flatten)]
    measures: MeasureArgs,
    #[command(flatten)]
    space: SpaceArgs,
    /// The file to write
    #[arg(short, long, value_name = "SURROGATES.json", value_parser = output::text_file())]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    output::check_apart(&[Some(args.output.as_path())], &[Some(args.data.as_path())])?;
    let space = args.space.find()?;
    let data = read_records(&args.data)?;
    let measures = args.measures.of(&data)?;
    let surrogates = Surrogates::learn(&CostLawLearner, &data, &space, &measures, 0)?;
    output::write_text(&args.output, &surrogates.to_json()?)?;
    let names: Vec<&str> = measures.iter().map(|measure| measure.name()).collect();
    output::tell(&format!(
        "{} of {}, by {} from {}, written to {}",
        names.join(", "),
        data.device,
        CostLawLearner.name(),
        count(data.records.len(), "record"),
        args.output.display()
    ));
    Ok(())
}
