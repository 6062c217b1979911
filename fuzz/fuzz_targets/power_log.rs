//! The logs of meters that other programs write: every reading is a number, however the log grows.
#![no_main]

use std::{io::Write, path::PathBuf};

use irene_sampler::{Recorder, Stamp, sensors};

/// The readings of a log that has its first bytes when it is opened and the others later.
fn read(kind: &str, log: PathBuf, rest: &[u8]) {
    let mut places = sensors::Places { proc: "/nowhere".into(), sys: "/nowhere".into(), ..sensors::Places::here() };
    match kind {
        "log" => places.power_log = Some(log.clone()),
        "ipmi" => places.ipmi_log = Some(log.clone()),
        _ => places.powermetrics_log = Some(log.clone()),
    }
    let kind = sensors::kind(kind).expect("a kind");
    let Ok(sensor) = (kind.open)(&places) else { return };
    let mut recorder = Recorder::new(vec![sensor], 64);
    recorder.sample_at(Stamp { time: 1.0, wall: 1_700_000_000.0 });
    let mut file = std::fs::OpenOptions::new().append(true).open(log).expect("the log");
    file.write_all(rest).expect("the log grows");
    let stamp = Stamp { time: 2.0, wall: 1_700_000_001.0 };
    recorder.sample_at(stamp);
    let _ = recorder.check(stamp);
    let recording = recorder.recording();
    for channel in 0..recording.channels().len() {
        let series = recording.series(channel);
        let mut before = f64::NEG_INFINITY;
        for (time, value) in series.points() {
            assert!(time.is_finite() && value.is_finite() && time >= before, "{time} {value} after {before}");
            before = time;
        }
        let _ = series.window(0.0, 2.0);
    }
}

irene_fuzz::fuzz_text!(|bytes| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let (first, rest) = text.split_at(usize::from(choice / 3).min(text.len()));
    read(["log", "ipmi", "powermetrics"][usize::from(choice % 3)], irene_fuzz::file("log", first), rest);
});
