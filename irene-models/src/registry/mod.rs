mod built;
mod changed;
mod find;
mod share;
mod stored;
mod task;
mod tracing;

use irene_tree::{Kernels, Parallel, Precision};

pub use self::task::ModelTask;
use self::{built::BuiltShares, find::Origin};
use crate::{
    Batch, BuiltinModel, CacheShape, Config, Cx, Error, ModelFiles, ModelOutput, Module, Result, ShapesOnly, TaskHead,
    WeightSource, Weights,
    gguf::Gguf,
    sentence::{Sentence, SentenceModel},
};

/// An architecture: how a config and weights become a model.
pub trait Architecture: Sync {
    /// The config's `model_type`.
    fn model_type(&self) -> &'static str;

    /// The prefix that some public checkpoints put before the keys of the model's own parameters (`bert`); the `model_type`, unless it
    /// says otherwise.
    fn checkpoint_prefix(&self) -> &'static str {
        self.model_type()
    }

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

    /// The heads that the model can be built with; every one, unless it says otherwise.
    fn heads(&self) -> &'static [TaskHead] {
        &TaskHead::ALL
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

    /// Refuses to run a model that is followed by shape alone.
    ///
    /// # Errors
    /// [`Error::Input`] with the layers that cannot be run; [`Error::Config`] for a missing or contradictory field.
    fn check_run(&self, _config: &Config) -> Result<()> {
        Ok(())
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
            let file = Gguf::open(file)?;
            let weights = crate::candle::GgufWeights::new(file.clone(), dtype, device)?;
            self.refuse_to_leave_out(&file)?;
            return Ok(Box::new(weights));
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
}
