use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Subcommand;
use irene_models::ModelSpec;
use irene_tree::{
    Tree,
    irene_csv::{self, Dropped},
};

use super::trees::count;
use crate::output;

mod csv;
mod public;

const EXAMPLE: &str = "Example:\n  irene import irene-csv datasets/device_1 -o device_1.jsonl";

const EXAMPLES: &str = "Examples:
  irene import mlenergy.csv -o requests.csv
  irene import results/*.json --device l4 --engine vllm-0.11 -o requests.csv
  irene import llama-bench.json --model llama-3.1-8b -o requests.csv
  irene import irene-csv datasets/device_1 -o device_1.jsonl
  irene import csv runs.csv --columns model,batch_size,seq_len,energy:mJ \\
      -o runs.jsonl";

/// Turns published or your own measurements into sheets or trees
///
/// Published measurements of requests become a request sheet; `irene import csv` and `irene import irene-csv` make
/// trees of measured nodes. Files are known by what they hold: ML.ENERGY (tables and the leaderboard's JSON), MLPerf
/// Inference with power (tables, or the folder of a run with spl.txt and mlperf_log_detail.txt), LLM-Inference-Bench,
/// the JSON of vLLM's serving benchmark, of optimum-benchmark and of llama-bench, Splitwise, EcoCompute. A setting that
/// the input does not say is absent, or assumed and named in the column `assumed`.
///
/// A file of trees, records or a sheet becomes a Parquet file where OUT ends in .parquet, and a Parquet file becomes trees or records
/// (.jsonl) or a sheet (.csv), in an irene built with the feature `parquet`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(flatten)]
    public: public::SheetArgs,
    #[command(subcommand)]
    layout: Option<Layout>,
}

#[derive(Subcommand)]
enum Layout {
    /// IrEne's public CSV files (ml1, ml2, module and model level features)
    #[command(after_help = EXAMPLE)]
    IreneCsv {
        /// The folder of the four files
        dir: PathBuf,
        /// The file of trees to write
        #[arg(short, long, value_name = "OUT.jsonl", value_parser = output::file_or_stdout())]
        output: PathBuf,
    },
    Csv(csv::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (dir, output) = match &args.layout {
        None => return public::run(&args.public),
        Some(Layout::Csv(args)) => return csv::run(args),
        Some(Layout::IreneCsv { dir, output }) => (dir, output),
    };
    let (trees, left_out) = read_irene_csv(dir)?;
    output::write_trees(Some(output), &mut |write| trees.iter().try_for_each(write))?;
    let written = count(trees.len(), "tree");
    output::tell(&format!("{written} written to {}; left out: {left_out}", output::name(output)));
    Ok(())
}

/// Names the first of what could not be taken, and says how many more there are.
fn tell_first<T>(what: &str, all: &[T], text: impl Fn(&T) -> String) {
    const SHOWN: usize = 3;
    all.iter().take(SHOWN).for_each(|one| output::tell(&format!("{what}: {}", text(one))));
    if all.len() > SHOWN {
        output::tell(&format!("{what}: {} more", all.len() - SHOWN));
    }
}

/// The trees of a folder of IrEne's CSV files with the counts of our trace, and the number of trees left out, each of which it
/// reports.
pub(super) fn read_irene_csv(dir: &Path) -> Result<(Vec<Tree>, usize)> {
    let class_of = |name: &str| ModelSpec::builtin(name)?.instance_type().ok();
    let mut import = irene_csv::read_dir(dir, &class_of)?;
    let mut trees = Vec::new();
    for mut tree in std::mem::take(&mut import.trees) {
        match irene_models::complete(&mut tree) {
            Ok(_) => trees.push(tree),
            Err(irene_models::Error::Tree(irene_tree::Error::Node { tree, scope, reason })) => {
                import.dropped.push(Dropped { what: tree, reason: format!("node `{scope}`: {reason}") });
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !import.absent.is_empty() {
        let absent: Vec<&str> = import.absent.iter().map(|quantity| quantity.name()).collect();
        output::tell(&format!("{}: no column {} in some file", dir.display(), absent.join(", ")));
    }
    for dropped in &import.dropped {
        output::tell(&format!("left out {}: {}", dropped.what, dropped.reason));
    }
    ensure!(!trees.is_empty(), "{}: no tree could be put together", dir.display());
    Ok((trees, import.dropped.len()))
}
