//! The memory of a step of training against that of the device.

use irene_devices::{Catalogue, Device};
use irene_models::{ModelSpec, Run, TrainingMemory};
use irene_tree::{Checkpoint, Format, Optimizer, Parallel, Precision, Size, Training};

use crate::{
    Error,
    forecast::{CONTEXT, GIB},
};

/// The memory that a step of training takes of one GPU, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepMemory {
    /// Weights, gradients, states and activations.
    pub step: TrainingMemory,
    /// The buckets in which gradients are sent, which PyTorch's DistributedDataParallel keeps beside the gradients.
    pub buckets: f64,
    /// The driver's context and the libraries' workspaces.
    pub workspace: f64,
    /// The memory of the device.
    pub card: f64,
}

impl StepMemory {
    pub(super) fn of(spec: &ModelSpec, device: &Device, run: Run) -> Result<Self, Error> {
        let step = spec.training_memory(run)?;
        let buckets = if run.parallel.data > 1 { step.gradients as f64 } else { 0.0 };
        Ok(Self { step, buckets, workspace: CONTEXT, card: GIB * device.memory_gib })
    }

    /// All that is taken, bytes.
    pub fn total(&self) -> f64 {
        self.step.total() as f64 + self.buckets + self.workspace
    }
}

/// LoRA's usual rank.
const USUAL_RANK: usize = 16;

/// A way out: the run, and the flags that ask for it.
struct Way {
    run: Run,
    flags: String,
}

/// The error of a step that is too large for the device, with what would help: each way was tried.
pub(super) fn does_not_fit(spec: &ModelSpec, device: &Device, run: Run, memory: &StepMemory) -> Error {
    let fits = |run: Run| StepMemory::of(spec, device, run).is_ok_and(|memory| memory.total() <= memory.card);
    let single: Vec<String> = ways(run).into_iter().filter(|way| fits(way.run)).map(|way| way.flags).collect();
    let mut ways: Vec<String> = smaller_batch(run, fits).into_iter().chain(single).collect();
    if ways.is_empty() {
        ways.extend(together(run, fits));
    }
    ways.extend(more_gpus(run, fits));
    ways.extend(larger(spec, device, run));
    Error::StepDoesNotFit {
        model: spec.name().to_owned(),
        device: device.name.clone(),
        needed_gib: memory.total() / GIB,
        available_gib: memory.card / GIB,
        ways: if ways.is_empty() { "a smaller model".into() } else { ways.join(", or ") },
    }
}

/// Ways out by one change each.
fn ways(run: Run) -> Vec<Way> {
    let training = run.training.unwrap_or_default();
    let with = |training: Training| Run { training: Some(training), ..run };
    let way = |run: Run, flags: String| Way { run, flags };
    let checkpoints = Checkpoint::ALL.into_iter().skip_while(|known| *known != training.checkpoint).skip(1);
    let checkpoint = checkpoints.map(|checkpoint| {
        way(with(Training { checkpoint, ..training }), format!("--checkpoint {}", checkpoint.name()))
    });
    let optimizers =
        [Optimizer::Adafactor, Optimizer::Sgd].into_iter().filter(|_| training.optimizer == Optimizer::AdamW);
    let optimizer = optimizers
        .map(|optimizer| way(with(Training { optimizer, ..training }), format!("--optimizer {}", optimizer.name())));
    let lora = (training.lora_rank == 0)
        .then(|| way(with(Training { lora_rank: USUAL_RANK, ..training }), format!("--lora-rank {USUAL_RANK}")));
    let half = (run.precision.activations == Format::F32)
        .then(|| way(Run { precision: Precision::of(Format::BF16), ..run }, "--dtype bf16".into()));
    checkpoint.chain(half).chain(lora).chain(optimizer).collect()
}

/// The largest micro-batch that fits and divides the batch, with as many more of them: the same sequences a step.
fn smaller_batch(run: Run, fits: impl Fn(Run) -> bool) -> Option<String> {
    let (copies, training) = (run.parallel.data.max(1), run.training.unwrap_or_default());
    let whole = run.size.sequences / copies;
    let at = |of_copy: usize| {
        let accumulate = training.accumulate.saturating_mul(whole / of_copy);
        let size = Size { sequences: of_copy * copies, ..run.size };
        Run { size, training: Some(Training { accumulate, ..training }), ..run }
    };
    let smaller: Vec<usize> = (1..whole).rev().filter(|of_copy| whole.is_multiple_of(*of_copy)).collect();
    // The larger, the more memory: the first that fits is found by halves.
    let place = smaller.partition_point(|of_copy| !fits(at(*of_copy)));
    let found = at(*smaller.get(place)?);
    let accumulate = found.training.map_or(1, |training| training.accumulate);
    Some(format!("--batch-size {} --accumulate {accumulate}", found.size.sequences))
}

/// The first changes that fit together.
fn together(run: Run, fits: impl Fn(Run) -> bool) -> Option<String> {
    let (mut run, mut flags) = (run, Vec::new());
    if run.size.sequences > run.parallel.data {
        run.size.sequences = run.parallel.data;
        flags.push(format!("--batch-size {}", run.parallel.data));
    }
    let wanted = ["--checkpoint layer", "--dtype bf16", "--lora-rank 16"];
    for flag in wanted {
        let Some(way) = ways(run).into_iter().find(|way| way.flags == flag) else { continue };
        run = way.run;
        flags.push(way.flags);
        if fits(run) {
            return Some(flags.join(" "));
        }
    }
    None
}

/// More GPUs that share each layer.
fn more_gpus(run: Run, fits: impl Fn(Run) -> bool) -> Option<String> {
    let tensor = (1..=6).map(|power| run.parallel.tensor << power);
    let found = tensor.into_iter().find(|&tensor| fits(Run { parallel: Parallel { tensor, ..run.parallel }, ..run }));
    found.map(|tensor| format!("--tensor-parallel {tensor}"))
}

/// The smallest device of the class that has the memory.
fn larger(spec: &ModelSpec, device: &Device, run: Run) -> Option<String> {
    let fits = |other: &&Device| StepMemory::of(spec, other, run).is_ok_and(|memory| memory.total() <= memory.card);
    let of_class = Catalogue::all().iter().filter(|other| other.class == device.class).filter(fits);
    let smallest = of_class.min_by(|a, b| a.memory_gib.total_cmp(&b.memory_gib))?;
    Some(format!("--device {} and larger", smallest.name))
}
