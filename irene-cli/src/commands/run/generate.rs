//! `irene run --generate`: a pass over the prompts, then a token a pass with a cache.

use std::time::Instant;

use anyhow::{Result, bail};
use candle_core::Device;
use irene_models::{Batch, Cache, Cx, Generator, Model, ModelSpec, Run, Sampling, TaskHead, TextEncoder, TextStream};
use irene_tree::{Precision, Size, render};

use super::{
    Args,
    file::GenerationTensors,
    generated::{Memory, Outcome},
    input::{Input, Reader},
};
use crate::{
    commands::{Usage, following, meters, numbers::size, trees::count},
    output,
};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("many_steps").args(["generate", "train"]))]
pub(super) struct GenerateArgs {
    /// Generate so many tokens after each prompt, fewer where an end-of-sequence token comes first (decoders)
    #[arg(long, value_name = "N", value_parser = size, conflicts_with_all = ["repeat", "train"])]
    generate: Option<usize>,
    /// Draw tokens at this temperature [default: 0, the likeliest token]
    #[arg(long, value_name = "T", requires = "generate", conflicts_with = "output", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw from the likeliest tokens that come to this share of probability [default: 1]
    #[arg(long, value_name = "P", requires = "temperature", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Draw from so many of the likeliest tokens [default: all]
    #[arg(long, value_name = "K", requires = "temperature")]
    top_k: Option<usize>,
    /// Seed of the draws [default: 0]
    #[arg(long, value_name = "SEED", requires = "temperature")]
    seed: Option<u64>,
    /// Never choose an end-of-sequence token, as for made-up prompts and --output
    #[arg(long, requires = "generate")]
    ignore_eos: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum GenerateFormat {
    Text,
    /// Every token's time too, or every step's
    Json,
}

impl GenerateArgs {
    /// The flags that say how tokens are chosen.
    pub(super) fn flags(&self) -> [(&'static str, bool); 5] {
        [
            ("--temperature", self.temperature.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--top-k", self.top_k.is_some()),
            ("--seed", self.seed.is_some()),
            ("--ignore-eos", self.ignore_eos),
        ]
    }

    pub(super) fn count(&self) -> Option<usize> {
        self.generate
    }

    fn sampling(&self) -> Result<Sampling> {
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(0.0),
            top_k: self.top_k,
            top_p: self.top_p.unwrap_or(1.0),
            seed: self.seed.unwrap_or(0),
        };
        sampling.check().map_err(|error| Usage(format!("--{error}")))?;
        Ok(sampling)
    }
}

pub(super) fn run(args: &Args, count: usize) -> Result<()> {
    let plan = Plan::new(args, count)?;
    let model = args.model.load(&plan.spec, TaskHead::Lm, &plan.device, None)?;
    let mut file = args.output.as_ref().map(|_| GenerationTensors::default());
    if let Some(file) = file.as_mut().filter(|_| args.all) {
        file.add_nodes(model.as_ref(), &plan.input.batch.clone().with_counted_positions()?)?;
    }
    let (outcome, cache) = plan.generate(args, model.as_ref(), file.as_mut())?;
    if let (Some(file), Some(path)) = (file, &args.output) {
        file.write(path)?;
    }
    let memory = Memory {
        weights: weight_bytes(args, &plan.spec)?,
        cache,
        room: plan.room,
        peak: irene_sampler::peak_memory(&meters::places()),
    };
    if args.is_json() { output::print(&outcome.json(&memory)) } else { output::print_text(&outcome.text(&memory)?) }
}

/// A generation before its weights are read.
struct Plan {
    spec: ModelSpec,
    device: Device,
    input: Input,
    sampling: Sampling,
    count: usize,
    /// Tokens of each sequence that the cache holds at last.
    room: usize,
    /// Tokens that end a sequence.
    ends: Vec<i64>,
    /// Tokens that are never chosen.
    excluded: Vec<i64>,
}

impl Plan {
    /// Reads the prompts, and refuses what does not fit.
    fn new(args: &Args, count: usize) -> Result<Self> {
        let sampling = args.generation.sampling()?;
        let device = args.model.place.device()?;
        let spec = following::model_to_run(&args.model.model)?;
        let reader = Reader { spec: &spec, files: args.files(&spec), device: &device, is_prompt: true };
        // The last token is not gone on from.
        let room = |size: Size| size.keys().saturating_add(count - 1);
        let input = args.input.read(reader, |size| {
            spec.trace(Run { head: TaskHead::Lm, generate: count, ..size.into() })?;
            check_memory(args, &spec, size.sequences, room(size))
        })?;
        let ends = spec.end_tokens(args.files(&spec).ok().as_ref())?;
        let ignores_ends = args.generation.ignore_eos || args.input.is_made_up() || args.output.is_some();
        let (ends, excluded) = if ignores_ends { (Vec::new(), ends) } else { (ends, Vec::new()) };
        let room = room(input.batch.size());
        Ok(Self { spec, device, input, sampling, count, room, ends, excluded })
    }

    /// Runs all steps, and shows the text as it comes; also the bytes of the cache.
    fn generate(
        &self,
        args: &Args,
        model: &dyn Model,
        mut file: Option<&mut GenerationTensors>,
    ) -> Result<(Outcome, u64)> {
        let batch = self.input.batch.clone();
        let mut outcome = Outcome::new(&self.spec, lens(&batch)?, self.count);
        let shows = !args.is_json();
        let mut texts = self.input.encoder.as_ref().map(|encoder| Texts::new(encoder, batch.sequences(), shows));
        let mut generator = Generator::new(model, batch)?
            .with_sampling(self.sampling)?
            .ending_at(self.ends.iter().copied())
            .excluding(self.excluded.iter().copied())
            .with_room(self.room);
        if file.is_some() {
            generator = generator.with_prompt_logits();
        }
        while outcome.steps() < self.count && !generator.has_ended() {
            let start = Instant::now();
            let step = generator.step(&mut Cx::silent().with_kernels(args.kernels()))?;
            outcome.add(start.elapsed().as_secs_f64(), &step.tokens, &self.ends);
            texts.iter_mut().try_for_each(|texts| texts.add(&step.tokens, &self.ends))?;
            file.iter_mut().try_for_each(|file| file.add(&step))?;
        }
        outcome.texts = texts.map(Texts::finish).transpose()?;
        Ok((outcome, generator.next().cache.as_ref().map_or(0, Cache::bytes)))
    }
}

/// Tokens of each prompt.
fn lens(prompts: &Batch) -> Result<Vec<usize>> {
    let size = prompts.size();
    match prompts.attention_mask.as_ref().and_then(irene_models::Tensor::candle) {
        Some(mask) => Ok(mask.to_vec2::<i64>()?.iter().map(|row| row.iter().sum::<i64>() as usize).collect()),
        None => Ok(vec![size.new; size.sequences]),
    }
}

/// Bytes of the weights: those of a GGUF file stay in its blocks, others and random ones are in the format of `--dtype`.
fn weight_bytes(args: &Args, spec: &ModelSpec) -> Result<u64> {
    let place = args.model.place.precision();
    let own = spec.config().precision().ok().filter(|_| args.model.random_weights.is_none());
    let blocks = own.map(|own| own.weights).filter(|weights| !weights.holds_activations());
    let precision = Precision { weights: blocks.unwrap_or(place.weights), ..place };
    Ok(spec.share_bytes(Run { head: TaskHead::Lm, precision, ..Size::new(1, 1).into() })?)
}

/// Refuses a cache that does not fit in memory beside the weights, where it is known how much there is.
fn check_memory(args: &Args, spec: &ModelSpec, sequences: usize, room: usize) -> Result<()> {
    let precision = args.model.place.precision();
    let available = irene_sampler::available_memory(&meters::places()).filter(|_| args.model.place.is_on_cpu());
    let cache = spec.cache_bytes(sequences, room, precision)?;
    let (Some(available), Some(cache)) = (available, cache) else { return Ok(()) };
    let weights = weight_bytes(args, spec)?;
    if weights.saturating_add(cache) <= available {
        return Ok(());
    }
    let [weights, cache, available] = [weights, cache, available].map(|bytes| render::bytes(bytes as f64));
    bail!(
        "{}: the cache of {} of {} takes {cache} beside {weights} of weights, and {available} of memory are available; fewer \
         sequences, fewer tokens or --dtype bf16 take less",
        spec.name(),
        count(sequences, "sequence"),
        count(room, "token"),
    )
}

/// The generated texts; a single one is printed as it comes.
struct Texts<'e> {
    streams: Vec<TextStream<'e>>,
    texts: Vec<String>,
    is_live: bool,
}

impl<'e> Texts<'e> {
    fn new(encoder: &'e TextEncoder, sequences: usize, may_print: bool) -> Self {
        Self {
            streams: (0..sequences).map(|_| encoder.stream()).collect(),
            texts: vec![String::new(); sequences],
            is_live: may_print && sequences == 1,
        }
    }

    fn add(&mut self, tokens: &[Option<i64>], ends: &[i64]) -> Result<()> {
        for (place, token) in tokens.iter().enumerate() {
            if let Some(token) = token.filter(|token| !ends.contains(token)) {
                let text = self.streams[place].push(token)?;
                self.show(place, &text)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, place: usize, text: &str) -> Result<()> {
        self.texts[place] += text;
        if self.is_live && !text.is_empty() { output::print(text) } else { Ok(()) }
    }

    /// The whole texts, if they are still to be printed.
    fn finish(mut self) -> Result<Vec<String>> {
        for (place, stream) in std::mem::take(&mut self.streams).into_iter().enumerate() {
            self.show(place, &stream.finish()?)?;
        }
        if self.is_live {
            output::print("\n\n")?;
            self.texts.clear();
        }
        Ok(self.texts)
    }
}
