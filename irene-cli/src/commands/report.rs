use std::path::PathBuf;

use anyhow::Result;

use super::{
    following::{self, SizeArgs},
    predictor::{PredictorArgs, measured_alone},
};
use crate::output;

/// Writes the web page of one model at one size as a single file
///
/// The file needs no server. It is of a device with a measured profile; `irene serve` shows and saves that of
/// every device.
#[derive(clap::Args)]
#[command(mut_args = measured_alone, after_help = "Example:
  irene report bert-base-uncased -b 8 -s 128 -o bert.html")]
pub(crate) struct Args {
    /// A built-in model's name, a path to a config.json, its directory or a GGUF file, or - for a config on the standard input
    model: String,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    predictor: PredictorArgs,
    /// The page
    #[arg(short, long, value_name = "PAGE.html", value_parser = output::text_file())]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let spec = following::model(&args.model)?;
    let predictor = args.predictor.load()?;
    let page = irene_viz::report(&predictor.name, predictor.profile, &spec, args.size.size())?;
    output::write_text(&args.output, &page)?;
    output::tell(&format!("written to {}", args.output.display()));
    Ok(())
}
