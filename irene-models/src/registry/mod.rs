mod built;
mod changed;
mod find;
mod share;
mod task;

use std::cell::Cell;

use irene_tree::{Kernels, Operation, Parallel, Precision, Quantity, Size, Tree};

pub use self::task::ModelTask;
use self::{built::BuiltShares, find::Origin};
use crate::{
    Batch, BuiltinModel, Cache, CacheShape, Config, Cx, Error, ModelFiles, ModelOutput, Module, ParameterSpec, Result,
    Run, ShapesOnly, TaskHead, Tensor, TreeVisitor, Visitor, WeightSource, Weights, generation,
    gguf::{Gguf, StoredShapes},
    quantisation::Quantisation,
    sentence::{Sentence, SentenceModel},
    trace::LaunchVisitor,
};

/// An architecture: how a config and weights become a model.
pub trait Architecture: Sync {
    /// The config's `model_type`.
    fn model_type(&self) -> &'static str;

    /// The prefix that some public checkpoints put before the keys of the model's own parameters (`bert`).
    fn checkpoint_prefix(&self) -> &'static str;

    /// Tokens in the vocabulary.
    ///
    /// # Errors
    /// [`Error::Config`] if the config does not say and there is no default.
    fn vocab_size(&self, config: &Config) -> Result<usize> {
        config.size("vocab_size")
    }

    /// Tokens of the longest sequence.
    ///
    /// # Errors
    /// [`Error::Config`] for a missing or contradictory field.
    fn longest_sequence(&self, config: &Config) -> Result<usize> {
        config.size("max_position_embeddings")
    }

    /// The heads that the model can be built with.
    fn heads(&self) -> &'static [TaskHead] {
        &[TaskHead::None]
    }

    /// The shape of its cache with these kernels, if it can go on from earlier tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for a missing or contradictory field.
    fn cache(&self, _config: &Config, _kernels: Kernels) -> Result<Option<CacheShape>> {
        Ok(None)
    }

    /// Whether several GPUs can share a copy of the model: then [`build`](Self::build) gives one GPU's share, by [`Weights::parallel`].
    fn is_shared_by_gpus(&self) -> bool {
        false
    }

    /// Builds the model with one of its heads.
    ///
    /// # Errors
    /// [`Error::Config`] for a missing or contradictory field, or a feature that is not run here;
    /// [`Error::Weight`] from the weights' source.
    fn build(&self, config: &Config, weights: &Weights<'_>, head: TaskHead) -> Result<Box<dyn Model>>;
}

/// A whole model, whatever its architecture.
pub trait Model: Send + Sync {
    /// The root's class, e.g. `BertModel`.
    fn instance_type(&self) -> &'static str;

    /// Runs the model, or follows it by shape if the batch is a shape alone.
    ///
    /// # Errors
    /// [`Error::Input`] for a sequence that is too long; errors of candle and the visitor.
    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput>;

    /// Runs the model's parts below a root that is entered already.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn run_inside(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput>;
}

impl<M> Model for M
where
    M: for<'a> Module<Input<'a> = &'a Batch, Output = ModelOutput> + Send + Sync,
{
    fn instance_type(&self) -> &'static str {
        self.label().instance_type
    }

    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        cx.call(self, batch)
    }

    fn run_inside(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        self.forward(cx, batch)
    }
}

/// A model by name or path: its architecture and sizes, without weights.
///
/// ```
/// use irene_models::ModelSpec;
/// use irene_tree::Size;
/// # fn main() -> irene_models::Result<()> {
/// let bert = ModelSpec::find("bert-base-uncased")?;
/// let tree = bert.trace(Size::new(8, 128))?;
/// assert_eq!(tree.root().instance_type(), "BertModel");
/// assert!(tree.find("root.encoder.0.attention.self.query").is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ModelSpec {
    name: String,
    config: Config,
    architecture: &'static dyn Architecture,
    origin: Origin,
    /// The GGUF file that the config is from.
    stored: Option<Gguf>,
    /// The modules behind the model, if it is the first of a pipeline.
    sentence: Option<Sentence>,
    notes: Vec<String>,
    built: BuiltShares,
}

impl std::fmt::Debug for ModelSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSpec").field("name", &self.name).field("config", &self.config).finish_non_exhaustive()
    }
}

impl ModelSpec {
    /// The names of the built-in models.
    pub fn builtin_names() -> impl Iterator<Item = String> {
        BuiltinModel::all().iter().map(|model| model.name().to_owned())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The config.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The config's `model_type`.
    pub fn model_type(&self) -> &'static str {
        self.architecture.model_type()
    }

    /// The prefix of the trunk's keys in checkpoints with a head.
    #[cfg(feature = "candle")]
    pub(crate) fn checkpoint_prefix(&self) -> &'static str {
        self.architecture.checkpoint_prefix()
    }

    /// Tokens in the vocabulary.
    ///
    /// # Errors
    /// As [`Architecture::vocab_size`].
    pub fn vocab_size(&self) -> Result<usize> {
        self.architecture.vocab_size(&self.config)
    }

    /// Tokens of the longest sequence that the model takes.
    ///
    /// # Errors
    /// As [`Architecture::longest_sequence`].
    pub fn longest_sequence(&self) -> Result<usize> {
        self.architecture.longest_sequence(&self.config)
    }

    /// The root's class, e.g. `BertModel`.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn instance_type(&self) -> Result<&'static str> {
        Ok(self.build(&ShapesOnly::default())?.instance_type())
    }

    /// The heads that the model can be built with.
    pub fn heads(&self) -> &'static [TaskHead] {
        self.architecture.heads()
    }

    /// The shape of the model's cache with these kernels, if it can go on from earlier tokens.
    ///
    /// # Errors
    /// As [`Architecture::cache`].
    pub fn cache(&self, kernels: Kernels) -> Result<Option<CacheShape>> {
        self.architecture.cache(&self.config, kernels)
    }

    /// Bytes of the cache of so many tokens of each sequence with fused kernels, if the model keeps one.
    ///
    /// # Errors
    /// As [`Architecture::cache`].
    pub fn cache_bytes(&self, sequences: usize, tokens: usize, precision: Precision) -> Result<Option<u64>> {
        let shape = self.cache(Kernels::Fused)?;
        Ok(shape.map(|shape| shape.bytes(tokens, precision).saturating_mul(sequences as u64)))
    }

    /// The tokens that end a text: `eos_token_id` of these files' generation_config.json, or else of the config; none if neither says.
    ///
    /// # Errors
    /// [`Error::Config`] for a field that is no token and no list of tokens; [`Error::Io`] and [`Error::Files`] for the file.
    pub fn end_tokens(&self, files: Option<&ModelFiles>) -> Result<Vec<i64>> {
        const FIELD: &str = "eos_token_id";
        let generation = files.map(|files| files.further("generation_config.json")).transpose()?.flatten();
        let of_generation = generation.map(|path| Config::read(&path)?.tokens(FIELD)).transpose()?;
        let of_generation = of_generation.filter(|tokens| !tokens.is_empty());
        of_generation.map_or_else(|| self.config.tokens(FIELD), Ok)
    }

    /// The model with these weights and no head.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn build(&self, source: &dyn WeightSource) -> Result<Box<dyn Model>> {
        self.build_with_head(source, TaskHead::None)
    }

    /// The model with these weights and a head.
    ///
    /// # Errors
    /// As [`Architecture::build`]; [`Error::Input`] for a head that the model does not have.
    pub fn build_with_head(&self, source: &dyn WeightSource, head: TaskHead) -> Result<Box<dyn Model>> {
        self.build_share(source, head, Parallel::default(), 0)
    }

    /// One GPU's share of the model, with LoRA's adapters of this rank, or 0 for none.
    pub(crate) fn build_share(
        &self,
        source: &dyn WeightSource,
        head: TaskHead,
        parallel: Parallel,
        lora_rank: usize,
    ) -> Result<Box<dyn Model>> {
        if !self.heads().contains(&head) {
            let known: Vec<_> = self.heads().iter().map(|head| head.name()).collect();
            let reason = format!("there is no {} head for it here; there are {}", head.name(), known.join(", "));
            return Err(self.refuse(reason));
        }
        let weights = Weights::root(source).shared_by(parallel).with_lora(lora_rank);
        let model = self.architecture.build(&self.config, &weights, head)?;
        match &self.sentence {
            Some(sentence) if head == TaskHead::None => Ok(Box::new(SentenceModel::load(sentence, &weights, model)?)),
            _ => Ok(model),
        }
    }

    pub(crate) fn refuse(&self, reason: String) -> Error {
        Error::Input { model: self.name.clone(), reason }
    }

    /// The model with the weights of these safetensors files (one, or all shards), or of a GGUF file.
    ///
    /// # Errors
    /// As [`build_with_head`](Self::build_with_head); [`Error::Io`] and [`Error::Files`] for the files.
    #[cfg(feature = "candle")]
    pub fn load(
        &self,
        weights: &[std::path::PathBuf],
        head: TaskHead,
        dtype: candle_core::DType,
        device: &candle_core::Device,
    ) -> Result<Box<dyn Model>> {
        self.build_with_head(self.open_weights(weights, head, dtype, device)?.as_ref(), head)
    }

    /// The weights of these files as a source for this model with a head.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Files`] for the files; a config whose quantised weights do not run.
    #[cfg(feature = "candle")]
    pub fn open_weights(
        &self,
        weights: &[std::path::PathBuf],
        head: TaskHead,
        dtype: candle_core::DType,
        device: &candle_core::Device,
    ) -> Result<Box<dyn WeightSource>> {
        if let [file] = weights
            && crate::gguf::is_gguf(file)
        {
            return Ok(Box::new(crate::candle::GgufWeights::new(Gguf::open(file)?, dtype, device)?));
        }
        crate::quantisation::refuse_to_run(&self.config)?;
        let mut checkpoint = crate::Checkpoint::open(weights, self.architecture.checkpoint_prefix(), dtype, device)?;
        if let Some(sentence) = self.sentence.as_ref().filter(|_| head == TaskHead::None) {
            for (module, file) in sentence.weights()? {
                checkpoint.add_below(module, file)?;
            }
        }
        Ok(Box::new(checkpoint))
    }

    /// The whole tree of a run, or of a generation, with its counts, followed by shape alone: no weights and no arithmetic.
    ///
    /// # Errors
    /// [`Error::Config`] from the config; [`Error::Input`] for a size of zero, a sequence that is too long, or a head or a cache that
    /// the model does not have.
    pub fn trace(&self, run: impl Into<Run>) -> Result<Tree> {
        let run = run.into();
        let tree = if run.training.is_some() {
            self.training_tree(run)?
        } else if run.generate > 0 {
            generation::trace(self, run)?
        } else {
            let mut visitor = self.visitor(run);
            let share = self.share(run)?;
            self.follow(self.model_of(share)?.model.as_ref(), share, &mut visitor)?;
            let mut tree = visitor.finish()?;
            if share.size != run.size {
                tree.nodes_mut()[0].size = Some(share.size);
            }
            tree
        };
        Ok(if run.shows_math { tree } else { tree.into_without_math() })
    }

    /// Refuses a generation after a prompt that is longer than the model has positions.
    ///
    /// # Errors
    /// [`Error::Input`] with the lengths.
    pub fn check_generation(&self, prompt: usize, generated: usize) -> Result<()> {
        generation::check(self, Size::new(1, prompt), generated)
    }

    /// The tree of a generation with these passes of one copy of the model, each with how often it runs: of prompts, and steps of one token.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn trace_passes(&self, run: Run, prompts: &[(Size, f64)], steps: &[(Size, f64)]) -> Result<Tree> {
        let tree = generation::trace_passes(self, run, prompts, steps)?;
        Ok(if run.shows_math { tree } else { tree.into_without_math() })
    }

    /// The operations of one pass and how often each runs, on one GPU of a run: what [`trace`](Self::trace) has as nodes, in a fraction of
    /// the time. Operations differ in more than the identities of their parameters.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn launches(&self, run: Run) -> Result<Vec<(Operation, u64)>> {
        let share = self.share(run)?;
        let mut visitor = LaunchVisitor::default();
        self.follow(self.model_of(share)?.model.as_ref(), share, &mut visitor)?;
        Ok(visitor.finish())
    }

    /// The FLOPs of a language model's head as a share of those of the run, where the model goes on from text and the run has no head.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn left_out_head(&self, run: Run) -> Result<Option<f64>> {
        let is_left_out = run.head == TaskHead::None && self.heads().contains(&TaskHead::Lm) && !self.gives_no_tokens();
        if !is_left_out || self.cache(run.kernels)?.is_none() {
            return Ok(None);
        }
        let flops = |head| Ok::<_, Error>(self.trace(Run { head, ..run })?.root().get(Quantity::Flops));
        let (without, with) = (flops(TaskHead::None)?, flops(TaskHead::Lm)?);
        Ok(without.zip(with).map(|(without, with)| (with - without) / without))
    }

    /// A visitor for the tree of a run.
    pub(crate) fn visitor(&self, run: Run) -> TreeVisitor {
        let visitor = TreeVisitor::new(&self.name, run.size).followed_in(run.precision, run.kernels);
        visitor.spread_over(run.parallel).training(run.training)
    }

    /// Follows a model of [`model_of`](Self::model_of) through a pass over one GPU's sequences, with a visitor.
    pub(crate) fn follow(&self, model: &dyn Model, share: Run, visitor: &mut dyn Visitor) -> Result<()> {
        model.run(&mut self.context(share, visitor), &self.batch(share)?)?;
        Ok(())
    }

    /// The context of a pass by shape.
    pub(crate) fn context<'v>(&self, share: Run, visitor: &'v mut dyn Visitor) -> Cx<'v> {
        let cx = Cx::visited(visitor).with_kernels(share.kernels).with_cache_format(share.precision.cache);
        cx.with_parallel(share.parallel)
    }

    /// Refuses a pass whose sequences are longer than the model has positions.
    pub(crate) fn check_length(&self, size: Size) -> Result<()> {
        let cache = Cache { past: size.past, ..Cache::default() };
        Batch::of_shape(size).after(cache).check_positions(&self.name, self.longest_sequence()?)
    }

    /// The parameters as shapes: those of the model's own format as they are stored, those of another as a checkpoint in it has them.
    fn shapes(&self, Run { precision, parallel, .. }: Run) -> Result<Box<dyn WeightSource + '_>> {
        // A config whose own precision is unknown is followed in another.
        let is_own = self.config.precision().is_ok_and(|own| own.weights == precision.weights);
        if let Some(file) = self.stored.as_ref().filter(|_| is_own) {
            let shapes = StoredShapes::new(file.clone(), precision)?;
            return Ok(Box::new(shapes.shared(!parallel.is_single())));
        }
        let own = if is_own { Quantisation::read(&self.config) } else { None };
        match own.or_else(|| Quantisation::of(precision)) {
            Some(quantisation) => Ok(Box::new(quantisation.shapes(precision))),
            None => Ok(Box::new(ShapesOnly(precision))),
        }
    }

    /// The run's input, followed by its shape.
    pub(crate) fn batch(&self, run: Run) -> Result<Batch> {
        let batch = Batch::of_shape(run.size);
        let batch = match (self.cache(run.kernels)?, run.size.past > 0 || run.keeps_cache) {
            (_, false) => batch,
            (Some(shape), true) => {
                let shape = shape.shared_by(run.parallel.tensor);
                // Eager kernels cache keys and values in the activations' format.
                let Precision { activations, cache, .. } = run.precision;
                let format = if run.kernels == Kernels::Eager { activations } else { cache };
                // In a generation the caller gives positions, which skip padding.
                let position_ids = run.is_padded.then(|| batch.input_ids.clone());
                Batch { position_ids, ..batch.after(Cache::of_shape(run.size, &shape, format)) }
            }
            (None, true) => {
                let ask = if run.size.past > 0 { "for no past" } else { "it to generate nothing" };
                return Err(self.refuse(format!("it reads whole sequences and keeps no keys and values: ask {ask}")));
            }
        };
        Ok(Batch { scores_last: run.keeps_cache, ..batch.padded(run.is_padded) })
    }
}

/// Counts the parameters that are asked for.
struct Counted<'a> {
    shapes: Box<dyn WeightSource + 'a>,
    numbers: Cell<u64>,
    bytes: Cell<u64>,
}

impl<'a> Counted<'a> {
    fn new(shapes: Box<dyn WeightSource + 'a>) -> Self {
        Self { shapes, numbers: Cell::new(0), bytes: Cell::new(0) }
    }
}

impl WeightSource for Counted<'_> {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let parameter = self.shapes.parameter(spec)?;
        let operand = parameter.operand();
        self.numbers.set(self.numbers.get().saturating_add(operand.shape.elements()));
        self.bytes.set(self.bytes.get().saturating_add(operand.bytes()));
        Ok(parameter)
    }

    fn precision(&self) -> Precision {
        self.shapes.precision()
    }

    fn has(&self, key: &str) -> bool {
        self.shapes.has(key)
    }

    fn has_keys(&self) -> bool {
        self.shapes.has_keys()
    }
}
