//! How a model is followed by shape: for every command that traces or predicts one.

use std::path::Path;

use anyhow::Result;
use irene_models::{ModelSpec, Run, TaskHead};
use irene_tree::{Kernels, Parallel, Precision, Size};

use super::{
    numbers::{gpus, size, size_or_zero},
    refuse, usage,
};
use crate::{input, output};

/// The input size.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct SizeArgs {
    /// Sequences in the batch
    #[arg(short, long, visible_alias = "sequences", value_name = "B", allow_negative_numbers = true, value_parser = size)]
    batch_size: usize,
    /// Tokens in a sequence
    #[arg(short, long, visible_alias = "prompt", value_name = "S", allow_negative_numbers = true, value_parser = size)]
    seq_len: usize,
}

impl SizeArgs {
    #[cfg(feature = "candle")]
    pub(crate) fn size(self) -> Size {
        Size::new(self.batch_size, self.seq_len)
    }
}

/// Input sizes: every batch size with every length.
#[derive(clap::Args, Clone)]
pub(crate) struct SizesArgs {
    /// Sequences in the batch; several with commas between (1,8,32)
    #[arg(short, long, visible_alias = "sequences", value_name = "B", value_delimiter = ',', allow_negative_numbers = true, value_parser = size)]
    pub(crate) batch_size: Vec<usize>,
    /// Tokens in a sequence; several with commas between [default with --past: 1]
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_delimiter = ',', allow_negative_numbers = true, value_parser = size)]
    pub(crate) seq_len: Vec<usize>,
}

impl SizesArgs {
    /// Those that are asked for, after so many tokens in the cache; an error that tells the flags if there are none.
    pub(crate) fn sizes(&self, past: usize, or: &str) -> Result<Vec<Size>> {
        // After a cache comes a single step.
        let step: &[usize] = if past > 0 { &[1] } else { &[] };
        let lens = if self.seq_len.is_empty() { step } else { &self.seq_len };
        if self.batch_size.is_empty() || lens.is_empty() {
            return usage(format!("the size is missing: give --batch-size and --seq-len{or}"));
        }
        let of = |&batch: &usize| lens.iter().map(move |&len| Size::new(batch, len));
        Ok(self.batch_size.iter().flat_map(of).collect())
    }

    /// The flags that are given.
    pub(crate) fn flags(&self) -> [(&'static str, bool); 2] {
        [("--batch-size", !self.batch_size.is_empty()), ("--seq-len", !self.seq_len.is_empty())]
    }
}

/// Refuses a number where a model is expected: it belongs to the option before it.
pub(crate) fn refuse_numbers(models: &[String]) -> Result<()> {
    match models.iter().find(|model| model.parse::<u64>().is_ok() && !Path::new(model).exists()) {
        Some(number) => {
            let words = format!(
                "`{number}` is no model; several sizes stand in one option, with commas between: -b 1,{number}"
            );
            usage(words)
        }
        None => Ok(()),
    }
}

/// The settings of a pass beside its size.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct PassArgs {
    /// Tokens of each sequence that are in the cache already, for decoders [default: 0]
    #[arg(long, value_name = "P", value_parser = size_or_zero)]
    pub(crate) past: Option<usize>,
    /// How operations become kernels [default: eager; on a data sheet the engine's]
    #[arg(long, value_enum)]
    kernels: Option<KernelsName>,
    /// The head on top of the trunk [default: none; lm where tokens are generated, and on a data sheet for decoders]
    #[arg(long, value_enum)]
    head: Option<HeadName>,
}

/// The other settings of a run.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pass: PassArgs,
    /// Tokens of each sequence that are generated after the prompt, for decoders; 0 for a single pass
    #[arg(long, value_name = "N", value_parser = size_or_zero, conflicts_with = "past")]
    pub(crate) generate: Option<usize>,
    /// Number formats: bf16 for all, or weights and activations as in q4_k,f16 [default: the config's, or f32; in 16 bits where an
    /// engine serves it from a data sheet]
    #[arg(long, value_name = "FORMAT", value_parser = str::parse::<Precision>)]
    pub(crate) dtype: Option<Precision>,
}

/// How the run is spread over GPUs.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct ParallelArgs {
    /// GPUs that share every layer [default: 1]
    #[arg(long, value_name = "GPUS", value_parser = gpus)]
    tensor_parallel: Option<usize>,
    /// Stages, each with a part of the layers [default: 1]
    #[arg(long, value_name = "STAGES", value_parser = gpus)]
    pipeline_parallel: Option<usize>,
    /// GPUs of a stage that experts are spread over [default: 1]
    #[arg(long, value_name = "GPUS", value_parser = gpus)]
    expert_parallel: Option<usize>,
    /// Copies of the model, each with a part of the batch [default: 1]
    #[arg(long, value_name = "COPIES", value_parser = gpus)]
    data_parallel: Option<usize>,
}

impl ParallelArgs {
    pub(crate) fn parallel(self) -> Parallel {
        Parallel {
            tensor: self.tensor_parallel.unwrap_or(1),
            pipeline: self.pipeline_parallel.unwrap_or(1),
            expert: self.expert_parallel.unwrap_or(1),
            data: self.data_parallel.unwrap_or(1),
        }
    }

    /// The flags that are given.
    pub(crate) fn flags(&self) -> [(&'static str, bool); 4] {
        [
            ("--tensor-parallel", self.tensor_parallel.is_some()),
            ("--pipeline-parallel", self.pipeline_parallel.is_some()),
            ("--expert-parallel", self.expert_parallel.is_some()),
            ("--data-parallel", self.data_parallel.is_some()),
        ]
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum KernelsName {
    /// Operation by operation, as transformers runs them
    Eager,
    /// Attention, products with their bias and activation, sums with their norm as a kernel each
    Fused,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum HeadName {
    None,
    /// A score for each token of the vocabulary, at every position
    Lm,
    /// A score for each of the config's classes
    Classification,
}

impl PassArgs {
    /// The pass over so many tokens of so many sequences.
    pub(crate) fn run(self, size: Size) -> Run {
        Run {
            kernels: self.kernels().unwrap_or_default(),
            head: self.head().unwrap_or_default(),
            ..size.after(self.past()).into()
        }
    }

    /// Adds what is not usual to the settings of a measurement.
    #[cfg(feature = "candle")]
    pub(crate) fn describe(self, settings: &mut serde_json::Value) {
        let run = self.run(Size::new(1, 1));
        if run.kernels != Kernels::default() {
            settings["kernels"] = run.kernels.name().into();
        }
        if run.head != TaskHead::default() {
            settings["head"] = run.head.name().into();
        }
    }

    /// Tokens that are in the cache already.
    pub(crate) fn past(self) -> usize {
        self.past.unwrap_or(0)
    }

    pub(crate) fn kernels(self) -> Option<Kernels> {
        self.kernels.map(|name| match name {
            KernelsName::Eager => Kernels::Eager,
            KernelsName::Fused => Kernels::Fused,
        })
    }

    pub(crate) fn head(self) -> Option<TaskHead> {
        self.head.map(TaskHead::from)
    }
}

impl From<HeadName> for TaskHead {
    fn from(name: HeadName) -> Self {
        match name {
            HeadName::None => Self::None,
            HeadName::Lm => Self::Lm,
            HeadName::Classification => Self::Classification,
        }
    }
}

impl RunArgs {
    /// The run of a model at a size, in the formats that its config says unless the flag says others.
    pub(crate) fn run(&self, spec: &ModelSpec, size: Size, shows_math: bool) -> Result<Run> {
        let precision = self.dtype.map_or_else(|| spec.config().precision(), Ok)?;
        let generate = self.generate.unwrap_or(0);
        let is_other = self.pass.head().is_some_and(|head| head != TaskHead::Lm);
        let single = "single passes; what is generated comes from the language model's head";
        refuse(generate > 0, single, &[("--head", is_other)])?;
        Ok(Run { precision, generate, shows_math, ..self.pass.run(size) })
    }

    /// The flags that are given.
    pub(crate) fn flags(&self) -> [(&'static str, bool); 5] {
        [
            ("--past", self.pass.past.is_some()),
            ("--generate", self.generate.is_some()),
            ("--dtype", self.dtype.is_some()),
            ("--kernels", self.pass.kernels.is_some()),
            ("--head", self.pass.head.is_some()),
        ]
    }
}

/// The model that the command line names: a path, a built-in name, an id in the cache, or `-` for a config on the standard input.
/// Tells the user what was taken for granted.
pub(crate) fn model(name_or_path: &str) -> Result<ModelSpec> {
    let spec = match name_or_path {
        stream if input::is_stream(Path::new(stream)) => {
            let (origin, reader) = input::open(Path::new(stream))?;
            ModelSpec::from_reader(&origin, reader)?
        }
        name_or_path => ModelSpec::find(name_or_path)?,
    };
    spec.notes().iter().for_each(|note| output::tell(note));
    Ok(spec)
}

/// The same, for a command that runs the model.
#[cfg(feature = "candle")]
pub(crate) fn model_to_run(name_or_path: &str) -> Result<ModelSpec> {
    let spec = model(name_or_path)?;
    spec.check_run()?;
    Ok(spec)
}

/// Tells the user when a decoder's head is left out by default.
pub(crate) fn tell_what_is_left_out(spec: &ModelSpec, run: Run) -> Result<()> {
    if let Some(share) = spec.left_out_head(run)? {
        output::tell(&format!(
            "the language model's head is left out, {:.0}% of the FLOPs that are counted; --head lm counts it",
            100.0 * share
        ));
    }
    Ok(())
}
