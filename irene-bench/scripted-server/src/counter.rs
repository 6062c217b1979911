//! The energy, as a processor's counter shows it.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::Script;

/// Counts energy into a file, as Linux's powercap does.
#[derive(Debug)]
pub(crate) struct Counter {
    start: Instant,
    idle_watts: f64,
    wraps_at_uj: u64,
    begins_at_uj: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// J of work that is over.
    done: f64,
    /// Start, end and joules of work that goes on; its energy is spread evenly.
    current: Option<(f64, f64, f64)>,
}

const ZONE: &str = "class/powercap/intel-rapl:0";

impl Counter {
    pub(crate) fn new(sys: &Path, script: &Script) -> std::io::Result<Self> {
        let Script { idle_watts, wraps_at_uj, begins_at_uj, .. } = *script;
        let zone = sys.join(ZONE);
        std::fs::create_dir_all(&zone)?;
        std::fs::write(zone.join("name"), "package-0\n")?;
        std::fs::write(zone.join("max_energy_range_uj"), format!("{wraps_at_uj}\n"))?;
        let file = File::create(zone.join("energy_uj"))?;
        let state = Mutex::new(State { file, done: 0.0, current: None });
        let counter = Self { start: Instant::now(), idle_watts, wraps_at_uj: wraps_at_uj.max(1), begins_at_uj, state };
        counter.write()?;
        Ok(counter)
    }

    /// Seconds since the start.
    pub(crate) fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works for some time, and spends so many joules beside those of idling.
    pub(crate) fn work(&self, seconds: f64, joules: f64) {
        let began = self.now();
        self.lock().current = Some((began, began + seconds.max(1e-9), joules));
        std::thread::sleep(Duration::from_secs_f64(seconds.max(0.0)));
        let mut state = self.lock();
        state.current = None;
        state.done += joules;
        drop(state);
        // Nobody may hear of work whose energy is not there yet. A tree that a test has removed takes no more readings.
        let _ = self.write();
    }

    fn joules(&self, state: &State) -> f64 {
        let now = self.now();
        let current =
            state.current.map_or(0.0, |(start, end, joules)| joules * ((now - start) / (end - start)).clamp(0.0, 1.0));
        state.done + current + self.idle_watts * now
    }

    /// J since the start, and the part of work.
    pub(crate) fn energy(&self) -> (f64, f64) {
        let state = self.lock();
        (self.joules(&state), state.done)
    }

    /// Brings the file up to date.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let mut state = self.lock();
        let microjoules = (self.begins_at_uj + (self.joules(&state) * 1e6) as u64) % self.wraps_at_uj;
        // All have one length, so that no reader finds a part of it.
        let width = self.wraps_at_uj.to_string().len();
        state.file.seek(SeekFrom::Start(0))?;
        state.file.write_all(format!("{microjoules:0width$}\n").as_bytes())
    }
}
