use anyhow::Result;
use clap::ValueEnum;
use irene_tree::{
    Quantity, jsonl,
    render::{self, Column, Table, TableOptions},
};

use super::following::{self, RunArgs, SizeArgs};
use crate::output;

/// Prints a model's tree with the counts that follow from its shapes: parameters, FLOPs, bytes, kernels
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene trace bert-base-uncased --batch-size 8 --seq-len 128
  irene trace gpt2 -b 1 -s 1024 --format folded > gpt2.folded
  irene trace gpt2 -b 1 -s 128 --generate 100 --head lm --kernels fused --dtype bf16
  irene trace ./my-model -b 8 -s 128 --format dot | dot -Tsvg -o tree.svg")]
pub(crate) struct Args {
    /// A built-in model's name, a path to a config.json or its directory, or - for a config on the standard input
    model: String,
    #[command(flatten)]
    size: SizeArgs,
    #[command(flatten)]
    run: RunArgs,
    /// json is one line of the interchange format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Show the single operations that modules run themselves
    #[arg(long)]
    math: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
    Folded,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let spec = following::model(&args.model)?;
    let run = args.run.run(&spec, args.size.size(), args.math)?;
    let tree = spec.trace(run)?;
    following::tell_what_is_left_out(&spec, run)?;
    let columns =
        [Quantity::NumParameters, Quantity::Flops, Quantity::MemBytes, Quantity::MovedBytes, Quantity::Kernels];
    output::print(&match args.format {
        Format::Text => {
            let columns = columns.map(Column::Value).to_vec();
            Table::new(&tree, &TableOptions { columns, max_depth: usize::MAX }).to_string()
        }
        Format::Json => jsonl::to_json(&tree) + "\n",
        Format::Dot => render::dot(&tree, Quantity::Flops),
        Format::Folded => render::folded(&tree, Quantity::Flops),
    })
}
