use std::path::Path;

use irene_tree::Tree;

use crate::{
    ARCHITECTURES, Batch, Config, Cx, Error, ModelFiles, ModelOutput, Module, Result, ShapesOnly, TreeVisitor,
    WeightSource, Weights, builtin,
};

/// An architecture: how a config and weights become a model.
pub trait Architecture: Sync {
    /// The config's `model_type`.
    fn model_type(&self) -> &'static str;

    /// What public checkpoints put before the keys of the model's own parameters (`bert`), or leave out.
    fn checkpoint_prefix(&self) -> &'static str;

    /// Tokens in the vocabulary.
    ///
    /// # Errors
    /// [`Error::Config`] if the config does not say and there is no default.
    fn vocab_size(&self, config: &Config) -> Result<usize> {
        config.size("vocab_size")
    }

    /// Builds the model.
    ///
    /// # Errors
    /// [`Error::Config`] for a missing or contradictory field, or a feature that is not run here;
    /// [`Error::Weight`] from the weights' source.
    fn build(&self, config: &Config, weights: &Weights<'_>) -> Result<Box<dyn Model>>;
}

/// A whole model, whatever its architecture.
pub trait Model {
    /// The root's class, e.g. `BertModel`.
    fn instance_type(&self) -> &'static str;

    /// Runs it, or follows it by shape, as the batch is.
    ///
    /// # Errors
    /// [`Error::Input`] for a sequence that is too long; what candle and the visitor say.
    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput>;
}

impl<M> Model for M
where
    M: for<'a> Module<Input<'a> = &'a Batch, Output = ModelOutput>,
{
    fn instance_type(&self) -> &'static str {
        self.node().instance_type
    }

    fn run(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        cx.call(self, batch)
    }
}

/// A model by name or path: its architecture and sizes, without weights.
///
/// ```
/// use irene_models::ModelSpec;
/// # fn main() -> irene_models::Result<()> {
/// let bert = ModelSpec::find("bert-base-uncased")?;
/// let tree = bert.trace(8, 128)?;
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
}

impl std::fmt::Debug for ModelSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelSpec").field("name", &self.name).field("config", &self.config).finish_non_exhaustive()
    }
}

impl ModelSpec {
    /// The built-in model with this name, the one whose config.json is at this path (the file, or its directory), or the one
    /// with this id in the local Hugging Face cache ([`ModelFiles::find`]).
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with near matches; [`Error::Files`], [`Error::Io`] and [`Error::Config`] for a model's files.
    pub fn find(name_or_path: &str) -> Result<Self> {
        if let Some(spec) = Self::builtin(name_or_path) {
            return Ok(spec);
        }
        let files = match ModelFiles::find(name_or_path) {
            Ok(files) => files,
            Err(error) => {
                let similar = builtin::similar(name_or_path);
                // Of an id the cache and the hub have more to say than that it is no built-in name.
                let is_id = similar.is_empty() && name_or_path.contains('/');
                let unknown = Error::UnknownModel { name: name_or_path.to_owned(), similar };
                return Err(if is_id || matches!(error, Error::Io { .. }) { error } else { unknown });
            }
        };
        let path = Path::new(name_or_path);
        let is_config = path.extension().is_some_and(|extension| extension == "json");
        let config = if is_config { path.to_owned() } else { files.config()? };
        Self::from_config(path_name(path).unwrap_or_else(|| name_or_path.to_owned()), Config::read(&config)?)
    }

    /// The built-in model with this name.
    pub fn builtin(name: &str) -> Option<Self> {
        let config = builtin::config(name)?;
        Self::from_config(name, config).ok()
    }

    /// The model of a config; its `model_type` chooses the architecture.
    ///
    /// # Errors
    /// [`Error::Config`] if the type is missing or none of ours.
    pub fn from_config(name: impl Into<String>, config: Config) -> Result<Self> {
        let model_type = config.word_or("model_type", "")?;
        let Some(&architecture) = ARCHITECTURES.iter().find(|known| known.model_type() == model_type) else {
            let known: Vec<_> = ARCHITECTURES.iter().map(|known| known.model_type()).collect();
            let found =
                if model_type.is_empty() { "is missing".into() } else { format!("`{model_type}` is not supported") };
            return Err(config.error("model_type", format!("{found}; there are {}", known.join(", "))));
        };
        Ok(Self { name: name.into(), config, architecture })
    }

    /// The names of the built-in models.
    pub fn builtin_names() -> impl Iterator<Item = String> {
        builtin::names()
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

    /// The model with these weights.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn build(&self, source: &dyn WeightSource) -> Result<Box<dyn Model>> {
        self.architecture.build(&self.config, &Weights::root(source))
    }

    /// The model with the weights of these safetensors files (one, or all shards).
    ///
    /// # Errors
    /// As [`Architecture::build`]; [`Error::Io`] and [`Error::Files`] for the files.
    #[cfg(feature = "candle")]
    pub fn load(
        &self,
        weights: &[std::path::PathBuf],
        dtype: candle_core::DType,
        device: &candle_core::Device,
    ) -> Result<Box<dyn Model>> {
        self.build(&crate::Checkpoint::open(weights, self.architecture.checkpoint_prefix(), dtype, device)?)
    }

    /// The whole tree at this input size, followed by shape alone: no weights and no arithmetic.
    ///
    /// # Errors
    /// [`Error::Config`] from the config; [`Error::Input`] for a size of zero or a sequence that is too long.
    pub fn trace(&self, batch_size: usize, seq_len: usize) -> Result<Tree> {
        self.trace_batch(&Batch::of_shape(batch_size, seq_len))
    }

    /// The same for a batch of this shape, with or without a mask: models that are told of padding do more.
    ///
    /// # Errors
    /// As [`trace`](Self::trace).
    pub fn trace_batch(&self, batch: &Batch) -> Result<Tree> {
        let (batch_size, seq_len) = (batch.batch_size(), batch.seq_len());
        const LARGEST_BATCH: usize = 1 << 24;
        let refuse = |reason| Err(Error::Input { model: self.name.clone(), reason });
        if batch_size == 0 || batch_size > LARGEST_BATCH {
            return refuse(format!("batch size must be from 1 to {LARGEST_BATCH}, found {batch_size}"));
        }
        if seq_len == 0 {
            return refuse("sequence length must be at least 1, found 0".into());
        }
        let model = self.build(&ShapesOnly)?;
        let mut visitor = TreeVisitor::new(&self.name, batch_size, seq_len);
        model.run(&mut Cx::visited(&mut visitor), &batch.shape_alone())?;
        visitor.finish()
    }
}

/// What to call the model at a path: the directory's name, or that of a file that is not just `config.json`.
fn path_name(path: &Path) -> Option<String> {
    let full = path.canonicalize().ok()?;
    let of_directory = full.is_dir() || full.file_stem().is_some_and(|stem| stem == "config" || stem == "model");
    let name = match (full.is_dir(), of_directory) {
        (true, _) => full.file_name(),
        (false, true) => full.parent()?.file_name(),
        (false, false) => full.file_stem(),
    };
    name.map(|name| name.to_string_lossy().into_owned())
}
