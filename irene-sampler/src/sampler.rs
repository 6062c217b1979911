use std::{
    ops::Deref,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::{Clock, Recorder, Recording, Sensors, Silent, recording::Probing, span::Spans};

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
pub(crate) const PERIODS: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(10)];

/// The longest time from a reading's moment to its arrival.
const LAG: Duration = Duration::from_secs(3);

/// Samples sensors from a thread of its own until it is stopped or dropped.
///
/// Dropping it blocks until the sensor that is read has answered, for ever if a driver hangs: an async program drops it by
/// `spawn_blocking`, as it calls what waits.
#[derive(Debug)]
pub struct Sampler {
    clock: Clock,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Held while sensors are read, which may take milliseconds; it is taken before the state's.
    probing: Mutex<Probing>,
    /// Held for a short time only.
    state: Mutex<State>,
    changed: Condvar,
    spans: Arc<Spans>,
    /// How long readings may take to arrive.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    recording: Recording,
    /// When the last sample began.
    sampled: f64,
    stopped: bool,
}

/// The lock of the state, as that of the recording in it.
struct Readable<'a>(MutexGuard<'a, State>);

impl Deref for Readable<'_> {
    type Target = Recording;

    fn deref(&self) -> &Recording {
        &self.0.recording
    }
}

impl Shared {
    /// Readings are added whole, so a poisoned lock may be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probing(&self) -> MutexGuard<'_, Probing> {
        self.probing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the sensors, then adds their readings at once.
    fn sample(&self, clock: Clock) {
        let began = clock.now();
        let mut probing = self.probing();
        probing.read(|| clock.stamp());
        let mut state = self.lock();
        state.recording.add(&mut probing);
        state.sampled = began;
        drop(state);
        drop(probing);
        self.changed.notify_all();
        self.spans.settle(clock.now(), || Readable(self.lock()));
    }
}

impl Sampler {
    /// Starts sampling. The period is clamped to 1 ms to 10 s.
    ///
    /// # Errors
    /// The system's error if it cannot start a thread.
    pub fn start(sensors: impl Into<Sensors>, options: SamplerOptions) -> std::io::Result<Self> {
        let period = options.period.clamp(PERIODS[0], PERIODS[1]);
        let Recorder { probing, recording } = Recorder::sampled_every(period, sensors, options.capacity);
        let clock = Clock::new();
        let patience = LAG + 2 * period;
        let shared = Arc::new(Shared {
            probing: Mutex::new(probing),
            state: Mutex::new(State { recording, sampled: f64::NEG_INFINITY, stopped: false }),
            changed: Condvar::new(),
            spans: Arc::new(Spans::new(patience)),
            patience,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("irene-sampler".into())
            .spawn(move || sample(&theirs, clock, period.as_secs_f64()))?;
        Ok(Self { clock, shared, thread: Some(thread) })
    }

    /// The clock of the readings.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn spans(&self) -> Arc<Spans> {
        Arc::clone(&self.shared.spans)
    }

    /// Looks at the readings so far. New ones wait until it is over, and so do the sampler's other functions: the closure calls none of
    /// them, or both wait for ever.
    pub fn look<T>(&self, f: impl FnOnce(&Recording) -> T) -> T {
        f(&self.shared.lock().recording)
    }

    /// Waits, for some time at most, for a sample that begins after this time; false if none came.
    pub fn wait_past(&self, time: f64, at_most: Duration) -> bool {
        let wait = |state: &mut State| state.sampled <= time && !state.stopped;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), at_most, wait);
        waited.is_ok_and(|(state, _)| state.sampled > time)
    }

    /// Waits until every sensor of the meter has a reading of now, or clearly will not: then hours of measuring would give no energy. It
    /// blocks for some seconds and two periods at most, and longer while a sensor does.
    ///
    /// # Errors
    /// [`Silent`] names a sensor without one, with the reason.
    pub fn wait_until_read(&self) -> Result<(), Silent> {
        let deadline = self.clock.now() + self.shared.patience.as_secs_f64();
        loop {
            self.wait_past(self.clock.now(), LAG);
            let probing = self.shared.probing();
            let checked = probing.check(&self.shared.lock().recording, self.clock.stamp());
            drop(probing);
            if checked.is_ok() || self.clock.now() >= deadline {
                return checked;
            }
        }
    }

    /// Waits until the meter's readings reach the end of a window, or clearly will not: a log is written late, and load is counted in
    /// ticks. It blocks for some seconds, two periods and a line of the slowest log at most.
    pub fn wait_until_covered(&self, from: f64, to: f64) {
        let patience = self.shared.patience.as_secs_f64() + self.look(Recording::line_period);
        let deadline = self.clock.now() + patience;
        while self.look(|recording| recording.lags(from, to)) && self.clock.now() < deadline {
            self.wait_past(self.clock.now(), LAG);
        }
    }

    /// Stops, and returns the readings. It blocks until the sensor that is read has answered, for ever if a driver hangs.
    pub fn stop(mut self) -> Recording {
        self.end();
        self.shared.lock().recording.clone()
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

/// Ends the spans that are left however the thread ends.
struct Closing<'a>(&'a Spans);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn sample(shared: &Shared, clock: Clock, period: f64) {
    let _closing = Closing(&shared.spans);
    let mut next = clock.now();
    while !shared.lock().stopped {
        shared.sample(clock);
        // A pause of the machine, or sensors slower than the period, miss samples, which are not made up for. There is always some
        // time to the next one, in which others can reach the sensors.
        next += period;
        if next <= clock.now() {
            next = clock.now() + period;
        }
        let mut state = shared.lock();
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
