use std::{fmt::Write, time::Duration};

use anyhow::Result;
use irene_sampler::{Channel, Metric, Sampler, SamplerOptions, Sensor, Series, totals};
use irene_tree::render::si;

use super::meters::{MeterArgs, kinds};
use crate::output;

/// Shows every sensor and meter: its readings, how finely and how often it reads, or why it cannot and what would help
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene doctor
  irene doctor --tdp-watts 65 --meter log:meter.csv")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// How long to read them
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    watch: u64,
}

/// Often enough to see how often a sensor has something new.
const PERIOD: Duration = Duration::from_millis(2);

pub(crate) fn run(args: &Args) -> Result<()> {
    let places = args.meter.places();
    let mut out = String::new();
    let mut sensors: Vec<Box<dyn Sensor>> = Vec::new();
    // The kind of each channel, and whether it is part of its kind's total.
    let mut owners = Vec::new();
    for kind in kinds() {
        match (kind.open)(&places) {
            Ok(sensor) => {
                let totals = totals(sensor.channels());
                owners.extend((0..sensor.channels().len()).map(|place| (kind.name, totals.contains(&place))));
                sensors.push(sensor);
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
    let sampler = Sampler::start(sensors, SamplerOptions { period: PERIOD, capacity })?;
    std::thread::sleep(Duration::from_secs(args.watch));
    let recording = sampler.stop();

    let mut found = format!(
        "{:<15} {:<28} {:>10} {:>12} {:>12}  {}\n",
        "sensor", "reads", "now", "resolution", "new every", "of its total"
    );
    for (place, (channel, (kind, is_total))) in recording.channels().iter().zip(owners).enumerate() {
        found += &line(kind, channel, is_total, recording.series(place));
    }
    let meter = match args.meter.select() {
        Ok(selection) if selection.meters.is_empty() => {
            "no meter: energies will be absent; --tdp-watts W estimates them from load".to_owned()
        }
        Ok(selection) => format!("the meter would be: {}", selection.meters.join(" + ")),
        Err(error) => format!("no meter: {error}"),
    };
    output::print_text(&format!("{found}\n{out}\n{meter}\n"))
}

fn line(kind: &str, channel: &Channel, is_total: bool, series: &Series) -> String {
    // A figure that was never read is unknown, not 0.
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "not seen".into());
    let metric = channel.id.metric;
    let number = |value: f64| match metric.unit() {
        "%" => format!("{value:.2} %"),
        unit => si(value, unit),
    };
    let now = match (metric, series.points().next(), series.points().next_back()) {
        (Metric::Energy, Some(first), Some(last)) if last.0 > first.0 => {
            Some(si((last.1 - first.1) / (last.0 - first.0), "W"))
        }
        (Metric::Energy, ..) => None,
        (_, _, last) => last.map(|(_, value)| number(value)),
    };
    let total = match (is_total, metric.is_energy()) {
        (true, _) => channel.provenance.name(),
        (false, true) => "part of another",
        (false, false) => "",
    };
    format!(
        "{kind:<15} {:<28} {:>10} {:>12} {:>12}  {total}\n",
        channel.id.to_string(),
        or_unknown(now),
        or_unknown(series.observed_resolution().map(number)),
        or_unknown(series.observed_period().map(|period| si(period, "s"))),
    )
}
