mod exposition;
mod json;
mod processes;
mod prometheus;
mod span;
mod summary;
mod watch;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;
use irene_sampler::{Recording, Sampler, SamplerOptions, Silent, sensors::Selection};

use self::{
    exposition::Source,
    json::Lines,
    processes::ProcessArgs,
    prometheus::Server,
    span::{Before, Span},
};
use super::{
    Exit,
    meters::{LOGS, MeterArgs, tell_passed_over},
    numbers::seconds_above_0,
    refuse, usage,
};
use crate::{interrupt, output};

/// Records power and energy, for a time or while a command runs
///
/// Shows a summary, or lines of JSON; serves Prometheus; writes every reading as CSV.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene sample --duration 10
  irene sample --tdp-watts 65 -o readings.csv -- ./serve
  irene sample --period 10 --meter log:meter.csv -- ./benchmark
  irene sample --prometheus 9477 --pid 1 --duration 86400
  irene sample --format json --every 1 --duration 10 | jq .total_j")]
pub(crate) struct Args {
    #[command(flatten)]
    meter: MeterArgs,
    /// Time between samples, ms
    #[arg(long, value_name = "MS", default_value = "170", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    period: u64,
    /// How long to record; with a command, the longest time
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: Option<u64>,
    /// Write every reading here: unix time, channel, unit, value
    #[arg(short, long, value_name = "FILE.csv", value_parser = output::text_file())]
    output: Option<PathBuf>,
    /// Serve /metrics for Prometheus, and /health, until Ctrl-C or the end: a port of this machine alone, or an address in full
    #[arg(long, value_name = "ADDRESS", value_parser = prometheus::address)]
    prometheus: Option<SocketAddr>,
    #[command(flatten)]
    processes: ProcessArgs,
    /// How results are printed [default: text]
    #[arg(long, value_enum)]
    format: Option<SampleFormat>,
    /// Print a line of JSON every so many seconds [default: at each sample]
    #[arg(long, value_name = "SECONDS", value_parser = seconds_above_0)]
    every: Option<f64>,
    /// The command, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SampleFormat {
    /// A summary at the end
    Text,
    /// A line for each sample, and one with the summary at the end, until Ctrl-C or the end
    Json,
}

/// The most readings of a channel that are kept. Memory grows with them.
const MOST_READINGS: u64 = 1 << 22;

/// Where nobody asks for every reading, those of so many milliseconds are kept, and at least so many: a recording may go on for months.
const KEPT_MS: u64 = 60_000;
const LEAST_KEPT: u64 = 1 << 9;

/// Readings come before the start and after the end, too: so many milliseconds of them at most, and a log's lines from
/// before it was opened.
const AROUND_MS: u64 = 20_000;
const LINES_BEFORE: u64 = 1 << 11;

/// A log's lines may come more often than samples, but hardly more often than this.
const LINE_MS: u64 = 1;

pub(crate) fn run(args: &Args) -> Result<()> {
    args.check()?;
    let listener = args.prometheus.map(prometheus::listen).transpose()?;
    let stop = interrupt::flag()?;
    let mut selection = args.meter.select()?;
    tell_passed_over(&selection);
    if selection.meters.contains(&"impact-tracker") && !args.command.is_empty() {
        return usage("impact-tracker measures the process it runs in, not a command");
    }
    let part = args.processes.add(&mut selection.sensors, &args.meter.places(), &args.command)?;
    if selection.meters.is_empty() && args.goes_on() {
        output::tell(&args.no_meter());
    }
    let meters = std::mem::take(&mut selection.meters);
    let capacity = args.capacity(meters.iter().any(|meter| LOGS.contains(meter))) as usize;
    let options = SamplerOptions { period: Duration::from_millis(args.period), capacity };
    let Selection { sensors, .. } = selection;
    let sampler = Arc::new(Sampler::start(sensors, options)?);
    let clock = sampler.clock();
    // A utilisation is known from the second sample on.
    sampler.wait_past(clock.now(), Duration::from_secs(11));
    let silent = sampler.wait_until_read().err();
    if let Some(silent) = &silent {
        output::tell(&format!("the meter has no reading of now: {silent}"));
    }
    let source = Arc::new(Source::new(Arc::clone(&sampler), meters.join("+"), part));
    let recorded = args.record(&source, listener, silent, || stop.load(Ordering::Relaxed))?;
    // Whatever ended it, and if one of the two cannot be written: nobody can record this time again.
    let told = args.report(&recorded, &source);
    if let Some(path) = &args.output {
        output::write_file(path, |writer| summary::write_csv(writer, &recorded.recording, recorded.epoch))?;
    }
    told?;
    match recorded.status?.map_or(Some(0), watch::exit_code) {
        // A signal to this process has a code of its own.
        _ if stop.load(Ordering::Relaxed) => Ok(()),
        Some(0) => Ok(()),
        Some(code) => Err(Exit::with(code)),
        None => anyhow::bail!("{}: it ended in an unknown way", args.command.join(" ")),
    }
}

/// The gaps of the sensors that make up the meter.
fn gaps(recording: &Recording) -> u64 {
    recording.totals().iter().map(|&place| recording.series(place).gaps()).sum()
}

/// The results of a recording.
struct Recorded {
    recording: Recording,
    span: Span,
    /// That of a command that ended by itself, or why nothing could be told meanwhile.
    status: Result<Option<std::process::ExitStatus>>,
    lines: Option<Lines>,
    /// The offset from the clock's times to those since 1970, s.
    epoch: f64,
}

impl Args {
    fn check(&self) -> Result<()> {
        if self.command.is_empty() && self.duration.is_none() && !self.goes_on() {
            return usage("give --duration SECONDS, or a command after --, or --prometheus or --format json");
        }
        self.processes.check(&self.command)?;
        refuse(!self.is_json(), "--format json", &[("--every", self.every.is_some())])
    }

    /// Whether somebody reads what is told meanwhile.
    fn goes_on(&self) -> bool {
        self.is_json() || self.prometheus.is_some()
    }

    fn is_json(&self) -> bool {
        self.format == Some(SampleFormat::Json)
    }

    /// The readings of a channel that are kept. A log has its own period.
    fn capacity(&self, has_log: bool) -> u64 {
        let period = if has_log { LINE_MS } else { self.period };
        let all = self.duration.map_or(MOST_READINGS, |seconds| {
            let milliseconds = seconds.saturating_mul(1000).saturating_add(AROUND_MS);
            (milliseconds / period).saturating_add(LINES_BEFORE).min(MOST_READINGS)
        });
        let is_all_wanted = self.output.is_some() || !self.goes_on();
        if is_all_wanted { all } else { all.min((KEPT_MS / period).max(LEAST_KEPT)) }
    }

    fn no_meter(&self) -> String {
        format!("no meter, so no energy\n{}", self.meter.what_would_help())
    }

    /// Records until the command ends or the time is over.
    fn record(
        &self,
        source: &Arc<Source>,
        listener: Option<TcpListener>,
        silent: Option<Silent>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Recorded> {
        let sampler = &source.sampler;
        let clock = sampler.clock();
        let (start, stamp) = (clock.now(), clock.stamp());
        let epoch = stamp.wall - stamp.time;
        let gaps_before = sampler.look(gaps);
        let mut before = sampler.look(|recording| Before::new(start, recording));
        let server = listener.map(|listener| Server::start(listener, Arc::clone(source))).transpose()?;
        let new_lines = |recording: &Recording| Lines::new(recording.channels(), epoch, start);
        let mut lines = self.is_json().then(|| sampler.look(new_lines));
        let mut next = start;
        let tell = || {
            if !before.is_known() {
                sampler.look(|recording| before.look(recording));
            }
            let Some(lines) = lines.as_mut().filter(|_| clock.now() >= next) else { return Ok(()) };
            if let Some(line) = sampler.look(|recording| lines.line(recording, source)) {
                output::print(&line)?;
                // A line that came late does not make the next ones early.
                next = (next + self.every.unwrap_or(0.0)).max(clock.now() - self.every.unwrap_or(0.0));
            }
            Ok(())
        };
        let is_late = || self.duration.is_some_and(|seconds| clock.now() - start >= seconds as f64);
        let pause = Duration::from_millis(if self.is_json() { self.period.min(20) } else { 20 });
        let child = watch::start(&self.command, self.is_json())?;
        let status = watch::watch(child, pause, is_late, is_stopped, tell);
        let end = clock.now();
        let silent = silent.and_then(|_| sampler.wait_until_read().err());
        // A sensor without a reading of now gets no figure, however long one waits for it.
        if silent.is_none() {
            sampler.wait_until_covered(start, end);
        }
        if let Some(part) = &source.part {
            part.wait_until_covered(sampler, end);
        }
        drop(server);
        let recording = sampler.look(Recording::clone);
        before.look(&recording);
        // A log whose clock is ahead has readings of later times alone.
        let from = start.max(summary::oldest(&recording)).min(end);
        let (joules, gaps) = (before.until(end, &recording), gaps(&recording) - gaps_before);
        let span = Span { start, from, end, joules, gaps, silent };
        Ok(Recorded { recording, span, status, lines, epoch })
    }

    fn report(&self, recorded: &Recorded, source: &Source) -> Result<()> {
        let Recorded { recording, span, lines, .. } = recorded;
        match lines {
            Some(lines) => output::print(&lines.summary(recording, span, source)),
            None => {
                let no_meter = if source.meter.is_empty() { self.no_meter() } else { String::new() };
                output::print_text(&summary::text(recording, span, source, &no_meter)?)
            }
        }
    }
}
