use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Channel, Clock, Sensor, Sensors, Series, Stamp, Window, WindowError, totals};

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
        self.series[channel].push(wall - self.stamp.wall + self.stamp.time, value);
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
    totals: Arc<[usize]>,
    series: Vec<Series>,
}

impl Recording {
    /// The channels.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The places of the channels whose energies add up to that of the meter.
    pub fn totals(&self) -> &[usize] {
        &self.totals
    }

    /// The readings of a channel, by its place.
    pub fn series(&self, channel: usize) -> &Series {
        &self.series[channel]
    }

    /// A channel's figures between two times in seconds.
    ///
    /// # Errors
    /// [`WindowError`] if there are too few readings for a figure.
    pub fn window(&self, channel: usize, from: f64, to: f64) -> Result<Window, WindowError> {
        self.series[channel].window(from, to)
    }
}

/// Sensors and their readings. A [`Sampler`]'s thread samples them, or the caller does.
pub struct Recorder {
    sensors: Vec<Box<dyn Sensor>>,
    recording: Recording,
}

impl Recorder {
    /// Keeps the newest `capacity` readings of each channel.
    pub fn new(sensors: impl Into<Sensors>, capacity: usize) -> Self {
        let Sensors { probes: mut sensors, meters } = sensors.into();
        let channels = |sensors: &[Box<dyn Sensor>]| -> Vec<Channel> {
            sensors.iter().flat_map(|sensor| sensor.channels()).cloned().collect()
        };
        let (probed, metered) = (channels(&sensors), channels(&meters));
        let totals = totals(&metered).into_iter().map(|place| probed.len() + place).collect();
        sensors.extend(meters);
        let channels: Arc<[Channel]> = [probed, metered].concat().into();
        let series = channels.iter().map(|channel| Series::new(channel, capacity)).collect();
        Self { sensors, recording: Recording { channels, totals, series } }
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
