use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use irene_explore::{
    Dataset, Describer,
    evaluate::{Errors, Score, crossvalidate},
    surrogate::{Learner, learners},
};
use serde_json::json;

use super::{MeasureArgs, OURS, SpaceArgs, learner};
use crate::{commands::size, output};

/// How well surrogates do on records that they were not trained on, ours beside the papers', by the same folds
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore evaluate gpu_a100.json cpu_rpi.json --learner law,adaboost,gp-rbf
  irene explore evaluate mine.jsonl --learner law --folds 10 --format csv -o scores.csv")]
pub(crate) struct Args {
    /// Records, a file a device
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Which: law (ours), gp-rbf, gp-matern, decision-tree, adaboost, boshnas [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    learner: Vec<String>,
    #[command(flatten)]
    measures: MeasureArgs,
    /// Parts that the records are split into, each left out in turn
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(2..))]
    folds: u16,
    /// How often, each time split otherwise
    #[arg(long, value_name = "N", default_value = "5", value_parser = size)]
    repeats: usize,
    /// Decides the splits
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    #[command(flatten)]
    space: SpaceArgs,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the figures here
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

/// The scores on one device.
struct Device {
    name: String,
    records: usize,
    scores: Vec<Score>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let learners = match &args.learner[..] {
        [] => learners(),
        names => names.iter().map(|name| learner(name)).collect::<Result<_>>()?,
    };
    let describer = Describer::new(args.space.find()?);
    let data: Vec<Dataset> = args.data.iter().map(|path| Dataset::read(path)).collect::<Result<_, _>>()?;
    let steps: usize = data.iter().map(|data| args.measures.of(data).len() * learners.len()).sum();
    let bar = output::progress(steps as u64, "learners");
    let mut devices = Vec::new();
    for data in &data {
        devices.push(evaluate(args, &learners, &describer, data, &|| bar.inc(1))?);
    }
    bar.finish_and_clear();
    let out = match args.format {
        Format::Text => text(args, &devices)?,
        Format::Json => json(&devices).to_string() + "\n",
        Format::Csv => csv(&devices)?,
    };
    match &args.output {
        Some(path) => output::write_text(path, &out),
        None => output::print(&out),
    }
}

fn evaluate(
    args: &Args,
    learners: &[Box<dyn Learner>],
    describer: &Describer,
    data: &Dataset,
    step: &dyn Fn(),
) -> Result<Device> {
    let candidates = describer.describe_all(data).with_context(|| data.device.clone())?;
    let mut scores = Vec::new();
    for measure in args.measures.of(data) {
        let figures = data.figures(measure)?;
        for learner in learners {
            let (folds, repeats) = (args.folds.into(), args.repeats);
            let held_out = crossvalidate(learner.as_ref(), &candidates, &figures, folds, repeats, args.seed)
                .with_context(|| format!("{}, {}, {}", data.device, learner.name(), measure.name()))?;
            let errors = Errors::of(held_out.iter());
            scores.extend(errors.map(|errors| Score { learner: learner.name(), measure, errors }));
            step();
        }
    }
    Ok(Device { name: data.device.clone(), records: data.records.len(), scores })
}

fn text(args: &Args, devices: &[Device]) -> Result<String> {
    let mut out =
        format!("{} folds, {} times; errors in %, figures in their 90% interval in %\n", args.folds, args.repeats);
    for device in devices {
        writeln!(out, "\n{}, {} records", device.name, device.records)?;
        writeln!(out, "{:12} {:20} {:>8} {:>8} {:>9}", "measure", "learner", "mean", "median", "covered")?;
        for Score { learner, measure, errors } in &device.scores {
            let whose = if *learner == OURS { format!("{learner} (ours)") } else { (*learner).to_owned() };
            let Errors { mean, median, covered } = errors;
            let measure = measure.name().replace('_', " ");
            writeln!(out, "{measure:12} {whose:20} {mean:>8.2} {median:>8.2} {covered:>9.1}")?;
        }
    }
    Ok(out)
}

fn csv(devices: &[Device]) -> Result<String> {
    let mut out = "device,records,measure,learner,is_ours,mean_percent,median_percent,covered_percent\n".to_owned();
    for device in devices {
        // A name with a comma or a quote in it stays one field.
        let name = format!("\"{}\"", device.name.replace('"', "\"\""));
        for Score { learner, measure, errors } in &device.scores {
            let Errors { mean, median, covered } = errors;
            let (records, measure, is_ours) = (device.records, measure.name(), *learner == OURS);
            writeln!(out, "{name},{records},{measure},{learner},{is_ours},{mean},{median},{covered}")?;
        }
    }
    Ok(out)
}

fn json(devices: &[Device]) -> serde_json::Value {
    let score = |score: &Score| {
        json!({
            "measure": score.measure.name(),
            "learner": score.learner,
            "is_ours": score.learner == OURS,
            "mean_percent": score.errors.mean,
            "median_percent": score.errors.median,
            "covered_percent": score.errors.covered,
        })
    };
    let device = |device: &Device| {
        let scores: Vec<_> = device.scores.iter().map(score).collect();
        json!({ "device": device.name, "records": device.records, "scores": scores })
    };
    json!(devices.iter().map(device).collect::<Vec<_>>())
}
