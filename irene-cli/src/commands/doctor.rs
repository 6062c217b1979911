use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::Result;
use irene_sampler::{
    Averaging, Channel, Doubt, LeftOut, Metric, Need, Recording, Sampler, SamplerOptions, Sensors, Series, Total,
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
  irene doctor --meter hwmon:corsairpsu/power-total
  irene doctor --self-check")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// How long to read them
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    watch: u64,
    /// Check the sensors under load: half the time at rest, half with all processors at work
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "8", value_parser = clap::value_parser!(u64).range(4..=120))]
    self_check: Option<u64>,
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
    let seconds = args.self_check.unwrap_or(args.watch);
    let sampler = Sampler::start(sensors, SamplerOptions { period: PERIOD, capacity: (seconds * 1000) as usize })?;
    let watched = watch(&sampler, Duration::from_secs(seconds), args.self_check.is_some());
    if let Err(silent) = sampler.wait_until_read() {
        writeln!(conclusion, "{silent}")?;
    }
    let recording = sampler.stop();
    let total = recording.judged();
    for missing in total.missing().iter().filter(|missing| missing.need == Need::Spare) {
        add_unavailable(&mut unavailable, &missing.resource.to_string(), &missing.why);
    }
    conclusion += &judgement(&recording, &total, &watched)?;
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

/// Remarks about the sensors for a reader, a line each.
fn judgement(recording: &Recording, total: &Total, watched: &Watched) -> Result<String> {
    let mut lines = String::new();
    for remark in total.remarks() {
        writeln!(lines, "{remark}")?;
    }
    let doubts = doubts(recording, total, watched);
    for doubt in &doubts {
        writeln!(lines, "doubtful: {doubt}")?;
    }
    if watched.load.is_some() && doubts.is_empty() {
        lines += "the self-check found nothing doubtful\n";
    }
    if let Some((seconds, id)) = recording.shortest_window() {
        writeln!(lines, "energies need windows of {} or more, because of {id}", si(seconds, "s"))?;
    }
    Ok(lines)
}

/// The stretches of time that were watched: at rest or as it was, and under load.
struct Watched {
    calm: (f64, f64),
    load: Option<(f64, f64)>,
}

/// Watches for so long, the second half of it with a load if there is to be one.
fn watch(sampler: &Sampler, time: Duration, has_load: bool) -> Watched {
    let clock = sampler.clock();
    let start = clock.now();
    if !has_load {
        std::thread::sleep(time);
        return Watched { calm: (start, clock.now()), load: None };
    }
    std::thread::sleep(time / 2);
    let middle = clock.now();
    work(time / 2);
    Watched { calm: (start, middle), load: Some((middle, clock.now())) }
}

/// Keeps all processors at work.
fn work(time: Duration) {
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for seed in 0..std::thread::available_parallelism().map_or(1, |count| count.get() as u64) {
            scope.spawn(move || {
                let mut number = seed | 1;
                while Instant::now() < end {
                    for _ in 0..10_000 {
                        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                    }
                }
            });
        }
    });
}

/// Readings of the sensors that cannot be right, but for those that the total leaves out for the same reason.
fn doubts(recording: &Recording, total: &Total, Watched { calm, load }: &Watched) -> Vec<Doubt> {
    let end = load.unwrap_or(*calm).1;
    // The first readings come after the start.
    let mut doubts = recording.doubts(calm.0 + 0.1, end - 0.1);
    if let Some(load) = load {
        doubts.extend(recording.doubts_of_load((calm.0 + 0.1, calm.1), (load.0, load.1 - 0.1)));
    }
    let is_said = |doubt: &Doubt| {
        total.sensors().any(|(id, left_out)| {
            let is_same = matches!(left_out, Some(LeftOut::StandsStill(_) | LeftOut::BelowItsParts { .. }));
            is_same && doubt.id() == Some(id)
        })
    };
    doubts.retain(|doubt| !is_said(doubt));
    doubts
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
    let mean = match channel.averaging {
        Averaging::None => String::new(),
        averaging => format!(", mean of {averaging}"),
    };
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
        or_unknown(series.observed_period().map(|period| si(period, "s"))) + &mean,
        part,
    ]
}
