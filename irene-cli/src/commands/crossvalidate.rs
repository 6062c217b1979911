use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use irene_regress::{CrossValidation, LeaveOut};
use irene_tree::{Level, Quantity};
use serde_json::{Map, Value, json};

use super::{
    MethodArgs, Usage,
    evaluate::LEVELS,
    trees::{self, Trees},
};
use crate::output;

/// Trains on all but one model (size, family ...) and predicts the one left out, for each in turn
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene crossvalidate device_1.jsonl --method irene
  irene crossvalidate device_1.jsonl --method specs --protocol leave-size-out --format json")]
pub(crate) struct Args {
    /// Trees with ground truth
    data: PathBuf,
    #[command(flatten)]
    method: MethodArgs,
    /// The trees left out of training in each fold
    #[arg(long, value_enum, default_value = "leave-model-out")]
    protocol: ProtocolName,
    /// Which trees are in which part of k-fold [default: 1]
    #[arg(long, value_name = "N")]
    fold_seed: Option<u64>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
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
}

/// Quantities predicted beside energy, judged where the trees have the truth.
const FIGURES: [(&str, Quantity); 2] =
    [("latency", Quantity::PredictedLatency), ("GPU's energy", Quantity::PredictedGpuEnergy)];

pub(crate) fn run(args: &Args) -> Result<()> {
    let trainer = args.method.trainer()?;
    let Trees { trees, completion } = trees::read_completed(&args.data)?;
    if args.fold_seed.is_some() && !matches!(args.protocol, ProtocolName::KFold) {
        return Err(Usage("--fold-seed belongs to --protocol k-fold".into()).into());
    }
    let protocol = match args.protocol {
        ProtocolName::LeaveModelOut => LeaveOut::Model,
        ProtocolName::LeaveSizeOut => LeaveOut::Size,
        ProtocolName::LeaveFamilyOut => LeaveOut::Family,
        ProtocolName::LeaveModelAndSizeOut => LeaveOut::ModelAndSize,
        ProtocolName::KFold => LeaveOut::KFold { seed: args.fold_seed.unwrap_or(1) },
    };
    let bar = output::progress(protocol.splits(&trees)?.len() as u64, "folds");
    let result = irene_regress::crossvalidate(&trees, trainer.as_ref(), protocol, &|| bar.inc(1));
    bar.finish_and_clear();
    let result = completion.explained(result.map_err(Into::into))?;
    output::print(&match args.format {
        Format::Text => text(&result)?,
        Format::Json => serde_json::to_string(&json(&result))? + "\n",
    })
}

fn text(result: &CrossValidation) -> Result<String> {
    let figure = |error: Option<f64>| error.map_or_else(String::new, |error| format!("{error:.2}"));
    let mut out = format!("{:28} {:>8} {:>8} {:>8}\n", "left out, error in %", "ml", "module", "model");
    for fold in &result.folds {
        let [ml, module, model] = LEVELS.map(|level| figure(fold.evaluation.mean(level)));
        writeln!(out, "{:28} {ml:>8} {module:>8} {model:>8}", fold.left_out)?;
    }
    let mut line =
        |name: &str, [ml, module, model]: [String; 3]| writeln!(out, "{name:28} {ml:>8} {module:>8} {model:>8}");
    line("average", LEVELS.map(|level| figure(result.mean(level))))?;
    for (name, quantity) in FIGURES {
        let mean = |level| result.mean_of(|evaluation| evaluation.by_figure.get(&(quantity, level))?.mean());
        // A measured figure is not predicted, and has no error.
        if LEVELS.iter().any(|&level| mean(level).is_some_and(|error| error > 0.0)) {
            line(&format!("average, {name}"), LEVELS.map(|level| figure(mean(level))))?;
        }
    }
    let coverage = |level| result.mean_of(|evaluation| evaluation.coverage(level)).map(|share| 100.0 * share);
    if LEVELS.iter().any(|&level| coverage(level).is_some()) {
        let name = format!("in their {}% interval, %", 100.0 * irene_regress::CONFIDENCE);
        line(&name, LEVELS.map(|level| coverage(level).map_or_else(String::new, |share| format!("{share:.1}"))))?;
    }
    out.push('\n');
    for (instance_type, error) in result.by_instance_type() {
        writeln!(out, "{instance_type:28} {error:>8.2}")?;
    }
    Ok(out)
}

fn json(result: &CrossValidation) -> Value {
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
    json!({
        "folds": folds,
        "average": levels(&|level| result.mean(level)),
        "coverage": levels(&|level| result.mean_of(|evaluation| evaluation.coverage(level))),
        "latency": levels(&|level| result.mean_of(|of| of.by_figure.get(&(Quantity::PredictedLatency, level))?.mean())),
        "gpu_energy": levels(&|level| result.mean_of(|of| of.by_figure.get(&(Quantity::PredictedGpuEnergy, level))?.mean())),
        "by_instance_type": result.by_instance_type(),
    })
}
