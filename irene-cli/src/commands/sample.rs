use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::{Result, ensure};
use irene_sampler::{Channel, Need, NoEnergy, Recording, Sampler, SamplerOptions, Window, WindowError};
use irene_tree::render::{Grid, Heading, si};

use super::{Exit, Usage, meters::MeterArgs};
use crate::{interrupt, output};

/// Records sensors while a command runs, or for a time: a summary, and every reading as CSV
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene sample --duration 10
  irene sample --tdp-watts 65 -o readings.csv -- ./serve
  irene sample --period 10 --meter log:meter.csv -- ./benchmark")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// Time between samples, ms
    #[arg(long, value_name = "MS", default_value = "170", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    period: u64,
    /// How long to record, s; with a command, the longest time
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// Write every reading here: unix time, channel, unit, value
    #[arg(short, long, value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// The command, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The most readings of a channel that are kept. Memory grows with them.
const MOST_READINGS: u64 = 1 << 22;

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.command.is_empty() && args.duration.is_none() {
        return Err(Usage("give --duration S, or a command after --".into()).into());
    }
    if let Some(dir) =
        args.output.as_deref().and_then(std::path::Path::parent).filter(|dir| !dir.as_os_str().is_empty())
    {
        ensure!(dir.is_dir(), "cannot write {}: no such directory", dir.display());
    }
    let stop = interrupt::flag()?;
    let selection = args.meter.select()?;
    if selection.meters.contains(&"impact-tracker") && !args.command.is_empty() {
        return Err(Usage("impact-tracker measures the process it runs in, not a command".into()).into());
    }
    let most = args.duration.map_or(MOST_READINGS, |seconds| {
        (seconds.saturating_mul(1000) / args.period).saturating_add(64).min(MOST_READINGS)
    });
    let options = SamplerOptions { period: Duration::from_millis(args.period), capacity: most as usize };
    let sampler = Sampler::start(selection.sensors, options)?;
    let clock = sampler.clock();
    // A utilisation is known from the second sample on.
    sampler.wait_past(clock.now(), Duration::from_secs(11));
    if let Err(silent) = sampler.wait_until_read() {
        output::tell(&format!("the meter has no reading of now: {silent}"));
    }

    let (start, wall) = (clock.now(), clock.stamp());
    let is_over = || {
        let late = args.duration.is_some_and(|seconds| clock.now() - start >= seconds as f64);
        late || stop.load(Ordering::Relaxed)
    };
    let status = match args.command.split_first() {
        Some((program, rest)) => Some(run_command(program, rest, is_over)?),
        None => {
            while !is_over() {
                std::thread::sleep(Duration::from_millis(20));
            }
            None
        }
    };
    let end = clock.now();
    sampler.wait_until_covered(start, end);
    let recording = sampler.stop();
    output::print_text(&summary(&recording, start, end, &selection.meters)?)?;
    if let Some(path) = &args.output {
        output::write_file(path, |writer| write_csv(writer, &recording, wall.wall - wall.time))?;
    }
    match status.flatten().map_or(Some(0), exit_code) {
        // Ctrl-C has a code of its own.
        _ if stop.load(Ordering::Relaxed) => Ok(()),
        Some(0) => Ok(()),
        Some(code) => Err(Exit::with(code)),
        None => anyhow::bail!("{}: it ended in an unknown way", args.command.join(" ")),
    }
}

/// The code with which a shell would end after this.
fn exit_code(status: ExitStatus) -> Option<u8> {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const SIGNALS: i32 = 128;
        if let Some(signal) = status.signal() {
            return u8::try_from(SIGNALS + signal).ok();
        }
    }
    u8::try_from(status.code()?).ok()
}

/// The time that a command has to end by itself after its time is over.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command to its end or until its time is over; its status if it ended by itself.
fn run_command(program: &str, rest: &[String], is_over: impl Fn() -> bool) -> Result<Option<ExitStatus>> {
    let mut child = match Command::new(program).args(rest).spawn() {
        Ok(child) => child,
        Err(error) => return Err(Exit::not_run(format!("cannot run {program}: {error}"), &error)),
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if is_over() {
            // Ctrl-C reaches the command too, which may want to end in order.
            let patience = std::time::Instant::now() + PATIENCE;
            while std::time::Instant::now() < patience {
                if child.try_wait()?.is_some() {
                    return Ok(None);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn write_csv(mut writer: &mut dyn std::io::Write, recording: &Recording, epoch: f64) -> Result<()> {
    writeln!(writer, "unix_time_s,channel,unit,value")?;
    for (place, channel) in recording.channels().iter().enumerate() {
        let series = recording.series(place);
        for (time, value) in series.points() {
            writeln!(&mut writer, "{:.6},{},{},{value}", epoch + time, channel.id, channel.id.metric.unit())?;
        }
    }
    Ok(())
}

fn summary(recording: &Recording, start: f64, end: f64, meters: &[&str]) -> Result<String> {
    ensure!(!recording.channels().is_empty(), "nothing can be read on this machine; `irene doctor` says why");
    let mut out = format!("{} recorded\n\n", si(end - start, "s"));
    let mut grid = Grid::new([
        Heading::left("channel"),
        Heading::right("mean"),
        Heading::right("std").rank(3),
        Heading::right("least").rank(2),
        Heading::right("greatest").rank(2),
        Heading::right("energy"),
        Heading::right("readings").rank(1),
    ]);
    let mut without = String::new();
    for (place, channel) in recording.channels().iter().enumerate() {
        match recording.window(place, start, end) {
            Ok(window) => grid.row(row(channel, window)),
            Err(error) => writeln!(without, "{}: no figure: {}", channel.id, reason(error))?,
        }
    }
    out += &grid.text(output::width());
    out += &without;
    let total = recording.judged();
    out.push('\n');
    for (id, left_out) in total.sensors() {
        match left_out {
            None => writeln!(out, "{id} is taken")?,
            Some(left_out) => writeln!(out, "{id} is left out: {left_out}")?,
        }
    }
    for missing in total.missing().iter().filter(|missing| missing.need != Need::Spare) {
        writeln!(out, "{} is lacking: {}", missing.resource, missing.why)?;
    }
    let meter = meters.join(" + ");
    match total.window(recording, start, end) {
        _ if meters.is_empty() => {
            out += "no meter, so no energy; `irene doctor` says what would help, --tdp-watts W estimates\n";
        }
        Ok(Some(window)) => {
            let lacks = total.lacks();
            let without = if lacks.is_empty() { String::new() } else { format!(", without {}", lacks.join(", ")) };
            writeln!(out, "{meter}: {} ({}{without})", si(window.joules, "J"), window.provenance.name())?;
        }
        Ok(None) => writeln!(out, "{meter}: no figure")?,
        Err(NoEnergy { id, error }) => writeln!(out, "{meter}: no figure: {id}: {}", reason(error))?,
    }
    Ok(out)
}

/// A channel's figures.
fn row(channel: &Channel, window: Window) -> [String; 7] {
    let metric = channel.id.metric;
    let unit = if metric.is_energy() { "W" } else { metric.unit() };
    let number = |value: f64| if unit == "%" { format!("{value:.1} %") } else { si(value, unit) };
    let [mean, std, min, max] = [window.mean, window.std, window.min, window.max].map(number);
    let energy = window.energy.map_or(String::new(), |joules| si(joules, "J"));
    [channel.id.to_string(), mean, std, min, max, energy, window.readings.to_string()]
}

fn reason(error: WindowError) -> String {
    match error {
        WindowError::TooFew(0) => "nothing new was read".into(),
        other => other.to_string(),
    }
}
