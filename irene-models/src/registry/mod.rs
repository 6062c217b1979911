mod find;

use irene_tree::{Kernels, Parallel, Precision, Quantity, Size, Tree};

use self::find::Origin;
use crate::{
    Batch, BuiltinModel, Cache, CacheShape, Config, Cx, Error, ModelOutput, Module, Result, Run, ShapesOnly, TaskHead,
    TreeVisitor, Visitor, WeightSource, Weights, generation,
    gguf::{self, Gguf, StoredShapes},
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

    /// The shape of its cache, if it can go on from earlier tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for a missing or contradictory field.
    fn cache(&self, _config: &Config) -> Result<Option<CacheShape>> {
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
pub trait Model {
    /// The root's class, e.g. `BertModel`.
    fn instance_type(&self) -> &'static str;

    /// Runs the model, or follows it by shape if the batch is a shape alone.
    ///
    /// # Errors
    /// [`Error::Input`] for a sequence that is too long; errors of candle and the visitor.
    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput>;
}

impl<M> Model for M
where
    M: for<'a> Module<Input<'a> = &'a Batch, Output = ModelOutput>,
{
    fn instance_type(&self) -> &'static str {
        self.label().instance_type
    }

    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        cx.call(self, batch)
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
    notes: Vec<String>,
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

    /// The shape of the model's cache, if it can go on from earlier tokens.
    ///
    /// # Errors
    /// As [`Architecture::cache`].
    pub fn cache(&self) -> Result<Option<CacheShape>> {
        self.architecture.cache(&self.config)
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
        self.build_share(source, head, Parallel::default())
    }

    /// One GPU's share of the model.
    fn build_share(&self, source: &dyn WeightSource, head: TaskHead, parallel: Parallel) -> Result<Box<dyn Model>> {
        if !self.heads().contains(&head) {
            let known: Vec<_> = self.heads().iter().map(|head| head.name()).collect();
            let reason = format!("there is no {} head for it here; there are {}", head.name(), known.join(", "));
            return Err(self.refuse(reason));
        }
        self.architecture.build(&self.config, &Weights::root(source).shared_by(parallel), head)
    }

    fn refuse(&self, reason: String) -> Error {
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
        if let [file] = weights
            && gguf::is_gguf(file)
        {
            let weights = crate::candle::GgufWeights::new(Gguf::open(file)?, dtype, device)?;
            return self.build_with_head(&weights, head);
        }
        let checkpoint = crate::Checkpoint::open(weights, self.architecture.checkpoint_prefix(), dtype, device)?;
        self.build_with_head(&checkpoint, head)
    }

    /// The whole tree of a run, or of a generation, with its counts, followed by shape alone: no weights and no arithmetic.
    ///
    /// # Errors
    /// [`Error::Config`] from the config; [`Error::Input`] for a size of zero, a sequence that is too long, or a head or a cache that
    /// the model does not have.
    pub fn trace(&self, run: impl Into<Run>) -> Result<Tree> {
        let run = run.into();
        let tree = if run.generate > 0 {
            generation::trace(self, run)?
        } else {
            let mut visitor = self.visitor(run);
            let share = self.share(run)?;
            self.follow(self.shapes(share)?.as_ref(), share, &mut visitor)?;
            let mut tree = visitor.finish()?;
            if share.size != run.size {
                tree.nodes_mut()[0].size = Some(share.size);
            }
            tree
        };
        Ok(if run.shows_math { tree } else { tree.into_without_math() })
    }

    /// The FLOPs of a language model's head as a share of those of the run, where the model is a decoder and the run has no head.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn left_out_head(&self, run: Run) -> Result<Option<f64>> {
        if run.head != TaskHead::None || !self.heads().contains(&TaskHead::Lm) || self.cache()?.is_none() {
            return Ok(None);
        }
        let flops = |head| Ok::<_, Error>(self.trace(Run { head, ..run })?.root().get(Quantity::Flops));
        let (without, with) = (flops(TaskHead::None)?, flops(TaskHead::Lm)?);
        Ok(without.zip(with).map(|(without, with)| (with - without) / without))
    }

    /// A visitor for the tree of a run.
    pub(crate) fn visitor(&self, run: Run) -> TreeVisitor {
        TreeVisitor::new(&self.name, run.size).followed_in(run.precision, run.kernels).spread_over(run.parallel)
    }

    /// The run with the sequences of one GPU.
    pub(crate) fn share(&self, run: Run) -> Result<Run> {
        const LARGEST_BATCH: usize = 1 << 24;
        let Run { size, parallel: Parallel { tensor, pipeline, expert, data }, .. } = run;
        if size.sequences == 0 || size.sequences > LARGEST_BATCH {
            return Err(self.refuse(format!("batch size must be from 1 to {LARGEST_BATCH}, found {}", size.sequences)));
        }
        if size.new == 0 {
            return Err(self.refuse("sequence length must be at least 1, found 0".into()));
        }
        if let Some(degree) = [tensor, pipeline, expert, data].into_iter().find(|of| !(1..=Parallel::MOST).contains(of))
        {
            return Err(self.refuse(format!("a run is on 1 to {} GPUs, found {degree}", Parallel::MOST)));
        }
        if !self.architecture.is_shared_by_gpus() && [tensor, pipeline, expert] != [1; 3] {
            let flag =
                [("tensor", tensor), ("pipeline", pipeline), ("expert", expert)].into_iter().find(|(_, of)| *of > 1);
            let flag = flag.map_or("", |(name, _)| name);
            let reason =
                format!("--{flag}-parallel is not followed for {}: --data-parallel alone is", self.model_type());
            return Err(self.refuse(reason));
        }
        let of_stage = run.parallel.gpus_of_stage();
        if of_stage % expert != 0 || (tensor % expert != 0 && expert % tensor != 0) {
            return Err(self.refuse(format!(
                "--expert-parallel {expert} does not divide the {of_stage} GPUs of a stage, over which experts are spread: they are \
                 --tensor-parallel {tensor} x --data-parallel {data}"
            )));
        }
        if size.sequences % data != 0 {
            let reason = format!("--data-parallel {data} does not divide the batch of {} sequences", size.sequences);
            return Err(self.refuse(reason));
        }
        Ok(Run { size: Size { sequences: size.sequences / data, ..size }, ..run })
    }

    /// The model of a run, as shapes of one GPU's share.
    pub(crate) fn shapes(&self, run: Run) -> Result<Box<dyn Model>> {
        let Run { precision, head, parallel, .. } = run;
        match &self.stored {
            // In its own precision, a file's tensors have formats of their own.
            Some(file) if self.config.precision()? == precision => {
                let shapes = StoredShapes::new(file.clone(), precision)?.shared(!parallel.is_single());
                self.build_share(&shapes, head, parallel)
            }
            _ => self.build_share(&ShapesOnly(precision), head, parallel),
        }
    }

    /// Follows a model of [`shapes`](Self::shapes) through a pass over one GPU's sequences, with a visitor.
    pub(crate) fn follow(&self, model: &dyn Model, share: Run, visitor: &mut dyn Visitor) -> Result<()> {
        let cx = Cx::visited(visitor).with_kernels(share.kernels).with_cache_format(share.precision.cache);
        model.run(&mut cx.with_parallel(share.parallel), &self.batch(share)?)?;
        Ok(())
    }

    /// Refuses a pass whose sequences are longer than the model has positions.
    pub(crate) fn check_length(&self, size: Size) -> Result<()> {
        let cache = Cache { past: size.past, ..Cache::default() };
        Batch::of_shape(size).after(cache).check_positions(&self.name, self.longest_sequence()?)
    }

    /// The run's input, followed by its shape.
    fn batch(&self, run: Run) -> Result<Batch> {
        let batch = Batch::of_shape(run.size);
        let batch = match (self.cache()?, run.size.past > 0 || run.keeps_cache) {
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
                let reason = "it reads whole sequences and keeps no keys and values: leave the past out";
                return Err(self.refuse(reason.into()));
            }
        };
        Ok(Batch { scores_last: run.keeps_cache, ..batch.padded(run.is_padded) })
    }
}
