//! A recording of `irene sample` ends in order, whatever ends it.
#![cfg(unix)]

use std::{
    fs::OpenOptions,
    io::Write,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use crate::{
    command::Folder,
    measuring::{irene, text},
};

#[test]
fn ctrl_c_ends_a_recording_with_130() {
    let child = irene(&["sample", "--meter", "none", "--duration", "60"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" recorded"), "what was read is shown");
}

/// A service manager asks by SIGTERM alone: the command is asked to end in turn, and no reading is lost.
#[test]
fn a_request_to_end_keeps_what_was_read_and_ends_the_command() {
    let folder = Folder::new("terminated");
    let (readings, ended) = (folder.path("readings.csv"), folder.path("ended"));
    let script = format!("trap 'touch {ended}; exit 0' TERM; while true; do sleep 0.1; done");
    let mut child = irene(&["sample", "--meter", "none", "-o", &readings, "--", "sh", "-c", &script])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(std::path::Path::new(&ended).exists(), "the command ended in order");
    let lines = std::fs::read_to_string(&readings).unwrap();
    assert!(lines.lines().count() > 2, "{lines}");
}

/// A disk may be full by then; the summary is shown all the same.
#[cfg(target_os = "linux")]
#[test]
fn the_summary_is_shown_where_readings_cannot_be_written() {
    let ended = irene(&["sample", "--meter", "none", "--duration", "1", "-o", "/dev/full"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("cannot write /dev/full"), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" recorded"), "{}", text(&ended.stdout));
}

/// The reader of a pipe may have gone; the file is written all the same.
#[test]
fn readings_are_kept_where_nobody_reads_what_is_printed() {
    let folder = Folder::new("broken-pipe");
    let readings = folder.path("readings.csv");
    let mut child = irene(&["sample", "--meter", "none", "--format", "json", "--duration", "2", "-o", &readings])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(std::fs::read_to_string(&readings).unwrap().lines().count() > 2);
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// The log of a meter that shows 200 W every 5 ms, and writes its lines some at a time, until this is dropped.
struct Meter(Arc<AtomicBool>, Option<JoinHandle<()>>);

const LINES_PER_SECOND: f64 = 200.0;

impl Meter {
    fn start(log: &str) -> Self {
        let mut file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let start = now();
            let mut written = 0.0;
            while !theirs.load(Ordering::Relaxed) {
                let mut lines = String::new();
                while start + written / LINES_PER_SECOND <= now() {
                    lines += &format!("{:.4},200\n", start + written / LINES_PER_SECOND);
                    written += 1.0;
                }
                file.write_all(lines.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(JoinHandle::join);
    }
}

/// A log has a period of its own, however seldom it is looked at.
#[test]
fn every_line_of_a_log_is_kept_and_the_energy_is_that_of_the_time() {
    let folder = Folder::new("fast-log");
    let (log, readings) = (folder.path("meter.csv"), folder.path("readings.csv"));
    let _meter = Meter::start(&log);
    std::thread::sleep(Duration::from_millis(500));
    let meter = format!("log:{log}");
    let args = ["sample", "--meter", &meter, "--period", "1000", "--duration", "3", "-o", &readings];
    let ended = irene(&args).output().unwrap();
    let summary = text(&ended.stdout);
    assert!(ended.status.success() && !summary.contains("figures of channels are of the last"), "{summary}");
    let number = |before: &str, after: &str| -> f64 {
        let end = summary.find(after).unwrap_or_else(|| unreachable!("no {after} in {summary}"));
        let start = summary[..end].rfind(before).map_or(0, |start| start + before.len());
        summary[start..end].parse().unwrap_or_else(|_| unreachable!("{summary}"))
    };
    let (seconds, joules) = (number("\n", " s recorded"), number("\nlog: ", " J (measured)"));
    assert!((joules - 200.0 * seconds).abs() < 4.0, "{summary}");
    let lines = std::fs::read_to_string(&readings).unwrap().lines().filter(|line| line.contains(",log,W,")).count();
    assert!(lines as f64 >= LINES_PER_SECOND * seconds - 1.0, "{lines} lines");
}

#[test]
fn a_log_whose_clock_is_ahead_has_no_energy() {
    let folder = Folder::new("ahead");
    let lines: String = (-5..50).map(|second| format!("{:.3},200\n", now() + f64::from(second))).collect();
    let meter = format!("log:{}", folder.write("meter.csv", &lines));
    let ended = irene(&["sample", "--meter", &meter, "--duration", "1"]).output().unwrap();
    let (summary, told) = (text(&ended.stdout), text(&ended.stderr));
    assert!(told.contains("the meter has no reading of now: log: "), "{told}");
    assert!(summary.contains("log: no figure: log: no line of the log is of now: the newest is"), "{summary}");
    assert!(!summary.contains("measured"), "{summary}");
}
