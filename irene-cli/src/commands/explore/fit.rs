use std::path::PathBuf;

use anyhow::Result;
use irene_explore::learning::{CostLawLearner, Learner, Surrogates};

use super::{MeasureArgs, SpaceArgs, in_words, read_records};
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
    let data = read_records(&args.data)?;
    let space = args.space.of([&data])?;
    let measures = args.measures.of(&data)?;
    for measure in &measures {
        let lacking = data.records.iter().filter(|record| record.measures.get(*measure).is_none()).count();
        if lacking > 0 {
            let (device, name) = (&data.device, in_words(measure.name()));
            let records = count(data.records.len(), "record");
            output::tell(&format!("{device}: {lacking} of {records} have no {name}, which is learned from the others"));
        }
    }
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
