use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use irene_explore::space::{ModelHash, Sampling};
use serde_json::json;

use super::SpaceArgs;
use crate::{commands::numbers::whole, output};

/// Draws different designs, spread over the space
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore sample 16 -o designs.jsonl
  irene explore sample 1000 --method latin-hypercube --balanced --seed 7 --space small")]
pub(crate) struct Args {
    /// How many
    #[arg(value_name = "N", value_parser = whole::<1, MOST_DESIGNS>)]
    count: usize,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Half of them with few heads in every layer, half with many, as ProTran samples
    #[arg(long)]
    balanced: bool,
    /// Write them here, one a line
    #[arg(short, long, value_name = "DESIGNS.jsonl", value_parser = output::text_file())]
    output: Option<PathBuf>,
}

/// As many are kept in memory.
pub(super) const MOST_DESIGNS: usize = 100_000;

/// How designs are drawn.
#[derive(clap::Args)]
pub(super) struct SamplingArgs {
    /// How the designs are spread: uniform, sobol, latin-hypercube, halton, hammersley
    #[arg(id = "sampling", long = "method", value_name = "METHOD", default_value = "sobol")]
    pub(super) method: Sampling,
    /// Seed of the designs
    #[arg(long, value_name = "N", default_value = "0")]
    pub(super) seed: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let space = args.space.find()?;
    let SamplingArgs { method, seed } = args.sampling;
    let designs = if args.balanced {
        space.sample_balanced(method, args.count, seed)?
    } else {
        space.sample(method, args.count, seed)?
    };
    let mut lines = String::new();
    for design in &designs {
        let line = json!({
            "hash": ModelHash::of(design).to_string(),
            "model_type": space.model_type(design).to_string(),
            "model_dict": design,
        });
        writeln!(lines, "{line}")?;
    }
    match &args.output {
        Some(path) => output::write_text(path, &lines),
        None => output::print(&lines),
    }
}
