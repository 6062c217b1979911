use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use irene_regress::{Errors, Evaluation};
use irene_tree::Level;
use serde_json::{Map, Value, json};

use crate::output;

/// Holds predicted trees against the truth: percentage errors by level and instance type, and their distribution
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene evaluate device_1.jsonl predicted.jsonl")]
pub(crate) struct Args {
    /// Trees with ground truth
    truth: PathBuf,
    /// The same trees with predicted energies
    predicted: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Percent errors at which the distribution is shown.
const STEPS: [f64; 9] = [0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0];

pub(crate) fn run(args: &Args) -> Result<()> {
    let truth = super::trees::read(&args.truth)?;
    let predicted = super::trees::read(&args.predicted)?;
    let evaluation = irene_regress::evaluate(&truth, &predicted)?;
    output::print(&match args.format {
        Format::Text => text(&evaluation)?,
        Format::Json => serde_json::to_string(&json(&evaluation))? + "\n",
    })
}

fn text(evaluation: &Evaluation) -> Result<String> {
    let mut out = format!("{:28} {:>7} {:>9} {:>9} {:>9}\n", "percentage error", "nodes", "mean", "median", "90%");
    let mut line = |name: &str, errors: &Errors| {
        let figure = |error: Option<f64>| error.map_or_else(String::new, |error| format!("{error:.2}"));
        let figures = [errors.mean(), errors.quantile(0.5), errors.quantile(0.9)].map(figure);
        writeln!(out, "{name:28} {:>7} {:>9} {:>9} {:>9}", errors.count(), figures[0], figures[1], figures[2])
    };
    for (level, errors) in &evaluation.by_level {
        line(level.name(), errors)?;
    }
    for (instance_type, errors) in &evaluation.by_instance_type {
        line(&format!("  {instance_type}"), errors)?;
    }
    for level in evaluation.by_level.keys() {
        if let Some(share) = evaluation.coverage(*level) {
            let confidence = 100.0 * irene_regress::CONFIDENCE;
            writeln!(out, "{} nodes in their {confidence}% interval: {:.1}%", level.name(), 100.0 * share)?;
        }
    }
    write!(out, "\nshare of nodes with at most this error\n{:8}", "")?;
    for step in STEPS {
        write!(out, "{:>7}", format!("{step}%"))?;
    }
    out.push('\n');
    for (level, errors) in &evaluation.by_level {
        write!(out, "{:8}", level.name())?;
        for step in STEPS {
            let share = errors.share_within(step).map_or_else(String::new, |share| format!("{:.1}%", 100.0 * share));
            write!(out, "{share:>7}")?;
        }
        out.push('\n');
    }
    Ok(out)
}

fn json(evaluation: &Evaluation) -> Value {
    let errors = |errors: &Errors| {
        let cdf: Vec<_> =
            STEPS.iter().map(|&step| json!({"percent": step, "share": errors.share_within(step)})).collect();
        json!({
            "nodes": errors.count(),
            "mean": errors.mean(),
            "median": errors.quantile(0.5),
            "p90": errors.quantile(0.9),
            "cdf": cdf,
        })
    };
    let by_level: Map<String, Value> =
        evaluation.by_level.iter().map(|(level, found)| (level.name().to_owned(), errors(found))).collect();
    let by_type: Map<String, Value> =
        evaluation.by_instance_type.iter().map(|(name, found)| (name.clone(), errors(found))).collect();
    let coverage: Map<String, Value> =
        LEVELS.iter().map(|&level| (level.name().to_owned(), json!(evaluation.coverage(level)))).collect();
    json!({"by_level": by_level, "by_instance_type": by_type, "coverage": coverage})
}

/// The three levels of the paper, in its order.
pub(super) const LEVELS: [Level; 3] = [Level::Ml, Level::Module, Level::Model];
