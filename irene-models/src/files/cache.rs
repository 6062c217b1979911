//! The local cache for files of the Hugging Face hub.

use std::path::{Path, PathBuf};

use super::ModelFiles;
#[cfg(feature = "hub")]
use super::download;
use crate::{Error, Result};

/// A model's id, and the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hub {
    pub(super) cache: PathBuf,
    pub(super) id: String,
}

impl Hub {
    /// The file, downloaded into the cache. None without the feature `hub`, or if the model has no such file.
    #[cfg_attr(not(feature = "hub"), allow(unused_variables, clippy::unnecessary_wraps, clippy::unused_self))]
    pub(super) fn fetch(&self, name: &str) -> Result<Option<PathBuf>> {
        #[cfg(feature = "hub")]
        return download::fetch(&self.cache, &self.id, name);
        #[cfg(not(feature = "hub"))]
        Ok(None)
    }

    /// The command that downloads a file into the cache, or all if none is named.
    pub(super) fn command(&self, file: &str) -> String {
        format!("`hf download {} {file}", self.id).trim_end().to_owned() + "`"
    }

    /// The folder of the model's files, if the cache has it.
    pub(super) fn snapshot(&self) -> Result<Option<PathBuf>> {
        let model = self.cache.join(format!("models--{}", self.id.replace('/', "--")));
        let reference = model.join("refs").join("main");
        match std::fs::read_to_string(&reference) {
            Ok(revision) => Ok(Some(model.join("snapshots").join(revision.trim()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path: reference, source }),
        }
    }
}

impl ModelFiles {
    /// The files of a model in the cache, by the first of its ids that is there.
    ///
    /// # Errors
    /// [`Error::Files`] if the first is no id; [`Error::Io`] for a cache that cannot be read.
    pub(crate) fn cached(ids: &[String]) -> Result<Self> {
        let first = ids.first().map(String::as_str).unwrap_or_default();
        let Some(cache) = cache_dir().filter(|_| is_id(first)) else {
            let fault = irene_tree::file_fault(Path::new(first));
            let reason = fault.unwrap_or_else(|| "no such file or directory".into());
            return Err(Error::Files { what: first.to_owned(), reason });
        };
        for id in ids {
            let hub = Hub { cache: cache.clone(), id: id.clone() };
            if let Some(dir) = hub.snapshot()? {
                return Ok(Self { dir: Some(dir), named: None, pipeline: None, hub: Some(hub) });
            }
        }
        Ok(Self { dir: None, named: None, pipeline: None, hub: Some(Hub { cache, id: first.to_owned() }) })
    }
}

/// Whether a text can be an id of the hub, `name` or `organisation/name`, and does not look like a path.
pub(crate) fn is_id(text: &str) -> bool {
    const FILES: [&str; 9] = [".json", ".jsonl", ".safetensors", ".cfg", ".txt", ".yaml", ".bin", ".gguf", ".csv"];
    let is_name = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    text.split('/').count() <= 2 && text.split('/').all(is_name) && !FILES.iter().any(|end| text.ends_with(end))
}

fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("huggingface").join("hub")))
        .or_else(|| Some(variable("HOME")?.join(".cache").join("huggingface").join("hub")))
}
