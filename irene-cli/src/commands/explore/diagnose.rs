use std::fmt::Write;

use anyhow::Result;
use irene_explore::{
    Describer,
    learning::{CostLawLearner, Diagnosis, diagnose},
};
use irene_tree::render::si;
use serde_json::json;

use super::{RecordsArgs, in_words, read_records};
use crate::{
    commands::{FormatArgs, trees::count},
    output,
    sheet::{Field, Format, Sheet},
};

/// Looks for coarse clocks, figures that are far off, and drift in the course of a campaign
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore diagnose cpu_rpi.json
  irene explore diagnose gpu_a100.json mine.jsonl --measure latency --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    records: RecordsArgs,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (mut out, mut all, mut sheet) = (String::new(), Vec::new(), Sheet::new(fields()));
    for path in &args.records.data {
        let data = read_records(path)?;
        let describer = Describer::new(args.records.space.of([&data])?);
        let candidates = describer.describe_all(&data)?;
        writeln!(out, "{}, {}", data.device, count(data.records.len(), "record"))?;
        for measure in args.records.measures.of(&data)? {
            let found = diagnose(&CostLawLearner, &data, &candidates, measure)?;
            text(&mut out, &found)?;
            push_rows(&mut sheet, &data.device, &found);
            all.push(json!({ "device": data.device, "diagnosis": found }));
        }
        out.push('\n');
    }
    match args.format.format() {
        Format::Text => output::print_text(&out),
        Format::Json => output::print(&output::json([("diagnoses", json!(all))])),
        Format::Csv => output::print(&sheet.csv()),
    }
}

fn fields() -> [Field; 6] {
    [
        Field::word("device", ""),
        Field::word("measure", ""),
        Field::word("finding", ""),
        Field::word("hash", ""),
        Field::figure("order", "", ""),
        Field::figure("value", "", ""),
    ]
}

/// A row a finding: the tick of a clock in the measure's unit, the deviation of a drift, the factor of an outlier.
fn push_rows(sheet: &mut Sheet, device: &str, Diagnosis { measure, clock, drift, outliers }: &Diagnosis) {
    let mut row = |finding: &str, hash: Option<String>, order: Option<usize>, value: f64| {
        sheet.row([device.into(), measure.name().into(), finding.into(), hash.into(), order.into(), value.into()]);
    };
    if let Some(clock) = clock {
        row("clock", None, None, clock.tick);
    }
    if let Some(drift) = drift {
        row("drift", None, None, drift.deviation.exp_m1());
    }
    for outlier in outliers {
        row("outlier", Some(outlier.hash.to_string()), outlier.order, outlier.factor);
    }
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
