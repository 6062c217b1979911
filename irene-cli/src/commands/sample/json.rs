//! A line of JSON for each sample.

use irene_sampler::{Channel, Metric, Recording};
use serde_json::{Map, Value};

use super::{Span, exposition::Source};
use crate::output;

/// Writes lines, each with what is new since the last one.
#[derive(Debug)]
pub(super) struct Lines {
    /// The fields of each channel: its reading, and for a power its joules.
    fields: Vec<(String, Option<String>)>,
    /// The offset from the clock's times to those since 1970, s.
    epoch: f64,
    start: f64,
    /// The time of the newest reading of each channel that was written: a log comes later than what is read here.
    written: Vec<f64>,
}

/// Whole microseconds.
fn seconds(time: f64) -> Value {
    ((time * 1e6).round() / 1e6).into()
}

/// A name that jq takes without quotes.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn field(channel: &Channel) -> String {
    let unit = match channel.id.metric.unit() {
        "%" => "percent".to_owned(),
        unit => unit.to_lowercase(),
    };
    format!("{}_{unit}", word(&channel.id.to_string()))
}

impl Lines {
    pub(super) fn new(channels: &[Channel], epoch: f64, start: f64) -> Self {
        let mut fields: Vec<(String, Option<String>)> = Vec::new();
        for channel in channels {
            let mut name = field(channel);
            // Two names may differ in nothing but their points and dashes.
            while fields.iter().any(|(other, _)| *other == name) {
                name.insert(0, '_');
            }
            let joules = (channel.id.metric == Metric::Power).then(|| format!("{}_j", name.trim_end_matches("_w")));
            fields.push((name, joules));
        }
        let written = vec![f64::NEG_INFINITY; fields.len()];
        Self { fields, epoch, start, written }
    }

    /// The line of what was read since the last one; None if nothing was.
    pub(super) fn line(&mut self, recording: &Recording, source: &Source) -> Option<String> {
        let newest = |place: usize| recording.series(place).points().next_back();
        let newest: Vec<_> = (0..self.fields.len()).map(newest).collect();
        let is_new = |(&reading, &written): (&Option<(f64, f64)>, &f64)| reading.filter(|(time, _)| *time > written);
        let new: Vec<_> = newest.iter().zip(&self.written).map(is_new).collect();
        let time = newest.iter().flatten().map(|(time, _)| *time).fold(f64::NEG_INFINITY, f64::max);
        if new.iter().all(Option::is_none) {
            return None;
        }
        let mut line = Map::new();
        line.insert("unix_time_s".into(), seconds(self.epoch + time));
        line.insert("elapsed_s".into(), seconds(time - self.start));
        for (place, (time, value)) in new.iter().enumerate().filter_map(|(place, new)| Some((place, (*new)?))) {
            let (name, joules) = &self.fields[place];
            line.insert(name.clone(), value.into());
            if let Some(name) = joules {
                line.insert(name.clone(), source.joules(recording, place).into());
            }
            self.written[place] = time;
        }
        if let Some(joules) = source.total(recording) {
            line.insert("total_j".into(), joules.into());
        }
        if let Some(joules) = source.part.as_ref().and_then(|part| part.total_now(recording)) {
            line.insert("process_j".into(), joules.into());
        }
        Some(output::json(line))
    }

    /// The last line: the figures of the summary.
    pub(super) fn summary(&self, recording: &Recording, span: &Span, source: &Source) -> String {
        let Span { start, from, end, gaps, .. } = *span;
        let total = span.total(recording);
        let mut line = Map::new();
        line.insert("summary".into(), true.into());
        line.insert("duration_s".into(), seconds(end - start));
        line.insert("meter".into(), source.kinds(recording, &total).into());
        line.insert("taken".into(), total.names().into());
        line.insert("lacks".into(), total.lacks().into());
        line.insert("gaps".into(), gaps.into());
        let joules = span.energy(recording, &total).unwrap_or_else(|none| {
            line.insert("no_total".into(), none.into());
            None
        });
        if let Some((joules, provenance)) = joules.zip(total.provenance(recording)) {
            line.insert("total_j".into(), joules.into());
            line.insert("mean_w".into(), (joules / (end - start)).into());
            line.insert("provenance".into(), provenance.name().into());
        }
        for (place, (name, _)) in self.fields.iter().enumerate() {
            let name = name.strip_suffix("_j").map_or(name.clone(), |name| format!("{name}_w"));
            let window = recording.window(place, from, end).ok();
            let is_of_use = span.trouble(&recording.channels()[place].id).is_none();
            let mean = window.filter(|_| is_of_use).map(|window| window.mean);
            line.extend(mean.map(|mean| (format!("mean_{name}"), mean.into())));
        }
        if let Some(part) = &source.part {
            line.insert("process".into(), part.label.clone().into());
            line.insert("process_idle".into(), part.idle.into());
            line.extend(part.total(recording, span).map(|joules| ("process_j".into(), joules.into())));
            let by = part.joules(recording, span).into_iter();
            line.extend(
                by.filter_map(|(method, joules)| Some((format!("process_{}_j", word(method.name())), joules?.into()))),
            );
        }
        output::json(line)
    }
}
