use irene_devices::{Device, Engine};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_requests::Load;
use irene_tree::{Kernels, Parallel, Precision, Size};

use crate::{Error, passes::Followed, service::served_precision};

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
