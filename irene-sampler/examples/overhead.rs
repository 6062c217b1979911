//! The cost of sampling: `cargo run --release -p irene-sampler --example overhead -- PERIOD_MS SECONDS` samples the utilisation of the
//! processors and the memory, and prints the share of a core that this took and the memory of the process. It first runs with nothing
//! to sample, which shows the machine's own cost of waking a thread.
#![allow(clippy::print_stdout)] // the example prints its results

use std::{error::Error, fs, thread::sleep, time::Duration};

use irene_sampler::{
    Sampler, SamplerOptions, Sensor,
    sensors::{Places, kind},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1);
    let period = Duration::from_millis(numbers.next().map_or(Ok(170), |text| text.parse())?);
    let duration = Duration::from_secs(numbers.next().map_or(Ok(30), |text| text.parse())?);
    let utilisation = kind("utilisation").ok_or("no sensor of utilisation")?;
    let sensor = (utilisation.open)(&Places::here())?;
    report("nothing", Vec::new(), period, duration)?;
    report("utilisation", vec![sensor], period, duration)
}

fn report(
    what: &str,
    sensors: Vec<Box<dyn Sensor>>,
    period: Duration,
    duration: Duration,
) -> Result<(), Box<dyn Error>> {
    let before = thread_seconds()?;
    let sampler = Sampler::start(sensors, SamplerOptions { period, ..SamplerOptions::default() })?;
    sleep(duration);
    let used = 100.0 * (thread_seconds()? - before) / duration.as_secs_f64();
    let resident = field("/proc/self/status", "VmRSS:")?;
    let recording = sampler.stop();
    let samples = (0..recording.channels().len()).map(|place| recording.series(place).pushed()).max().unwrap_or(0);
    println!("{what}, every {} ms for {} s: {samples} samples", period.as_millis(), duration.as_secs());
    println!("  {used:.4}% of a core by the scheduler's clock");
    println!("  VmRSS {resident} kB");
    Ok(())
}

/// The time of all threads on a processor, to the nanosecond.
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
