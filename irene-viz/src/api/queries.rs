//! The parameters of requests. Each is named, described and bounded in one place.

use std::ops::RangeInclusive;

use axum::http::StatusCode;
use irene_models::{ModelSpec, Run, TaskHead};
use irene_regress::Track;
use irene_tree::{Kernels, Precision, Size};

use super::{
    fields::{Fields, FromFields},
    kinds::{Formats, Known, Word},
    numbers::Whole,
};
use crate::{app::App, problem::Problem};

/// No parameters.
pub(crate) struct Nothing;

impl FromFields for Nothing {
    fn read(_: &mut Fields<'_>) -> Result<Self, Problem> {
        Ok(Self)
    }
}

fn models(_: &App) -> Vec<String> {
    ModelSpec::builtin_names().collect()
}

impl Fields<'_> {
    pub(crate) fn model_if_any(&mut self) -> Result<Option<String>, Problem> {
        self.optional("model", "A built-in model's name.", Known(models))
    }

    pub(crate) fn batch_sizes(&self) -> RangeInclusive<usize> {
        1..=self.app.limits.batch_size
    }

    pub(crate) fn seq_lens(&self) -> RangeInclusive<usize> {
        1..=self.app.limits.seq_len
    }

    pub(crate) fn model(&mut self) -> Result<String, Problem> {
        self.required("model", "A built-in model's name.", Known(models))
    }

    /// The parameter `generate`.
    pub(crate) fn generate(&mut self) -> Result<Option<usize>, Problem> {
        let about = "Tokens of each sequence that are generated after the prompt; by default 0, a single pass.";
        self.optional("generate", about, Whole(0..=self.app.limits.seq_len))
    }

    /// The parameters `batch_size` and `seq_len`.
    pub(crate) fn size(&mut self) -> Result<Size, Problem> {
        let sequences = self.required("batch_size", "Sequences in the batch.", Whole(self.batch_sizes()))?;
        Ok(Size::new(sequences, self.required("seq_len", "Tokens in a sequence.", Whole(self.seq_lens()))?))
    }
}

pub(super) const KERNELS: [(&str, Kernels); 2] = [("eager", Kernels::Eager), ("fused", Kernels::Fused)];

pub(super) const HEADS: [(&str, TaskHead); 3] =
    [("none", TaskHead::None), ("lm", TaskHead::Lm), ("classification", TaskHead::Classification)];

/// The tree of a built-in model.
pub(crate) struct TraceQuery {
    pub(crate) model: String,
    size: Size,
    past_len: usize,
    generate: usize,
    /// The config's own formats by default.
    dtype: Option<Precision>,
    kernels: Kernels,
    head: Option<TaskHead>,
    math: bool,
}

impl FromFields for TraceQuery {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let most = fields.app.limits.seq_len;
        let past_len = "Tokens of each sequence that are in the cache already; 0 by default.";
        let dtype = "The number formats: one for all, or of weights, activations and cache with commas between them; by default the \
                     config's, or f32.";
        let kernels = "How operations become kernels; eager by default.";
        let head = "The head on top of the trunk; none by default, and lm where tokens are generated.";
        let query = Self {
            model: fields.model()?,
            size: fields.size()?,
            past_len: fields.optional("past_len", past_len, Whole(0..=most))?.unwrap_or(0),
            generate: fields.generate()?.unwrap_or(0),
            dtype: fields.optional("dtype", dtype, Formats)?,
            kernels: fields.optional("kernels", kernels, Word(&KERNELS))?.unwrap_or_default(),
            head: fields.optional("head", head, Word(&HEADS))?,
            math: fields.shows_math()?,
        };
        if query.generate > 0 && query.head.is_some_and(|head| head != TaskHead::Lm) {
            let detail = "head: works only with single passes; what is generated comes from the language model's head";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).about("head"));
        }
        Ok(query)
    }
}

impl TraceQuery {
    /// The run that is asked for.
    pub(crate) fn run(&self, spec: &ModelSpec) -> Result<Run, Problem> {
        let precision = match self.dtype {
            Some(asked) => asked,
            None => spec.config().precision().map_err(|error| Problem::refused(&error))?,
        };
        let Self { size, past_len, generate, kernels, math: shows_math, .. } = *self;
        let head = self.head.unwrap_or_default();
        Ok(Run { precision, kernels, head, generate, shows_math, ..size.after(past_len).into() })
    }
}

/// How measured trees are predicted.
pub(crate) struct TreesQuery {
    pub(crate) device: Option<String>,
    pub(crate) method: Track,
}

const METHODS: [(&str, Track); 3] =
    [("measured", Track::Measured), ("primitives", Track::Primitives), ("specs", Track::Specs)];

impl FromFields for TreesQuery {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        let device =
            fields.optional("device", "A measured machine's name; the first by default.", Known(App::device_names))?;
        let method = "What was measured: every node's latency and driver energy (measured), those of the primitives (primitives), or \
                      nothing (specs, the default).";
        let method = fields.optional("method", method, Word(&METHODS))?.unwrap_or(Track::Specs);
        Ok(Self { device, method })
    }
}
