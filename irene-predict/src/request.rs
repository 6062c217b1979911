use irene_devices::{Device, DeviceClass, Engine, Vendor};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_requests::Load;
use irene_tree::{Format, Kernels, Parallel, Precision, Size};

use crate::{Error, passes::Followed};

/// A request to a model: prompt and generated tokens, how many requests run at once, and how the model runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Tokens of a prompt.
    pub prompt: usize,
    /// Tokens that are generated for it; 0 for a single pass.
    pub generated: usize,
    /// How many run at once.
    pub load: Load,
    /// The number formats.
    pub precision: Precision,
    /// How operations become kernels.
    pub kernels: Kernels,
    /// How the model is spread over GPUs.
    pub parallel: Parallel,
    /// The head above a pass that generates nothing; None for the usual one: that of a language model above decoders that are no embedding
    /// models.
    pub head: Option<TaskHead>,
}

impl Request {
    /// A request as most would serve it: in the formats and with the kernels that the engine takes for the model, on one GPU, with the usual
    /// head. The fields may be changed afterwards.
    ///
    /// # Errors
    /// [`Error::Model`] for a config whose number formats or cache cannot be told.
    pub fn new(
        spec: &ModelSpec,
        device: &Device,
        engine: &Engine,
        load: Load,
        prompt: usize,
        generated: usize,
    ) -> Result<Self, Error> {
        let precision = served_precision(spec, device, engine)?;
        let (kernels, parallel) = (engine.kernels, Parallel::default());
        Ok(Self { prompt, generated, load, precision, kernels, parallel, head: None })
    }

    /// The run of one pass of one copy of the model.
    pub(crate) fn run(&self, followed: Followed<'_>, size: Size) -> Result<Run, Error> {
        let generates = self.generated > 0;
        let usual = || {
            let is_scored = followed.cache(self.kernels)?.is_some() && !followed.spec.gives_no_tokens();
            Ok::<_, Error>(if is_scored { TaskHead::Lm } else { TaskHead::None })
        };
        let sequences = size.sequences.saturating_mul(self.parallel.data.max(1));
        Ok(Run {
            precision: self.precision,
            kernels: self.kernels,
            parallel: self.parallel,
            head: if generates { TaskHead::Lm } else { self.head.map_or_else(usual, Ok)? },
            keeps_cache: generates,
            ..Size { sequences, ..size }.into()
        })
    }
}

/// The engine that most would take: llama.cpp on processors and Apple's chips, transformers for models that generate nothing, else vLLM.
///
/// # Errors
/// [`Error::Model`] for a config whose cache cannot be told.
pub fn usual_engine(spec: &ModelSpec, device: &Device) -> Result<&'static Engine, Error> {
    let is_decoder = spec.cache(Kernels::Fused)?.is_some();
    let name = match (is_decoder, device.class, device.vendor) {
        (false, ..) => "transformers",
        (_, DeviceClass::Cpu, _) | (.., Vendor::Apple) => "llama.cpp",
        _ => "vllm",
    };
    Ok(Engine::find(name)?)
}

/// The formats that an engine serves a model in: its config's own; in place of 32 bits, 16 where a server runs it, or where the config of a
/// decoder does not say.
pub(crate) fn served_precision(spec: &ModelSpec, device: &Device, engine: &Engine) -> Result<Precision, Error> {
    let own = spec.config().precision()?;
    let is_served = !engine.starts_kernels_ahead();
    let (is_decoder, says) = (spec.cache(engine.kernels)?.is_some(), spec.config().has_precision());
    if says && own.activations != Format::F32 || !(is_served || is_decoder && !says) {
        return Ok(own);
    }
    let half = half(device);
    let weights = if own.weights == own.activations { half } else { own.weights };
    Ok(Precision { weights, ..Precision::of(half) })
}

/// The format of 16 bits that a device is used with.
pub(crate) fn half(device: &Device) -> Format {
    if device.peaks.bf16.is_some() { Format::BF16 } else { Format::F16 }
}

/// Engines that spread experts over GPUs spread attention over them too, where nothing is said of it.
pub(crate) fn with_shared_attention(parallel: Parallel) -> Parallel {
    let Parallel { tensor, expert, data, .. } = parallel;
    let is_shared = tensor == 1 && expert > data && expert.is_multiple_of(data.max(1));
    Parallel { tensor: if is_shared { expert / data.max(1) } else { tensor }, ..parallel }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_spread_with_experts_where_nothing_is_said_of_it() {
        let of = |tensor, data, expert| {
            let shared = with_shared_attention(Parallel { tensor, data, expert, ..Parallel::default() });
            (shared.tensor, shared.data, shared.expert)
        };
        assert_eq!((of(1, 1, 8), of(1, 2, 8), of(1, 8, 8)), ((8, 1, 8), (4, 2, 8), (1, 8, 8)));
        // Degrees that do not go together are left for the model to refuse.
        assert_eq!((of(2, 1, 8), of(1, 3, 8), of(8, 1, 8)), ((2, 1, 8), (1, 3, 8), (8, 1, 8)));
    }
}
