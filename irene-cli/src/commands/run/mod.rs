//! `irene run`: a model on candle, in single passes, generating, or in steps of training.

mod file;
mod generate;
mod generated;
mod input;
mod train;

use std::{fmt::Write, path::PathBuf, time::Instant};

use anyhow::Result;
use candle_core::Device;
use irene_models::{Batch, Cx, Model, ModelFiles, ModelOutput, ModelSpec, TaskHead, Tensor};
use irene_numerics::quantile;
use irene_tree::{Kernels, Size, render};

use self::input::Reader;
use super::{following, numbers::size, refuse, running::ModelArgs, trees::count};
use crate::output;

/// Runs a model: latency, outputs, generated text or training
///
/// The model runs on candle, on this machine. One pass shows shapes and latency; --generate continues texts; --train
/// makes steps of training.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene run ./my-bert --text 'The cat sat on the mat.' --repeat 20
  irene run bert-base-uncased --random-weights 1 --batch-size 1 --seq-len 32 --repeat 5
  irene run ./my-gpt2 --text 'The cat sat' --generate 20
  irene run ./my-gpt2 --text-file prompts.txt --generate 20 --temperature 0.8 --top-p 0.95
  irene run ./my-gpt2 --text 'The cat sat' --chat --generate 20
  irene run gpt2 --random-weights 1 --sequences 8 --prompt 32 --generate 10
  irene run google/bert_uncased_L-2_H-128_A-2 --train --random-weights 1 --steps 20 -b 4 -s 32
  irene run ./my-bert --input in.safetensors --output out.safetensors --all")]
pub(crate) struct Args {
    #[command(flatten)]
    input: input::InputArgs,
    #[command(flatten)]
    generation: generate::GenerateArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// With --output: every node's output too, as out.SCOPE
    #[arg(long, requires = "output")]
    all: bool,
    /// Timed runs, after one that is not timed
    #[arg(long, value_name = "N", default_value = "1", value_parser = size, conflicts_with = "train")]
    repeat: usize,
    /// Time the node-by-node path that tracing and measuring take, instead of the fused one
    #[arg(long, conflicts_with = "train")]
    traced: bool,
    #[command(flatten)]
    train: train::TrainArgs,
    /// How tokens, or losses, and figures are printed [default: text]
    #[arg(long, value_enum, requires = "many_steps")]
    format: Option<generate::GenerateFormat>,
    /// Write last_hidden_state, and pooler_output and sentence_embedding where there are; with --generate also the
    /// prompt's logits, generated (i64) and step_logits (sequences, tokens, vocabulary), and no end-of-sequence token
    /// is chosen
    #[arg(short, long, value_name = "OUT.safetensors", conflicts_with = "train", value_parser = output::file())]
    output: Option<PathBuf>,
}

impl Args {
    /// Refuses flags without effect. Where what a flag requires conflicts with another one, clap takes it.
    fn check(&self) -> Result<()> {
        self.input.check()?;
        refuse(self.generation.count().is_none(), "--generate", &self.generation.flags())?;
        refuse(self.train.training().is_none(), "--train", &self.train.flags())
    }

    fn is_json(&self) -> bool {
        self.format == Some(generate::GenerateFormat::Json)
    }

    fn kernels(&self) -> Kernels {
        if self.traced { Kernels::Eager } else { Kernels::Fused }
    }

    /// The model's other files, which a built-in model has where its weights are.
    fn files(&self, spec: &ModelSpec) -> irene_models::Result<ModelFiles> {
        let weights = self.model.weights.as_deref().filter(|_| spec.is_builtin());
        weights.map_or_else(|| spec.files(), ModelFiles::find)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    args.check()?;
    if let Some(training) = args.train.training() {
        return train::run(args, training);
    }
    if let Some(count) = args.generation.count() {
        return generate::run(args, count);
    }
    let device = args.model.place.device()?;
    let spec = following::model_to_run(&args.model.model)?;
    let reader = Reader { spec: &spec, files: args.files(&spec), device: &device, is_prompt: false };
    // Report an input that does not fit before reading the weights.
    let batch = args.input.read(reader, |size| Ok(spec.trace(size).map(drop)?))?.batch;
    let model = args.model.load(&spec, TaskHead::None, &device, None)?;
    let (latencies, output) = timed(args, model.as_ref(), &batch, &device)?;
    if let Some(path) = &args.output {
        let mut tensors = file::Tensors::default();
        tensors.add_output(&output)?;
        if args.all {
            tensors.add_nodes(model.as_ref(), &batch)?;
        }
        tensors.write(path)?;
    }
    output::print_text(&report(&spec, &batch, &output, &latencies)?)
}

/// Seconds of each timed run, and the last output.
fn timed(args: &Args, model: &dyn Model, batch: &Batch, device: &Device) -> Result<(Vec<f64>, ModelOutput)> {
    let bar = output::progress(args.repeat as u64, "runs");
    let run = || model.run(&mut Cx::silent().with_kernels(args.kernels()), batch);
    let mut output = run()?;
    device.synchronize()?;
    let mut latencies = Vec::with_capacity(args.repeat);
    for _ in 0..args.repeat {
        let start = Instant::now();
        output = run()?;
        device.synchronize()?;
        latencies.push(start.elapsed().as_secs_f64());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((latencies, output))
}

fn report(spec: &ModelSpec, batch: &Batch, output: &ModelOutput, latencies: &[f64]) -> Result<String> {
    let Size { sequences, new, .. } = batch.size();
    let mut out = format!("{}, batch {sequences}, sequence {new}\n", spec.name());
    let mut shape = |name: &str, tensor: &Tensor| writeln!(out, "{name:18} {} {}", tensor.shape(), tensor.format());
    shape("last_hidden_state", &output.last_hidden_state)?;
    if let Some(pooled) = &output.pooler_output {
        shape("pooler_output", pooled)?;
    }
    if let Some(embedding) = &output.sentence_embedding {
        shape("sentence_embedding", embedding)?;
    }
    let mut sorted = latencies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let seconds = |value: f64| render::si(value, "s");
    let Some(median) = quantile(&sorted, 0.5) else { return Ok(out) };
    writeln!(
        out,
        "latency            median {}, least {}, greatest {} of {} (measured)",
        seconds(median),
        seconds(sorted[0]),
        seconds(sorted[sorted.len() - 1]),
        count(sorted.len(), "run")
    )?;
    let tokens = batch.size().tokens() as f64;
    writeln!(out, "tokens per second  {:.0}", tokens / median)?;
    Ok(out)
}
