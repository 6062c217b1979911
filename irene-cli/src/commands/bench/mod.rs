mod shown;

use std::{path::PathBuf, sync::atomic::AtomicBool, time::Duration};

use anyhow::{Context, Result, ensure};
use irene_bench::{Bench, Error, FindOptions, Identity, Limits, Prompts, Server, Setting, SheetFile, Target};
use irene_devices::{Catalogue, Device, Engine};
use irene_models::ModelSpec;
use irene_sampler::{Sampler, SamplerOptions, sensors::Selection};
use irene_tree::{Format, render::si};

use self::shown::{line, report};
use super::{
    check_lacking,
    meters::{MeterArgs, start, tell_meter},
    numbers::{format, gpus, seconds, share, size, whole},
    usage,
};
use crate::{interrupt, output};

/// Measures the energy of requests to a running server
///
/// Writes a request sheet: energy, power and times for a grid of lengths and loads. The server may speak OpenAI's API
/// (completions, chat, embeddings), that of text-generation-inference or that of llama.cpp; it is asked which. No other
/// address is contacted, and no redirect is followed. The meter is that of this machine: run the command where the
/// server runs. All that the machine does meanwhile is in the energy, so nobody else should use it. A window begins
/// when the throughput is steady: the means of its two halves differ by less than 5%, or by less than their 95%
/// intervals.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene bench localhost:8000 --model Llama-3.1-8B --device l4 --engine vllm-0.11 -o sheet.csv
  irene bench localhost:8080 --prompt 64,256 --generate 16,128 --concurrency 1,64 -o sheet.csv
  irene bench localhost:8080 --concurrency 8 --split parts.json -o sheet.csv --resume
  irene bench localhost:3000 --api embeddings --prompt 32,512 --tdp-watts 65 -o sheet.csv")]
pub(crate) struct Args {
    /// The server's address
    #[arg(value_name = "URL")]
    url: String,
    /// Tokens of a prompt; several with commas between
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_delimiter = ',', default_value = "64,512", value_parser = size)]
    seq_len: Vec<usize>,
    /// Tokens of each sequence that are generated; several with commas between [default: 16,128]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = size)]
    generate: Vec<usize>,
    /// Requests that run at once; several with commas between
    #[arg(long, value_name = "C", value_delimiter = ',', default_value = "1,8", value_parser = whole::<1, MOST_CONNECTIONS>)]
    concurrency: Vec<usize>,
    #[command(flatten)]
    meter: MeterArgs,
    /// Leave the energy of idling out of the sheet's energies and power
    #[arg(long)]
    subtract_idle: bool,
    /// How long idle power is read before the load; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    stand_by: Duration,
    /// Time between samples, ms
    #[arg(long, value_name = "MS", default_value = "50", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    period: u64,
    /// The request sheet: a line is added as soon as a setting is measured
    #[arg(short, long, value_name = "SHEET.csv", value_parser = output::text_file())]
    output: PathBuf,
    /// Continue a file: what it has is not measured again
    #[arg(long)]
    resume: bool,
    /// Write the energy of a prompt's token and of a generated one here
    #[arg(long, value_name = "FILE.json", value_parser = output::text_file())]
    split: Option<PathBuf>,
    #[command(flatten)]
    served: ServedArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The model and its server.
#[derive(clap::Args)]
#[command(next_help_heading = "The server")]
struct ServedArgs {
    /// The model as `irene predict` knows it, for the sheet [default: its name at the server]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The model's name at the server, if that serves several
    #[arg(long, value_name = "NAME")]
    served_model: Option<String>,
    /// The device that the server runs on, for the sheet: a name of `irene devices`
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// A data sheet of your own, in place of --device
    #[arg(long, value_name = "FILE.toml", conflicts_with = "device")]
    device_spec: Option<PathBuf>,
    /// The engine with its generation, for the sheet (vllm-0.11, transformers, llama.cpp ...)
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// The format of the weights, for the sheet [default: the model's own]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    weights: Option<Format>,
    /// The format of the cache of keys and values, for the sheet [default: that of the activations]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    cache: Option<Format>,
    /// GPUs that share each layer, for the sheet
    #[arg(long, value_name = "N", default_value = "1", value_parser = gpus)]
    tensor_parallel: usize,
    /// The API: completions, chat, tgi, llama.cpp, embeddings [default: the server is asked]
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The environment variable that has the server's key
    #[arg(long, value_name = "VARIABLE")]
    key_variable: Option<String>,
    /// Ask for whole answers, which have no time to the first token
    #[arg(long)]
    whole: bool,
    /// Begin all prompts the same, to measure with a cache of prefixes
    #[arg(long)]
    shared_prefix: bool,
}

/// How long and how often.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits of a setting")]
struct LimitArgs {
    /// The least length of the steady window
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Stop waiting for a steady state after this time, and use what was measured
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    most_seconds: Duration,
    /// Ignore answers that end within this time from the start
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// The longest time of an answer
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    timeout: Duration,
    /// The most requests
    #[arg(long, value_name = "N", default_value = "100000", value_parser = size)]
    requests: usize,
    /// The share of requests that may fail
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share)]
    failures: f64,
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        Limits {
            warm_up: self.warm_up,
            least: self.seconds,
            most: self.most_seconds,
            most_requests: self.requests as u64,
            timeout: self.timeout,
            most_failures: self.failures,
        }
    }
}

/// Each request that runs has one.
const MOST_CONNECTIONS: usize = 4096;

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.subtract_idle && args.stand_by.is_zero() {
        return usage("--subtract-idle needs the idle power: leave --stand-by 0 out");
    }
    output::check_apart(&[Some(args.output.as_path()), args.split.as_deref()], &[])?;
    let target = target(&args.served, &args.url)?;
    let (device, engine) = names(&args.served)?;
    let selection = args.meter.select()?;
    let options = FindOptions {
        api: args.served.api.clone(),
        model: args.served.served_model.clone(),
        whole: args.served.whole,
        timeout: args.limits.timeout,
    };
    let server = Server::find(target, &options)?;
    // Until here Ctrl-C ends at once, however long the server takes to answer.
    let stop = interrupt::flag()?;
    let settings = settings(args, &server)?;
    let known = Identity::of(&server, &selection, &args.meter.places());
    let identity = Identity {
        model: args.served.model.clone().or(known.model),
        device,
        engine,
        weights: args.served.weights,
        cache: args.served.cache,
        tensor_parallel: args.served.tensor_parallel,
        // Without a meter there is no energy to leave anything out of.
        subtracts_idle: args.subtract_idle && !selection.meters.is_empty(),
        shares_prefix: args.served.shared_prefix,
        ..known
    };
    let lacking = lacking(&identity);
    let mut sheet = SheetFile::open(&args.output, identity, args.resume)?;
    let left: Vec<Setting> = settings.into_iter().filter(|setting| !sheet.has(*setting)).collect();
    let failed = if left.is_empty() {
        output::tell(&format!("{} has every setting already", args.output.display()));
        0
    } else {
        tell_meter(&selection);
        lacking.iter().for_each(|lacking| output::tell(lacking));
        measure(args, (&server, &sampler(args, selection)?, stop), &left, &mut sheet)?
    };
    report(args.split.as_deref(), &irene_bench::split(sheet.rows()))?;
    check_lacking(failed, left.len(), "setting", "without figures")
}

/// Names in a line the settings that a calibration needs and the sheet will lack.
fn lacking(identity: &Identity) -> Option<String> {
    let unknown = match &identity.model {
        Some(name) if ModelSpec::find(name).is_ok() => None,
        Some(name) => Some(format!("`{name}` is no model that irene knows (name it by --model)")),
        None => Some("the model has no name (--model)".to_owned()),
    };
    let absent = |flag: &str, name: &Option<String>| name.is_none().then(|| format!("{flag} is not given"));
    let all = [unknown, absent("--device", &identity.device), absent("--engine", &identity.engine)];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("for `irene calibrate`: {}", all.join(", ")))
}

fn target(args: &ServedArgs, url: &str) -> Result<Target> {
    let target = Target::parse(url)?;
    let Some(name) = &args.key_variable else { return Ok(target) };
    let key = std::env::var(name).ok().filter(|key| !key.trim().is_empty());
    let key = key.with_context(|| format!("the variable {name} of --key-variable is not set, or empty"))?;
    Ok(target.with_key(&key)?)
}

/// The names of device and engine by which others know them.
fn names(args: &ServedArgs) -> Result<(Option<String>, Option<String>)> {
    let device = match &args.device_spec {
        Some(path) => Some(Device::read(path)?),
        None => args.device.as_deref().map(Catalogue::find).transpose()?,
    };
    let engine = args.engine.as_deref().map(Engine::find).transpose()?.map(|engine| engine.name.to_owned());
    Ok((device.map(|device| device.name), engine))
}

/// The grid, the lightest load first.
fn settings(args: &Args, server: &Server) -> Result<Vec<Setting>> {
    let generate = match (server.generates(), args.generate.is_empty()) {
        (true, true) => vec![16, 128],
        (true, false) => args.generate.clone(),
        (false, true) => vec![0],
        (false, false) => return usage("embeddings generate no tokens: leave --generate out"),
    };
    let mut settings = Vec::new();
    for &concurrency in &args.concurrency {
        for &generate in &generate {
            settings.extend(args.seq_len.iter().map(|&prompt| Setting { prompt, generate, concurrency }));
        }
    }
    Ok(settings)
}

/// Starts to sample; readings are kept for longer than a setting takes.
fn sampler(args: &Args, selection: Selection) -> Result<Sampler> {
    const MOST_READINGS: f64 = (1 << 21) as f64;
    /// For late readings, and answers that end after the window.
    const SLACK_S: f64 = 60.0;
    let period = Duration::from_millis(args.period);
    let longest = (args.limits.most_seconds + args.limits.timeout).max(args.stand_by).as_secs_f64() + SLACK_S;
    let capacity = (longest / period.as_secs_f64()).min(MOST_READINGS) as usize;
    start(selection.sensors, SamplerOptions { period, capacity })
}

/// Measures settings and adds each to the sheet; how many have no figures.
fn measure(
    args: &Args,
    (server, sampler, stop): (&Server, &Sampler, &AtomicBool),
    left: &[Setting],
    sheet: &mut SheetFile,
) -> Result<usize> {
    let stopped = |error: Error| match error {
        Error::Stopped => super::stopped(&args.output),
        other => other.into(),
    };
    let idle_w = idle_power(args, sampler, stop).map_err(stopped)?;
    ensure!(
        !args.subtract_idle || idle_w.is_some() || sampler.look(|recording| recording.totals().is_empty()),
        "--subtract-idle needs the idle power, which is not known; a longer --stand-by may tell it"
    );
    let (limits, subtracts_idle) = (args.limits.limits(), args.subtract_idle);
    let bench = Bench { server, sampler, limits, idle_w, subtracts_idle, stop };
    let mut known: Vec<(usize, Prompts)> = Vec::new();
    let mut failed = 0;
    for (place, setting) in left.iter().enumerate() {
        let prompts = match known.iter().find(|(asked, _)| *asked == setting.prompt) {
            Some((_, prompts)) => Ok(prompts.clone()),
            None => Prompts::of_tokens(server, setting.prompt, args.served.shared_prefix, limits.timeout),
        };
        let measured = prompts.and_then(|prompts| {
            let measured = bench.measure(*setting, &prompts);
            known.push((setting.prompt, prompts));
            measured
        });
        match measured {
            Ok(measured) => {
                sheet.add(&measured)?;
                output::tell(&format!("{} of {}: {}", place + 1, left.len(), line(&measured)));
            }
            Err(error @ (Error::Setting { .. } | Error::Prompt { .. })) => {
                failed += 1;
                output::tell(&format!("{} of {}: no figures: {error}", place + 1, left.len()));
            }
            Err(error) => return Err(stopped(error)),
        }
    }
    Ok(failed)
}

/// Idle power, after a pause in which the device calms down from the questions about its API.
fn idle_power(args: &Args, sampler: &Sampler, stop: &AtomicBool) -> irene_bench::Result<Option<f64>> {
    /// The share of a processor's design power above which it is not idle.
    const BUSY: f64 = 0.9;
    let has_meter = sampler.look(|recording| !recording.totals().is_empty());
    if args.stand_by.is_zero() || !has_meter {
        return Ok(None);
    }
    Bench::idle_power(sampler, args.stand_by / 2, stop)?;
    let idle_w = Bench::idle_power(sampler, args.stand_by, stop)?;
    match idle_w {
        Some(watts) => {
            output::tell(&format!("idle power is {}", si(watts, "W")));
            if args.meter.tdp_watts.is_some_and(|tdp| watts > BUSY * tdp) {
                output::tell(
                    "that is nearly all of --tdp-watts: other work keeps this machine busy, and its energies say little",
                );
            }
        }
        None => output::tell("idle power is not known: the meter has too few readings in that time (--stand-by)"),
    }
    Ok(idle_w)
}
