use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    Channel, ChannelId, Clock, Findings, Missing, Sensor, Sensors, Series, Stamp, Total, Window, WindowError,
    evidence::Evidence,
};

/// How a sampler works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerOptions {
    /// Time between samples, from 1 ms to 10 s.
    pub period: Duration,
    /// Readings of each channel that are kept.
    pub capacity: usize,
}

/// IrEne samples every 170 ms (Cao et al. 2021, section 4).
impl Default for SamplerOptions {
    fn default() -> Self {
        Self { period: Duration::from_millis(170), capacity: 1 << 13 }
    }
}

/// The shortest and the longest time between samples.
const PERIODS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(10)];

/// The longest time from a reading's moment to its arrival.
const LAG: Duration = Duration::from_secs(3);

/// Takes a sensor's readings.
pub struct Readings<'a> {
    stamp: Stamp,
    series: &'a mut [Series],
}

impl Readings<'_> {
    /// The moment of this sample.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Adds a reading of now to the sensor's channel with this number.
    pub fn push(&mut self, channel: usize, value: f64) {
        self.series[channel].push(self.stamp.time, value);
    }

    /// Adds a reading that was taken at a time of the system's clock.
    pub fn push_at_wall(&mut self, channel: usize, wall: f64, value: f64) {
        self.series[channel].push_new(wall - self.stamp.wall + self.stamp.time, value);
    }

    /// Says that an unknown amount was used before a time of the system's clock.
    pub(crate) fn break_at_wall(&mut self, channel: usize, wall: f64) {
        self.series[channel].break_before(wall - self.stamp.wall + self.stamp.time);
    }

    /// Adds a reading of now that the sensor has taken anew, even if it shows what it showed before.
    pub(crate) fn push_new(&mut self, channel: usize, value: f64) {
        self.series[channel].push_new(self.stamp.time, value);
    }

    /// Adds a reading of a counter before which an unknown amount was used.
    pub(crate) fn push_after_break(&mut self, channel: usize, value: f64) {
        self.series[channel].break_before(self.stamp.time);
        self.push(channel, value);
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

/// What was known about the sensors before their readings.
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

    /// The places of the channels whose energies add up to that of the meter.
    pub fn totals(&self) -> &[usize] {
        self.known.total.taken()
    }

    /// The readings of a channel, by its place.
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

/// Sensors and their readings. A [`Sampler`]'s thread samples them, or the caller does.
pub struct Recorder {
    sensors: Vec<Box<dyn Sensor>>,
    recording: Recording,
}

impl Recorder {
    /// Keeps the newest `capacity` readings of each channel.
    pub fn new(sensors: impl Into<Sensors>, capacity: usize) -> Self {
        let Sensors { probes: mut sensors, meters, findings } = sensors.into();
        let channels = |sensors: &[Box<dyn Sensor>]| -> Vec<Channel> {
            sensors.iter().flat_map(|sensor| sensor.channels()).cloned().collect()
        };
        let (probed, metered) = (channels(&sensors), channels(&meters));
        let missing: Vec<Missing> = meters.iter().flat_map(|sensor| sensor.missing()).cloned().collect();
        let probes = probed.len();
        sensors.extend(meters);
        let channels: Arc<[Channel]> = [probed, metered].concat().into();
        let total = Total::of(&channels, probes, &findings, &missing);
        let series = channels.iter().map(|channel| Series::new(channel, capacity)).collect();
        let known = Arc::new(Known { findings, missing, total });
        Self { sensors, recording: Recording { channels, probes, known, series } }
    }

    /// The sensors, in their order.
    pub(crate) fn into_sensors(self) -> Vec<Box<dyn Sensor>> {
        self.sensors
    }

    /// Whether every sensor of the total has a reading of about this moment.
    ///
    /// # Errors
    /// [`Silent`] names a sensor without one, with the reason.
    pub fn check(&self, stamp: Stamp) -> Result<(), Silent> {
        let mut place = 0;
        for sensor in &self.sensors {
            for channel in sensor.channels() {
                let is_silent = || {
                    let newest = self.recording.series[place].points().next_back();
                    newest.is_none_or(|(time, _)| stamp.time - time > channel.longest_gap.as_secs_f64())
                };
                if self.recording.totals().contains(&place) {
                    let trouble = sensor.trouble(stamp);
                    if trouble.is_some() || is_silent() {
                        let why = trouble.unwrap_or_else(|| "it gives no reading".into());
                        return Err(Silent { id: channel.id.clone(), why });
                    }
                }
                place += 1;
            }
        }
        Ok(())
    }

    /// Samples every sensor at this moment.
    pub fn sample_at(&mut self, stamp: Stamp) {
        self.sample(|| stamp);
    }

    /// Samples every sensor, each at its own moment: a sensor that takes milliseconds must not date the next one's readings back.
    fn sample(&mut self, stamp: impl Fn() -> Stamp) {
        let mut series = &mut self.recording.series[..];
        for sensor in &mut self.sensors {
            let (own, rest) = series.split_at_mut(sensor.channels().len());
            sensor.sample(&mut Readings { stamp: stamp(), series: own });
            series = rest;
        }
    }

    /// The readings so far.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// Samples sensors from a thread of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct Sampler {
    clock: Clock,
    period: Duration,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    recorder: Recorder,
    /// When the last sample began.
    sampled: f64,
    stopped: bool,
}

impl Shared {
    /// A sensor that panics leaves whole readings behind, so a poisoned lock may be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler {
    /// Starts sampling. The period is clamped to 1 ms to 10 s.
    ///
    /// # Errors
    /// The system's error if it cannot start a thread.
    pub fn start(sensors: impl Into<Sensors>, options: SamplerOptions) -> std::io::Result<Self> {
        let recorder = Recorder::new(sensors, options.capacity);
        let state = Mutex::new(State { recorder, sampled: f64::NEG_INFINITY, stopped: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let clock = Clock::new();
        let period = options.period.clamp(PERIODS[0], PERIODS[1]);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("irene-sampler".into())
            .spawn(move || sample(&theirs, clock, period.as_secs_f64()))?;
        Ok(Self { clock, period, shared, thread: Some(thread) })
    }

    /// The clock of the readings.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Looks at the readings so far, while sampling waits.
    pub fn look<T>(&self, f: impl FnOnce(&Recording) -> T) -> T {
        f(self.shared.lock().recorder.recording())
    }

    /// Waits, for some time at most, for a sample that begins after this time; false if none came.
    pub fn wait_past(&self, time: f64, at_most: Duration) -> bool {
        let wait = |state: &mut State| state.sampled <= time && !state.stopped;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), at_most, wait);
        waited.is_ok_and(|(state, _)| state.sampled > time)
    }

    /// Waits until every sensor of the meter has a reading of now, or clearly will not: then hours of measuring would give no energy.
    ///
    /// # Errors
    /// [`Silent`] names a sensor without one, with the reason.
    pub fn wait_until_read(&self) -> Result<(), Silent> {
        let deadline = self.clock.now() + LAG.as_secs_f64() + 2.0 * self.period.as_secs_f64();
        loop {
            self.wait_past(self.clock.now(), LAG);
            let checked = self.shared.lock().recorder.check(self.clock.stamp());
            if checked.is_ok() || self.clock.now() >= deadline {
                return checked;
            }
        }
    }

    /// Waits until the meter's readings reach the end of a window, or clearly will not: a log is written late, and load is counted in
    /// ticks.
    pub fn wait_until_covered(&self, from: f64, to: f64) {
        let deadline = self.clock.now() + LAG.as_secs_f64() + 2.0 * self.period.as_secs_f64();
        let lags = |recording: &Recording| {
            recording.totals().iter().any(|&place| {
                let late = recording.series(place).points().next_back().is_none_or(|(time, _)| time < to);
                late && recording.window(place, from, to) == Err(WindowError::NotCovered)
            })
        };
        while self.look(lags) && self.clock.now() < deadline {
            self.wait_past(self.clock.now(), LAG);
        }
    }

    /// Stops, and returns the readings.
    pub fn stop(mut self) -> Recording {
        self.end();
        self.shared.lock().recorder.recording().clone()
    }

    fn end(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A sensor that panicked has printed why.
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

fn sample(shared: &Shared, clock: Clock, period: f64) {
    let mut next = clock.now();
    let mut state = shared.lock();
    while !state.stopped {
        let began = clock.now();
        state.recorder.sample(|| clock.stamp());
        state.sampled = began;
        shared.changed.notify_all();
        // A pause of the machine, or sensors slower than the period, miss samples, which are not made up for. There is always some
        // time to the next one: only while this thread waits can others look at the readings, or stop it.
        next += period;
        if next <= clock.now() {
            next = clock.now() + period;
        }
        loop {
            let left = next - clock.now();
            if left <= 0.0 || state.stopped {
                break;
            }
            state = match shared.changed.wait_timeout(state, Duration::from_secs_f64(left)) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
