use std::fmt::Write;

use anyhow::Result;
use irene_explore::{
    Dataset, Describer,
    learning::{CostLawLearner, Diagnosis, diagnose},
};
use irene_tree::render::si;
use serde_json::json;

use super::{Format, RecordsArgs, in_words};
use crate::output;

/// Looks for coarse clocks, figures that are far off, and drift in the course of a campaign
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore diagnose cpu_rpi.json
  irene explore diagnose gpu_a100.json mine.jsonl --measure latency --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let describer = Describer::new(args.records.space.find()?);
    let (mut out, mut all) = (String::new(), Vec::new());
    for path in &args.records.data {
        let data = Dataset::read(path)?;
        let candidates = describer.describe_all(&data)?;
        writeln!(out, "{}, {} records", data.device, data.records.len())?;
        for measure in args.records.measures.of(&data)? {
            let found = diagnose(&CostLawLearner, &data, &candidates, measure)?;
            text(&mut out, &found)?;
            all.push(json!({ "device": data.device, "diagnosis": found }));
        }
        out.push('\n');
    }
    output::print(&match args.format {
        Format::Text => out,
        Format::Json => json!(all).to_string() + "\n",
    })
}

fn text(out: &mut String, Diagnosis { measure, clock, drift, outliers }: &Diagnosis) -> Result<()> {
    let name = in_words(measure.name());
    if let Some(clock) = clock {
        writeln!(
            out,
            "  {name:10}  clock ticks every {}, strength {:.2}",
            si(clock.tick, measure.unit()),
            clock.strength
        )?;
    }
    if let Some(drift) = drift {
        let percent = 100.0 * drift.deviation.exp_m1();
        writeln!(
            out,
            "  {name:10}  drifts by {percent:.0}% over about {:.0} records; neighbours correlate by {:.2}",
            drift.memory, drift.lag_one
        )?;
    }
    for outlier in outliers {
        let order = outlier.order.map_or_else(String::new, |order| format!(", order {order}"));
        writeln!(
            out,
            "  {name:10}  {}{order} is {:.2} times the prediction by the others",
            outlier.hash, outlier.factor
        )?;
    }
    if clock.is_none() && drift.is_none() && outliers.is_empty() {
        writeln!(out, "  {name:10}  nothing found")?;
    }
    Ok(())
}
