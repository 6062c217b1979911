use std::{fmt::Write, path::PathBuf};

use anyhow::Result;
use irene_explore::{
    Measure,
    learning::{PredictedValue, Surrogates},
    read_designs,
    space::ModelHash,
};
use irene_models::flexibert::Design;
use irene_tree::render::si;
use serde_json::json;

use super::{Format, in_words, read_surrogates};
use crate::output;

/// Predicts designs by a device's surrogates: figures of a sequence, with 90% intervals
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore sample 8 | tee designs.jsonl
  irene explore predict mine.surrogates.json designs.jsonl
  irene explore predict mine.surrogates.json config.json --later --format json")]
pub(crate) struct Args {
    /// A file of `irene explore fit`
    surrogates: PathBuf,
    /// Designs: `model_dict`s, objects that have one (config.json, lines of `irene explore sample`), or measured records
    designs: PathBuf,
    /// Intervals for measurements after the campaign that was learned from, not in it: devices change in steps between sessions
    #[arg(long)]
    later: bool,
    /// Text, or JSON with a line a design
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The predictions of a design.
struct Row {
    design: Design,
    predictions: Vec<(Measure, PredictedValue)>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let surrogates = read_surrogates(&args.surrogates)?;
    let describer = surrogates.describer();
    let mut rows = Vec::new();
    for design in read_designs(&args.designs)? {
        let candidate = describer.describe(design)?;
        let of = |measure| {
            let prediction = surrogates.predict(measure, &candidate)?;
            Some((measure, if args.later { prediction.later(measure) } else { prediction }))
        };
        rows.push(Row { predictions: Measure::ALL.into_iter().filter_map(of).collect(), design: candidate.design });
    }
    output::print(&match args.format {
        Format::Text => text(&surrogates, args.later, &rows)?,
        Format::Json => json_lines(&rows),
    })
}

fn text(surrogates: &Surrogates, later: bool, rows: &[Row]) -> Result<String> {
    let Surrogates { device, records, .. } = surrogates;
    let when = if later { "after their campaign" } else { "in their campaign" };
    let mut out =
        format!("{device}, learned from {records} records; a sequence, with 90% intervals {when} (predicted)\n\n");
    write!(out, "{:32} {:>6}", "design", "layers")?;
    for measure in surrogates.measures.keys() {
        write!(out, "  {:>10} {:>22}", in_words(measure.name()), "")?;
    }
    out.truncate(out.trim_end().len());
    for row in rows {
        write!(out, "\n{:32} {:>6}", ModelHash::of(&row.design).to_string(), row.design.layers().len())?;
        for (measure, prediction) in &row.predictions {
            let figure = |value| si(value, measure.unit());
            let (low, high) = prediction.interval();
            let interval = format!("{} to {}", figure(low), figure(high));
            write!(out, "  {:>10} {interval:>22}", figure(prediction.value))?;
        }
    }
    out.push('\n');
    Ok(out)
}

fn json_lines(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let mut line = json!({ "hash": ModelHash::of(&row.design).to_string(), "model_dict": row.design });
        for (measure, prediction) in &row.predictions {
            let (low, high) = prediction.interval();
            line[measure.name()] = json!({
                "unit": measure.unit(),
                "value": prediction.value,
                "at_least": low,
                "at_most": high,
            });
        }
        line.to_string() + "\n"
    };
    rows.iter().map(line).collect()
}
