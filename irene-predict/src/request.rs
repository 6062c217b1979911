use irene_models::{ModelSpec, Run, TaskHead};
use irene_requests::Load;
use irene_tree::{Kernels, Parallel, Precision, Size};

use crate::Error;

/// What is asked of a model: prompts and tokens, how many at once, and how the model runs.
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
}

impl Request {
    /// The run of one pass of one copy of the model.
    pub(crate) fn run(&self, spec: &ModelSpec, size: Size) -> Result<Run, Error> {
        let generates = self.generated > 0;
        let sequences = size.sequences.saturating_mul(self.parallel.data.max(1));
        Ok(Run {
            precision: self.precision,
            kernels: self.kernels,
            parallel: self.parallel,
            head: if generates || spec.cache(self.kernels)?.is_some() { TaskHead::Lm } else { TaskHead::None },
            keeps_cache: generates,
            ..Size { sequences, ..size }.into()
        })
    }
}
