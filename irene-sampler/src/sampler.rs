use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Channel, Clock, Counter, Series, Stamp, Step, Window, WindowError, sources::Source};

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
pub const PERIODS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(10)];

/// How long a reading may come after what it is of.
const LAG: Duration = Duration::from_secs(3);

/// Where a source puts what it reads.
pub struct Readings<'a> {
    stamp: Stamp,
    series: &'a mut [Series],
}

impl Readings<'_> {
    /// When this sample is taken.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// A reading of the source's channel with this number, now.
    pub fn push(&mut self, channel: usize, value: f64) {
        self.series[channel].push(self.stamp.time, value);
    }

    /// A reading that somebody else took at a time of the system's clock.
    pub fn push_at_wall(&mut self, channel: usize, wall: f64, value: f64) {
        self.series[channel].push(wall - self.stamp.wall + self.stamp.time, value);
    }

    /// A reading of an energy counter, joules, now.
    pub fn count(&mut self, channel: usize, counter: &mut Counter, joules: f64) {
        if let Some(step) = counter.advance(self.stamp.time, joules) {
            self.put(channel, step);
        }
    }

    /// What a counter says, now.
    pub fn put(&mut self, channel: usize, step: Step) {
        match step {
            Step::Total(total) => self.series[channel].push(self.stamp.time, total),
            Step::Broken(total) => self.series[channel].push_broken(self.stamp.time, total),
        }
    }
}

/// What was read of some channels, by one clock.
#[derive(Clone, Debug)]
pub struct Recording {
    channels: Arc<[Channel]>,
    series: Vec<Series>,
}

impl Recording {
    /// The channels.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The readings of a channel, by its place among the channels.
    pub fn series(&self, channel: usize) -> &Series {
        &self.series[channel]
    }

    /// What a channel did between two times in seconds.
    ///
    /// # Errors
    /// [`WindowError`] if the readings do not bear a figure.
    pub fn window(&self, channel: usize, from: f64, to: f64) -> Result<Window, WindowError> {
        self.series[channel].window(from, to)
    }
}

/// Sources and what was read of them, sampled when asked to: by a [`Sampler`]'s thread, or by hand.
pub struct Recorder {
    sources: Vec<Box<dyn Source>>,
    recording: Recording,
}

impl Recorder {
    /// Nothing read yet; the newest `capacity` readings of each channel will be kept.
    pub fn new(sources: Vec<Box<dyn Source>>, capacity: usize) -> Self {
        let channels: Arc<[Channel]> = sources.iter().flat_map(|source| source.channels()).cloned().collect();
        let series = channels.iter().map(|channel| Series::new(channel, capacity)).collect();
        Self { sources, recording: Recording { channels, series } }
    }

    /// Reads every source at this moment.
    pub fn sample_at(&mut self, stamp: Stamp) {
        self.sample(|| stamp);
    }

    /// Reads every source at the moment that is its turn: some take milliseconds, which must not count as the next one's.
    fn sample(&mut self, stamp: impl Fn() -> Stamp) {
        let mut series = &mut self.recording.series[..];
        for source in &mut self.sources {
            let (own, rest) = series.split_at_mut(source.channels().len());
            source.sample(&mut Readings { stamp: stamp(), series: own });
            series = rest;
        }
    }

    /// What was read so far.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// Reads sources from a thread of its own until it is stopped or dropped.
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
    /// A source that panicked leaves whole readings behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler {
    /// Starts sampling. The period is brought between [`PERIODS`].
    ///
    /// # Errors
    /// What the system says if it has no thread to give.
    pub fn start(sources: Vec<Box<dyn Source>>, options: SamplerOptions) -> std::io::Result<Self> {
        let recorder = Recorder::new(sources, options.capacity);
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

    /// The clock of all times here.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Time between samples.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Looks at what was read so far, while sampling waits.
    pub fn look<T>(&self, f: impl FnOnce(&Recording) -> T) -> T {
        f(self.shared.lock().recorder.recording())
    }

    /// Waits until a sample was taken that began after this time, or for a while; false if it did not come.
    pub fn wait_past(&self, time: f64, at_most: Duration) -> bool {
        let wait = |state: &mut State| state.sampled <= time && !state.stopped;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), at_most, wait);
        waited.is_ok_and(|(state, _)| state.sampled > time)
    }

    /// The places of the channels that make up the energy.
    pub fn totals(&self) -> Vec<usize> {
        self.look(|recording| {
            let is_total = |channel: &Channel| channel.is_total && channel.unit.is_energy();
            (0..recording.channels().len()).filter(|&place| is_total(&recording.channels()[place])).collect()
        })
    }

    /// Waits until the readings of energy reach the end of a window, or it is clear that they will not: meters that write logs, and
    /// load in ticks, lag behind.
    pub fn wait_until_covered(&self, from: f64, to: f64) {
        let totals = self.totals();
        let deadline = self.clock.now() + LAG.as_secs_f64() + 2.0 * self.period.as_secs_f64();
        let lags = |place: usize| {
            self.look(|recording| {
                let late = recording.series(place).points().next_back().is_none_or(|(time, _)| time < to);
                late && recording.window(place, from, to) == Err(WindowError::NotCovered)
            })
        };
        while totals.iter().any(|&place| lags(place)) && self.clock.now() < deadline {
            self.wait_past(self.clock.now(), LAG);
        }
    }

    /// Stops, and gives what was read.
    pub fn stop(mut self) -> Recording {
        self.end();
        self.shared.lock().recorder.recording().clone()
    }

    fn end(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A source that panicked has said so on stderr.
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
        // Samples that were missed, by a pause of the machine or sources slower than the period, are not made up for. There is
        // always some time to the next one: only while this thread waits can others look at what was read, or stop it.
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
