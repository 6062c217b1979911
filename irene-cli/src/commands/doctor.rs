use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use anyhow::Result;
use irene_sampler::{
    Averaging, Channel, Doubt, LeftOut, Metric, Need, Recording, Sampler, SamplerOptions, Sensors, Series, Total,
    sensors::{KINDS, Places, Unavailable},
};
use irene_tree::render::{Grid, Heading, si};
use serde_json::{Value, json};

use super::{
    FormatArgs, Usage,
    meters::{MeterArgs, add_unavailable},
};
use crate::{
    output,
    sheet::{Field, Format, Sheet},
};

/// Shows this machine's sensors and meters, and what is missing
///
/// Each sensor with its reading, how finely and how often it reads, whether it is part of the meter and why; and what would help.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene doctor
  irene doctor --tdp-watts 65 --meter log:meter.csv
  irene doctor --meter hwmon:corsairpsu/power-total
  irene doctor --self-check
  irene doctor --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// How long to read the sensors
    #[arg(long, value_name = "SECONDS", default_value = "2", conflicts_with = "self_check", value_parser = clap::value_parser!(u64).range(1..=60))]
    watch: u64,
    /// Check the sensors under load: half the time at rest, half with all processors at work
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "8", value_parser = clap::value_parser!(u64).range(4..=120))]
    self_check: Option<u64>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Often enough to see how often a sensor has something new.
const PERIOD: Duration = Duration::from_millis(2);

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut conclusion = String::new();
    let (mut sensors, meters) = match args.meter.select() {
        Ok(selection) => {
            // Those that cannot be opened are listed with the sensors that are not available.
            for (kind, why) in selection.passed_over.iter().filter(|(_, why)| !why.is_there) {
                writeln!(conclusion, "{kind} is not used: {why}")?;
            }
            (selection.sensors, selection.meters)
        }
        Err(error) if error.is::<Usage>() || !args.meter.exist() => return Err(error),
        Err(error) => {
            writeln!(conclusion, "no meter: {error}")?;
            (Sensors::default(), Vec::new())
        }
    };
    let mut unavailable = add_others(&mut sensors, &meters, &args.meter.places());
    let seconds = args.self_check.unwrap_or(args.watch);
    let sampler = Sampler::start(sensors, SamplerOptions { period: PERIOD, capacity: (seconds * 1000) as usize })?;
    let watched = watch(&sampler, Duration::from_secs(seconds), args.self_check.is_some());
    if let Err(silent) = sampler.wait_until_read() {
        writeln!(conclusion, "{silent}")?;
    }
    let recording = sampler.stop();
    let total = recording.judged();
    let spare = total.missing().iter().filter(|missing| missing.need == Need::Spare);
    unavailable.extend(spare.map(|missing| (missing.resource.to_string(), missing.why.clone())));
    conclusion += &judgement(&recording, &total, &watched)?;
    match (meters.is_empty(), conclusion.starts_with("no meter")) {
        (true, true) => {}
        (true, false) => {
            conclusion += "no meter: energies will be absent; --tdp-watts W estimates them from load\n";
        }
        (false, _) => writeln!(conclusion, "the meter would be: {}", meters.join(" + "))?,
    }
    let conclusion = output::in_flags(&conclusion);
    let rows = rows(&recording, &total);
    match args.format.format() {
        Format::Text => output::print_text(&format!("{}\n{}\n{conclusion}", table(&rows), in_words(&unavailable))),
        Format::Csv => output::print(&sheet(&rows).csv()),
        Format::Json => {
            let unavailable: Vec<Value> = unavailable.iter().map(as_json).collect();
            let conclusion: Vec<&str> = conclusion.lines().collect();
            let fields = [
                ("sensors", sheet(&rows).rows()),
                ("unavailable", unavailable.into()),
                ("meters", json!(meters)),
                ("conclusion", json!(conclusion)),
            ];
            output::print(&output::json(fields))
        }
    }
}

fn as_json((name, why): &(String, Unavailable)) -> Value {
    let mut sensor = json!({ "name": name, "reason": output::in_flags(&why.reason) });
    if let Some(fix) = &why.fix {
        sensor["what_would_help"] = output::in_flags(fix).into();
    }
    sensor
}

fn in_words(unavailable: &[(String, Unavailable)]) -> String {
    let mut grid = Grid::pairs();
    for (name, why) in unavailable {
        add_unavailable(&mut grid, name, why);
    }
    grid.text(output::width())
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
    for kind in KINDS.iter().filter(|kind| !meters.contains(&kind.name)) {
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

/// A channel, and its part in the meter. A figure that was never read is unknown, not 0.
struct Row<'a> {
    channel: &'a Channel,
    /// The power of a counter of energy, and else the last reading.
    now: Option<f64>,
    resolution: Option<f64>,
    period_s: Option<f64>,
    part: String,
}

impl Row<'_> {
    fn unit_now(&self) -> &'static str {
        if self.channel.id.metric == Metric::Energy { "W" } else { self.channel.id.metric.unit() }
    }

    fn mean_of(&self) -> Option<String> {
        (self.channel.averaging != Averaging::None).then(|| self.channel.averaging.to_string())
    }
}

fn rows<'a>(recording: &'a Recording, total: &Total) -> Vec<Row<'a>> {
    let row = |(place, channel): (usize, &'a Channel)| {
        let judged = total.sensors().find(|(id, _)| **id == channel.id).map(|(_, left_out)| left_out);
        let part = match judged {
            Some(None) => channel.provenance.name().to_owned(),
            Some(Some(left_out @ (LeftOut::PartOf(_) | LeftOut::SameAs(_)))) => left_out.to_string(),
            Some(Some(LeftOut::NotNamed)) => "not named".into(),
            Some(Some(_)) => "left out".into(),
            None if channel.id.metric.is_energy() => "not used".into(),
            None => String::new(),
        };
        let series = recording.series(place);
        Row {
            channel,
            now: now(channel.id.metric, series),
            resolution: series.observed_resolution(),
            period_s: series.observed_period(),
            part,
        }
    };
    recording.channels().iter().enumerate().map(row).collect()
}

fn now(metric: Metric, series: &Series) -> Option<f64> {
    match (metric, series.points().next(), series.points().next_back()) {
        (Metric::Energy, Some(first), Some(last)) if last.0 > first.0 => Some((last.1 - first.1) / (last.0 - first.0)),
        (Metric::Energy, ..) => None,
        (_, _, last) => last.map(|(_, value)| value),
    }
}

fn table(rows: &[Row<'_>]) -> String {
    let mut grid = Grid::new([
        Heading::left("sensor"),
        Heading::right("now"),
        Heading::right("resolution").rank(2),
        Heading::right("new every").rank(1),
        Heading::left("in the meter"),
    ]);
    let number = |value: Option<f64>, unit: &str| match value {
        None => "not seen".to_owned(),
        Some(value) if unit == "%" => format!("{value:.2} %"),
        Some(value) => si(value, unit),
    };
    for row in rows {
        let mean = row.mean_of().map_or_else(String::new, |time| format!(", mean of {time}"));
        grid.row([
            row.channel.id.to_string(),
            number(row.now, row.unit_now()),
            number(row.resolution, row.channel.id.metric.unit()),
            number(row.period_s, "s") + &mean,
            row.part.clone(),
        ]);
    }
    grid.text(output::width())
}

/// A line a channel, for programs.
fn sheet(rows: &[Row<'_>]) -> Sheet {
    Sheet::of(
        rows,
        [
            (Field::word("sensor", "sensor"), |row| row.channel.id.to_string().into()),
            (Field::figure("now", "now", ""), |row| row.now.into()),
            (Field::word("now_unit", "unit"), |row| row.unit_now().into()),
            (Field::figure("resolution", "resolution", ""), |row| row.resolution.into()),
            (Field::word("resolution_unit", "unit"), |row| row.channel.id.metric.unit().into()),
            (Field::figure("new_every_s", "new every", ""), |row| row.period_s.into()),
            (Field::word("mean_of", "mean of"), |row| row.mean_of().into()),
            (Field::word("in_the_meter", "in the meter"), |row| row.part.as_str().into()),
        ],
    )
}
