//! A made-up machine whose counters are known to the microjoule, to show what a recording or a scrape makes of them:
//! `cargo run -p irene-sampler --example fake_counters -- DIR SECONDS` writes DIR/proc and DIR/sys and counts. Beside it runs, say,
//! `IRENE_PROC=DIR/proc IRENE_SYS=DIR/sys irene sample --pid 100 --prometheus 9477`.
//!
//! Counters move for 20 s, so that they are believed; stand still for 20 s, and what they count from there on is the truth; move for
//! SECONDS, wrapping around every 50 s; and stand still until Ctrl-C. Process 100 has half of the processors' busy time.
#![allow(clippy::print_stdout)] // the example prints its results

use std::{
    error::Error,
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// The counters begin again at so many microjoules. A device without limits may draw 4000 W: after 2.5 s without a reading nobody can tell
/// whether a counter has wrapped around once or more often.
const RANGE: u64 = 10_000_000_000;

const STEP: Duration = Duration::from_millis(10);

/// A file whose one text is written over and over, always as long as before, so that no reader sees a part of it.
struct Text(File);

impl Text {
    fn create(path: PathBuf, text: &str) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(path.parent().ok_or("a file has a folder")?)?;
        let file = File::create(path)?;
        file.write_all_at(text.as_bytes(), 0)?;
        Ok(Self(file))
    }

    fn set(&self, text: &str) -> std::io::Result<()> {
        self.0.write_all_at(text.as_bytes(), 0)
    }
}

/// A counter that wraps around.
struct Counter {
    file: Text,
    microjoules: u64,
}

impl Counter {
    fn create(zone: &Path, name: &str) -> Result<Self, Box<dyn Error>> {
        Text::create(zone.join("name"), &format!("{name}\n"))?;
        Text::create(zone.join("max_energy_range_uj"), &format!("{RANGE}\n"))?;
        Ok(Self { file: Text::create(zone.join("energy_uj"), &format!("{:<20}\n", 0))?, microjoules: 0 })
    }

    fn add(&mut self, microjoules: u64) -> std::io::Result<()> {
        self.microjoules += microjoules;
        self.file.set(&format!("{:<20}\n", self.microjoules % RANGE))
    }
}

/// The machine: a package and its memory, processors, and process 100.
struct Machine {
    package: Counter,
    memory: Counter,
    times: Text,
    process: Text,
    ticks: u64,
}

impl Machine {
    fn create(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let zone = dir.join("sys/class/powercap/intel-rapl:0");
        Text::create(dir.join("proc/meminfo"), "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n")?;
        Text::create(dir.join("proc/100/status"), "VmRSS: 1000000 kB\n")?;
        let mut machine = Self {
            package: Counter::create(&zone, "package-0")?,
            memory: Counter::create(&zone.join("intel-rapl:0:0"), "dram")?,
            times: Text::create(dir.join("proc/stat"), "")?,
            process: Text::create(dir.join("proc/100/stat"), "")?,
            ticks: 0,
        };
        machine.tick(0)?;
        Ok(machine)
    }

    /// Time passes on 16 processors of which 4 are busy, two of them by the process.
    fn tick(&mut self, ticks: u64) -> std::io::Result<()> {
        self.ticks += ticks;
        let (busy, idle, own) = (4 * self.ticks, 12 * self.ticks, 2 * self.ticks);
        self.times.set(&format!("cpu  {busy:>14} 0 0 {idle:>14} 0 0 0 0 0 0\n"))?;
        self.process.set(&format!("100 (served) S 1 1 1 0 -1 0 0 0 0 0 {own:>14} 0 0 0 20 0 1 0 5 0 0\n"))
    }

    /// Counts for some time: between 100 and 300 W in the package, a tenth of it in the memory.
    fn run(&mut self, time: Duration) -> std::io::Result<()> {
        let start = Instant::now();
        let (mut last, mut ticks) = (0.0, 0);
        while start.elapsed() < time {
            sleep(STEP);
            let now = start.elapsed().as_secs_f64();
            let watts = 200.0 + 100.0 * (now / 3.0).sin();
            // A pause of this program uses little, or it would look like a power that no device has.
            let microjoules = (1e6 * watts * f64::min(now - last, 0.1)) as u64;
            self.package.add(microjoules)?;
            self.memory.add(microjoules / 10)?;
            let passed = (100.0 * now) as u64;
            self.tick(passed - ticks)?;
            (last, ticks) = (now, passed);
        }
        Ok(())
    }

    /// Time passes, and no energy.
    fn stand_still(&mut self, time: Duration) -> std::io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            sleep(10 * STEP);
            self.tick(10)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("a folder and seconds are needed")?);
    let seconds = Duration::from_secs(arguments.next().ok_or("how many seconds?")?.parse()?);
    let hold = Duration::from_secs(20);
    let mut machine = Machine::create(&dir)?;
    machine.run(hold)?;
    let before = [machine.package.microjoules, machine.memory.microjoules];
    println!("stands still from here");
    machine.stand_still(hold)?;
    machine.run(seconds)?;
    for (name, counter, before) in [("package-0", &machine.package, before[0]), ("dram", &machine.memory, before[1])] {
        let counted = counter.microjoules - before;
        let wraps = counter.microjoules / RANGE - before / RANGE;
        println!("{name}: {}.{:06} J, {wraps} wraps", counted / 1_000_000, counted % 1_000_000);
    }
    std::io::stdout().flush()?;
    loop {
        machine.stand_still(hold)?;
    }
}
