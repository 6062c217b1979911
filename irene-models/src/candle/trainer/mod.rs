//! A step of training on candle: the forward pass with its loss, the backward pass, the update.

mod by_heart;
mod new_head;
mod optimizers;
mod targets;
mod variables;

pub use by_heart::ByHeart;
use candle_core::{DType, Tensor as Candle};
use irene_tree::{Checkpoint, Kernels, Parallel, Training};
pub use new_head::NewHead;
pub use targets::Targets;

use self::{
    optimizers::Rule,
    targets::Task,
    variables::{Parameters, Variable, Variables},
};
use super::autograd;
use crate::{Batch, Cx, Error, Model, ModelSpec, Result, TaskHead, WeightSource};

/// Trains a model on candle, with operations that its autograd follows.
///
/// Kernels are eager: those that are fused for inference have no gradients. Dropped numbers depend on the seed and on how many passes
/// there were, so that the same steps give the same weights.
///
/// ```
/// use candle_core::{DType, Device};
/// use irene_models::{Batch, Config, ModelSpec, RandomWeights, Targets, TaskHead, Trainer};
/// use irene_tree::{Size, Training};
/// # fn main() -> irene_models::Result<()> {
/// let json = br#"{"model_type":"bert","hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,
///     "vocab_size":30,"max_position_embeddings":20}"#;
/// let spec = ModelSpec::from_config("small", Config::from_json("small", json)?)?;
/// let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
/// let mut trainer = Trainer::new(&spec, &weights, TaskHead::Lm, Training::default(), 1e-2, 1)?;
/// let batch = Batch::made_up(&spec, Size::new(2, 6), &Device::Cpu)?;
/// let targets = Targets::made_up(&batch, &spec, TaskHead::Lm, 1)?;
/// let first = trainer.step(&batch, &targets)?;
/// for _ in 0..20 {
///     trainer.step(&batch, &targets)?;
/// }
/// assert!(trainer.step(&batch, &targets)? < first);
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    spec: ModelSpec,
    head: TaskHead,
    task: Task,
    training: Training,
    seed: u64,
    parameters: Parameters,
    /// Copies in 32 bits of weights of 16, where they are kept.
    masters: Vec<Option<Candle>>,
    rule: Rule,
    model: Box<dyn Model>,
    /// Forward passes so far, and updates.
    passes: u64,
    updates: u64,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("spec", &self.spec)
            .field("head", &self.head)
            .field("training", &self.training)
            .field("updates", &self.updates)
            .finish_non_exhaustive()
    }
}

/// The loss of a forward pass, with all that its backward pass needs.
#[derive(Debug)]
pub struct Loss {
    loss: Candle,
    updates: u64,
}

impl Loss {
    /// Its value.
    ///
    /// # Errors
    /// The device's error.
    pub fn value(&self) -> Result<f64> {
        Ok(self.loss.detach().to_dtype(DType::F64)?.to_scalar()?)
    }
}

/// The gradients of all parameters that are trained.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Candle>);

impl Gradients {
    /// Adds those of another micro-batch.
    ///
    /// # Errors
    /// The device's error.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        for (sum, gradient) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.add(gradient)?;
        }
        Ok(())
    }

    /// The mean of so many micro-batches, of which these are the sum.
    ///
    /// # Errors
    /// The device's error.
    pub fn averaged(self, count: usize) -> Result<Self> {
        if count == 1 {
            return Ok(self);
        }
        let share = 1.0 / count as f64;
        Ok(Self(self.0.iter().map(|gradient| gradient * share).collect::<candle_core::Result<_>>()?))
    }
}

impl Trainer {
    /// A trainer of the model with these weights and this head, or the head that it usually trains with. LoRA's adapters begin at no
    /// change.
    ///
    /// # Errors
    /// As [`ModelSpec::build_with_head`] and [`ModelSpec::training_head`]; [`Error::Training`] for checkpoints of activations, and for weights
    /// in blocks.
    pub fn new(
        spec: &ModelSpec,
        source: &dyn WeightSource,
        head: TaskHead,
        training: Training,
        learning_rate: f64,
        seed: u64,
    ) -> Result<Self> {
        let task = Task::of(spec, head)?;
        check(training, learning_rate)?;
        let head = spec.training_head(head)?;
        let variables = Variables::of(source, (training.lora_rank > 0).then_some(seed));
        let model = spec.build_share(&variables, head, Parallel::default(), training.lora_rank)?;
        let parameters = variables.parameters();
        let masters =
            parameters.trained.iter().map(|variable| master(variable, training)).collect::<Result<Vec<_>>>()?;
        let weights = parameters.trained.iter().zip(&masters);
        let weights: Vec<Candle> = weights.map(|(variable, master)| kept(variable, master.as_ref())).collect();
        let rule = Rule::new(training.optimizer, learning_rate, &weights)?;
        let (spec, passes, updates) = (spec.clone(), 0, 0);
        Ok(Self { spec, head, task, training, seed, parameters, masters, rule, model, passes, updates })
    }

    /// The model with the weights as they are now.
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    /// The keys of the parameters that are trained, and their gradients' places.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parameters.trained.iter().map(|variable| variable.key.as_str())
    }

    /// The parameters that are trained, by key, as they are now.
    pub fn weights(&self) -> impl Iterator<Item = (&str, Candle)> {
        self.parameters.trained.iter().map(|variable| (variable.key.as_str(), variable.var.as_detached_tensor()))
    }

    /// The gradient of each parameter that is trained, by key.
    pub fn named<'a>(&'a self, gradients: &'a Gradients) -> impl Iterator<Item = (&'a str, &'a Candle)> {
        self.keys().zip(&gradients.0)
    }

    /// Bytes of the optimizer's states: those with momentum begin with the first update.
    pub fn state_bytes(&self) -> usize {
        self.rule.bytes()
    }

    /// The forward pass of a batch, with its loss.
    ///
    /// # Errors
    /// [`Error::Training`] for targets that do not fit to the batch, or a batch with a cache; the model's errors.
    pub fn forward(&mut self, batch: &Batch, targets: &Targets) -> Result<Loss> {
        self.forward_in(Cx::silent().with_kernels(Kernels::Eager), batch, targets)
    }

    /// The same in a context, whose visitor sees the model's nodes.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and for fused kernels; the visitor's errors.
    pub fn forward_in(&mut self, cx: Cx<'_>, batch: &Batch, targets: &Targets) -> Result<Loss> {
        if cx.kernels() == Kernels::Fused {
            return Err(refuse("kernels", "fused kernels have no gradients on candle: train with eager ones"));
        }
        if batch.cache.is_some() || batch.scores_last {
            return Err(refuse("batch", "training reads whole sequences: leave the cache out"));
        }
        batch.check_ids(self.spec.name(), self.spec.vocab_size()?)?;
        autograd::seed_dropout(self.seed.wrapping_add(self.passes));
        self.passes += 1;
        let output = self.model.run(&mut cx.in_training(), batch)?;
        Ok(Loss { loss: targets.loss(self.task, batch, &output)?, updates: self.updates })
    }

    /// The gradients of a loss. It may be called again for the same loss, until the weights change.
    ///
    /// # Errors
    /// [`Error::Gradient`] naming a parameter that has none; [`Error::Training`] for a loss from before an update; candle's errors.
    pub fn backward(&self, loss: &Loss) -> Result<Gradients> {
        if loss.updates != self.updates {
            return Err(refuse("loss", "the weights have changed since its forward pass: run that again"));
        }
        let mut store = loss.loss.backward()?;
        let gradient = |variable: &Variable| {
            let gradient = store.remove(&variable.var);
            let missing = || Error::Gradient { key: variable.key.clone() };
            Ok(gradient.ok_or_else(missing)?.detach())
        };
        Ok(Gradients(self.parameters.trained.iter().map(gradient).collect::<Result<_>>()?))
    }

    /// Changes the weights by these gradients.
    ///
    /// # Errors
    /// Candle's error.
    pub fn update(&mut self, gradients: &Gradients) -> Result<()> {
        self.updates += 1;
        self.rule.begin();
        let places = self.parameters.trained.iter().zip(&mut self.masters).zip(&gradients.0);
        for (place, ((variable, master), gradient)) in places.enumerate() {
            let weight = kept(variable, master.as_ref());
            let updated = self.rule.updated(place, &weight, &gradient.to_dtype(weight.dtype())?)?;
            let is_in_place = updated.is_none();
            let updated = updated.unwrap_or(weight);
            if master.is_some() || !is_in_place {
                variable.var.set(&updated.to_dtype(variable.var.dtype())?)?;
            }
            master.iter_mut().for_each(|master| *master = updated.clone());
        }
        // Some layers compute with numbers that were derived from the weights when they were loaded, such as Gemma's 1 + w.
        if self.training.lora_rank == 0 {
            self.model = self.spec.build_with_head(&self.parameters, self.head)?;
        }
        Ok(())
    }

    /// A whole step on a batch, as often as there are micro-batches; its mean loss before the update.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), [`backward`](Self::backward) and [`update`](Self::update).
    pub fn step(&mut self, batch: &Batch, targets: &Targets) -> Result<f32> {
        self.step_over(std::iter::repeat_n((batch, targets), self.training.accumulate))
    }

    /// A whole step on micro-batches, whose mean gradient counts; their mean loss before the update.
    ///
    /// # Errors
    /// As [`step`](Self::step); [`Error::Training`] without a batch.
    pub fn step_over<'b>(&mut self, batches: impl IntoIterator<Item = (&'b Batch, &'b Targets)>) -> Result<f32> {
        let (mut sum, mut count, mut gradients) = (0.0, 0, None::<Gradients>);
        for (batch, targets) in batches {
            let loss = self.forward(batch, targets)?;
            let newest = self.backward(&loss)?;
            sum += loss.value()?;
            count += 1;
            match &mut gradients {
                Some(gradients) => gradients.add(&newest)?,
                None => gradients = Some(newest),
            }
        }
        let gradients = gradients.ok_or_else(|| refuse("batches", "a step has at least one"))?;
        self.update(&gradients.averaged(count)?)?;
        Ok((sum / count as f64) as f32)
    }
}

fn refuse(setting: &'static str, reason: impl Into<String>) -> Error {
    Error::Training { setting, reason: reason.into() }
}

fn check(training: Training, learning_rate: f64) -> Result<()> {
    if training.checkpoint != Checkpoint::None {
        return Err(refuse("checkpoint", "candle keeps all activations of a pass: only `none` runs"));
    }
    if training.accumulate == 0 {
        return Err(refuse("accumulate", "a step has at least one micro-batch"));
    }
    if !(learning_rate.is_finite() && learning_rate >= 0.0) {
        return Err(refuse("learning rate", format!("expected a finite number from 0 on, found {learning_rate}")));
    }
    Ok(())
}

/// The copy in 32 bits that the optimizer keeps of a weight of 16.
fn master(variable: &Variable, training: Training) -> Result<Option<Candle>> {
    let is_narrow = training.has_master(super::operations::format(&variable.var));
    Ok(is_narrow.then(|| variable.var.as_detached_tensor().to_dtype(DType::F32)).transpose()?)
}

/// The weight that the optimizer changes.
fn kept(variable: &Variable, master: Option<&Candle>) -> Candle {
    master.cloned().unwrap_or_else(|| variable.var.as_detached_tensor())
}
