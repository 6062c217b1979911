use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{
    UNNAMED,
    predictor::PredictorArgs,
    trees::{self, Trees},
};
use crate::output;

/// Carries a profile over to another machine, from a few trees that were measured there
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene calibrate --device gtx-1080-ti mine.jsonl -o mine.safetensors
  irene calibrate --predictor lab.safetensors mine.jsonl --name my-gpu -o mine.safetensors")]
pub(crate) struct Args {
    /// Trees with ground truth from the other machine; one is enough, each more makes it better
    data: PathBuf,
    #[command(flatten)]
    predictor: PredictorArgs,
    /// The predictor file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The other machine, for the file's provenance
    #[arg(long, default_value = UNNAMED)]
    name: String,
    /// The other machine's device memory, GiB: a model that does not fit is then said not to
    #[arg(long, value_name = "GIB", value_parser = super::gib)]
    memory_gib: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let predictor = args.predictor.load()?;
    let Trees { trees, completion } = trees::read_to_learn(&args.data)?;
    ensure!(!args.output.is_dir(), "{} is a directory; -o takes a file", args.output.display());
    let mut profile = completion.explained(predictor.explained(predictor.profile.calibrated(&trees, &args.name)))?;
    profile.provenance.memory_gib = args.memory_gib;
    let bytes = profile.to_bytes()?;
    output::write_file(&args.output, |writer| Ok(writer.write_all(&bytes)?))?;
    output::tell(&format!(
        "{}, carried over to {} by {}, written to {}",
        predictor.name,
        args.name,
        match trees.len() {
            1 => "one tree".into(),
            count => format!("{count} trees"),
        },
        args.output.display()
    ));
    super::tell_of_training(&profile.provenance);
    Ok(())
}
