//! The time, energy and memory of a step of training on a device, from its data sheet, and of a run of many such steps.

mod memory;
mod note;
mod phases;
mod rule;
mod tree;
mod whole;

use irene_devices::{Device, Engine, FROM_DATA_SHEET, FigureSpread, Law};
use irene_models::{ModelSpec, Run};
use irene_numerics::NORMAL_90;
use irene_tree::{Checkpoint, Training};

use self::phases::Phases;
pub use self::{
    memory::StepMemory,
    note::TrainingNote,
    phases::Phase,
    whole::{TrainingLength, TrainingRun},
};
use crate::{Error, Host, interval};

/// The forecast of a step of training on all GPUs, and its basis.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingForecast {
    /// The step.
    pub figures: StepFigures,
    /// The ends of the intervals that the figures lie in with a probability of 90%.
    pub interval: [StepFigures; 2],
    /// Its parts, in the order in which they run.
    pub phases: Vec<Phase>,
    /// Tokens of all sequences.
    pub tokens: f64,
    /// FLOPs of products and attention that run, of all GPUs.
    pub flops: f64,
    /// The same without what is computed twice to save memory.
    pub model_flops: f64,
    /// Parameters that take part in a token: of a mixture those of the experts that it goes to.
    pub parameters: f64,
    /// The peak of the number format that products run in, of all GPUs, FLOPs a second.
    pub peak_flops_s: f64,
    /// The memory of each GPU.
    pub memory: StepMemory,
    /// Notes on the figures.
    pub notes: Vec<TrainingNote>,
    /// Where the figures come from, in words.
    pub provenance: String,
    run: Run,
    parts: Phases,
}

/// The figures of a step of training on all GPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFigures {
    /// Time, s.
    pub seconds: f64,
    /// Energy, J.
    pub joules: f64,
    /// Mean power, W.
    pub watts: f64,
}

/// The forecast of a step of training on a device that is known by its data sheet. The run is on the device's own kernels by an engine that starts
/// them from the host, as PyTorch does.
///
/// ```
/// use irene_devices::{Catalogue, Engine, Law};
/// use irene_predict::{TrainingLength, ModelSpec, Run, forecast_training};
/// use irene_tree::{Format, Precision, Size, Training};
///
/// let spec = ModelSpec::find("bert-base-uncased")?;
/// let step = Run { precision: Precision::of(Format::BF16), training: Some(Training::default()), ..Size::new(32, 128).into() };
/// let (h100, engine) = (Catalogue::find("h100-sxm")?, Engine::find("transformers")?);
/// let forecast = forecast_training(&spec, &h100, engine, step, Law::shipped())?;
/// let run = forecast.run_of(TrainingLength::Steps(1000.0));
/// assert_eq!(run.tokens, 1000.0 * 32.0 * 128.0);
/// assert!((run.joules / forecast.figures.joules / 1000.0 - 1.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Request`] for a device that cannot be, [`Error::Model`] for a model that cannot be followed so, [`Error::NoTraining`] for a run
/// without, [`Error::StepDoesNotFit`].
pub fn forecast_training(
    spec: &ModelSpec,
    device: &Device,
    engine: &Engine,
    run: Run,
    law: &Law,
) -> Result<TrainingForecast, Error> {
    if let Some(reason) = device.fault() {
        return Err(Error::Request { field: "device", reason });
    }
    let training = run.training.ok_or(Error::NoTraining)?;
    let run = Run { head: spec.training_head(run.head)?, ..run };
    let memory = StepMemory::of(spec, device, run)?;
    if memory.total() > memory.card {
        return Err(memory::does_not_fit(spec, device, run, &memory));
    }
    let parts = Phases::of(spec, run)?;
    let law = law.in_training(device, engine);
    let costs = parts.costs(&law, run, training);
    let gpus = run.parallel.gpus() as f64;
    let phases = costs.phases(gpus);
    let figures = StepFigures::of(&phases);
    let arithmetic = device.arithmetic(run.precision.weights, run.precision.activations);
    Ok(TrainingForecast {
        figures,
        interval: interval(&figures, &law.spread(), device.limit_w() * gpus),
        tokens: run.size.tokens() as f64 * training.accumulate as f64,
        flops: parts.flops(run),
        model_flops: model_flops(spec, run, training, &parts)?,
        parameters: rule::parameters(spec, run)?,
        peak_flops_s: 1e12 * arithmetic.tflop_s * gpus,
        memory,
        notes: note::notes(device, run, training, &costs),
        provenance: FROM_DATA_SHEET.to_owned(),
        phases,
        run,
        parts,
    })
}

/// FLOPs without what is computed twice.
fn model_flops(spec: &ModelSpec, run: Run, training: Training, parts: &Phases) -> Result<f64, Error> {
    if training.checkpoint == Checkpoint::None {
        return Ok(parts.flops(run));
    }
    let once = Run { training: Some(Training { checkpoint: Checkpoint::None, ..training }), ..run };
    Ok(Phases::of(spec, once)?.flops(once))
}

/// The ends of the intervals of a step on devices with so much power at most.
fn interval(figures: &StepFigures, spread: &FigureSpread, limit_w: f64) -> [StepFigures; 2] {
    spread.factors().map(|FigureSpread { time, power, energy }| StepFigures {
        seconds: time * figures.seconds,
        joules: energy * figures.joules,
        watts: (power * figures.watts).min(limit_w),
    })
}

impl StepFigures {
    fn of(phases: &[Phase]) -> Self {
        let (seconds, joules) =
            phases.iter().fold((0.0, 0.0), |(seconds, joules), phase| (seconds + phase.seconds, joules + phase.joules));
        Self { seconds, joules, watts: joules / seconds }
    }
}

impl TrainingForecast {
    /// How the step runs.
    pub fn run(&self) -> Run {
        self.run
    }

    /// Tokens in a second.
    pub fn tokens_per_s(&self) -> f64 {
        self.tokens / self.figures.seconds
    }

    /// The share of the peak that the model's own FLOPs reach (MFU, as PaLM's authors define it): what is computed twice does not count.
    pub fn peak_share(&self) -> f64 {
        self.model_flops / (self.figures.seconds * self.peak_flops_s)
    }

    /// FLOPs by the rule of thumb of 6 for each parameter and token.
    pub fn rule_flops(&self) -> f64 {
        6.0 * self.parameters * self.tokens
    }

    /// The forecast of a meter at the wall, with the usual machines around the devices, or one of so many watts.
    ///
    /// # Errors
    /// [`Error::NoHost`] for a usual machine around a device that is no card; [`Error::Request`] for watts that no machine draws.
    pub fn at_the_wall(mut self, host: Host, device: &Device, law: &Law) -> Result<Self, Error> {
        let watts = host.watts(&law.host, device, self.run.parallel.gpus() as f64)?;
        let share = watts / (watts + self.figures.watts);
        let (of_gpus, of_host) = (self.figures, NORMAL_90 * law.host.spread);
        self.phases.iter_mut().for_each(|phase| phase.joules += watts * phase.seconds);
        self.figures = StepFigures::of(&self.phases);
        let StepFigures { joules, watts: power_w, .. } = self.figures;
        let [low, high] = self.interval;
        self.interval = [(-1.0, low), (1.0, high)].map(|(sign, end): (f64, StepFigures)| {
            let width = |of: fn(&StepFigures) -> f64| interval::width(of(&of_gpus), of(&end));
            let widths = [width(|end| end.joules), width(|end| end.watts), width(|end| end.seconds)];
            let [energy, power] = interval::at_the_wall(share, widths, of_host).map(|width| (sign * width).exp());
            StepFigures { seconds: end.seconds, joules: joules * energy, watts: power_w * power }
        });
        self.notes.push(TrainingNote::Host { watts });
        Ok(self)
    }
}
