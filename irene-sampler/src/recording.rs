use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Channel, ChannelId, Findings, Missing, Sensor, Sensors, Series, Stamp, Total, Window, WindowError,
    evidence::Evidence,
};

/// Takes a sensor's readings, by the numbers of its channels. A reading of a channel that it does not have is left out.
#[derive(Debug)]
pub struct Readings<'a> {
    stamp: Stamp,
    /// The place of the sensor's first channel among all, and that behind its last.
    first: usize,
    end: usize,
    taken: &'a mut Vec<Reading>,
}

/// One reading, before it is added to the recording.
#[derive(Clone, Copy, Debug)]
struct Reading {
    place: usize,
    time: f64,
    value: f64,
    /// A counter used an unknown amount before it.
    after_break: bool,
    /// The sensor has taken it anew, even if its value is that before.
    is_new: bool,
}

impl Readings<'_> {
    /// The moment of this sample.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Adds a reading of now to the sensor's channel with this number.
    pub fn push(&mut self, channel: usize, value: f64) {
        let place = self.first.saturating_add(channel);
        self.add(Reading { place, time: self.stamp.time, value, after_break: false, is_new: false });
    }

    /// Adds a reading with the sensor's own wall-clock time. It counts as new even if the value has not changed.
    pub fn push_at_wall(&mut self, channel: usize, wall: f64, value: f64) {
        let reading = self.reading_at_wall(channel, wall, value);
        self.add(reading);
    }

    /// Adds a reading of a counter before which an unknown amount was used.
    pub(crate) fn push_after_break(&mut self, channel: usize, value: f64) {
        let reading = self.reading_at_wall(channel, self.stamp.wall, value);
        self.add(Reading { after_break: true, is_new: false, ..reading });
    }

    /// The same at a time of the system's clock.
    pub(crate) fn push_at_wall_after_break(&mut self, channel: usize, wall: f64, value: f64) {
        let reading = self.reading_at_wall(channel, wall, value);
        self.add(Reading { after_break: true, ..reading });
    }

    /// Adds a reading of now that the sensor has taken anew, even if it shows what it showed before.
    pub(crate) fn push_new(&mut self, channel: usize, value: f64) {
        self.push_at_wall(channel, self.stamp.wall, value);
    }

    fn reading_at_wall(&self, channel: usize, wall: f64, value: f64) -> Reading {
        let time = wall - self.stamp.wall + self.stamp.time;
        Reading { place: self.first.saturating_add(channel), time, value, after_break: false, is_new: true }
    }

    fn add(&mut self, reading: Reading) {
        if reading.place < self.end {
            self.taken.push(reading);
        }
    }
}

/// The readings of some channels, by one clock.
#[derive(Clone, Debug)]
pub struct Recording {
    channels: Arc<[Channel]>,
    /// The number of channels of probes, which come first.
    probes: usize,
    known: Arc<Known>,
    series: Vec<Series>,
}

/// Knowledge about the sensors before their readings.
#[derive(Debug)]
struct Known {
    findings: Findings,
    missing: Vec<Missing>,
    total: Total,
}

impl Recording {
    /// The channels.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The sensors that make up the machine's power, as it was known at the start.
    pub fn total(&self) -> &Total {
        &self.known.total
    }

    /// The sensors that make up the machine's power, by these readings too: a sensor that contradicts another one is left out.
    pub fn judged(&self) -> Total {
        Total::of(&self.channels, self.probes, &self.evidence().added_to(&self.known.findings), &self.known.missing)
    }

    pub(crate) fn evidence(&self) -> Evidence<'_> {
        Evidence { channels: &self.channels, probes: self.probes, series: &self.series }
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.known.findings
    }

    /// Adds the readings that were taken.
    pub(crate) fn add(&mut self, probing: &mut Probing) {
        for Reading { place, time, value, after_break, is_new } in probing.taken.drain(..) {
            // A sensor whose channels have become more has more than there are series.
            let Some(series) = self.series.get_mut(place) else { continue };
            if after_break {
                series.break_before(time);
            }
            series.add(time, value, is_new);
        }
    }

    /// The places of the channels whose energies add up to that of the meter.
    pub fn totals(&self) -> &[usize] {
        self.known.total.taken()
    }

    /// How long the meter's slowest log may take to its next line, seconds.
    pub(crate) fn line_period(&self) -> f64 {
        self.totals().iter().map(|&place| self.series[place].line_period()).fold(0.0, f64::max)
    }

    /// Whether readings of the total are still to come that reach the end of a window.
    pub(crate) fn lags(&self, from: f64, to: f64) -> bool {
        self.totals().iter().any(|&place| {
            let is_late = self.series[place].points().next_back().is_none_or(|(time, _)| time < to);
            is_late && self.window(place, from, to) == Err(WindowError::NotCovered)
        })
    }

    /// The readings of a channel, by its place.
    ///
    /// # Panics
    /// If there are not so many [channels](Self::channels).
    pub fn series(&self, channel: usize) -> &Series {
        &self.series[channel]
    }

    /// The shortest window that has an energy, seconds, by the sensors of the meter, and the sensor that needs it. None if no sensor
    /// tells or shows how often it has something new.
    pub fn shortest_window(&self) -> Option<(f64, &ChannelId)> {
        let windows =
            self.totals().iter().map(|&place| (self.series[place].shortest_window(), &self.channels[place].id));
        windows.filter(|(seconds, _)| *seconds > 0.0).max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// A channel's figures between two times in seconds.
    ///
    /// # Errors
    /// [`WindowError`] if there are too few readings for a figure.
    ///
    /// # Panics
    /// If there are not so many [channels](Self::channels).
    pub fn window(&self, channel: usize, from: f64, to: f64) -> Result<Window, WindowError> {
        self.series[channel].window(from, to)
    }
}

/// A sensor of the meter that gives no reading of now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {why}")]
pub struct Silent {
    /// Its channel.
    pub id: ChannelId,
    /// The reason, as far as the sensor knows.
    pub why: String,
}

/// Sensors, and what they read last. They are apart from the recording, so that nobody who looks at it waits for a sensor.
pub(crate) struct Probing {
    sensors: Vec<Box<dyn Sensor>>,
    taken: Vec<Reading>,
}

impl Probing {
    /// The readings of a sample that are taken without an allocation; the first lines of a long log may be more.
    const AT_ONCE: usize = 1 << 10;

    /// Reads every sensor, each at its own moment: a sensor that takes milliseconds must not date the next one's readings back.
    pub(crate) fn read(&mut self, stamp: impl Fn() -> Stamp) {
        let mut first = 0;
        for sensor in &mut self.sensors {
            let end = first + sensor.channels().len();
            sensor.sample(&mut Readings { stamp: stamp(), first, end, taken: &mut self.taken });
            first = end;
        }
    }

    /// Whether every sensor of the recording's total has a reading of about this moment.
    pub(crate) fn check(&self, recording: &Recording, stamp: Stamp) -> Result<(), Silent> {
        let mut place = 0;
        for sensor in &self.sensors {
            for channel in sensor.channels() {
                if recording.totals().contains(&place) {
                    let series = &recording.series[place];
                    let longest_gap = series.longest_gap();
                    let newest = series.points().next_back();
                    let is_silent = newest.is_none_or(|(time, _)| stamp.time - time > longest_gap);
                    let trouble = sensor.trouble(stamp, longest_gap);
                    if trouble.is_some() || is_silent {
                        let why = trouble.unwrap_or_else(|| "it gives no reading".into());
                        return Err(Silent { id: channel.id.clone(), why });
                    }
                }
                place += 1;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Probing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probing").finish_non_exhaustive()
    }
}

/// Sensors and their readings. A [`Sampler`](crate::Sampler)'s thread samples them, or the caller does.
#[derive(Debug)]
pub struct Recorder {
    pub(crate) probing: Probing,
    pub(crate) recording: Recording,
}

impl Recorder {
    /// Keeps the newest `capacity` readings of each channel.
    pub fn new(sensors: impl Into<Sensors>, capacity: usize) -> Self {
        Self::sampled_every(Duration::ZERO, sensors, capacity)
    }

    /// The same, for samples that lie so far apart: one that comes late makes no gap.
    pub(crate) fn sampled_every(period: Duration, sensors: impl Into<Sensors>, capacity: usize) -> Self {
        let Sensors { probes: mut sensors, meters, findings } = sensors.into();
        let patient =
            |channel: &Channel| Channel { longest_gap: channel.longest_gap.max(2 * period), ..channel.clone() };
        let channels = |sensors: &[Box<dyn Sensor>]| -> Vec<Channel> {
            sensors.iter().flat_map(|sensor| sensor.channels()).map(patient).collect()
        };
        let (probed, metered) = (channels(&sensors), channels(&meters));
        let missing: Vec<Missing> = meters.iter().flat_map(|sensor| sensor.missing()).cloned().collect();
        let probes = probed.len();
        sensors.extend(meters);
        let channels: Arc<[Channel]> = [probed, metered].concat().into();
        let total = Total::of(&channels, probes, &findings, &missing);
        let series = channels.iter().map(|channel| Series::new(channel, capacity)).collect();
        let known = Arc::new(Known { findings, missing, total });
        let probing = Probing { sensors, taken: Vec::with_capacity(Probing::AT_ONCE) };
        Self { probing, recording: Recording { channels, probes, known, series } }
    }

    /// The sensors, in their order.
    pub(crate) fn into_sensors(self) -> Vec<Box<dyn Sensor>> {
        self.probing.sensors
    }

    /// Whether every sensor of the total has a reading of about this moment.
    ///
    /// # Errors
    /// [`Silent`] names a sensor without one, with the reason.
    pub fn check(&self, stamp: Stamp) -> Result<(), Silent> {
        self.probing.check(&self.recording, stamp)
    }

    /// Samples every sensor at this moment.
    pub fn sample_at(&mut self, stamp: Stamp) {
        self.probing.read(|| stamp);
        self.recording.add(&mut self.probing);
    }

    /// The readings so far.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}
