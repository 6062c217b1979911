use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ValueEnum, builder::TypedValueParser};
use irene_features::Feature;
use irene_regress::{CrossValidation, LeaveOut};
use irene_tree::{
    Level, Quantity,
    render::{self, Grid, Heading},
};
use irene_viz::Group;
use serde_json::{Map, Value, json};

use super::{
    evaluate::LEVELS,
    method::{self, MethodArgs},
    trees::{self, Trees},
    usage,
};
use crate::{input, output, settings, sheet};

/// Trains without one model (size, family ...), then predicts it
///
/// Each model, size or family is left out in turn.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene crossvalidate device_1.jsonl --method irene
  irene crossvalidate device_1.jsonl --method specs --protocol leave-size-out --format json
  irene crossvalidate device_1.jsonl --method specs --format latex \\
      --plot errors.svg > errors.tex")]
pub(crate) struct Args {
    /// Trees with ground truth
    data: PathBuf,
    #[command(flatten)]
    method: MethodArgs,
    /// The trees left out of training in each fold
    #[arg(long, value_enum, default_value = "leave-model-out")]
    protocol: ProtocolName,
    /// Seed of the parts of k-fold [default: 1]
    #[arg(long, value_name = "N")]
    fold_seed: Option<u64>,
    /// How results are printed [default: text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Also draw the errors by what is left out and level
    #[arg(long, value_name = "FILE.svg", value_parser = output::text_file().try_map(svg))]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProtocolName {
    /// All trees of one model
    LeaveModelOut,
    /// All trees of one input size
    LeaveSizeOut,
    /// All trees of one family: GPT-like, BERT-like, DistilBERT
    LeaveFamilyOut,
    /// One tree, trained without its model and without its size
    LeaveModelAndSizeOut,
    /// A tenth of the trees, for reference
    KFold,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
    /// A table for a paper
    Latex,
}

impl Format {
    fn by_default() -> Self {
        match settings::get().format {
            Some(sheet::Format::Json) => Self::Json,
            Some(sheet::Format::Csv) => Self::Csv,
            Some(sheet::Format::Text) | None => Self::Text,
        }
    }
}

/// The name of a picture that can be drawn.
fn svg(path: PathBuf) -> Result<PathBuf, String> {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("svg") => Ok(path),
        _ => Err("the picture is SVG; give it a name that ends in .svg".into()),
    }
}

/// Quantities predicted beside energy, judged where the trees have the truth.
const FIGURES: [(&str, Quantity); 2] =
    [("latency", Quantity::PredictedLatency), ("GPU's energy", Quantity::PredictedGpuEnergy)];

/// A cross-validation, and how it came about.
struct Outcome {
    result: CrossValidation,
    method: &'static str,
    protocol: LeaveOut,
    /// The features that the method did without.
    missing: Vec<Feature>,
}

impl Outcome {
    fn title(&self) -> String {
        format!("Mean absolute percentage error, method {}, {}", self.method, self.protocol.name())
    }

    /// The folds, each with its errors by level, and their average.
    fn rows(&self) -> impl Iterator<Item = (&str, [Option<f64>; 3])> {
        let folds = self.result.folds.iter();
        let folds = folds.map(|fold| (fold.left_out.as_str(), LEVELS.map(|level| fold.evaluation.mean(level))));
        folds.chain([("average", LEVELS.map(|level| self.result.mean(level)))])
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen = args.method.chosen()?;
    if args.fold_seed.is_some() && !matches!(args.protocol, ProtocolName::KFold) {
        return usage("--fold-seed works only with --protocol k-fold");
    }
    let protocol = match args.protocol {
        ProtocolName::LeaveModelOut => LeaveOut::Model,
        ProtocolName::LeaveSizeOut => LeaveOut::Size,
        ProtocolName::LeaveFamilyOut => LeaveOut::Family,
        ProtocolName::LeaveModelAndSizeOut => LeaveOut::ModelAndSize,
        ProtocolName::KFold => LeaveOut::KFold { seed: args.fold_seed.unwrap_or(1) },
    };
    let Trees { trees, completion } = trees::read_to_learn(&args.data)?;
    let folds = protocol.splits(&trees).with_context(|| input::name(&args.data))?.len();
    let (trainer, missing) = chosen.trainer(&trees)?;
    let bar = output::progress(folds as u64, "folds");
    let result = irene_regress::crossvalidate(&trees, trainer.as_ref(), protocol, &|| bar.inc(1));
    bar.finish_and_clear();
    let result = completion.explained(&args.data, result.map_err(method::needs))?;
    let outcome = Outcome { result, method: trainer.method(), protocol, missing };
    if let Some(path) = &args.plot {
        output::write_text(path, &plot(&outcome))?;
    }
    match args.format.unwrap_or_else(Format::by_default) {
        Format::Text => output::print_text(&text(&outcome)),
        Format::Json => output::print(&output::json(json(&outcome))),
        Format::Csv => output::print(&csv(&outcome)),
        Format::Latex => output::print(&latex(&outcome)),
    }
}

/// A bar for each level in a group for each fold, and for the average.
fn plot(outcome: &Outcome) -> String {
    let groups: Vec<Group> =
        outcome.rows().map(|(name, errors)| Group { name: name.to_owned(), lengths: errors.to_vec() }).collect();
    irene_viz::bars(&outcome.title(), &LEVELS.map(Level::name), &groups, "mean absolute percentage error")
}

/// A line for each fold, and for the average; a cell is empty where a level has no measured node.
fn csv(outcome: &Outcome) -> String {
    let mut out = format!("left out,{}\n", LEVELS.map(|level| format!("{} (%)", level.name())).join(","));
    for (name, errors) in outcome.rows() {
        let errors = errors.map(|error| error.map_or_else(String::new, |error| error.to_string()));
        out += &format!("{},{}\n", render::csv_field(name), errors.join(","));
    }
    out
}

/// A table for a paper, by the package booktabs.
fn latex(outcome: &Outcome) -> String {
    let mut out = format!("% {}, {}; needs \\usepackage{{booktabs}}\n", outcome.title(), LEVELS_IN_WORDS);
    if !outcome.missing.is_empty() {
        out += &format!("% without features that not every node has: {}\n", method::names(&outcome.missing));
    }
    out += "\\begin{tabular}{lrrr}\n\\toprule\nLeft out & ML & Module & Model \\\\\n\\midrule\n";
    for (place, (name, errors)) in outcome.rows().enumerate() {
        if place == outcome.result.folds.len() {
            out += "\\midrule\n";
        }
        let errors = errors.map(|error| error.map_or_else(|| "--".into(), |error| format!("{error:.2}")));
        out += &format!("{} & {} \\\\\n", escaped_in_latex(name), errors.join(" & "));
    }
    out + "\\bottomrule\n\\end{tabular}\n"
}

const LEVELS_IN_WORDS: &str = "in percent by level: primitives (ML), modules, whole models";

fn escaped_in_latex(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            c => out.push(c),
        }
    }
    out
}

/// The mean error of a figure beside energy.
fn figure_error(result: &CrossValidation, quantity: Quantity, level: Level) -> Option<f64> {
    result.mean_of(|evaluation| evaluation.by_figure.get(&(quantity, level))?.mean())
}

fn text(outcome: &Outcome) -> String {
    let result = &outcome.result;
    let levels = LEVELS.map(|level| Heading::right(level.name()));
    let mut grid = Grid::new([Heading::left("left out, error in %")].into_iter().chain(levels));
    let mut line = |name: &str, cells: [String; 3]| grid.row([name.to_owned()].into_iter().chain(cells));
    for (name, errors) in outcome.rows() {
        line(name, errors.map(output::percent));
    }
    for (name, quantity) in FIGURES {
        let mean = |level| figure_error(result, quantity, level);
        // A measured figure is not predicted, and has no error.
        if LEVELS.iter().any(|&level| mean(level).is_some_and(|error| error > 0.0)) {
            line(&format!("average, {name}"), LEVELS.map(|level| output::percent(mean(level))));
        }
    }
    let coverage = |level| result.mean_of(|evaluation| evaluation.coverage(level)).map(|share| 100.0 * share);
    if LEVELS.iter().any(|&level| coverage(level).is_some()) {
        let name = format!("in their {}% interval, %", 100.0 * irene_regress::CONFIDENCE);
        line(&name, LEVELS.map(|level| coverage(level).map_or_else(String::new, |share| format!("{share:.1}"))));
    }
    let mut classes = Grid::new([Heading::left("class"), Heading::right("error in %")]);
    for (instance_type, error) in result.by_instance_type() {
        classes.row([instance_type, format!("{error:.2}")]);
    }
    format!("{}\n{}", grid.text(output::width()), classes.text(output::width()))
}

fn json(outcome: &Outcome) -> [(&'static str, Value); 9] {
    let result = &outcome.result;
    let levels = |mean: &dyn Fn(Level) -> Option<f64>| -> Map<String, Value> {
        LEVELS.iter().map(|&level| (level.name().to_owned(), json!(mean(level)))).collect()
    };
    let folds: Vec<Value> = result
        .folds
        .iter()
        .map(|fold| {
            let mut entry = Map::from_iter([("left_out".to_owned(), json!(fold.left_out))]);
            entry.extend(levels(&|level| fold.evaluation.mean(level)));
            Value::Object(entry)
        })
        .collect();
    [
        ("method", json!(outcome.method)),
        ("protocol", json!(outcome.protocol.name())),
        ("missing_features", json!(outcome.missing.iter().map(|feature| feature.name()).collect::<Vec<_>>())),
        ("folds", json!(folds)),
        ("average", json!(levels(&|level| result.mean(level)))),
        ("coverage", json!(levels(&|level| result.mean_of(|evaluation| evaluation.coverage(level))))),
        ("latency", json!(levels(&|level| figure_error(result, Quantity::PredictedLatency, level)))),
        ("gpu_energy", json!(levels(&|level| figure_error(result, Quantity::PredictedGpuEnergy, level)))),
        ("by_instance_type", json!(result.by_instance_type())),
    ]
}
