//! Commands on machines whose meters are made up.
#![allow(dead_code)] // each test takes what it needs

use std::{
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::command::Folder;
pub(crate) use crate::command::command as irene;

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    text(&stdout)
}

/// The one line of a refusal.
pub(crate) fn refused(code: i32, command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(code), "{}", text(&stderr));
    text(&stderr)
}

/// The line that begins so.
pub(crate) fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(beginning)).unwrap_or_else(|| unreachable!("no {beginning} in {text}"))
}

/// Something that goes on beside a command until it is dropped.
pub(crate) struct Running(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(JoinHandle::join);
    }
}

/// Does something over and over, with the seconds since the start.
pub(crate) fn repeat(pause: Duration, mut step: impl FnMut(f64) + Send + 'static) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        while !theirs.load(Ordering::Relaxed) {
            step(start.elapsed().as_secs_f64());
            std::thread::sleep(pause);
        }
    });
    Running(stop, Some(thread))
}

/// Counts a file of microjoules up in real time.
fn count_up(folder: &Folder, file: &str, watts: f64) -> Running {
    let path = folder.0.join(file);
    repeat(Duration::from_millis(1), move |seconds| {
        // The number keeps its length, so that no reader sees a part of it.
        let number = format!("{:.0}\n", 1e9 + 1e6 * watts * seconds);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, number.as_bytes()).unwrap();
    })
}

pub(crate) fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A meter that writes a line every 100 ms.
pub(crate) fn append(log: &str, line: impl Fn(f64) -> String + Send + 'static) -> Running {
    let log = log.to_owned();
    repeat(Duration::from_millis(100), move |_| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, format!("{}\n", line(now())).as_bytes()).unwrap();
    })
}

/// A processor package that draws so many watts, as the kernel's powercap shows it (Documentation/power/powercap/powercap.rst).
pub(crate) fn package(folder: &Folder, watts: f64) -> Running {
    const FOLDER: &str = "sys/class/powercap/intel-rapl:0";
    folder.write("proc/stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
    for (file, text) in
        [("name", "package-0\n"), ("energy_uj", "1000000000\n"), ("max_energy_range_uj", "262143328850\n")]
    {
        folder.write(&format!("{FOLDER}/{file}"), text);
    }
    count_up(folder, &format!("{FOLDER}/energy_uj"), watts)
}
