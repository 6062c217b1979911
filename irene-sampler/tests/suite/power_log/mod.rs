//! Logs of external meters: their lines, and how they grow.

use irene_sampler::{
    Recorder, Stamp, WindowError,
    sensors::{Places, Unavailable},
};

use crate::machine::{EPOCH, Machine, assert_close, at, joules, open, series, values, window};

mod growing;
mod lines;
mod now;

const LOG: &str = "meter.csv";

/// 2026-11-28 12:00:00 UTC.
const NOON: f64 = 1_795_867_200.0;

/// The log as it is read at its own time.
fn read(text: impl AsRef<[u8]>, ahead: f64) -> Recorder {
    let machine = Machine::new();
    machine.write(LOG, text);
    let mut recorder = tail(&machine, ahead).unwrap();
    recorder.sample_at(Stamp { time: 0.0, wall: 0.0 });
    recorder
}

/// Time and power of the readings of a log.
fn points(text: impl AsRef<[u8]>) -> Vec<(f64, f64)> {
    series(&read(text, 0.0), "log").points().collect()
}

/// The log as it grows.
fn tail(machine: &Machine, power_log_ahead: f64) -> Result<Recorder, Unavailable> {
    open("log", &Places { power_log: Some(machine.path(LOG)), power_log_ahead, ..machine.places() })
}

/// A log that begins so, and its recorder.
fn logged(text: impl AsRef<[u8]>) -> (Machine, Recorder) {
    let machine = Machine::new();
    machine.write(LOG, text);
    let recorder = tail(&machine, 0.0).unwrap();
    (machine, recorder)
}

/// A line of time and watts at a machine's own time.
fn line(time: f64, watts: f64) -> String {
    format!("{:.3},{watts}\n", EPOCH + time)
}
