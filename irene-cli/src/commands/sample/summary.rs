//! The summary at the end, and every reading as CSV.

use std::{fmt::Write as _, io::Write as _};

use anyhow::{Result, ensure};
use irene_sampler::{Channel, Metric, Need, Provenance, Recording, Window, WindowError};
use irene_tree::render::{Grid, Heading, si};

use super::{Span, exposition::Source};
use crate::{commands::trees::count, output};

pub(super) fn write_csv(mut writer: &mut dyn std::io::Write, recording: &Recording, epoch: f64) -> Result<()> {
    writeln!(writer, "unix_time_s,channel,unit,value")?;
    for (place, channel) in recording.channels().iter().enumerate() {
        let series = recording.series(place);
        for (time, value) in series.points() {
            writeln!(&mut writer, "{:.6},{},{},{value}", epoch + time, channel.id, channel.id.metric.unit())?;
        }
    }
    Ok(())
}

/// The figures of a recording, which may have dropped its oldest readings. Without a meter it ends with what would help.
pub(super) fn text(recording: &Recording, span: &Span, source: &Source, no_meter: &str) -> Result<String> {
    ensure!(!recording.channels().is_empty(), "nothing can be read on this machine; `irene doctor` says why");
    let Span { start, from, end, gaps, .. } = *span;
    let mut out = format!("{} recorded", si(end - start, "s"));
    if span.is_cut() {
        write!(out, "; the figures of channels are of the last {}", si(end - from, "s"))?;
    }
    out += "\n\n";
    out += &channels(recording, span)?;
    out.push('\n');
    let total = span.total(recording);
    let mut taken = Vec::new();
    for (id, left_out) in total.sensors().filter(|(id, _)| !super::processes::is_part(id)) {
        match left_out {
            None => taken.push(id.to_string()),
            Some(left_out) => writeln!(out, "{id} is left out: {left_out}")?,
        }
    }
    if !taken.is_empty() {
        writeln!(out, "the total is that of {}", taken.join(" + "))?;
    }
    for missing in total.missing().iter().filter(|missing| missing.need != Need::Spare) {
        writeln!(out, "{} is lacking: {}", missing.resource, missing.why)?;
    }
    let meter = source.kinds(recording, &total).replace('+', " + ");
    let lacks = total.lacks();
    let mut without = if lacks.is_empty() { String::new() } else { format!(", without {}", lacks.join(", ")) };
    if span.is_cut() && gaps > 0 {
        write!(without, ", not counting {} in the readings", count(gaps as usize, "gap"))?;
    }
    let provenance = total.provenance(recording).map_or("", Provenance::name);
    match span.energy(recording, &total) {
        _ if meter.is_empty() => out += no_meter,
        Ok(Some(joules)) => writeln!(out, "{meter}: {} ({provenance}{without})", si(joules, "J"))?,
        Ok(None) => writeln!(out, "{meter}: no figure")?,
        Err(none) => writeln!(out, "{meter}: no figure: {none}")?,
    }
    if let Some(part) = &source.part {
        out += &part.text(recording, span);
    }
    Ok(output::in_flags(&out))
}

/// The time from which on every channel's readings are kept, if some were dropped.
pub(super) fn oldest(recording: &Recording) -> f64 {
    let series = (0..recording.channels().len()).map(|place| recording.series(place));
    let cut = series.filter(|series| series.pushed() > series.points().len() as u64);
    cut.filter_map(|series| series.points().next()).map(|(time, _)| time).fold(f64::NEG_INFINITY, f64::max)
}

/// A table of the channels, and those without a figure.
fn channels(recording: &Recording, span: &Span) -> Result<String> {
    let mut grid = Grid::new([
        Heading::left("channel"),
        Heading::right("mean"),
        Heading::right("std").rank(3),
        Heading::right("least").rank(2),
        Heading::right("greatest").rank(2),
        Heading::right("energy"),
        Heading::right("readings").rank(1),
    ]);
    let mut without = String::new();
    for (place, channel) in recording.channels().iter().enumerate() {
        if let Some(why) = span.trouble(&channel.id) {
            writeln!(without, "{}: no figure: {why}", channel.id)?;
            continue;
        }
        match recording.window(place, span.from, span.end) {
            Ok(window) => grid.row(row(channel, window)),
            // The tree's own lines tell of it.
            Err(_) if super::processes::is_part(&channel.id) => {}
            Err(error) => writeln!(without, "{}: no figure: {}", channel.id, reason(error))?,
        }
    }
    Ok(grid.text(output::width()) + &without)
}

/// A channel's figures.
fn row(channel: &Channel, window: Window) -> [String; 7] {
    let metric = channel.id.metric;
    let unit = if metric.is_energy() { Metric::Power.unit() } else { metric.unit() };
    let number = |value: f64| if unit == "%" { format!("{value:.1} %") } else { si(value, unit) };
    let [mean, std, min, max] = [window.mean, window.std, window.min, window.max].map(number);
    let energy = window.energy.map_or(String::new(), |joules| si(joules, "J"));
    [channel.id.to_string(), mean, std, min, max, energy, window.readings.to_string()]
}

pub(super) fn reason(error: WindowError) -> String {
    match error {
        WindowError::TooFew(0) => "nothing new was read".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use irene_sampler::{
        Package, Readings, Recorder, Resource, Sampler, SamplerOptions, Sensor, Sensors, Silent, Stamp,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::commands::sample::json::Lines;

    /// A counter that goes on by a millijoule.
    struct Strip([Channel; 1], f64);

    impl Sensor for Strip {
        fn channels(&self) -> &[Channel] {
            &self.0
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            self.1 += 1e-3;
            readings.push(0, self.1);
        }
    }

    #[test]
    fn a_recording_that_dropped_readings_tells_all_joules_and_says_what_the_figures_are_of() {
        let strip = Strip([Channel::new(Resource::Meter("strip".into()), Metric::Energy)], 0.0);
        let options = SamplerOptions { period: Duration::from_millis(1), capacity: 64 };
        let sampler = Arc::new(Sampler::start(vec![Box::new(strip) as Box<dyn Sensor>], options).unwrap());
        while sampler.look(|recording| recording.series(0).pushed() < 200) {
            sampler.wait_past(sampler.clock().now(), Duration::from_secs(1));
        }
        let recording = sampler.look(Recording::clone);
        let (end, _) = recording.series(0).points().next_back().unwrap();
        let from = oldest(&recording);
        assert!(from > 0.0);
        let source = Source::new(sampler, "strip".into(), None);
        let span = Span { start: 0.0, from, end, joules: Some(1234.0), gaps: 3, silent: None };
        let all = text(&recording, &span, &source, "").unwrap();
        assert!(all.contains(" recorded; the figures of channels are of the last "), "{all}");
        assert!(all.contains("strip: 1.23 kJ (measured, not counting 3 gaps in the readings)\n"), "{all}");
        // A counter that has stood still lately has no figure of that time, and its joules none the less.
        let still = Span { start: 0.0, from: end + 1.0, end: end + 2.0, joules: Some(2.0), gaps: 0, silent: None };
        let still = text(&recording, &still, &source, "").unwrap();
        assert!(
            still.contains("strip: 2 J (measured)\n") && still.contains("strip: no figure: the readings"),
            "{still}"
        );
    }

    /// Two channels whose readings never change.
    struct Still([Channel; 2], [f64; 2]);

    impl Sensor for Still {
        fn channels(&self) -> &[Channel] {
            &self.0
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            (0..2).for_each(|place| readings.push(place, self.1[place]));
        }
    }

    /// The readings of twenty seconds.
    fn recorder(still: Still, capacity: usize) -> Recorder {
        let mut recorder = Recorder::new(vec![Box::new(still) as Box<dyn Sensor>], capacity);
        (0..20).map(f64::from).for_each(|time| recorder.sample_at(Stamp { time, wall: time }));
        recorder
    }

    #[test]
    fn the_sensors_of_a_long_recording_are_those_whose_joules_are_told() {
        // The counter of a card stands still, and its power is there.
        let channels = [Metric::Energy, Metric::Power].map(|metric| Channel::new(Resource::Gpu(0), metric));
        let recorder = recorder(Still(channels, [5.0, 50.0]), 8);
        let recording = recorder.recording();
        let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
        let source = Source::new(Arc::new(sampler), "nvml".into(), None);
        let long = Span { start: 0.0, from: oldest(recording), end: 19.0, joules: Some(1234.0), gaps: 0, silent: None };
        let summary = text(recording, &long, &source, "").unwrap();
        assert!(summary.contains("the total is that of gpu0.energy\n"), "{summary}");
        let line = Lines::new(recording.channels(), 0.0, 0.0).summary(recording, &long, &source);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["taken"], &line["total_j"]), (&json!(["gpu0.energy"]), &json!(1234.0)));
        // Where all readings are kept, they tell that the counter stands still.
        let short = Span { start: long.from, ..long };
        let summary = text(recording, &short, &source, "").unwrap();
        assert!(summary.contains("the total is that of gpu0.power\n") && summary.contains("nvml: 350 J"), "{summary}");
    }

    #[test]
    fn the_energy_is_named_after_the_meters_that_count_and_is_none_of_a_log_that_is_not_of_now() {
        // The log of an outlet, and a processor behind it.
        let package = Resource::Package(Package { socket: 0, die: None });
        let channels = [Resource::Meter("log".into()), package].map(|resource| Channel::new(resource, Metric::Power));
        let id = channels[0].id.clone();
        let recorder = recorder(Still(channels, [200.0, 50.0]), 64);
        let recording = recorder.recording();
        let sampler = Sampler::start(Sensors::default(), SamplerOptions::default()).unwrap();
        let source = Source::new(Arc::new(sampler), "rapl+log".into(), None);
        let mut span = Span { start: 1.0, from: 1.0, end: 11.0, joules: None, gaps: 0, silent: None };
        let summary = text(recording, &span, &source, "").unwrap();
        assert!(summary.ends_with("\nlog: 2 kJ (measured)\n"), "{summary}");
        let line = Lines::new(recording.channels(), 0.0, 0.0).summary(recording, &span, &source);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["meter"], &line["mean_log_w"]), (&json!("log"), &json!(200.0)));

        span.silent = Some(Silent { id, why: "the newest is 20 s in the future".into() });
        let summary = text(recording, &span, &source, "").unwrap();
        let why = "no figure: log: the newest is 20 s in the future\n";
        assert!(summary.contains("log: no figure: the newest is 20 s in the future\n"), "{summary}");
        assert!(summary.ends_with(why) && !summary.contains("2 kJ"), "{summary}");
        let line = Lines::new(recording.channels(), 0.0, 0.0).summary(recording, &span, &source);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["total_j"], &line["mean_log_w"]), (&Value::Null, &Value::Null));
    }
}
