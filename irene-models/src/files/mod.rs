//! The files of a model on disk.

mod cache;
#[cfg(feature = "hub")]
mod download;
mod header;
mod weights;

use std::path::{Path, PathBuf};

use irene_tree::file_fault;

use self::cache::Hub;
pub(crate) use self::cache::is_id;
use crate::{Error, Result, builtin, gguf::is_gguf, sentence::folder_of_model};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";

/// The files of a model on disk. Each may be missing until it is asked for.
///
/// A file that is named is read itself. Only config.json and a weights file stand for the directory that they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// None for a model of the Hugging Face hub that the cache does not have.
    dir: Option<PathBuf>,
    /// The file, if the path named one.
    named: Option<PathBuf>,
    /// The folder of the pipeline that the model is the first module of, where the model has its own.
    pipeline: Option<PathBuf>,
    /// Only for a model in the Hugging Face cache.
    hub: Option<Hub>,
}

impl ModelFiles {
    /// The files at a path (a directory, or a file in it), or of a model in the local Hugging Face cache by its id.
    ///
    /// The cache is `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or `~/.cache/huggingface/hub`; the revision is that in `refs/main`. With
    /// the feature `hub`, missing files are downloaded into it.
    ///
    /// # Errors
    /// [`Error::Files`] if it is neither a path nor an id, or a link to nothing; [`Error::Io`] for a cache that cannot be read.
    pub fn find(path_or_id: &str) -> Result<Self> {
        match Self::at(path_or_id)? {
            Some(files) => Ok(files),
            None => Self::cached(&builtin::hub_ids(path_or_id)),
        }
    }

    /// The files at a path, if there is something.
    ///
    /// # Errors
    /// [`Error::Files`] for a link to nothing.
    pub(crate) fn at(path: &str) -> Result<Option<Self>> {
        let path = Path::new(path);
        if path.is_dir() {
            // Older pipelines have the model in a folder of its own.
            let model = folder_of_model(path).filter(|_| !path.join(CONFIG).exists());
            let pipeline = model.is_some().then(|| path.to_owned());
            return Ok(Some(Self { dir: model.or(Some(path.to_owned())), pipeline, named: None, hub: None }));
        }
        if path.exists() {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Ok(Some(Self {
                dir: Some(dir.to_owned()),
                named: Some(path.to_owned()),
                pipeline: None,
                hub: None,
            }));
        }
        // In a folder that may not be entered no name is a path.
        match file_fault(path).filter(|_| path.symlink_metadata().is_ok()) {
            Some(reason) => Err(Error::Files { what: path.display().to_string(), reason }),
            None => Ok(None),
        }
    }

    /// Whether there is a config, be it a good one or not.
    pub(crate) fn has_config(&self) -> bool {
        let in_dir = || self.dir.as_ref().is_some_and(|dir| dir.join(CONFIG).symlink_metadata().is_ok());
        self.itself().is_some() || in_dir()
    }

    /// The named file, unless it stands for its directory.
    fn itself(&self) -> Option<&PathBuf> {
        let stands_for_all = |file: &Path| {
            weights::is_safetensors(file)
                || weights::is_index(file)
                || file.file_name().is_some_and(|name| name == CONFIG)
        };
        self.named.as_ref().filter(|file| !stands_for_all(file))
    }

    /// The config.json, or the named file.
    ///
    /// # Errors
    /// [`Error::Files`] if there is none.
    pub fn config(&self) -> Result<PathBuf> {
        self.own_or_beside(CONFIG)
    }

    /// The tokenizer.json, or the named file.
    ///
    /// # Errors
    /// [`Error::Files`] if there is none.
    pub fn tokenizer(&self) -> Result<PathBuf> {
        self.own_or_beside(TOKENIZER)
    }

    fn own_or_beside(&self, name: &str) -> Result<PathBuf> {
        if let Some(file) = self.itself() {
            return Ok(file.clone());
        }
        let other = || match name {
            CONFIG => self.dir.as_deref().and_then(other_config),
            // A hub may have the file that a folder lacks.
            _ => self.dir.as_deref().filter(|_| self.hub.is_none()).and_then(other_tokenizer),
        };
        self.file(name)?.map_or_else(|| self.refuse(&format!("no {name}{}", other().unwrap_or_default()), name), Ok)
    }

    /// A further file of the model by its name, if there is one. A file beside one that was named itself may be another model's.
    ///
    /// # Errors
    /// [`Error::Files`] for a link to nothing; [`Error::Io`] for a cache that cannot be read.
    pub fn further(&self, name: &str) -> Result<Option<PathBuf>> {
        if self.itself().is_some() { Ok(None) } else { self.file(name) }
    }

    /// A further file that few models have: a hub that cannot be asked is no fault.
    ///
    /// # Errors
    /// [`Error::Files`] for a link to nothing.
    pub(crate) fn if_there(&self, name: &str) -> Result<Option<PathBuf>> {
        let found = self.further(name);
        if self.hub.is_some() { Ok(found.unwrap_or_default()) } else { found }
    }

    /// Whether a model of the hub has a word in its name, in any case; one on disk need not.
    pub(crate) fn is_called(&self, word: &str) -> bool {
        self.hub.as_ref().is_none_or(|hub| hub.id.to_ascii_lowercase().contains(word))
    }

    /// A file of the model, if there is one.
    fn file(&self, name: &str) -> Result<Option<PathBuf>> {
        let local = self.dir.as_ref().map(|dir| dir.join(name));
        if let Some(file) = local.as_ref().filter(|file| file.is_file()) {
            return Ok(Some(file.clone()));
        }
        if let Some(file) = self.hub.as_ref().map(|hub| hub.fetch(name)).transpose()?.flatten() {
            return Ok(Some(file));
        }
        match local.and_then(|file| Some((file_fault(&file)?, file))) {
            Some((reason, file)) => Err(Error::Files { what: file.display().to_string(), reason }),
            None => Ok(None),
        }
    }

    /// A file of the pipeline that the model belongs to, if there is one. A file that is read for itself belongs to none.
    pub(crate) fn of_pipeline(&self, name: &str) -> Result<Option<PathBuf>> {
        match &self.pipeline {
            Some(pipeline) if self.itself().is_none() => Ok(Some(pipeline.join(name)).filter(|file| file.is_file())),
            _ => self.if_there(name),
        }
    }

    /// The error of a model that lacks something; `needed` is the file that would have to be downloaded, all if it is empty.
    fn refuse<T>(&self, reason: &str, needed: &str) -> Result<T> {
        // A file that was downloaded meanwhile has made the folder.
        let downloaded = self.hub.as_ref().and_then(|hub| hub.snapshot().ok().flatten());
        let (what, reason) = match (self.dir.as_ref().or(downloaded.as_ref()), &self.hub) {
            (None, Some(hub)) => {
                let reason = format!(
                    "neither a path nor a model in {}; {} puts it there, or give a directory",
                    hub.cache.display(),
                    hub.command(needed)
                );
                (hub.id.clone(), reason)
            }
            (Some(dir), Some(hub)) => {
                (hub.id.clone(), format!("{reason} in {}; {} brings it", dir.display(), hub.command(needed)))
            }
            (dir, None) => (dir.map_or(Path::new("."), PathBuf::as_path).display().to_string(), reason.to_owned()),
        };
        Err(Error::Files { what, reason })
    }
}

/// Files in a folder that may have been meant as its config.json.
fn other_config(dir: &Path) -> Option<String> {
    const NOT_OF_A_MODEL: [&str; 7] = [
        "tokenizer_config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "adapter_config.json",
        "hf_quant_config.json",
        "quantize_config.json",
        "quant_config.json",
    ];
    const FURTHER: [(&str, &str); 2] = [
        ("adapter_config.json", "name the model that it adapts, its `base_model_name_or_path`"),
        // Mistral's own layout, and Meta's.
        ("params.json", "the same model in transformers' layout has a config.json"),
    ];
    let names = names_in(dir);
    let is_config = |name: &&String| name.ends_with("config.json") && !NOT_OF_A_MODEL.contains(&name.as_str());
    if let Some(name) = names.iter().find(is_config) {
        return Some(format!("; there is {name}: name that file if it describes the model"));
    }
    if let Some(name) = names.iter().find(|name| is_gguf(Path::new(name))) {
        return Some(format!("; there is {name}: name that file, it holds a whole model"));
    }
    let (name, way) = FURTHER.iter().find(|(name, _)| names.iter().any(|known| known == name))?;
    Some(format!("; there is {name}: {way}"))
}

/// A tokenizer's older files in a folder, and what makes a tokenizer.json of them.
fn other_tokenizer(dir: &Path) -> Option<String> {
    const OLDER: [&str; 5] = ["vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"];
    let name = OLDER.into_iter().find(|name| dir.join(name).is_file())?;
    let dir = dir.display();
    Some(format!(
        "; there is {name}, of which one is made, in Python, by \
         `transformers.AutoTokenizer.from_pretrained('{dir}').save_pretrained('{dir}')`"
    ))
}

/// The names of the files in a folder, in order.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_hub_is_asked_by_its_name_and_one_on_disk_is_not() {
        let called = |id: Option<&str>, word: &str| {
            let hub = id.map(|id| Hub { cache: PathBuf::new(), id: id.to_owned() });
            ModelFiles { dir: None, named: None, pipeline: None, hub }.is_called(word)
        };
        assert!(called(Some("someone/Llama-2-7B-GPTQ"), "gptq") && called(None, "gptq"));
        assert!(!called(Some("meta-llama/Llama-2-7b-hf"), "gptq") && called(Some("meta-llama/Llama-2-7b-hf"), ""));
    }
}
