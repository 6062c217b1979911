use anyhow::Result;
use irene_models::{Run, TrainingMemory};
use irene_tree::{
    Quantity, Tree, jsonl,
    render::{self, Column, Table, TableOptions},
};

use super::{
    TreeFormat, TreeOutputArgs,
    following::{self, ParallelArgs, RunArgs, SizesArgs},
    not_one_tree,
    training::TrainingArgs,
};
use crate::{
    output,
    sheet::{Field, Format, Sheet},
};

/// Shows a model's tree: parameters, FLOPs, bytes and kernels
///
/// The counts follow from the shapes alone. Several models, or several sizes, give a row each; --depth shows their trees.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene trace bert-base-uncased --batch-size 8 --seq-len 128
  irene trace bert-base-uncased gpt2 -b 1,8 -s 128
  irene trace gpt2 -b 1 -s 1024 --format folded > gpt2.folded
  irene trace gpt2 --sequences 1 --prompt 128 --generate 100 --kernels fused --dtype bf16
  irene trace gpt2 --sequences 8 --past 512
  irene trace Llama-3.1-70B -b 32 -s 1000 --generate 9 --tensor-parallel 4 --depth 3
  irene trace bert-base-uncased -b 8 -s 128 --train --optimizer adamw --depth 2
  irene trace ./my-model -b 8 -s 128 --format dot | dot -Tsvg -o tree.svg")]
pub(crate) struct Args {
    /// Models, each a built-in name, a path to a config.json, its directory or a GGUF file, or - for a config on the standard input
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    #[command(flatten)]
    sizes: SizesArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    parallel: ParallelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    output: TreeOutputArgs,
}

const SHOWN: [Quantity; 5] =
    [Quantity::NumParameters, Quantity::Flops, Quantity::MemBytes, Quantity::MovedBytes, Quantity::Kernels];

pub(crate) fn run(args: &Args) -> Result<()> {
    following::refuse_numbers(&args.models)?;
    let format = args.output.format(None);
    args.output.check(format)?;
    let trees = trees(args)?;
    let text = match (format, &trees[..]) {
        (TreeFormat::Text, [tree]) => text(args, tree),
        (TreeFormat::Text, trees) if args.output.shows_each() => {
            let each = trees.iter().map(|tree| format!("{}\n\n{}", output::what_runs(tree), text(args, tree)));
            each.collect::<Vec<_>>().join("\n")
        }
        (TreeFormat::Json, [tree]) => {
            let mut tree = tree.clone();
            tree.extra.insert(output::SCHEMA_FIELD.into(), output::SCHEMA_VERSION.into());
            jsonl::to_json(&tree) + "\n"
        }
        (TreeFormat::Csv, [tree]) => render::csv(tree),
        (TreeFormat::Text, trees) => rows(trees).text(),
        (TreeFormat::Json, trees) => rows(trees).printed(Format::Json, "settings"),
        (TreeFormat::Csv, trees) => rows(trees).csv(),
        (TreeFormat::Dot | TreeFormat::Folded, [tree]) => args.output.drawn(tree, format, Quantity::Flops),
        (TreeFormat::Dot | TreeFormat::Folded, _) => return not_one_tree(),
    };
    output::write_result(args.output.output(), &text, format == TreeFormat::Text)
}

fn trees(args: &Args) -> Result<Vec<Tree>> {
    let sizes = args.sizes.sizes(args.run.pass.past(), "")?;
    let mut trees = Vec::new();
    for name in &args.models {
        let spec = following::model(name)?;
        for (place, size) in sizes.iter().enumerate() {
            let (parallel, training) = (args.parallel.parallel(), args.training.training());
            let run = Run { parallel, training, ..args.run.run(&spec, *size, args.output.math)? };
            trees.push(spec.trace(run)?);
            if place == 0 && training.is_none() {
                following::tell_what_is_left_out(&spec, run)?;
            }
        }
    }
    Ok(trees)
}

fn text(args: &Args, tree: &Tree) -> String {
    let shown = args.output.folded(tree);
    let mut columns = SHOWN.map(Column::Value).to_vec();
    if !tree.parallel.is_single() {
        columns.insert(2, Column::Value(Quantity::LinkBytes));
    }
    let options = TableOptions { columns, max_depth: args.output.depth.unwrap_or(usize::MAX) };
    let table = Table::new(&shown, &options).fitted(output::width());
    let share = if tree.parallel.is_single() {
        String::new()
    } else {
        format!("the share of one of {} GPUs, {}\n\n", tree.parallel.gpus(), tree.parallel)
    };
    let memory = TrainingMemory::of(tree).map(memory).unwrap_or_default();
    format!("{share}{table}{}{memory}", output::legend_of_folding(&shown, tree, args.output.depth))
}

/// The memory that a step of training takes of a GPU.
fn memory(memory: TrainingMemory) -> String {
    let bytes = |bytes: u64| render::bytes(bytes as f64);
    let master = match memory.master_weights {
        0 => String::new(),
        copies => format!("copies in 32 bits {}, ", bytes(copies)),
    };
    format!(
        "\nmemory of a step: weights {}, {master}gradients {}, optimizer {}, kept for the backward pass {}, for a while {}: {}\n",
        bytes(memory.weights),
        bytes(memory.gradients),
        bytes(memory.optimizer_states),
        bytes(memory.activations),
        bytes(memory.transient),
        bytes(memory.total()),
    )
}

/// A row a setting.
fn rows(trees: &[Tree]) -> Sheet {
    let counts = SHOWN.map(|quantity| {
        Field::of(quantity).rank(match quantity {
            Quantity::Flops | Quantity::NumParameters => 0,
            Quantity::MovedBytes => 1,
            Quantity::Kernels => 2,
            _ => 3,
        })
    });
    let mut fields = vec![
        Field::word("model_name", "model"),
        Field::figure("batch_size", "batch", ""),
        Field::figure("seq_len", "seq", ""),
        Field::figure("past_len", "past", ""),
        Field::figure("generated", "new", ""),
    ];
    fields.extend(counts);
    let mut sheet = Sheet::new(fields);
    let above_zero = |count: usize| (count > 0).then_some(count).into();
    for tree in trees {
        let mut cells = vec![
            tree.model_name.as_str().into(),
            tree.size.sequences.into(),
            tree.size.new.into(),
            above_zero(tree.size.past),
            above_zero(tree.generated),
        ];
        cells.extend(SHOWN.map(|quantity| tree.root().get(quantity).into()));
        sheet.row(cells);
    }
    sheet
}
