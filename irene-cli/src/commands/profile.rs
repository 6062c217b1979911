use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, bail, ensure};
use candle_core::Device;
use clap::ValueEnum;
use irene_models::{
    Batch, Model, ModelSpec, Run, Targets, TaskHead, Trainer,
    profile::{self, Distinct, ProfileError, Profiler, TrainedStep},
};
use irene_sampler::Measurement;
use irene_tree::{Kernels, Level, Node, Quantity, Size, Tree, jsonl, render::si};
use serde_json::Value;

use super::{
    alike::MEASURING_FIELD,
    following::{self, PassArgs, SizesArgs},
    measuring::{DEFAULT_SEED, QuickArgs, check_resumes},
    running::ModelArgs,
    trees::count,
    usage,
};
use crate::{interrupt, journal::Journal, output};

/// Measures every node of a model on this machine
///
/// Writes trees to train on: latency, utilisation and energy of every node, of a pass or of a step of training (--train).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene profile bert-base-uncased --batch-size 8,16 --seq-len 32,128 -o mine.jsonl
  irene profile distilgpt2 -b 1 -s 64 --quick --tdp-watts 65 -o mine.jsonl --resume
  irene profile gpt2 -b 8 -s 1 --past 512 --kernels fused --head lm --quick -o decode.jsonl
  irene profile google/bert_uncased_L-2_H-128_A-2 -b 8 -s 64,128 --quick \\
    --train --level model --random-weights 1 -o step.jsonl
  irene profile ./my-bert -b 8 -s 128 --meter log:meter.csv --level model,module,ml -o mine.jsonl")]
pub(crate) struct Args {
    #[command(flatten)]
    sizes: SizesArgs,
    #[command(flatten)]
    pass: PassArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Which nodes are measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model,module,ml")]
    level: Vec<LevelName>,
    #[command(flatten)]
    measuring: QuickArgs,
    /// Trees, one a line, each there as soon as it is whole
    #[arg(short, long, value_name = "DATA.jsonl", value_parser = output::lines_file())]
    output: PathBuf,
}

impl Args {
    /// The pass that is measured at a size, or the step of training.
    fn run(&self, size: Size) -> Run {
        let training = self.measuring.training.training();
        Run { training, precision: self.model.place.precision(), ..self.pass.run(size) }
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

pub(crate) fn run(args: &Args) -> Result<()> {
    let stop = interrupt::flag()?;
    let spec = following::model_to_run(&args.model.model)?;
    let levels = args.level.iter().copied().map(Level::from).collect();
    let measuring = args.measuring.at(&args.model.place, levels)?;
    let selection = measuring.meter.select()?;
    let mut settings = measuring.settings(&selection);
    args.pass.describe(&mut settings);
    args.measuring.training.describe(&mut settings);
    let left = sizes_left(args, &spec, &settings)?;
    if left.is_empty() {
        tell_all_there(args);
        return Ok(());
    }
    let has_meter = !selection.meters.is_empty();
    measuring.tell(&selection);
    let sampler = measuring.sampler(selection.sensors)?;
    let device = args.model.place.device()?;
    let run = args.run(left[0]);
    let mut subject = Subject::load(args, &spec, run, &device)?;
    let profiler = measuring.profiler(&sampler, run.kernels, stop);

    let mut journal = Journal::open(&args.output, &settings, args.measuring.resume)?;
    // Another profile may have measured some until now.
    let left = sizes_left(args, &spec, &settings)?;
    if left.is_empty() {
        tell_all_there(args);
        return journal.finish();
    }
    let mut all = Energies::default();
    for size in left {
        let run = args.run(size);
        let nodes = profile::distinct(&spec, run, &measuring.levels)?;
        let tree = match measure(&profiler, &spec, &mut subject, run, &nodes, &mut journal) {
            Ok(tree) => tree,
            Err(ProfileError::Stopped) => return Err(super::stopped(&args.output)),
            Err(ProfileError::Model(error)) => return Err(error.into()),
        };
        append(&args.output, &measuring.finished(tree.clone(), &settings))?;
        let energies = Energies::of(&tree);
        let lacking = if has_meter { energies.lacking() } else { String::new() };
        let nodes = count(nodes.len(), "distinct node");
        let (model, Size { sequences, new, past }) = (spec.name(), run.size);
        let after = if past > 0 { format!(" after {}", count(past, "token")) } else { String::new() };
        let phases = phases(&tree);
        output::tell(&format!("{model}, batch {sequences}, sequence {new}{after}: {nodes} measured{lacking}{phases}"));
        all.add(energies);
    }
    journal.finish()?;
    if has_meter && all.known == 0 {
        let reason = all.reason.map_or(String::new(), |reason| format!(": {reason}"));
        bail!("no node has an energy{reason}; {} has latencies alone", args.output.display());
    }
    Ok(())
}

/// The measured nodes with and without an energy.
#[derive(Default)]
struct Energies {
    known: usize,
    unknown: usize,
    /// Why the first of those without has none.
    reason: Option<String>,
}

impl Energies {
    fn of(tree: &Tree) -> Self {
        let mut energies = Self::default();
        for node in tree.nodes() {
            let Some(measurement) = node.extra.as_ref().and_then(|extra| extra.get(Node::MEASUREMENT_FIELD)) else {
                continue;
            };
            if node.get(Quantity::GroundTruthEnergy).is_some() {
                energies.known += 1;
            } else if node.get(Quantity::Latency).is_some() {
                energies.unknown += 1;
                let reason = measurement["no_energy"].as_str().map(str::to_owned);
                energies.reason = energies.reason.or(reason);
            }
        }
        energies
    }

    fn add(&mut self, other: Self) {
        self.known += other.known;
        self.unknown += other.unknown;
        self.reason = self.reason.take().or(other.reason);
    }

    fn lacking(&self) -> String {
        let nodes = count(self.unknown, "node");
        match (self.unknown, &self.reason) {
            (0, _) => String::new(),
            (_, None) => format!(", {nodes} without an energy"),
            (_, Some(reason)) => format!(", {nodes} without an energy ({reason})"),
        }
    }
}

/// The phases of a step of training, each with its latency.
fn phases(tree: &Tree) -> String {
    let phases = ["forward", "backward", "optimizer"].map(|phase| {
        let node = tree.node(tree.find(&format!("root.{phase}"))?);
        Some(format!("{phase} {}", si(node.get(Quantity::Latency)?, "s")))
    });
    match (tree.training, phases.into_iter().collect::<Option<Vec<String>>>()) {
        (Some(_), Some(phases)) => format!("; {}", phases.join(", ")),
        _ => String::new(),
    }
}

/// The thing measured: a model's pass, or its trainer.
enum Subject {
    Pass(Box<dyn Model>, Device),
    Step(Box<Trainer>, TaskHead, Device),
}

/// Steps at this rate all compute with the same weights.
const LEARNING_RATE: f64 = 0.0;

impl Subject {
    fn load(args: &Args, spec: &ModelSpec, run: Run, device: &Device) -> Result<Self> {
        let seed = Some(DEFAULT_SEED);
        let Some(training) = run.training else {
            return Ok(Self::Pass(args.model.load(spec, run.head, device, seed)?, device.clone()));
        };
        if run.kernels == Kernels::Fused {
            return usage("fused kernels have no gradients here: --train runs eager ones");
        }
        let head = spec.training_head(run.head)?;
        let weights = args.model.source(spec, head, device, seed)?;
        let trainer = Trainer::new(spec, weights.as_ref(), head, training, LEARNING_RATE, DEFAULT_SEED);
        let trainer = trainer.map_err(|error| match &error {
            irene_models::Error::Weight { .. } => Error::from(error).context(format!(
                "no weights for the head {}; --random-weights SEED measures made-up ones",
                head.name()
            )),
            _ => error.into(),
        })?;
        Ok(Self::Step(Box::new(trainer), head, device.clone()))
    }

    fn measure(
        &mut self,
        profiler: &Profiler<'_>,
        spec: &ModelSpec,
        run: Run,
        known: HashMap<u64, Measurement>,
        keep: impl FnMut(u64, &Measurement),
    ) -> Result<Tree, ProfileError> {
        match self {
            Self::Pass(model, device) => {
                let batch = Batch::made_up_for(spec, model.as_ref(), run, device)?;
                profiler.profile(spec, model.as_ref(), &batch, known, keep)
            }
            Self::Step(trainer, head, device) => {
                let batch = Batch::made_up(spec, run.size, device)?;
                let targets = Targets::made_up(&batch, spec, *head, DEFAULT_SEED)?;
                let mut step = TrainedStep { spec, run, trainer, batch: &batch, targets: &targets };
                profiler.profile_step(&mut step, known, keep)
            }
        }
    }
}

fn measure(
    profiler: &Profiler<'_>,
    spec: &ModelSpec,
    subject: &mut Subject,
    run: Run,
    nodes: &[Distinct],
    journal: &mut Journal,
) -> Result<Tree, ProfileError> {
    let least = profiler.protocol.least_rounds;
    let bar = output::progress((nodes.len() * least) as u64, "rounds");
    let known = journal.known.clone();
    bar.inc(nodes.iter().filter_map(|node| known.get(&node.key)).map(|measured| measured.rounds.len() as u64).sum());
    let tree = subject.measure(profiler, spec, run, known, |key, measured| {
        journal.keep(key, measured);
        // Nodes that are not known well enough get more.
        bar.inc_length(u64::from(measured.rounds.len() > least));
        bar.inc(1);
    });
    bar.finish_and_clear();
    tree
}

fn tell_all_there(args: &Args) {
    output::tell(&format!("{} has every size already", args.output.display()));
}

/// The sizes asked for that the output does not have yet with these settings.
fn sizes_left(args: &Args, spec: &ModelSpec, settings: &Value) -> Result<Vec<Size>> {
    let path = args.output.display();
    let mut trees = Vec::new();
    if args.output.exists() {
        check_resumes(&args.output, true, args.measuring.resume)?;
        ensure!(args.output.metadata()?.is_file(), "{path} is read again to go on from it: give a plain file");
        drop_cut_tree(&args.output)?;
        if args.output.metadata()?.len() > 0 {
            trees = jsonl::read_trees(&args.output)?;
        }
    }
    let mut left = Vec::new();
    for size in args.sizes.sizes(args.pass.past(), "")? {
        let run = args.run(size);
        let is_it = |tree: &&Tree| {
            let is_same_run = (tree.size, tree.kernels, tree.training) == (run.size, run.kernels, run.training);
            tree.model_name == spec.name() && is_same_run
        };
        match trees.iter().find(is_it) {
            Some(tree) => ensure!(
                tree.extra.get(MEASURING_FIELD) == Some(settings),
                "{path} has {} at {} by other settings (its field `{MEASURING_FIELD}`); choose another file",
                spec.name(),
                run.size
            ),
            None if !left.contains(&size) => {
                spec.trace(run)?;
                left.push(size);
            }
            None => {}
        }
    }
    Ok(left)
}

/// The beginning of a tree's line.
const BEGINNING: &[u8] = b"{\"model_name\":";

/// Drops a last tree that was cut off, as by a full disk or a copy that broke off, and says so.
fn drop_cut_tree(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let start = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let last = &bytes[start..];
    let is_cut = serde_json::from_slice::<Value>(last).is_err_and(|error| error.is_eof());
    if is_cut && last.starts_with(BEGINNING) {
        output::write_bytes(path, &bytes[..start])?;
        output::tell(&format!("{}: the last tree was cut off and is dropped", path.display()));
    }
    Ok(())
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
