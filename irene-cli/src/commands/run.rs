use std::{
    collections::HashMap,
    fmt::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor as Candle};
use irene_models::{Batch, Cx, Model, ModelOutput, ModelSpec, OutputVisitor, Run, TaskHead, Tensor};
use irene_tree::{Kernels, Size, file_fault, render};

use super::{Usage, following, generate::generated, running::ModelArgs, size, text::TextArgs};
use crate::output;

/// Runs a model on candle: shapes, latency, tokens per second, and its outputs as a file
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene run ./my-bert --text 'The cat sat on the mat.' --repeat 20
  irene run bert-base-uncased --random-weights 1 --batch-size 1 --seq-len 32 --repeat 5
  irene run gpt2 --random-weights 1 --batch-size 1 --seq-len 32 --generate 10
  irene run ./my-bert --input in.safetensors --output out.safetensors --all")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    input: InputArgs,
    /// Write last_hidden_state, and pooler_output and sentence_embedding where there are
    #[arg(long, value_name = "OUT.safetensors")]
    output: Option<PathBuf>,
    /// With --output: every node's output too, as out.SCOPE
    #[arg(long, requires = "output")]
    all: bool,
    /// Timed runs, after one that is not timed
    #[arg(long, value_name = "N", default_value = "1", value_parser = size)]
    repeat: usize,
    /// Time the node-by-node path that tracing and measuring take, instead of the fused one
    #[arg(long)]
    traced: bool,
    /// Generate this many tokens after the prompt, each the likeliest (decoders); --output and --repeat are for single passes
    #[arg(long, value_name = "N", value_parser = size, conflicts_with_all = ["output", "repeat"])]
    generate: Option<usize>,
}

impl Args {
    fn kernels(&self) -> Kernels {
        if self.traced { Kernels::Eager } else { Kernels::Fused }
    }
}

#[derive(clap::Args)]
struct InputArgs {
    #[command(flatten)]
    text: TextArgs,
    /// A file with input_ids (i64) and, if there is padding, attention_mask
    #[arg(long, value_name = "IN.safetensors", conflicts_with_all = ["text", "text_file", "batch_size"])]
    input: Option<PathBuf>,
    /// Sequences in a made-up batch
    #[arg(short, long, value_name = "B", value_parser = size, requires = "seq_len")]
    batch_size: Option<usize>,
    /// Tokens in its sequences
    #[arg(short, long, value_name = "S", value_parser = size, requires = "batch_size")]
    seq_len: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let device = args.model.place.device()?;
    let spec = following::model(&args.model.model)?;
    let batch = batch(args, &spec, &device)?;
    // Report an input that does not fit before reading the weights.
    let head = if args.generate.is_some() { TaskHead::Lm } else { TaskHead::None };
    spec.trace(Run { head, generate: args.generate.unwrap_or(0), ..batch.size().into() })?;
    batch.check_ids(spec.name(), spec.vocab_size()?)?;
    let model = args.model.load(&spec, head, &device, None)?;
    if let Some(count) = args.generate {
        return output::print_text(&generated(&spec, model.as_ref(), &batch, count, args.kernels(), &device)?);
    }

    let (latencies, output) = timed(args, model.as_ref(), &batch, &device)?;
    if let Some(path) = &args.output {
        write_outputs(path, args.all, model.as_ref(), &batch, &output)?;
    }
    output::print_text(&report(&spec, &batch, &output, &latencies)?)
}

fn batch(args: &Args, spec: &ModelSpec, device: &Device) -> Result<Batch> {
    let input = &args.input;
    if let (Some(batch_size), Some(seq_len)) = (input.batch_size, input.seq_len) {
        let size = Size::new(batch_size, seq_len);
        // A size that does not fit is refused before there are tokens of it.
        spec.trace(size)?;
        return Ok(Batch::made_up(spec, size, device)?);
    }
    if let Some(path) = &input.input {
        return tensors(path, device);
    }
    if !input.text.is_given() {
        return Err(Usage(
            "a model runs on an input: give --text, --text-file, --input, or --batch-size and --seq-len".into(),
        )
        .into());
    }
    // A built-in model has its tokenizer where its weights are.
    let tokenizer = args.model.weights.as_deref().filter(|_| spec.is_builtin());
    let encoded = input.text.encode(spec, tokenizer)?;
    let encoded = if args.generate.is_some() { encoded.padded_left() } else { encoded };
    Ok(Batch::of_ids(encoded.ids, encoded.mask, encoded.size, device)?)
}

/// The batch in a safetensors file.
fn tensors(path: &Path, device: &Device) -> Result<Batch> {
    let origin = || path.display().to_string();
    let fault = || file_fault(path).map_or_else(origin, |fault| format!("{}: {fault}", origin()));
    let mut tensors = candle_core::safetensors::load(path, device).with_context(fault)?;
    let mut take = |name: &str| -> Result<Option<Tensor>> {
        let Some(tensor) = tensors.remove(name) else { return Ok(None) };
        let (dims, dtype) = (tensor.dims().to_vec(), tensor.dtype());
        ensure!(dims.len() == 2, "{}, tensor `{name}`: expected (batch, sequence), found {dims:?}", origin());
        ensure!(dtype == DType::I64, "{}, tensor `{name}`: expected I64, found {dtype:?}", origin());
        Ok(Some(Tensor::from_candle(tensor)?))
    };
    let input_ids = take("input_ids")?.with_context(|| format!("{}: no tensor `input_ids`", origin()))?;
    let attention_mask = take("attention_mask")?;
    if let Some(mask) = &attention_mask {
        ensure!(
            mask.shape() == input_ids.shape(),
            "{}, tensor `attention_mask`: expected {}, found {}",
            origin(),
            input_ids.shape(),
            mask.shape()
        );
    }
    Ok(Batch { attention_mask, ..Batch::of(input_ids) })
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

fn write_outputs(path: &Path, all: bool, model: &dyn Model, batch: &Batch, output: &ModelOutput) -> Result<()> {
    let mut tensors: HashMap<String, Candle> = HashMap::new();
    let mut add = |name: String, tensor: &Tensor| -> Result<()> {
        if let Some(tensor) = tensor.candle() {
            tensors.insert(name, tensor.contiguous()?.to_device(&Device::Cpu)?);
        }
        Ok(())
    };
    add("last_hidden_state".into(), &output.last_hidden_state)?;
    if let Some(pooled) = &output.pooler_output {
        add("pooler_output".into(), pooled)?;
    }
    if let Some(embedding) = &output.sentence_embedding {
        add("sentence_embedding".into(), embedding)?;
    }
    if all {
        let mut visitor = OutputVisitor::default();
        model.run(&mut Cx::visited(&mut visitor), batch)?;
        for (scope, tensor) in visitor.outputs() {
            add(format!("out.{scope}"), tensor)?;
        }
    }
    let bytes = safetensors::serialize(tensors, None)?;
    output::write_file(path, |writer| Ok(writer.write_all(&bytes)?))
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
    let median = sorted[sorted.len() / 2];
    writeln!(
        out,
        "latency            median {}, least {}, greatest {} of {} runs (measured)",
        seconds(median),
        seconds(sorted[0]),
        seconds(sorted[sorted.len() - 1]),
        sorted.len()
    )?;
    let tokens = batch.size().tokens() as f64;
    writeln!(out, "tokens per second  {:.0}", tokens / median)?;
    Ok(out)
}
