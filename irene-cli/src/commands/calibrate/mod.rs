//! `irene calibrate`: a predictor for one's own machine, from trees or from whole requests.

mod requests;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::requests::RequestsArgs;
use super::{
    UNNAMED,
    predictor::PredictorArgs,
    refuse,
    trees::{self, Trees, count},
    usage,
};
use crate::output;

/// Makes a predictor for your machine from a few measurements
///
/// From trees that were measured on it, or from whole requests. Trees carry the profile of another machine over. Requests
/// (--requests) move what the device's data sheet says, for the engines that served them, and energy is that of the rows'
/// meter. `irene predict`, `explain`, `whatif`, `suggest`, `report` and `serve` take either file; `irene plan` takes one
/// from requests.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene calibrate --device gtx-1080-ti mine.jsonl -o mine.safetensors
  irene calibrate --predictor lab.safetensors mine.jsonl --name my-gpu -o mine.safetensors
  irene calibrate --device h100-sxm --requests measured.csv -o mine.safetensors
  irene calibrate --device t4 --power-limit 60 --requests measured.csv -o mine.safetensors")]
pub(crate) struct Args {
    /// Trees with ground truth from your machine; one is enough, each more makes it better
    #[arg(value_name = "TREES")]
    data: Option<PathBuf>,
    #[command(flatten)]
    predictor: PredictorArgs,
    /// The predictor file to write
    #[arg(short, long, value_name = "FILE", value_parser = output::text_file())]
    output: PathBuf,
    /// Your machine's name, for the file's provenance [default: a machine without a name]
    #[arg(long)]
    name: Option<String>,
    /// Your machine's device memory, GiB: models that need more get a warning
    #[arg(long, value_name = "GIB", value_parser = super::numbers::gib)]
    memory_gib: Option<f64>,
    #[command(flatten)]
    requests: RequestsArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    output::check_apart(&[Some(args.output.as_path())], &[args.data.as_deref(), args.requests.sheet()])?;
    match (&args.data, args.requests.sheet()) {
        (Some(_), Some(_)) => usage(
            "trees calibrate a measured profile, and --requests a data sheet: calibrate twice, with a file for each",
        ),
        (None, Some(sheet)) => requests::run(args, sheet),
        (Some(data), None) => of_trees(args, data),
        (None, None) => usage("what was measured? Give a file of trees, or --requests MEASURED.csv"),
    }
}

fn of_trees(args: &Args, data: &Path) -> Result<()> {
    refuse(true, "--requests", &args.requests.flags())?;
    output::check_apart(&[Some(args.output.as_path())], &[args.predictor.file().map(PathBuf::as_path)])?;
    let predictor = args.predictor.load()?;
    let Trees { trees, completion } = trees::read_to_learn(data)?;
    let name = args.name.as_deref().unwrap_or(UNNAMED);
    let calibrated = predictor.explained(predictor.profile.calibrated(&trees, name));
    let mut profile = completion.explained(data, calibrated)?;
    profile.provenance.memory_gib = args.memory_gib;
    output::write_bytes(&args.output, &profile.to_bytes()?)?;
    output::tell(&format!(
        "{}, carried over to {name} by {}, written to {}",
        predictor.name,
        count(trees.len(), "tree"),
        args.output.display()
    ));
    super::tell_of_training(&profile.provenance);
    Ok(())
}
