use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, Result};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const SHARDS: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";

/// The files of a model on disk. Each may be missing until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    dir: PathBuf,
    /// The weights file, if the path named it.
    weights: Option<PathBuf>,
    /// Only for a model in the Hugging Face cache.
    hub: Option<Hub>,
}

/// A model's id, and the cache for files of the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hub {
    cache: PathBuf,
    id: String,
}

impl Hub {
    /// The file, downloaded into the cache. None without the feature `hub`, or if the model has no such file.
    #[cfg_attr(not(feature = "hub"), allow(unused_variables, clippy::unnecessary_wraps, clippy::unused_self))]
    fn fetch(&self, name: &str) -> Result<Option<PathBuf>> {
        #[cfg(feature = "hub")]
        return crate::hub::fetch(&self.cache, &self.id, name);
        #[cfg(not(feature = "hub"))]
        Ok(None)
    }
}

impl ModelFiles {
    /// The files at a path (a directory, or a file in it), or of a model in the local Hugging Face cache by its id.
    ///
    /// The cache is `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`; the revision is that in `refs/main`. With
    /// the feature `hub`, missing files are downloaded into it.
    ///
    /// # Errors
    /// [`Error::Files`] with the way out if there is neither.
    pub fn find(path_or_id: &str) -> Result<Self> {
        let path = Path::new(path_or_id);
        if path.is_dir() {
            return Ok(Self { dir: path.to_owned(), weights: None, hub: None });
        }
        if path.is_file() {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let is_weights = path.extension().is_some_and(|extension| extension == "safetensors");
            return Ok(Self { dir: dir.to_owned(), weights: is_weights.then(|| path.to_owned()), hub: None });
        }
        Self::cached(path_or_id)
    }

    fn cached(id: &str) -> Result<Self> {
        let refuse = |reason: String| Err(Error::Files { what: id.to_owned(), reason });
        let is_id = id.split('/').count() <= 2 && !id.is_empty() && !id.starts_with(['.', '/']);
        let Some(cache) = cache_dir().filter(|_| is_id) else { return refuse("no such file or directory".into()) };
        let model = cache.join(format!("models--{}", id.replace('/', "--")));
        let reference = model.join("refs").join("main");
        let hub = Hub { cache, id: id.to_owned() };
        let dir = match std::fs::read_to_string(&reference) {
            Ok(revision) => model.join("snapshots").join(revision.trim()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match hub.fetch(CONFIG)? {
                Some(config) => config.parent().unwrap_or(&config).to_owned(),
                None => {
                    let cache = hub.cache.display();
                    return refuse(format!(
                        "neither a path nor a model in {cache}; `hf download {id}` puts it there, or give a directory"
                    ));
                }
            },
            Err(source) => return Err(Error::Io { path: reference, source }),
        };
        Ok(Self { dir, weights: None, hub: Some(hub) })
    }

    /// A file of the model, if there is one.
    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        let file = self.dir.join(name);
        match &self.hub {
            _ if file.is_file() => Ok(Some(file)),
            Some(hub) => hub.fetch(name),
            None => Ok(None),
        }
    }

    /// The config.json.
    ///
    /// # Errors
    /// [`Error::Files`] if there is none.
    pub fn config(&self) -> Result<PathBuf> {
        self.file(CONFIG)?.map_or_else(|| self.refuse(format!("no {CONFIG}")), Ok)
    }

    /// The weights: one safetensors file, or the shards that an index names.
    ///
    /// # Errors
    /// [`Error::Files`] if there are none; [`Error::Io`] and [`Error::Files`] for an index that cannot be read.
    pub fn weights(&self) -> Result<Vec<PathBuf>> {
        if let Some(file) = &self.weights {
            return Ok(vec![file.clone()]);
        }
        // Use local shards before asking the hub for one file.
        let has = |name: &str| self.dir.join(name).is_file();
        if (has(WEIGHTS) || !has(SHARDS))
            && let Some(single) = self.file(WEIGHTS)?
        {
            return Ok(vec![single]);
        }
        match self.file(SHARDS)? {
            Some(index) => self.shards(&index),
            None => self.refuse(format!("no {WEIGHTS} and no {SHARDS}")),
        }
    }

    fn shards(&self, index: &Path) -> Result<Vec<PathBuf>> {
        let json = std::fs::read(index).map_err(|source| Error::Io { path: index.to_owned(), source })?;
        let index: Value = match serde_json::from_slice(&json) {
            Ok(index) => index,
            Err(error) => return self.refuse(format!("{SHARDS}: {error}")),
        };
        let names = index["weight_map"].as_object().map(|map| map.values().filter_map(Value::as_str));
        let mut names: Vec<&str> = names.into_iter().flatten().collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return self.refuse(format!("{SHARDS}, field `weight_map`: no files"));
        }
        // A shard must be a file beside the index, not a path out of the folder.
        if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1 || name.contains("..")) {
            return self.refuse(format!("{SHARDS}, field `weight_map`: `{name}` is not a file beside it"));
        }
        // Opening a missing one gives an error that names it.
        names.into_iter().map(|name| Ok(self.file(name)?.unwrap_or_else(|| self.dir.join(name)))).collect()
    }

    /// The tokenizer.json.
    ///
    /// # Errors
    /// [`Error::Files`] if there is none.
    pub fn tokenizer(&self) -> Result<PathBuf> {
        self.file(TOKENIZER)?.map_or_else(|| self.refuse(format!("no {TOKENIZER}")), Ok)
    }

    fn refuse<T>(&self, reason: String) -> Result<T> {
        Err(Error::Files { what: self.dir.display().to_string(), reason })
    }
}

fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("huggingface").join("hub")))
        .or_else(|| Some(variable("HOME")?.join(".cache").join("huggingface").join("hub")))
}
