//! The memory of a step of training against that of the device.

use irene_devices::Device;
use irene_models::{ModelSpec, Run, TrainingMemory};
use irene_numerics::GIB;
use irene_tree::{Checkpoint, Format, Optimizer, Precision, Size, Training};

use crate::{Error, forecast::CONTEXT, ways};

/// The memory that a step of training needs on one GPU, bytes.
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

    /// The whole need, bytes.
    pub fn total(&self) -> f64 {
        self.step.total() as f64 + self.buckets + self.workspace
    }
}

/// LoRA's usual rank.
const USUAL_RANK: usize = 16;

/// A way out: the run, and the fields that ask for it.
struct Way {
    run: Run,
    fields: String,
}

/// The error of a step that is too large for the device, with what would help: each way was tried.
pub(super) fn does_not_fit(spec: &ModelSpec, device: &Device, run: Run, memory: &StepMemory) -> Error {
    let fits_on =
        |device: &Device, run: Run| StepMemory::of(spec, device, run).is_ok_and(|memory| memory.total() <= memory.card);
    let fits = |run: Run| fits_on(device, run);
    let single: Vec<String> = ways(run).into_iter().filter(|way| fits(way.run)).map(|way| way.fields).collect();
    let mut ways: Vec<String> = smaller_batch(run, fits).into_iter().chain(single).collect();
    if ways.is_empty() {
        ways.extend(together(run, fits));
    }
    ways.extend(more_gpus(run, fits));
    ways.extend(ways::larger(device, |other| fits_on(other, run)));
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
    let way = |run: Run, fields: String| Way { run, fields };
    let checkpoints = Checkpoint::ALL.into_iter().skip_while(|known| *known != training.checkpoint).skip(1);
    let checkpoint = checkpoints.map(|checkpoint| {
        way(with(Training { checkpoint, ..training }), format!("training.checkpoint {}", checkpoint.name()))
    });
    let optimizers =
        [Optimizer::Adafactor, Optimizer::Sgd].into_iter().filter(|_| training.optimizer == Optimizer::AdamW);
    let optimizer = optimizers.map(|optimizer| {
        way(with(Training { optimizer, ..training }), format!("training.optimizer {}", optimizer.name()))
    });
    let lora = (training.lora_rank == 0)
        .then(|| way(with(Training { lora_rank: USUAL_RANK, ..training }), format!("training.lora_rank {USUAL_RANK}")));
    let half = (run.precision.activations == Format::F32)
        .then(|| way(Run { precision: Precision::of(Format::BF16), ..run }, "run.precision bf16".into()));
    checkpoint.chain(half).chain(lora).chain(optimizer).collect()
}

/// The same step in micro-batches of so many sequences of each copy of the model, which divide its batch.
fn in_micro_batches(run: Run, of_copy: usize) -> Way {
    let (copies, training) = (run.parallel.data.max(1), run.training.unwrap_or_default());
    let sequences = of_copy * copies;
    let accumulate = training.accumulate.saturating_mul(run.size.sequences / sequences);
    let training = Some(Training { accumulate, ..training });
    let run = Run { size: Size { sequences, ..run.size }, training, ..run };
    Way { run, fields: format!("size.sequences {sequences} training.accumulate {accumulate}") }
}

/// The largest micro-batch that fits, for as many sequences a step.
fn smaller_batch(run: Run, fits: impl Fn(Run) -> bool) -> Option<String> {
    let whole = run.size.sequences / run.parallel.data.max(1);
    let smaller: Vec<usize> = (1..whole).rev().filter(|of_copy| whole.is_multiple_of(*of_copy)).collect();
    // The larger, the more memory: the first that fits is found by halves.
    let place = smaller.partition_point(|of_copy| !fits(in_micro_batches(run, *of_copy).run));
    Some(in_micro_batches(run, *smaller.get(place)?).fields)
}

/// Changes that fit together: the smallest micro-batch, checkpoints, 16 bits; and then adapters alone, or more GPUs.
fn together(run: Run, fits: impl Fn(Run) -> bool) -> Vec<String> {
    let (mut run, mut fields) = (run, Vec::new());
    let mut change = |way: Way, run: &mut Run| {
        *run = way.run;
        fields.push(way.fields);
    };
    if run.size.sequences > run.parallel.data {
        change(in_micro_batches(run, 1), &mut run);
    }
    for asked in ["training.checkpoint layer", "run.precision bf16"] {
        if let Some(way) = ways(run).into_iter().find(|way| way.fields == asked) {
            change(way, &mut run);
        }
    }
    let so_far = fields.join(" ");
    if fits(run) {
        return vec![so_far];
    }
    let lora =
        ways(run).into_iter().find(|way| way.fields.starts_with("training.lora_rank")).filter(|way| fits(way.run));
    let further = lora.map(|way| way.fields).into_iter().chain(more_gpus(run, fits));
    further.map(|fields| format!("{so_far} {fields}").trim_start().to_owned()).collect()
}

/// More GPUs that share each layer.
fn more_gpus(run: Run, fits: impl Fn(Run) -> bool) -> Option<String> {
    ways::more_gpus(run.parallel, |parallel| fits(Run { parallel, ..run }))
}
