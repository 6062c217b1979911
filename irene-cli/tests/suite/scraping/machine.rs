//! A machine that is made up.

use std::{fs, io::Write, path::PathBuf, process::Command, time::Duration};

use crate::{
    command::{Folder, command},
    meters::{Running, repeat},
};

/// Where the counter begins again, J.
pub(super) const RANGE: u64 = 262_143;

/// Its first reading, J. It goes on by less than a device can draw between two samples.
const START: u64 = RANGE - 20;

/// A machine with a package whose counter the test sets, 100 busy ticks a second at most, and process 100.
pub(super) struct Machine(Folder);

impl Machine {
    pub(super) fn new(name: &str) -> Self {
        let machine = Self(Folder::new(name));
        let zone = "sys/class/powercap/intel-rapl:0";
        machine.0.write(&format!("{zone}/name"), "package-0\n");
        machine.0.write(&format!("{zone}/max_energy_range_uj"), &format!("{RANGE}000000\n"));
        machine.0.write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
        machine.count(START);
        machine.tick(0);
        machine
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.0.join(name)
    }

    /// Writes a file in place, always as long as before, so that no reader sees a part of it.
    fn put(&self, name: &str, text: &str) {
        put(&self.path(name), text);
    }

    /// The counter shows so many joules.
    pub(super) fn count(&self, joules: u64) {
        self.put(COUNTER, &format!("{:<20}\n", joules * 1_000_000));
    }

    /// So many ticks have passed on one processor, half of them in process 100.
    pub(super) fn tick(&self, ticks: u64) {
        self.put("proc/stat", &format!("cpu  {ticks:>14} 0 0 {ticks:>14} 0 0 0 0 0 0\n"));
        self.put("proc/100/stat", &format!("100 (x) S 1 1 1 0 -1 0 0 0 0 0 {:>14} 0 0 0 20 0 1 0 5 0 0\n", ticks / 2));
    }

    /// The counter moves, so that it is believed, until this is dropped.
    pub(super) fn moving(&self) -> Running {
        let (path, mut microjoules) = (self.path(COUNTER), START * 1_000_000);
        repeat(Duration::from_millis(1), move |_| {
            put(&path, &format!("{microjoules:<20}\n"));
            microjoules += 1000;
        })
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("IRENE_PROC", self.path("proc")).env("IRENE_SYS", self.path("sys"));
        command.env("IRENE_NVML_LIBRARY", "/nothing.so");
        command
    }
}

pub(super) const COUNTER: &str = "sys/class/powercap/intel-rapl:0/energy_uj";

fn put(path: &PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
