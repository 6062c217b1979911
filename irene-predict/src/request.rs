use irene_models::{Run, TaskHead};
use irene_requests::Load;
use irene_tree::{Kernels, Parallel, Precision, Size};

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
