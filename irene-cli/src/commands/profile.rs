use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use irene_models::{
    Model, ModelSpec,
    profile::{self, ProfileError, Profiler},
};
use irene_sampler::{Protocol, Sampler, SamplerOptions};
use irene_tree::{Level, Tree, jsonl};
use serde_json::{Value, json};

use super::{
    meters::MeterArgs,
    running::{ModelArgs, made_up_batch},
    size,
};
use crate::{interrupt, journal::Journal, output};

/// Measures every node of a model on this machine: latency, utilisation and energy, as trees to train on
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene profile bert-base-uncased --batch-size 8 16 --seq-len 32 128 -o mine.jsonl
  irene profile distilgpt2 -b 1 -s 64 --quick --tdp-watts 65 -o mine.jsonl --resume
  irene profile ./my-bert -b 8 -s 128 --meter log:meter.csv --level model,module,ml -o mine.jsonl")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Sequences in the batch; several for several trees
    #[arg(short, long, value_name = "B", required = true, num_args = 1.., value_delimiter = ',', value_parser = size)]
    batch_size: Vec<usize>,
    /// Tokens in a sequence; every batch size is measured with every length
    #[arg(short, long, value_name = "S", required = true, num_args = 1.., value_delimiter = ',', value_parser = size)]
    seq_len: Vec<usize>,
    /// Which nodes are measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model,module,ml")]
    level: Vec<LevelName>,
    #[command(flatten)]
    meter: MeterArgs,
    #[command(flatten)]
    protocol: ProtocolArgs,
    /// Time between samples, ms [default: 170, with --quick 10]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    period: Option<u64>,
    /// Goes on with a file: what it has is not measured again
    #[arg(long)]
    resume: bool,
    /// Trees, one a line, each there as soon as it is whole
    #[arg(short, long, value_name = "DATA.jsonl")]
    output: PathBuf,
}

/// Changes to the protocol.
#[derive(clap::Args)]
struct ProtocolArgs {
    /// Short rounds without pauses, until the intervals are within 5%; without it the paper's protocol
    #[arg(long)]
    quick: bool,
    /// What a round lasts at least [default: 20, with --quick 0.2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    round: Option<Duration>,
    /// Rounds at least [default: 5, with --quick 3]
    #[arg(long, value_name = "N", value_parser = size)]
    rounds: Option<usize>,
    /// Rounds at most [default: 20, with --quick 10]
    #[arg(long, value_name = "N", value_parser = size)]
    most_rounds: Option<usize>,
    /// Pause before each round [default: 5, with --quick 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    cool_down: Option<Duration>,
    /// How long idle power is watched before each node [default: 5, with --quick 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stand_by: Option<Duration>,
    /// How narrow the 95% intervals have to be, as a share of the mean [default: 0.01, with --quick 0.05]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    target: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| share.is_finite() && *share > 0.0);
    share.ok_or_else(|| "expected a share above 0, such as 0.05".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| time.as_secs() < 86_400).ok_or_else(|| "expected seconds, less than a day".into())
}

impl ProtocolArgs {
    fn protocol(&self) -> Protocol {
        let base = if self.quick { Protocol::quick() } else { Protocol::paper() };
        let least_rounds = self.rounds.unwrap_or(base.least_rounds.min(self.most_rounds.unwrap_or(usize::MAX)));
        Protocol {
            round: self.round.unwrap_or(base.round),
            least_rounds,
            most_rounds: self.most_rounds.unwrap_or(base.most_rounds).max(least_rounds),
            cool_down: self.cool_down.unwrap_or(base.cool_down),
            stand_by: self.stand_by.unwrap_or(base.stand_by),
            target: self.target.unwrap_or(base.target),
            ..base
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LevelName {
    Model,
    Module,
    Ml,
    Math,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Model => Self::Model,
            LevelName::Module => Self::Module,
            LevelName::Ml => Self::Ml,
            LevelName::Math => Self::Math,
        }
    }
}

/// The weights' values do not change what a node costs.
const DEFAULT_SEED: u64 = 1;

/// How long readings are kept at least: a single run of a large model may take minutes.
const LEAST_KEPT: Duration = Duration::from_secs(120);

/// What a tree was measured by, beside it.
const MEASURING_FIELD: &str = "measuring";

pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = interrupt::flag()?;
    let spec = ModelSpec::find(&args.model.model)?;
    let levels: Vec<Level> = args.level.iter().copied().map(Level::from).collect();
    let protocol = args.protocol.protocol();
    let period = Duration::from_millis(args.period.unwrap_or(if args.protocol.quick { 10 } else { 170 }));
    let selection = args.meter.select()?;
    if selection.meters.is_empty() {
        output::tell(
            "no meter: latencies are measured, energies are absent; `irene doctor` says what would help, --tdp-watts W estimates",
        );
    }
    let settings = settings(args, &selection.meters, &protocol, period, &levels);
    let left = left(args, &spec, &settings)?;
    if left.is_empty() {
        output::tell(&format!("{} has every size already", args.output.display()));
        return Ok(());
    }
    if selection.meters == ["nvml"] && args.model.is_on_cpu() {
        output::tell(
            "the meter is nvml alone: what the processor uses is not in the energies; `irene doctor` says how to have rapl",
        );
    }
    // Room for several of the longest things that are looked at.
    let longest = [protocol.round, protocol.stand_by, protocol.cool_down].into_iter().max().unwrap_or_default();
    let capacity = (8.0 * longest.max(LEAST_KEPT).as_secs_f64() / period.as_secs_f64()) as usize;
    let sampler = Sampler::start(selection.sources, SamplerOptions { period, capacity })?;
    let device = args.model.device()?;
    let model = args.model.load(&spec, &device, Some(DEFAULT_SEED))?;
    let profiler = Profiler { sampler: &sampler, protocol: &protocol, levels: &levels, stop };

    let mut journal = Journal::open(&args.output, &settings, args.resume)?;
    for size in left {
        let batch = made_up_batch(&spec, size, &device)?;
        let keys = profile::distinct(&spec, &batch, &levels)?;
        let measured = measure(&profiler, &spec, model.as_ref(), &batch, &keys, &mut journal);
        let mut tree = match measured {
            Ok(tree) => tree,
            Err(ProfileError::Stopped) => {
                let path = args.output.display();
                bail!("stopped; what was measured is kept, and `--resume -o {path}` goes on from it");
            }
            Err(ProfileError::Model(error)) => return Err(error.into()),
        };
        irene_features::annotate(&mut tree);
        if !args.level.contains(&LevelName::Math) {
            tree = tree.without_math();
        }
        tree.extra.insert(MEASURING_FIELD.into(), settings.clone());
        append(&args.output, &tree)?;
        output::tell(&format!(
            "{}, batch {}, sequence {}: {} distinct nodes measured",
            spec.name(),
            size.0,
            size.1,
            keys.len()
        ));
    }
    journal.finish()
}

fn measure(
    profiler: &Profiler<'_>,
    spec: &ModelSpec,
    model: &dyn Model,
    batch: &irene_models::Batch,
    keys: &[u64],
    journal: &mut Journal,
) -> Result<Tree, ProfileError> {
    let least = profiler.protocol.least_rounds;
    let bar = output::progress((keys.len() * least) as u64, "rounds");
    let known = journal.known.clone();
    bar.inc(keys.iter().filter_map(|key| known.get(key)).map(|measured| measured.rounds.len() as u64).sum());
    let tree = profiler.profile(spec, model, batch, known, |key, measured| {
        journal.keep(key, measured);
        // Nodes that are not known well enough get more.
        bar.inc_length(u64::from(measured.rounds.len() > least));
        bar.inc(1);
    });
    bar.finish_and_clear();
    tree
}

/// The sizes that are asked for and that the output does not have yet by these settings.
fn left(args: &Args, spec: &ModelSpec, settings: &Value) -> Result<Vec<(usize, usize)>> {
    let path = args.output.display();
    let mut trees = Vec::new();
    if args.output.exists() {
        ensure!(args.resume, "{path} exists; --resume adds to it, or choose another file");
        if args.output.metadata()?.len() > 0 {
            trees = jsonl::read_trees(&args.output)?;
        }
    }
    let mut left = Vec::new();
    for size in args.batch_size.iter().flat_map(|&batch| args.seq_len.iter().map(move |&seq| (batch, seq))) {
        let is_it = |tree: &&Tree| tree.model_name == spec.name() && (tree.batch_size, tree.seq_len) == size;
        match trees.iter().find(is_it) {
            Some(tree) => ensure!(
                tree.extra.get(MEASURING_FIELD) == Some(settings),
                "{path} has {} at {}x{} by other settings (its field `{MEASURING_FIELD}`); choose another file",
                spec.name(),
                size.0,
                size.1
            ),
            None if !left.contains(&size) => {
                spec.trace(size.0, size.1)?;
                left.push(size);
            }
            None => {}
        }
    }
    Ok(left)
}

/// The file with one more line, whole or as it was.
fn append(path: &Path, tree: &Tree) -> Result<()> {
    let before = match std::fs::read(path) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    output::write_file(path, |writer| {
        writer.write_all(&before)?;
        if before.last().is_some_and(|&byte| byte != b'\n') {
            writer.write_all(b"\n")?;
        }
        Ok(jsonl::write_trees(writer, [tree])?)
    })
}

fn settings(args: &Args, meters: &[&str], protocol: &Protocol, period: Duration, levels: &[Level]) -> Value {
    let [device, dtype] = args.model.place();
    let mut settings = json!({
        "meters": meters,
        "device": device,
        "dtype": dtype,
        "levels": levels.iter().map(|level| level.name()).collect::<Vec<_>>(),
        "protocol": protocol,
        "sampling_period_s": period.as_secs_f64(),
        "irene": env!("CARGO_PKG_VERSION"),
    });
    if let (Some(watts), true) = (args.meter.tdp_watts(), meters.contains(&"tdp")) {
        settings["tdp_watts"] = json!(watts);
    }
    if meters.contains(&"log") {
        settings["log_ahead_s"] = json!(args.meter.log_ahead());
    }
    settings
}
