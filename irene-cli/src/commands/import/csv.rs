//! `irene import csv`: a table of one's own measurements, joined onto the trees of models.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Result, bail};
use irene_models::ModelSpec;
use irene_tree::{
    Level, Node, Quantity, Size, Tree,
    measurements::{self, Columns, Field, Given, Joined, Table, Unmatched},
};
use serde_json::json;

use crate::{
    commands::{evaluate::LEVELS, following::RunArgs, numbers::size, trees::count, usage},
    input, output,
};

/// A table of one's own measurements, joined onto the nodes of models by scope or class
///
/// A row names a node by its scope, as PyTorch's named_modules() or `irene trace` writes it; by its class, where all nodes of the class do
/// the same work; or, in a file without either column, the whole model. Separators, quotes and the order of columns do not matter; empty
/// cells are figures that were not measured; of several rows of a node it takes the mean.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene import csv runs.csv --columns model,batch_size,seq_len,energy:mJ \\
      -o runs.jsonl
  irene import csv layers.csv --model gpt2 -b 8 \\
      --columns 'scope=layer,seq_len=tokens,energy=energy (mJ)' -o layers.jsonl
  irene import csv modules.csv linears.csv --model ./my-bert -b 8 -s 128 \\
      --columns scope=name,energy=used:Wh,latency=took:us -o mine.jsonl")]
pub(super) struct Args {
    /// Files with a line of titles; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// FIELD=TITLE:UNIT, separated by commas: which column holds what. Fields: scope, class, model, batch_size,
    /// seq_len, energy (at the wall), latency, gpu_energy (by the driver), cpu, mem, gpu, gpu_mem, gpu_clk,
    /// gpu_mem_clk. =TITLE may be left out where it is the field's name, :UNIT where it is in the title, as in `Energy
    /// (mJ)`, or is J, s, % or MHz
    #[arg(long, value_name = "LIST", value_parser = Columns::parse)]
    columns: Columns,
    /// The model of rows that do not name one: a built-in name, or a path to a config.json or its directory
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Sequences in the batch, of rows that do not say
    #[arg(short, long, visible_alias = "sequences", value_name = "B", value_parser = size)]
    batch_size: Option<usize>,
    /// Tokens in a sequence, of rows that do not say
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_parser = size)]
    seq_len: Option<usize>,
    #[command(flatten)]
    run: RunArgs,
    /// The energies are a power model's estimates rather than a meter's readings
    #[arg(long)]
    estimated: bool,
    /// The file of trees to write
    #[arg(short, long, value_name = "OUT.jsonl", value_parser = output::file_or_stdout())]
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<()> {
    for (field, flag, is_given) in [
        (Field::ModelName, "--model", args.model.is_some()),
        (Field::BatchSize, "--batch-size", args.batch_size.is_some()),
        (Field::SeqLen, "--seq-len", args.seq_len.is_some()),
    ] {
        if !is_given && !args.columns.have(field) {
            let name = field.name();
            return usage(format!("no {name}: add {name}=TITLE to --columns, or give {flag}"));
        }
    }
    let files = args.files.iter().map(|path| input::open(path)).collect::<Result<Vec<_>>>()?;
    let Table { rows, used, zeros } = measurements::read(files, &args.columns)?;
    let read = rows.len();
    let given = Given { model_name: args.model.clone(), batch_size: args.batch_size, seq_len: args.seq_len };
    let mut models = Models { args, found: HashMap::new() };
    let mut joined = measurements::join(rows, &given, &mut |name, size| models.trace(name, size));
    if joined.trees.is_empty() {
        let why =
            joined.unmatched.first().map_or_else(|| format!("{} without a figure", count(read, "row")), not_joined);
        bail!("no row joined a node: {why}");
    }
    if args.estimated {
        joined.trees.iter_mut().flat_map(Tree::nodes_mut).for_each(mark_as_estimated);
    }
    output::write_trees(Some(&args.output), &mut |write| joined.trees.iter().try_for_each(write))?;
    output::tell(&used.join(", "));
    tell_rows(&joined, read, zeros);
    tell_trees(&joined.trees, args);
    Ok(())
}

/// The models that rows name.
struct Models<'a> {
    args: &'a Args,
    found: HashMap<String, Result<ModelSpec, String>>,
}

impl Models<'_> {
    fn trace(&mut self, name: &str, size: Size) -> Result<Tree, String> {
        let find = || ModelSpec::find(name).map_err(|error| error.to_string());
        let spec = self.found.entry(name.to_owned()).or_insert_with(find).as_ref().map_err(Clone::clone)?;
        let run = self.args.run.run(spec, size, false).map_err(|error| error.to_string())?;
        spec.trace(run).map_err(|error| error.to_string())
    }
}

fn mark_as_estimated(node: &mut Node) {
    if node.get(Quantity::GroundTruthEnergy).is_some() {
        let estimated = json!({"energy_provenance": "estimated"});
        node.extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), estimated);
    }
}

/// Says which rows were joined, and which were not and why.
fn tell_rows(joined: &Joined, read: usize, zeros: usize) {
    let Joined { by_scope, by_class, repeated, empty, unmatched, .. } = joined;
    let mut said = vec![format!("{} of {} joined", by_scope + by_class, count(read, "row"))];
    if *by_class > 0 {
        said.push(format!("{by_class} of them by class, to all nodes of the class"));
    }
    let counted = [
        (*repeated, "row", " of a node that another has too, which gets their mean"),
        (*empty, "row", " without a figure"),
        (zeros, "figure", " of 0, taken as not measured"),
    ];
    let counted = counted.into_iter().filter(|(number, ..)| *number > 0);
    said.extend(counted.map(|(number, noun, what)| count(number, noun) + what));
    output::tell(&said.join("; "));
    super::tell_first("not joined", unmatched, not_joined);
}

fn not_joined(Unmatched { origin, line, what, reason, near }: &Unmatched) -> String {
    let what = if what.is_empty() { String::new() } else { format!("`{what}`: ") };
    let near = if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) };
    format!("{origin}, line {line}: {what}{reason}{near}")
}

/// Says how much of the trees was measured.
fn tell_trees(trees: &[Tree], args: &Args) {
    let nodes = |level: Level| trees.iter().flat_map(Tree::nodes).filter(move |node| node.level() == level);
    let share = |quantity: Quantity| {
        let known = |level| nodes(level).filter(|node| node.get(quantity).is_some()).count();
        let of_level = |level: Level| format!("{} of {} {}", known(level), nodes(level).count(), level.name());
        (LEVELS.iter().any(|&level| known(level) > 0)).then(|| LEVELS.map(of_level).join(", "))
    };
    let mut said = format!("{} written to {}", count(trees.len(), "tree"), output::name(&args.output));
    for (what, quantity) in [("energies", Quantity::GroundTruthEnergy), ("latencies", Quantity::Latency)] {
        said += &share(quantity).map_or_else(String::new, |share| format!("; {what} of {share}"));
    }
    let estimated = if args.estimated { " (estimated)" } else { "" };
    output::tell(&format!("{said}{estimated}"));
}
