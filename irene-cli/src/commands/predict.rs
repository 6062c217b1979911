use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::ValueEnum;
use irene_models::{ModelSpec, Run};
use irene_regress::{CONFIDENCE, PRICE_PER_KWH, bottlenecks, kwh_per_million};
use irene_tree::{
    Level, Mark, Quantity, Size, Tree,
    jsonl::{self, TreeReader},
    render::{self, Column, Table, TableOptions},
};
use serde_json::{Value, json};

#[cfg(feature = "text")]
use super::text::TextArgs;
use super::{
    Usage,
    following::{self, RunArgs},
    predictor::{NamedProfile, PredictorArgs},
    size,
    trees::{self, Completion},
};
use crate::output;

/// Predicts the energy of every node of a model at a size, or of trees with measured features
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene predict bert-base-uncased --batch-size 8 --seq-len 128
  irene predict gpt2 -b 1 -s 1024 --depth 2 --top 5 --grid-intensity 400
  irene predict gpt2 -b 1 -s 128 --generate 100 --head lm --depth 2
  irene predict ./my-model -b 16 -s 64 --format csv > my-model.csv
  irene predict ./my-bert --text 'The cat sat on the mat.'
  irene predict measured.jsonl --predictor mine.safetensors -o predicted.jsonl")]
pub(crate) struct Args {
    /// A built-in model's name, a path to a config.json or its directory, or a .jsonl file of trees
    model_or_trees: String,
    /// Sequences in the batch (of a model)
    #[arg(short, long, value_name = "B", value_parser = size)]
    batch_size: Option<usize>,
    /// Tokens in a sequence (of a model)
    #[arg(short, long, value_name = "S", value_parser = size)]
    seq_len: Option<usize>,
    #[command(flatten)]
    run: RunArgs,
    #[cfg(feature = "text")]
    #[command(flatten)]
    text: TextArgs,
    /// The tokenizer for texts, if the model has none beside its config: a directory, or an id in the cache
    #[cfg(feature = "text")]
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<String>,
    #[command(flatten)]
    predictor: PredictorArgs,
    /// json is one interchange line; trees always give json [default: text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Show the tree to this depth (text)
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Show this many instance types in the table of bottlenecks (text) [default: 10]
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Show the single operations that modules run themselves
    #[arg(long)]
    math: bool,
    /// Price of a kWh, USD (text, json) [default: 0.1319]
    #[arg(long, value_name = "USD", value_parser = not_negative, allow_negative_numbers = true)]
    price_per_kwh: Option<f64>,
    /// Carbon intensity of the grid, g CO2e per kWh; emissions are shown where it is given (text, json)
    #[arg(long, value_name = "GRAMS", value_parser = not_negative, allow_negative_numbers = true)]
    grid_intensity: Option<f64>,
    /// Write here instead of to stdout, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

const DEFAULT_TOP: usize = 10;

/// The cost of a million runs, beside a tree in json.
const COST_FIELD: &str = "cost_per_million_runs";

impl Args {
    fn price_per_kwh(&self) -> f64 {
        self.price_per_kwh.unwrap_or(PRICE_PER_KWH)
    }

    fn has_text(&self) -> bool {
        #[cfg(feature = "text")]
        return self.text.is_given();
        #[cfg(not(feature = "text"))]
        false
    }

    fn cost_flags(&self) -> [(&'static str, bool); 2] {
        [("--price-per-kwh", self.price_per_kwh.is_some()), ("--grid-intensity", self.grid_intensity.is_some())]
    }
}

/// Refuses flags that would have no effect.
fn refuse(here: bool, belong_to: &str, flags: &[(&str, bool)]) -> Result<()> {
    match flags.iter().find(|(_, given)| here && *given) {
        Some((flag, _)) => Err(Usage(format!("{flag} belongs to {belong_to}")).into()),
        None => Ok(()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("expected a number of at least 0".into()),
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let trees = Path::new(&args.model_or_trees);
    if trees.extension().is_some_and(|extension| extension == "jsonl") {
        return predict_trees(args, trees);
    }
    let format = args.format.unwrap_or(Format::Text);
    refuse(format != Format::Text, "text", &[("--depth", args.depth.is_some()), ("--top", args.top.is_some())])?;
    refuse(format == Format::Csv, "text and json", &args.cost_flags())?;
    let predictor = args.predictor.load()?;
    let spec = following::model(&args.model_or_trees)?;
    let run = of_model(args, &spec)?;
    let mut tree = predictor.predicted(&spec, run)?;
    following::tell_what_is_left_out(&spec, run)?;
    let text = match format {
        Format::Text => text(args, &predictor, &tree)?,
        Format::Json => {
            tree.extra.insert(COST_FIELD.into(), cost(args, &tree));
            jsonl::to_json(&tree) + "\n"
        }
        Format::Csv => render::csv(&tree),
    };
    match &args.output {
        Some(path) => output::write_text(path, &text),
        None => output::print(&text),
    }
}

/// How the model is followed: at the given size, or at the size of the texts.
fn of_model(args: &Args, spec: &ModelSpec) -> Result<Run> {
    #[cfg(feature = "text")]
    if args.has_text() {
        let encoded = args.text.encode(spec, args.tokenizer.as_deref())?;
        return Ok(Run { is_padded: encoded.mask.is_some(), ..args.run.run(spec, encoded.size, args.math)? });
    }
    #[cfg(feature = "text")]
    refuse(args.tokenizer.is_some(), "--text and --text-file", &[("--tokenizer", true)])?;
    match (args.batch_size, args.seq_len) {
        (Some(batch_size), Some(seq_len)) => args.run.run(spec, Size::new(batch_size, seq_len), args.math),
        _ => {
            Err(Usage(format!("{} is predicted at a size: give --batch-size and --seq-len{OR_TEXT}", spec.name()))
                .into())
        }
    }
}

const OR_TEXT: &str = if cfg!(feature = "text") { ", or --text" } else { "" };

/// Predicts the trees of a file, one at a time.
fn predict_trees(args: &Args, path: &Path) -> Result<()> {
    let text_flags = [("--depth", args.depth.is_some()), ("--top", args.top.is_some()), ("--math", args.math)];
    let size_flags = [("--batch-size", args.batch_size.is_some()), ("--seq-len", args.seq_len.is_some())];
    let format = ("--format", args.format.is_some_and(|format| format != Format::Json));
    let input = ("--text", args.has_text());
    let flags = [&text_flags[..], &size_flags, &args.run.flags(), &args.cost_flags(), &[format, input]].concat();
    refuse(true, "a model; trees have their sizes and are predicted to json", &flags)?;
    let predictor = args.predictor.load()?;
    let mut count = 0;
    let mut completion = Completion::default();
    let mut copy = |writer: &mut dyn std::io::Write| -> Result<()> {
        for tree in TreeReader::open(path)? {
            let mut tree = tree?;
            completion.complete(&mut tree);
            completion.explained(predictor.predict(&mut tree))?;
            // The cost belongs to an earlier prediction.
            tree.extra.shift_remove(COST_FIELD);
            jsonl::write_trees(&mut *writer, [&tree])?;
            count += 1;
        }
        anyhow::ensure!(count > 0, "{}: no trees", path.display());
        Ok(())
    };
    match &args.output {
        Some(out) => output::write_file(out, copy)?,
        None => copy(&mut std::io::BufWriter::new(std::io::stdout().lock()))?,
    }
    completion.tell(path);
    output::tell(&format!("{} predicted by {}", trees::count(count, "tree"), predictor.name));
    Ok(())
}

fn root_energy(tree: &Tree) -> f64 {
    tree.root().get(Quantity::PredictedEnergy).unwrap_or(f64::NAN)
}

fn cost(args: &Args, tree: &Tree) -> Value {
    let kwh = kwh_per_million(root_energy(tree));
    let mut cost =
        json!({"energy_kwh": kwh, "price_usd": kwh * args.price_per_kwh(), "price_per_kwh_usd": args.price_per_kwh()});
    if let Some(grams) = args.grid_intensity {
        cost["emissions_g_co2e"] = json!(kwh * grams);
        cost["grid_intensity_g_co2e_per_kwh"] = json!(grams);
    }
    cost
}

fn text(args: &Args, predictor: &NamedProfile, tree: &Tree) -> Result<String> {
    let energy = root_energy(tree);
    let mut out = format!(
        "{}, on {}: {} a run, {} a {}token (predicted)\n",
        output::what_runs(tree),
        predictor.name,
        render::si(energy, "J"),
        render::si(energy / tree.tokens() as f64, "J"),
        if tree.generated > 0 { "generated " } else { "" },
    );
    let root = |quantity| tree.root().get(quantity);
    let mut more = Vec::new();
    if let (Some(low), Some(high)) = (root(Quantity::PredictedLow), root(Quantity::PredictedHigh)) {
        let share = 100.0 * CONFIDENCE;
        more.push(format!("{share}% interval {} to {}", render::si(low, "J"), render::si(high, "J")));
    }
    more.extend(root(Quantity::PredictedLatency).map(|seconds| format!("latency {}", render::si(seconds, "s"))));
    more.extend(root(Quantity::PredictedPower).map(|watts| format!("mean power {}", render::si(watts, "W"))));
    if !more.is_empty() {
        writeln!(out, "{}", more.join(", "))?;
    }
    out.push('\n');
    out += &output::styled(tree, &table(args, tree));
    if !tree.root().marks.is_empty() {
        out += &legend(predictor, tree);
    }
    out += &bottleneck_table(args, tree)?;

    let kwh = kwh_per_million(energy);
    write!(
        out,
        "\na million runs: {kwh:.3} kWh, {:.3} USD at {} USD/kWh",
        kwh * args.price_per_kwh(),
        args.price_per_kwh()
    )?;
    if let Some(grams) = args.grid_intensity {
        write!(out, ", {:.3} kg CO2e at {grams} g/kWh", kwh * grams / 1000.0)?;
    }
    out.push('\n');
    Ok(out)
}

fn table(args: &Args, tree: &Tree) -> Table {
    let energy = Quantity::PredictedEnergy;
    let mut columns = vec![Column::Value(energy), Column::Share(energy), Column::Bar(energy)];
    for quantity in [Quantity::OwnEnergy, Quantity::PredictedLow, Quantity::PredictedHigh, Quantity::PredictedLatency] {
        if tree.nodes().iter().any(|node| node.get(quantity).is_some()) {
            columns.push(Column::Value(quantity));
        }
    }
    if !tree.root().marks.is_empty() {
        columns.push(Column::Marks);
    }
    Table::new(tree, &TableOptions { columns, max_depth: args.depth.unwrap_or(usize::MAX) })
}

/// The meaning of each mark in the table.
fn legend(predictor: &NamedProfile, tree: &Tree) -> String {
    let mut out = String::from("\n");
    for mark in tree.root().marks.iter() {
        let meaning = match mark {
            Mark::Extrapolated => {
                format!("outside the range of the training data ({})", predictor.profile.provenance.training_data)
            }
            Mark::UnseenOperation => "an operation the predictor never saw, costed from its FLOPs and bytes".into(),
            Mark::OtherPrecision => format!(
                "in {}, which the training data has none of: predicted as its operations cost there, by their bytes",
                tree.precision
            ),
            Mark::Implausible => "below zero: the predictor does not hold this far from its training data".into(),
            other => other.name().into(),
        };
        out += &format!("{}: {meaning}\n", mark.name());
    }
    out
}

fn bottleneck_table(args: &Args, tree: &Tree) -> Result<String> {
    let mut out = format!("\n{:32} {:>6} {:>10} {:>7}\n", "where it goes", "nodes", "energy", "share");
    for row in bottlenecks(tree, Quantity::PredictedEnergy).into_iter().take(args.top.unwrap_or(DEFAULT_TOP)) {
        let name = match row.level {
            Level::Model | Level::Module => format!("{} (own part)", row.instance_type),
            _ => row.instance_type,
        };
        let (energy, share) = (render::si(row.energy_j, "J"), 100.0 * row.share);
        writeln!(out, "{name:32} {:>6} {energy:>10} {share:>6.1}%", row.count)?;
    }
    Ok(out)
}
