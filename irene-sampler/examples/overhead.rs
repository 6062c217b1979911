//! What sampling costs: `cargo run --release -p irene-sampler --example overhead -- PERIOD_MS SECONDS` samples the utilisation of the
//! processors and the memory, and prints the share of a core that this took and the memory that the process has. So that the machine's
//! own cost of waking a thread can be told from the sampler's, it first does as much with nothing to sample.
#![allow(clippy::print_stdout)] // what it is for

use std::{error::Error, fs, thread::sleep, time::Duration};

use irene_sampler::{
    Sampler, SamplerOptions, Source,
    sources::{Places, kind},
};

/// The unit of the times of a process, in seconds: the same on every Linux.
const TICK: f64 = 0.01;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1);
    let period = Duration::from_millis(numbers.next().map_or(Ok(170), |text| text.parse())?);
    let duration = Duration::from_secs(numbers.next().map_or(Ok(30), |text| text.parse())?);
    let utilisation = kind("utilisation").ok_or("no source of utilisation")?;
    let source = (utilisation.open)(&Places::here())?;
    report("nothing", Vec::new(), period, duration)?;
    report("utilisation", vec![source], period, duration)
}

fn report(
    what: &str,
    sources: Vec<Box<dyn Source>>,
    period: Duration,
    duration: Duration,
) -> Result<(), Box<dyn Error>> {
    let before = (process_seconds()?, thread_seconds()?);
    let sampler = Sampler::start(sources, SamplerOptions { period, ..SamplerOptions::default() })?;
    sleep(duration);
    let share = |seconds: f64| 100.0 * seconds / duration.as_secs_f64();
    let used = (share(process_seconds()? - before.0), share(thread_seconds()? - before.1));
    let resident = field("/proc/self/status", "VmRSS:")?;
    let recording = sampler.stop();
    let samples = (0..recording.channels().len()).map(|place| recording.series(place).pushed()).max().unwrap_or(0);
    println!("{what}, every {} ms for {} s: {samples} samples", period.as_millis(), duration.as_secs());
    println!(
        "  {:.3}% of a core by utime + stime, which count in {TICK} s; {:.4}% by the scheduler's clock",
        used.0, used.1
    );
    println!("  VmRSS {resident} kB");
    Ok(())
}

/// User and system time of this process, all threads.
fn process_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() * TICK)
}

/// Time on a processor of every thread, to the nanosecond.
fn thread_seconds() -> Result<f64, Box<dyn Error>> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += schedstat.split_whitespace().next().ok_or("an empty schedstat")?.parse::<f64>()?;
    }
    Ok(nanoseconds * 1e-9)
}

fn field(path: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("a field is missing")?;
    Ok(rest.split_whitespace().next().ok_or("a field is empty")?.to_owned())
}
