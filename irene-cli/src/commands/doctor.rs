use std::{fmt::Write, time::Duration};

use anyhow::Result;
use irene_sampler::{
    Channel, LeftOut, Metric, Need, Recording, Sampler, SamplerOptions, Sensors, Series, Total,
    sensors::{Places, Unavailable},
};
use irene_tree::render::{Grid, Heading, si};

use super::meters::{MeterArgs, add_unavailable, kinds};
use crate::output;

/// Shows every sensor and meter: its readings, how finely and how often it reads, which make up the meter and why, and what would help
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene doctor
  irene doctor --tdp-watts 65 --meter log:meter.csv
  irene doctor --meter hwmon:corsairpsu/power-total")]
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
    let mut unavailable = Grid::new([Heading::left(""), Heading::left("")]);
    let mut conclusion = String::new();
    let (mut sensors, meters) = match args.meter.select() {
        Ok(selection) => {
            for (kind, why) in &selection.passed_over {
                writeln!(conclusion, "{kind} is not used: {why}")?;
            }
            (selection.sensors, selection.meters)
        }
        Err(error) => {
            writeln!(conclusion, "no meter: {error}")?;
            (Sensors::default(), Vec::new())
        }
    };
    for (name, why) in add_others(&mut sensors, &meters, &args.meter.places()) {
        add_unavailable(&mut unavailable, &name, &why);
    }
    let capacity = (args.watch * 1000) as usize;
    let sampler = Sampler::start(sensors, SamplerOptions { period: PERIOD, capacity })?;
    std::thread::sleep(Duration::from_secs(args.watch));
    if let Err(silent) = sampler.wait_until_read() {
        writeln!(conclusion, "{silent}")?;
    }
    let recording = sampler.stop();
    let total = recording.judged();
    for missing in total.missing().iter().filter(|missing| missing.need == Need::Spare) {
        add_unavailable(&mut unavailable, &missing.resource.to_string(), &missing.why);
    }
    for remark in total.remarks() {
        writeln!(conclusion, "{remark}")?;
    }
    match (meters.is_empty(), conclusion.starts_with("no meter")) {
        (true, true) => {}
        (true, false) => {
            conclusion += "no meter: energies will be absent; --tdp-watts W estimates them from load\n";
        }
        (false, _) => writeln!(conclusion, "the meter would be: {}", meters.join(" + "))?,
    }
    let unavailable = unavailable.text(output::width());
    output::print_text(&format!("{}\n{unavailable}\n{conclusion}", table(&recording, &total)))
}

/// Adds the sensors that are neither probes nor the meter; the kinds that cannot be opened, and what the others cannot read.
fn add_others(sensors: &mut Sensors, meters: &[&str], places: &Places) -> Vec<(String, Unavailable)> {
    let mut unavailable = Vec::new();
    for kind in kinds().filter(|kind| !meters.contains(&kind.name)) {
        match (kind.open)(places) {
            Ok(sensor) => {
                let missing = sensor.missing().iter();
                unavailable.extend(missing.map(|missing| (missing.resource.to_string(), missing.why.clone())));
                let is_there = sensors.probes.iter().any(|probe| probe.channels() == sensor.channels());
                if !is_there {
                    sensors.probes.push(sensor);
                }
            }
            Err(why) => unavailable.push((kind.name.to_owned(), why)),
        }
    }
    unavailable
}

/// All channels, with the part that each has in the meter.
fn table(recording: &Recording, total: &Total) -> String {
    let mut grid = Grid::new([
        Heading::left("sensor"),
        Heading::right("now"),
        Heading::right("resolution").rank(2),
        Heading::right("new every").rank(1),
        Heading::left("in the meter"),
    ]);
    for (place, channel) in recording.channels().iter().enumerate() {
        let judged = total.sensors().find(|(id, _)| **id == channel.id).map(|(_, left_out)| left_out);
        let part = match judged {
            Some(None) => channel.provenance.name().to_owned(),
            Some(Some(left_out @ (LeftOut::PartOf(_) | LeftOut::SameAs(_)))) => left_out.to_string(),
            Some(Some(LeftOut::NotNamed)) => "not named".into(),
            Some(Some(_)) => "left out".into(),
            None if channel.id.metric.is_energy() => "not used".into(),
            None => String::new(),
        };
        grid.row(row(channel, part, recording.series(place)));
    }
    grid.text(output::width())
}

fn row(channel: &Channel, part: String, series: &Series) -> [String; 5] {
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
    [
        channel.id.to_string(),
        or_unknown(now),
        or_unknown(series.observed_resolution().map(number)),
        or_unknown(series.observed_period().map(|period| si(period, "s"))),
        part,
    ]
}
