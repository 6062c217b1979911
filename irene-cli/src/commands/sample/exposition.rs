//! The metrics of a recording for Prometheus.

use std::{fmt, sync::Arc};

use irene_sampler::{Channel, Metric, Provenance, Recording, Sampler, Total};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::processes::{Part, is_part, sum};

/// The source of every scrape.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) sampler: Arc<Sampler>,
    /// The kinds that make up the meter, with a plus between.
    pub(super) meter: String,
    pub(super) part: Option<Part>,
    /// The joules of each channel at the start: a log's first lines are of the time before.
    before: Vec<f64>,
}

impl Source {
    /// The counts begin here.
    pub(super) fn new(sampler: Arc<Sampler>, meter: String, mut part: Option<Part>) -> Self {
        if let Some(part) = &mut part {
            sampler.look(|recording| part.begin(recording));
        }
        let before: Vec<f64> = sampler.look(|recording| {
            let series = (0..recording.channels().len()).map(|place| recording.series(place));
            series.map(|series| series.joules().unwrap_or(0.0)).collect()
        });
        Self { sampler, meter, part, before }
    }

    /// The joules of a channel since the start.
    pub(super) fn joules(&self, recording: &Recording, place: usize) -> Option<f64> {
        Some(recording.series(place).joules()? - self.before[place])
    }

    /// The meter's joules since the start; None without a meter, or if one of its sensors was never read.
    pub(super) fn total(&self, recording: &Recording) -> Option<f64> {
        sum(recording.totals().iter().map(|&place| self.joules(recording, place)))
    }

    /// The kinds of the sensors that make up a total, with a plus between: others of the meter are in it twice, or cannot be right.
    pub(super) fn kinds(&self, recording: &Recording, total: &Total) -> String {
        let is_taken =
            |kind: &&str| total.taken().iter().any(|&place| recording.channels()[place].id.resource.source() == *kind);
        let kinds: Vec<&str> = self.meter.split('+').filter(is_taken).collect();
        if kinds.is_empty() { self.meter.clone() } else { kinds.join("+") }
    }
}

/// A recording at one moment.
pub(super) struct Exposition<'a> {
    source: &'a Source,
    recording: &'a Recording,
    now: f64,
}

type Labels = Vec<(&'static str, String)>;

/// The power of a counter is the mean over so many seconds, or over ten updates of its sensor, and two readings at least.
const POWER_SPAN: f64 = 1.0;
const UPDATES: f64 = 10.0;

const PERCENT: f64 = 100.0;
const MEGA: f64 = 1e6;

impl<'a> Exposition<'a> {
    pub(super) fn of(source: &'a Source, recording: &'a Recording) -> Self {
        Self { source, recording, now: source.sampler.clock().now() }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        use MetricType::{Counter, Gauge};
        let of = |metric, unit| self.gauges(metric, unit);
        let metrics = [
            ("energy_joules", Counter, "Energy since the start, by sensor.", self.energies()),
            (
                "total_energy_joules",
                Counter,
                "Energy since the start, of the sensors that make up the meter.",
                self.total(),
            ),
            (
                "process_energy_joules",
                Counter,
                "A process tree's part of the meter's energy since the start.",
                self.process(),
            ),
            (
                "power_watts",
                Gauge,
                "Power: the newest reading, or a counter's mean of about a second or two readings.",
                self.powers(),
            ),
            (
                "utilisation_ratio",
                Gauge,
                "The share of time in which it is busy.",
                of(Metric::Utilisation, 1.0 / PERCENT),
            ),
            ("memory_ratio", Gauge, "The share of its memory that is in use.", of(Metric::Memory, 1.0 / PERCENT)),
            ("core_clock_hertz", Gauge, "The frequency of its cores.", of(Metric::CoreClock, MEGA)),
            ("memory_clock_hertz", Gauge, "The frequency of its memory.", of(Metric::MemoryClock, MEGA)),
            ("meter_update_seconds", Gauge, "How often the sensor has something new.", self.updates()),
            ("readings", Counter, "Readings since the start.", self.readings()),
            (
                "gaps",
                Counter,
                "Times when the energy between two readings was unknown, and is not counted.",
                self.gaps(),
            ),
        ];
        metrics
            .into_iter()
            .try_for_each(|(name, kind, help, samples)| family(encoder, &format!("irene_{name}"), help, kind, &samples))
    }

    /// The sensors of the meter without a reading of now.
    pub(super) fn silent(&self) -> Vec<String> {
        let silent = self.recording.totals().iter().filter(|&&place| !self.is_fresh(place));
        silent.map(|&place| self.recording.channels()[place].id.to_string()).collect()
    }

    /// Whether a channel has a reading of now. One that vanished is absent: a figure that stands still would be taken for one of now.
    fn is_fresh(&self, place: usize) -> bool {
        let series = self.recording.series(place);
        series.points().next_back().is_some_and(|(time, _)| self.now - time <= series.longest_gap())
    }

    fn each(&self, of: impl Fn(usize, &'a Channel) -> Option<(Labels, f64)>) -> Vec<(Labels, f64)> {
        let channels = self.recording.channels().iter().enumerate().filter(|(_, channel)| !is_part(&channel.id));
        channels.filter_map(|(place, channel)| of(place, channel)).collect()
    }

    fn fresh(&self, of: impl Fn(usize, &'a Channel) -> Option<(Labels, f64)>) -> Vec<(Labels, f64)> {
        self.each(|place, channel| of(place, channel).filter(|_| self.is_fresh(place)))
    }

    /// A resource may have both a counter and a power: the metric tells them apart.
    fn labels(&self, channel: &Channel) -> Labels {
        let metric = match channel.id.metric {
            Metric::Energy => "energy",
            Metric::Power => "power",
            Metric::Utilisation => "utilisation",
            Metric::Memory => "memory",
            Metric::CoreClock => "core-clock",
            Metric::MemoryClock => "memory-clock",
        };
        vec![
            ("source", channel.id.resource.source().to_owned()),
            ("device", channel.id.resource.to_string()),
            ("metric", metric.to_owned()),
        ]
    }

    fn energies(&self) -> Vec<(Labels, f64)> {
        self.fresh(|place, channel| {
            let mut labels = self.labels(channel);
            labels.push(("provenance", channel.provenance.name().to_owned()));
            labels.push(("in_total", self.recording.totals().contains(&place).to_string()));
            Some((labels, self.source.joules(self.recording, place)?))
        })
    }

    fn total(&self) -> Vec<(Labels, f64)> {
        let total = self.recording.total();
        let provenance = total.provenance(self.recording).map_or("", Provenance::name);
        let labels = vec![
            ("source", self.source.kinds(self.recording, total)),
            ("provenance", provenance.to_owned()),
            ("lacks", total.lacks().join(",")),
        ];
        let joules = self.source.total(self.recording).filter(|_| self.silent().is_empty());
        joules.map(|joules| (labels, joules)).into_iter().collect()
    }

    fn process(&self) -> Vec<(Labels, f64)> {
        let Some(part) = &self.source.part else { return Vec::new() };
        let places = part.places(self.recording).filter(|(place, _)| self.is_fresh(*place));
        let sample = |(place, method): (usize, &super::processes::Method)| {
            let labels = vec![
                ("process", part.label.clone()),
                ("source", method.source.clone()),
                ("method", method.method.name().to_owned()),
                ("idle", part.idle.to_owned()),
                ("provenance", Provenance::Estimated.name().to_owned()),
            ];
            Some((labels, self.source.joules(self.recording, place)?))
        };
        places.filter_map(sample).collect()
    }

    fn powers(&self) -> Vec<(Labels, f64)> {
        self.fresh(|place, channel| {
            let series = self.recording.series(place);
            let (time, newest) = series.points().next_back()?;
            let watts = match channel.id.metric {
                Metric::Power => newest,
                Metric::Energy => {
                    let span = POWER_SPAN.max(UPDATES * series.update_period().unwrap_or(0.0));
                    let third_last = series.points().nth_back(2).map_or(time, |(time, _)| time);
                    let oldest = series.points().next().map_or(time, |(time, _)| time);
                    series.window(third_last.min((time - span).max(oldest)), time).ok()?.mean
                }
                _ => return None,
            };
            Some((self.labels(channel), watts))
        })
    }

    fn gauges(&self, metric: Metric, unit: f64) -> Vec<(Labels, f64)> {
        self.fresh(|place, channel| {
            let (_, newest) = self.recording.series(place).points().next_back()?;
            (channel.id.metric == metric).then(|| (self.labels(channel), newest * unit))
        })
    }

    fn updates(&self) -> Vec<(Labels, f64)> {
        self.fresh(|place, channel| {
            let period = self.recording.series(place).update_period()?;
            channel.id.metric.is_energy().then(|| (self.labels(channel), period))
        })
    }

    /// A figure of every sensor, there or not, so that one that stands can be seen.
    fn readings(&self) -> Vec<(Labels, f64)> {
        self.each(|place, channel| Some((self.labels(channel), self.recording.series(place).pushed() as f64)))
    }

    fn gaps(&self) -> Vec<(Labels, f64)> {
        self.each(|place, channel| {
            let gaps = self.recording.series(place).gaps() as f64;
            channel.id.metric.is_energy().then(|| (self.labels(channel), gaps))
        })
    }
}

/// A metric with its samples; nothing without any.
fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    samples: &[(Labels, f64)],
) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        let sample = family.encode_family(labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(*value).encode(sample)?,
            _ => ConstGauge::new(*value).encode(sample)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use irene_sampler::{Readings, Resource, SamplerOptions, Sensor};
    use serde_json::Value;

    use super::*;
    use crate::commands::sample::json::Lines;

    const WATTS: f64 = 90.0;

    /// A log with a line a second of the minute before it was opened.
    struct Log {
        channels: [Channel; 1],
        is_open: bool,
    }

    impl Sensor for Log {
        fn channels(&self) -> &[Channel] {
            &self.channels
        }

        fn sample(&mut self, readings: &mut Readings<'_>) {
            let wall = readings.stamp().wall;
            let first = if self.is_open { 0 } else { 60 };
            (0..=first).rev().for_each(|second| readings.push_at_wall(0, wall - f64::from(second), WATTS));
            self.is_open = true;
        }
    }

    #[test]
    fn lines_of_a_log_from_before_the_start_are_not_counted() {
        let channels = [Channel::new(Resource::Meter("log".into()), Metric::Power)];
        let log = Box::new(Log { channels, is_open: false }) as Box<dyn Sensor>;
        let options = SamplerOptions { period: Duration::from_millis(1), capacity: 1 << 8 };
        let sampler = Arc::new(Sampler::start(vec![log], options).unwrap());
        let clock = sampler.clock();
        let is_read = || sampler.wait_past(clock.now(), Duration::from_secs(60));
        let newest = || sampler.look(|recording| recording.series(0).points().next_back().unwrap().0);
        assert!(is_read());
        let start = newest();
        let source = Source::new(Arc::clone(&sampler), "log".into(), None);
        assert!(is_read());
        let recording = sampler.look(Recording::clone);
        assert!(recording.series(0).joules().unwrap() > 59.0 * WATTS);
        let joules = source.joules(&recording, 0).unwrap();
        assert!(joules > 0.0 && joules <= WATTS * (newest() - start) + 1e-6, "{joules} J");
        let exposition = Exposition::of(&source, &recording);
        assert_eq!((exposition.energies()[0].1, exposition.total()[0].1), (joules, joules));
        let line = Lines::new(recording.channels(), 0.0, start).line(&recording, &source).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        for field in ["log_j", "total_j"] {
            assert!((line[field].as_f64().unwrap() - joules).abs() < 1e-6, "{field}: {line}");
        }
    }
}
