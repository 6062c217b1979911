use std::path::PathBuf;

use anyhow::{Result, bail};
use irene_explore::{
    Conditions, Error, Measure, Record,
    campaign::{Campaign, DesignProfiler, RecordFile, SamplingPlan, Shard},
};
use irene_models::TaskHead;
use irene_tree::{Level, render::si};
use serde_json::Value;

use super::{
    SpaceArgs,
    sample::{MOST_DESIGNS, SamplingArgs},
};
use crate::{
    commands::{
        following::{HeadName, SizeArgs},
        measuring::{DEFAULT_SEED, QuickArgs, check_resumes},
        numbers::{size, whole},
        running::PlaceArgs,
        stopped,
        trees::count,
    },
    interrupt, output,
};

/// Measures designs of a space on this machine: latency, energy and peak power of a sequence, and of a step of
/// training, as records to learn from
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene explore profile --space small --active --samples 24 --quick --tdp-watts 65 \\
    -b 1 -s 128 -o mine.jsonl
  irene explore profile --space small --active --samples 12 --quick --tdp-watts 65 \\
    -b 4 -s 16 --train -o steps.jsonl
  irene explore profile --samples 240 -b 32 -s 128 -o mine.jsonl --resume
  irene explore profile --samples 240 --shard 3/16 -b 32 -s 128 -o part-3.jsonl
  cat part-*.jsonl > mine.jsonl")]
pub(crate) struct Args {
    #[command(flatten)]
    space: SpaceArgs,
    /// How many designs, spread over the space
    #[arg(long, value_name = "N", value_parser = whole::<1, MOST_DESIGNS>)]
    samples: usize,
    /// Choose each design, after a few that are spread over the space, where surrogates know least
    #[arg(long)]
    active: bool,
    /// How many come first (with --active) [default: 8, or a third of --samples if that is less]
    #[arg(long, value_name = "N", value_parser = size, requires = "active")]
    initial: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Only a part of the designs: the I-th of N, from 0
    #[arg(long, value_name = "I/N", conflicts_with = "active")]
    shard: Option<Shard>,
    #[command(flatten)]
    size: SizeArgs,
    /// The head that designs are trained with [default: lm]
    #[arg(long, value_enum, requires = "train")]
    head: Option<HeadName>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    measuring: QuickArgs,
    /// Records, one a line, each there as soon as it is whole
    #[arg(short, long, value_name = "DATA.jsonl", value_parser = output::lines_file())]
    output: PathBuf,
}

impl Args {
    /// The campaign, which these records may have begun.
    fn campaign(&self, begun: &[Record]) -> Result<Campaign> {
        let plan = match (self.active, self.initial) {
            (false, _) => SamplingPlan::Samples(self.samples),
            (true, Some(initial)) => SamplingPlan::Active { budget: self.samples, initial },
            (true, None) => SamplingPlan::active(self.samples).resuming(begun),
        };
        let SamplingArgs { method, seed } = self.sampling;
        Ok(Campaign::new(self.space.find()?, plan, method, seed, self.shard.unwrap_or(Shard::WHOLE))?)
    }

    fn head(&self) -> TaskHead {
        match self.head {
            Some(HeadName::Classification) => TaskHead::Classification,
            Some(HeadName::Lm | HeadName::None) | None => TaskHead::Lm,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = interrupt::flag()?;
    let path = args.output.display();
    let is_there = args.output.metadata().is_ok_and(|metadata| metadata.len() > 0);
    check_resumes(&args.output, is_there, args.measuring.resume)?;
    let begun = if is_there { RecordFile::open(&args.output)?.1 } else { Vec::new() };
    let campaign = args.campaign(&begun)?;
    let measuring = args.measuring.at(&args.place, vec![Level::Model])?;
    let selection = measuring.meter.select()?;
    let device = args.place.device()?;
    let conditions = conditions(args, &campaign, measuring.settings(&selection));

    let has_meter = !selection.meters.is_empty();
    campaign.check(&path.to_string(), &begun, &conditions)?;
    measuring.tell(&selection);
    // A meter that gives nothing is refused before there is a file.
    let sampler = measuring.sampler(selection.sensors)?;
    let (mut file, mut done) = RecordFile::open(&args.output)?;
    let (protocol, dtype) = (&measuring.protocol, args.place.dtype());
    let training = args.measuring.training.training().map(|training| (training, args.head()));
    let profiler = DesignProfiler { sampler: &sampler, protocol, stop, device, dtype, weights: DEFAULT_SEED, training };
    let left = campaign.orders().filter(|&order| done.iter().all(|record| record.order != Some(order))).count();
    let bar = output::progress(left as u64, "designs");
    let before = done.len();
    while let Some(step) = campaign.next(&done)? {
        let mut record = match profiler.measure(step, args.size.size()) {
            Err(Error::Stopped) => return Err(stopped(&args.output)),
            record => record?,
        };
        record.conditions.measuring.clone_from(&conditions.measuring);
        file.append(&record)?;
        bar.suspend(|| output::tell(&told(&record)));
        bar.inc(1);
        done.push(record);
    }
    bar.finish_and_clear();
    output::tell(&match left {
        0 => format!("{path} has every design already"),
        _ => format!("{path} has {}", count(done.len(), "design")),
    });
    check_energies(&done[before..], has_meter)
}

fn has_energy(record: &Record) -> bool {
    [Measure::Energy, Measure::TrainingEnergy].into_iter().any(|measure| record.measures.get(measure).is_some())
}

/// Refuses to end well if there is a meter and none of the new records has an energy.
fn check_energies(records: &[Record], has_meter: bool) -> Result<()> {
    if !has_meter || records.is_empty() || records.iter().any(has_energy) {
        return Ok(());
    }
    let reason = records.iter().find_map(|record| record.conditions.no_energy.as_ref());
    bail!("no design has an energy{}", reason.map_or(String::new(), |reason| format!(": {reason}")))
}

/// The conditions that all records of this campaign share.
fn conditions(args: &Args, campaign: &Campaign, mut settings: Value) -> Conditions {
    if let (Value::Object(settings), Value::Object(campaign)) = (&mut settings, campaign.settings()) {
        settings.extend(campaign);
        settings.shift_remove("levels");
    }
    args.measuring.training.describe(&mut settings);
    // The usual head goes without saying, whether or not it was asked for.
    if args.head() != TaskHead::Lm {
        settings["head"] = args.head().name().into();
    }
    Conditions {
        batch_size: Some(args.size.size().sequences),
        seq_len: Some(args.size.size().new),
        measuring: Some(settings),
        ..Conditions::default()
    }
}

/// A line for a record.
fn told(record: &Record) -> String {
    let figure = |value: Option<f64>, unit| value.map_or_else(|| "-".to_owned(), |value| si(value, unit));
    let figures = |measures: [Measure; 3]| {
        let [latency, energy, peak] = measures.map(|measure| figure(record.measures.get(measure), measure.unit()));
        format!("{latency}, {energy}, peak {peak}")
    };
    let is_trained = record.measures.get(Measure::TrainingLatency).is_some();
    let step = if is_trained { format!("; a step: {}", figures(Measure::TRAINING)) } else { String::new() };
    let provenance = record.energy_provenance.as_ref().map_or(String::new(), |provenance| format!(" ({provenance})"));
    let order = record.order.unwrap_or_default();
    format!("{order} {}: {}{step}{provenance}", record.hash, figures(Measure::INFERENCE))
}
