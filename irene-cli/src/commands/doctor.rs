use std::{fmt::Write, time::Duration};

use anyhow::Result;
use irene_sampler::{Channel, Recording, Sampler, SamplerOptions, Unit};
use irene_tree::render::si;

use super::meters::{MeterArgs, kinds};
use crate::output;

/// Shows every sensor and meter: what it reads, how finely and how often, or why not and what would help
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene doctor
  irene doctor --tdp-watts 65 --meter log:meter.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// How long to watch them
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    watch: u64,
}

/// Often enough to see how often a sensor has something new.
const PERIOD: Duration = Duration::from_millis(2);

pub(crate) fn run(args: &Args) -> Result<()> {
    let places = args.meter.places();
    let mut out = String::new();
    let (mut sources, mut owners) = (Vec::new(), Vec::new());
    for kind in kinds() {
        match (kind.open)(&places) {
            Ok(source) => {
                owners.extend(source.channels().iter().map(|_| kind.name));
                sources.push(source);
            }
            Err(unavailable) => {
                writeln!(out, "{:<15} not available: {}", kind.name, unavailable.reason)?;
                if let Some(fix) = unavailable.fix {
                    writeln!(out, "{:<15} what would help: {fix}", "")?;
                }
            }
        }
    }
    let capacity = (args.watch * 1000) as usize;
    let sampler = Sampler::start(sources, SamplerOptions { period: PERIOD, capacity })?;
    std::thread::sleep(Duration::from_secs(args.watch));
    let recording = sampler.stop();

    let mut found = format!(
        "{:<15} {:<28} {:>10} {:>12} {:>12}  {}\n",
        "source", "reads", "now", "resolution", "new every", "of its total"
    );
    for kind in kinds().filter(|kind| owners.contains(&kind.name)) {
        for (place, channel) in recording.channels().iter().enumerate().filter(|(place, _)| owners[*place] == kind.name)
        {
            found += &line(kind.name, channel, &recording, place);
        }
    }
    let meter = match args.meter.select() {
        Ok(selection) if selection.meters.is_empty() => {
            "no meter: energies will be absent; --tdp-watts W estimates them from load".to_owned()
        }
        Ok(selection) => format!("the meter would be: {}", selection.meters.join(" + ")),
        Err(error) => format!("no meter: {error}"),
    };
    output::print(&format!("{found}\n{out}\n{meter}\n"))
}

fn line(kind: &str, channel: &Channel, recording: &Recording, place: usize) -> String {
    let series = recording.series(place);
    // What was never seen is said, not shown as 0.
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "not seen".into());
    let number = |value: f64| match channel.unit {
        Unit::Percent => format!("{value:.2} %"),
        unit => si(value, unit.symbol()),
    };
    let now = match channel.unit {
        Unit::Joules => {
            let points: Vec<_> = series.points().collect();
            points
                .first()
                .zip(points.last())
                .filter(|(first, last)| last.0 > first.0)
                .map(|(first, last)| si((last.1 - first.1) / (last.0 - first.0), "W"))
        }
        _ => series.points().next_back().map(|(_, value)| number(value)),
    };
    let total = match (channel.is_total, channel.unit.is_energy()) {
        (true, true) => channel.provenance.name(),
        (false, true) => "part of another",
        _ => "",
    };
    format!(
        "{kind:<15} {:<28} {:>10} {:>12} {:>12}  {total}\n",
        channel.name,
        or_unknown(now),
        or_unknown(series.observed_resolution().map(number)),
        or_unknown(series.observed_period().map(|period| si(period, "s"))),
    )
}
