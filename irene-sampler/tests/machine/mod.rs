//! A machine in a directory: a test writes files as Linux has them.
#![allow(dead_code)] // each test uses a part

use std::{
    fs,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use irene_sampler::{
    Channel, Recorder, Recording, Series, Stamp, Window, WindowError,
    sensors::{self, Places, Unavailable},
};
use tempfile::TempDir;

/// The system's time when a machine's own is 0.
pub(crate) const EPOCH: f64 = 1_700_000_000.0;

pub(crate) struct Machine {
    dir: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file in place, so that a sensor that has it open reads the new text.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Counts a file of microjoules up in real time, by watts, until the counter is dropped.
    pub(crate) fn count_up(&self, path: &str, watts: f64) -> Counting {
        let (path, stop) = (self.path(path), Arc::new(AtomicBool::new(false)));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while !theirs.load(Ordering::Relaxed) {
                let microjoules = 1e9 + 1e6 * watts * start.elapsed().as_secs_f64();
                // The number keeps its length, so that no reader sees a part of it.
                let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.write_all(format!("{microjoules:.0}\n").as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Counting { stop, thread: Some(thread) }
    }

    pub(crate) fn append(&self, path: &str, text: &str) {
        fs::OpenOptions::new().append(true).open(self.path(path)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn places(&self) -> Places {
        let (proc, sys, nvml_library) = (self.path("proc"), self.path("sys"), Some(self.path("no-driver")));
        Places { proc, sys, nvml_library, visible_devices: None, ..Places::here() }
    }

    /// A sensor of this kind, sampled by hand.
    pub(crate) fn open(&self, kind: &str) -> Result<Recorder, Unavailable> {
        open(kind, &self.places())
    }

    /// Why there is no sensor of this kind.
    pub(crate) fn refusal(&self, kind: &str) -> Unavailable {
        self.open(kind).unwrap_err()
    }
}

/// A counter that runs.
pub(crate) struct Counting {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes a sample each second, after `change` has done the second's step.
pub(crate) fn each_second<T>(
    mut recorder: Recorder,
    steps: impl IntoIterator<Item = T>,
    mut change: impl FnMut(T),
) -> Recorder {
    for (second, step) in steps.into_iter().enumerate() {
        change(step);
        recorder.sample_at(at(second as f64));
    }
    recorder
}

pub(crate) fn open(kind: &str, places: &Places) -> Result<Recorder, Unavailable> {
    let sensor = (sensors::kind(kind).unwrap().open)(places)?;
    Ok(Recorder::new(vec![sensor], 1024))
}

/// This moment of a machine's own time.
pub(crate) fn at(time: f64) -> Stamp {
    Stamp { time, wall: EPOCH + time }
}

/// The names of channels.
pub(crate) fn names(channels: &[Channel]) -> Vec<String> {
    channels.iter().map(|channel| channel.id.to_string()).collect()
}

/// The place of a channel.
pub(crate) fn place(recording: &Recording, name: &str) -> usize {
    let names = names(recording.channels());
    names.iter().position(|known| known == name).unwrap_or_else(|| unreachable!("{name} is none of {names:?}"))
}

pub(crate) fn channel<'a>(recorder: &'a Recorder, name: &str) -> &'a Channel {
    &recorder.recording().channels()[place(recorder.recording(), name)]
}

pub(crate) fn series<'a>(recorder: &'a Recorder, name: &str) -> &'a Series {
    recorder.recording().series(place(recorder.recording(), name))
}

pub(crate) fn values(recorder: &Recorder, name: &str) -> Vec<f64> {
    series(recorder, name).points().map(|(_, value)| value).collect()
}

pub(crate) fn window(recorder: &Recorder, name: &str, from: f64, to: f64) -> Result<Window, WindowError> {
    series(recorder, name).window(from, to)
}

/// Joules of a window that has some.
pub(crate) fn joules(recorder: &Recorder, name: &str, from: f64, to: f64) -> f64 {
    window(recorder, name, from, to).unwrap().energy.unwrap()
}

/// The names of the channels that make up the total.
pub(crate) fn totals(recorder: &Recorder) -> Vec<String> {
    let names = names(recorder.recording().channels());
    recorder.recording().totals().iter().map(|&place| names[place].clone()).collect()
}

pub(crate) fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} is not {expected}");
}
