use irene_devices::{Device, DeviceClass, Engine, Pass, WorkKind};
use irene_models::CacheShape;
use irene_numerics::GIB;
use irene_tree::Size;

use crate::{Error, Request, passes::Followed};

/// The memory that CUDA or ROCm takes for a process: its context, its code and the libraries' workspaces. `nvidia-smi` shows 0.3 to 0.6 GiB for a
/// process of PyTorch that has multiplied two matrices.
pub(crate) const CONTEXT: f64 = 0.5 * GIB;

/// The memory that serving engines take for captured graphs; vLLM's log says 0.3 to 1 GiB.
const GRAPHS: f64 = 0.5 * GIB;

/// The share of the memory that serving engines use: the default of vLLM's `gpu_memory_utilization`, and of TensorRT-LLM's
/// `kv_cache_free_gpu_memory_fraction` of what weights leave.
const USED_BY_SERVING: f64 = 0.9;

/// The share of a unified memory that Metal lets the graphics processor take.
const USED_BY_METAL: f64 = 0.75;

/// Tokens of the largest pass of an engine that splits prompts: the default of vLLM's `max_num_batched_tokens`.
const TOKENS_OF_PASS: f64 = 8192.0;

/// The memory that a run needs on one GPU, bytes; in a pipeline, on the mean stage.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// The GPU's share of the parameters.
    pub weights: f64,
    /// Keys and values of the sequences that run.
    pub cache: f64,
    /// Tensors of the largest operation.
    pub activations: f64,
    /// The driver's context, the libraries' workspaces and captured graphs.
    pub workspace: f64,
    /// The memory of the device.
    pub card: f64,
    /// The part of it that the engine uses.
    pub usable: f64,
    /// Sequences of all copies of the model that fit, and at least one of each copy.
    pub most_sequences: usize,
}

impl Memory {
    /// The whole need, bytes.
    pub fn total(&self) -> f64 {
        self.weights + self.cache + self.activations + self.workspace
    }
}

/// The memory of each sequence, and the memory that does not depend on their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    weights: f64,
    workspace: f64,
    /// Activations that are reserved, whatever runs.
    reserved: f64,
    /// Activations of a sequence.
    of_sequence: f64,
    /// Keys and values of a sequence.
    cache: f64,
    /// Sequences of all copies for one of a copy.
    copies: f64,
    card: f64,
    usable: f64,
}

impl Needs {
    pub(super) fn of(model: Followed<'_>, device: &Device, engine: &Engine, request: &Request) -> Result<Self, Error> {
        let stages = request.parallel.pipeline.max(1) as f64;
        let size = Size::new(1, request.prompt.max(1));
        let prompt = model.pass(request, size)?;
        let largest = largest_operation(&prompt);
        let card = device.memory_gib * GIB;
        let cache = cache_of_sequence(model, engine, request)? / stages;
        let (reserved, of_sequence) = if engine.is_continuous && cache > 0.0 {
            (largest / request.prompt.max(1) as f64 * TOKENS_OF_PASS, 0.0)
        } else {
            (0.0, largest)
        };
        Ok(Self {
            weights: model.share_bytes(request, size)? as f64 / stages,
            workspace: if engine.is_continuous { CONTEXT + GRAPHS } else { CONTEXT },
            reserved,
            of_sequence,
            cache,
            copies: request.parallel.data.max(1) as f64,
            card,
            usable: card * used_share(device, engine),
        })
    }

    /// Sequences of all copies for which there is room.
    fn room(&self) -> f64 {
        let free = self.usable - self.weights - self.workspace - self.reserved;
        (free / (self.cache + self.of_sequence)).floor() * self.copies
    }

    /// Sequences that run at once at most: one of each copy, however full its memory is.
    pub(super) fn most_sequences(&self) -> f64 {
        self.room().max(self.copies)
    }

    /// Whether one sequence fits what the engine usually takes of the memory.
    pub(super) fn is_tight(&self) -> bool {
        self.room() < self.copies
    }

    /// Bytes that one sequence of a copy needs, and those of the device, where they are too few.
    pub(super) fn lacking(&self) -> Option<[f64; 2]> {
        let needed = self.with(self.copies).total();
        (needed > self.card).then_some([needed, self.card])
    }

    /// The memory with so many sequences running in all copies.
    pub(super) fn with(&self, sequences: f64) -> Memory {
        let of_copy = sequences / self.copies;
        Memory {
            weights: self.weights,
            cache: of_copy * self.cache,
            activations: self.reserved + of_copy * self.of_sequence,
            workspace: self.workspace,
            card: self.card,
            usable: self.usable,
            most_sequences: self.most_sequences() as usize,
        }
    }
}

fn used_share(device: &Device, engine: &Engine) -> f64 {
    match device.class {
        DeviceClass::Integrated => USED_BY_METAL,
        _ if engine.is_continuous => USED_BY_SERVING,
        _ => 1.0,
    }
}

/// Bytes of the largest operation's tensors beside weights and cache. In a model of several layers only their operations count: the head scores a
/// few tokens alone.
fn largest_operation(pass: &Pass) -> f64 {
    let has_layers = pass.works.iter().any(|(work, times)| work.kind == WorkKind::Product && *times > 1.0);
    let works = pass.works.iter().filter(|(_, times)| !has_layers || *times > 1.0);
    works.map(|(work, _)| work.other_bytes).fold(0.0, f64::max)
}

/// Bytes of the keys and values of a sequence on one GPU: at its end, or of its mean length where the engine takes room as sequences grow.
fn cache_of_sequence(model: Followed<'_>, engine: &Engine, request: &Request) -> Result<f64, Error> {
    let Some(shape) = model.cache(request.kernels)? else { return Ok(0.0) };
    let grown = if engine.is_continuous { request.generated.div_ceil(2) } else { request.generated };
    let tokens = request.prompt.saturating_add(grown);
    let shape = CacheShape::clone(&shape).shared_by(request.parallel.tensor);
    Ok(shape.bytes(tokens, request.precision) as f64)
}
