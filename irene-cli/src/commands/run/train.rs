//! `irene run --train`: steps of training, on made-up sequences to be learned by heart or on those that are given.

use std::{fmt::Write, time::Instant};

use anyhow::{Result, bail};
use candle_core::Device;
use irene_models::{ByHeart, Gradients, ModelSpec, NewHead, RandomWeights, Run, TaskHead, Trainer};
use irene_numerics::median;
use irene_tree::{Size, Training, render};
use serde_json::{Map, Value, json};

use super::{Args, input::Reader};
use crate::{
    commands::{following, meters, numbers::size, training::TrainingArgs},
    output,
};

#[derive(clap::Args)]
pub(super) struct TrainArgs {
    /// The head, which decides the loss: lm or classification [default: lm where the model has it]
    #[arg(long, value_name = "HEAD", value_parser = head, requires = "train")]
    head: Option<TaskHead>,
    #[command(flatten)]
    step: TrainingArgs,
    /// Steps that are run [default: 20]
    #[arg(long, value_name = "N", value_parser = size, requires = "train")]
    steps: Option<usize>,
    /// The learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", requires = "train", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
}

fn head(word: &str) -> Result<TaskHead, String> {
    let heads = [TaskHead::Lm, TaskHead::Classification];
    let found = heads.into_iter().find(|head| head.name() == word);
    found.ok_or_else(|| "a loss is that of lm or of classification".into())
}

impl TrainArgs {
    /// The flags that say how steps run.
    pub(super) fn flags(&self) -> Vec<(&'static str, bool)> {
        let own = [
            ("--head", self.head.is_some()),
            ("--steps", self.steps.is_some()),
            ("--learning-rate", self.learning_rate.is_some()),
        ];
        [&self.step.flags()[..], &own].concat()
    }

    pub(super) fn training(&self) -> Option<Training> {
        self.step.training()
    }
}

pub(super) fn run(args: &Args, training: Training) -> Result<()> {
    let plan = Plan::new(args, training)?;
    let (mut trainer, made_up) = plan.trainer(args)?;
    let shows = !args.is_json();
    if shows {
        output::print(&plan.opening(args, &trainer, &made_up)?)?;
    }
    let mut steps = Vec::with_capacity(plan.steps);
    for number in 1..=plan.steps {
        let step = plan.step(&mut trainer)?;
        if !step.loss.is_finite() {
            bail!("step {number}: the loss is {}; a lower --learning-rate may keep it finite", step.loss);
        }
        if shows {
            let seconds = render::si(step.seconds(), "s");
            output::print(&format!("step {number:<14}loss {:.4}, {seconds}\n", step.loss))?;
        }
        steps.push(step);
    }
    let peak = irene_sampler::peak_memory(&meters::places());
    if shows {
        output::print_text(&plan.closing(&steps, &trainer, peak)?)
    } else {
        output::print(&plan.json(args, &steps, &trainer, &made_up, peak))
    }
}

/// Training before its weights are read.
struct Plan {
    spec: ModelSpec,
    device: Device,
    training: Training,
    head: TaskHead,
    learning_rate: f64,
    steps: usize,
    size: Size,
    task: ByHeart,
    seed: u64,
    is_made_up: bool,
}

/// A step that has run.
struct Step {
    /// Before the update, the mean of its micro-batches.
    loss: f64,
    /// Seconds of the forward passes, the backward passes and the update.
    phases: [f64; 3],
}

impl Step {
    fn seconds(&self) -> f64 {
        self.phases.iter().sum()
    }
}

const PHASES: [&str; 3] = ["forward", "backward", "update"];

impl Plan {
    fn new(args: &Args, training: Training) -> Result<Self> {
        let device = args.model.place.device()?;
        let spec = following::model_to_run(&args.model.model)?;
        let head = spec.training_head(args.train.head.unwrap_or_default())?;
        let seed = args.model.random_weights.unwrap_or(0);
        let reader = Reader { spec: &spec, files: args.files(&spec), device: &device, is_prompt: false };
        let input = args.input.read(reader, |size| check_memory(args, &spec, head, training, size))?;
        let (size, is_made_up) = (input.batch.size(), args.input.is_made_up());
        let task = if is_made_up {
            ByHeart::new(&spec, head, size, training.accumulate, seed, &device)?
        } else {
            ByHeart::of(&spec, head, vec![input.batch; training.accumulate], seed, &device)?
        };
        let learning_rate = args.train.learning_rate.unwrap_or(1e-3);
        let steps = args.train.steps.unwrap_or(20);
        Ok(Self { spec, device, training, head, learning_rate, steps, size, task, seed, is_made_up })
    }

    /// The trainer, and the keys of the parameters that the files do not have.
    fn trainer(&self, args: &Args) -> Result<(Trainer, Vec<String>)> {
        let Self { spec, device, training, head, learning_rate, seed, .. } = self;
        let source = args.model.source(spec, *head, device, None)?;
        let made_up = RandomWeights { seed: *seed, dtype: args.model.place.dtype(), device: device.clone() };
        let source = NewHead::over(source.as_ref(), spec, made_up);
        Ok((Trainer::new(spec, &source, *head, *training, *learning_rate, *seed)?, source.keys()))
    }

    fn step(&self, trainer: &mut Trainer) -> Result<Step> {
        let (mut loss, mut phases, mut sum) = (0.0, [0.0; 3], None::<Gradients>);
        let mut timed = |phase: usize, start: Instant| {
            self.device.synchronize()?;
            phases[phase] += start.elapsed().as_secs_f64();
            Ok::<_, anyhow::Error>(())
        };
        for (batch, targets) in self.task.batches() {
            let start = Instant::now();
            let graph = trainer.forward(batch, targets)?;
            loss += graph.value()? / self.training.accumulate as f64;
            timed(0, start)?;
            let start = Instant::now();
            let newest = trainer.backward(&graph)?;
            match &mut sum {
                Some(sum) => sum.add(&newest)?,
                None => sum = Some(newest),
            }
            timed(1, start)?;
        }
        let start = Instant::now();
        if let Some(gradients) = sum {
            trainer.update(&gradients.averaged(self.training.accumulate)?)?;
        }
        timed(2, start)?;
        Ok(Step { loss, phases })
    }

    /// The task in words.
    fn task(&self) -> String {
        let what = match (self.head, self.task.is_causal()) {
            (TaskHead::Classification, _) => "the class of each, drawn",
            (_, true) => "each next token",
            (_, false) => "hidden tokens, about one of seven",
        };
        let sequences = if self.is_made_up { "random sequences" } else { "the sequences given" };
        format!("{sequences} by heart: {what} (seed {})", self.seed)
    }

    fn opening(&self, args: &Args, trainer: &Trainer, made_up: &[String]) -> Result<String> {
        let [device, dtype] = args.model.place.names();
        let Size { sequences, new, .. } = self.size;
        let mut out = format!("{}, batch {sequences}, sequence {new}, {}\n", self.spec.name(), self.training);
        writeln!(out, "task               {}", self.task())?;
        writeln!(out, "device             {device}, {dtype}")?;
        writeln!(out, "learning rate      {}", self.learning_rate)?;
        writeln!(out, "trained            {} parameters", render::si(parameters(trainer) as f64, "").trim_end())?;
        if !made_up.is_empty() {
            writeln!(out, "not in the files   {}: made up from seed {}", made_up.join(", "), self.seed)?;
        }
        Ok(out)
    }

    fn closing(&self, steps: &[Step], trainer: &Trainer, peak: Option<u64>) -> Result<String> {
        let mut out = String::new();
        if let [first, .., last] = steps {
            writeln!(out, "loss               {:.4} to {:.4}", first.loss, last.loss)?;
        }
        let median = |of: &dyn Fn(&Step) -> f64| median(steps.iter().map(of)).unwrap_or(f64::NAN);
        let seconds = |of: &dyn Fn(&Step) -> f64| render::si(median(of), "s");
        writeln!(out, "time of a step     {} (measured, median)", seconds(&Step::seconds))?;
        for (at, name) in PHASES.iter().enumerate() {
            writeln!(out, "  {name:<17}{}", seconds(&|step| step.phases[at]))?;
        }
        let tokens = (self.size.tokens() * self.training.accumulate) as f64;
        writeln!(out, "tokens per second  {:.0}", tokens / median(&Step::seconds))?;
        writeln!(out, "optimizer states   {}", render::bytes(trainer.state_bytes() as f64))?;
        if let Some(peak) = peak {
            writeln!(out, "peak memory        {} (measured)", render::bytes(peak as f64))?;
        }
        Ok(out)
    }

    fn json(&self, args: &Args, steps: &[Step], trainer: &Trainer, made_up: &[String], peak: Option<u64>) -> String {
        let [device, dtype] = args.model.place.names();
        let of = |value: &dyn Fn(&Step) -> f64| Value::from(steps.iter().map(value).collect::<Vec<f64>>());
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        add("model_name", self.spec.name().into());
        add("batch_size", self.size.sequences.into());
        add("seq_len", self.size.new.into());
        add("training", json!(self.training));
        add("head", self.head.name().into());
        add("learning_rate", self.learning_rate.into());
        add("task", self.task().into());
        add("device", device.into());
        add("dtype", dtype.into());
        add("trained_parameters", parameters(trainer).into());
        if !made_up.is_empty() {
            add("made_up_parameters", made_up.into());
        }
        add("losses", of(&|step| step.loss));
        add("step_s", of(&Step::seconds));
        for (at, name) in PHASES.iter().enumerate() {
            add(&format!("{name}_s"), of(&|step| step.phases[at]));
        }
        add("optimizer_state_bytes", trainer.state_bytes().into());
        if let Some(peak) = peak {
            add("peak_memory_bytes", peak.into());
        }
        output::json(fields)
    }
}

fn parameters(trainer: &Trainer) -> u64 {
    trainer.weights().map(|(_, weight)| weight.elem_count() as u64).sum()
}

/// Refuses a step that does not fit in memory, where it is known how much there is; candle's operations keep more than is counted.
fn check_memory(args: &Args, spec: &ModelSpec, head: TaskHead, training: Training, size: Size) -> Result<()> {
    let run = Run { head, training: Some(training), precision: args.model.place.precision(), ..size.into() };
    let needed = spec.training_memory(run)?.total();
    let available = irene_sampler::available_memory(&meters::places()).filter(|_| args.model.place.is_on_cpu());
    match available {
        Some(available) if needed > available => {
            let [needed, available] = [needed, available].map(|bytes| render::bytes(bytes as f64));
            bail!(
                "{}: a step takes at least {needed}, and {available} of memory are available; fewer sequences, fewer tokens, \
                 --lora-rank or another --optimizer take less",
                spec.name()
            )
        }
        _ => Ok(()),
    }
}
