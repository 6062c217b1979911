use std::path::PathBuf;

use anyhow::{Result, anyhow};

use super::advice::{Selected, SelectionArgs};
use crate::output;

/// Writes the web page of one prediction as a single file
///
/// The file needs no server. It shows one model, how it runs and where; `irene serve` answers everything else.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene report bert-base-uncased -b 8 -s 128 -o bert.html
  irene report Llama-3.1-8B --device l4 --prompt 512 --generate 256 -o llama.html")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
    /// The page
    #[arg(short, long, value_name = "PAGE.html", value_parser = output::text_file())]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let Selected { lookup, selection } = args.selection.selected(&[])?;
    let page =
        irene_viz::report(lookup, &selection).map_err(|error| anyhow!(output::reason_in_flags(&error.to_string())))?;
    output::write_text(&args.output, &page)?;
    output::tell(&format!("written to {}", args.output.display()));
    Ok(())
}
