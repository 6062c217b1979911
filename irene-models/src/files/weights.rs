//! The weights among a model's files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{ModelFiles, header, names_in};
use crate::{Error, Result, error::reading, gguf::is_gguf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Weights that are not read: the end of the file's name, whose they are, and what `from_pretrained` needs to know to read them, if
/// transformers can convert them.
const OTHERS: [(&str, &str, Option<&str>); 7] = [
    ("model.bin", "PyTorch's", Some("")),
    ("model.bin.index.json", "PyTorch's", Some("")),
    ("model.h5", "TensorFlow's", Some(", from_tf=True")),
    (".ckpt.index", "TensorFlow's", Some(", from_tf=True")),
    ("model.msgpack", "Flax's", Some(", from_flax=True")),
    (".onnx", "ONNX's", None),
    ("model.ot", "rust-bert's", None),
];

pub(super) fn is_safetensors(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "safetensors")
}

pub(super) fn is_index(file: &Path) -> bool {
    file.to_string_lossy().ends_with(".safetensors.index.json")
}

/// The number of shards of which a file is one by its name.
fn shards_with(file: &Path) -> Option<usize> {
    let stem = file.file_name()?.to_str()?.strip_suffix(".safetensors")?;
    let (place, count) = stem.strip_prefix("model-")?.split_once("-of-")?;
    let number = |digits: &str| digits.parse::<usize>().ok().filter(|_| digits.len() == 5);
    number(place).and(number(count))
}

/// All shards of the model of which a folder has one, be they there or not.
fn shards_in(dir: &Path) -> Vec<PathBuf> {
    let count = names_in(dir).iter().find_map(|name| shards_with(Path::new(name))).unwrap_or(0);
    (1..=count).map(|place| dir.join(format!("model-{place:05}-of-{count:05}.safetensors"))).collect()
}

impl ModelFiles {
    /// The weights: one safetensors file, or the shards that an index names, or all shards where there is no index.
    ///
    /// # Errors
    /// [`Error::Files`] if there are none, with the way out where there are others; [`Error::Io`] and [`Error::Files`] for an index
    /// that cannot be read.
    pub fn weights(&self) -> Result<Vec<PathBuf>> {
        match &self.named {
            Some(file) if is_safetensors(file) => {
                return match shards_with(file) {
                    Some(count) if count > 1 => {
                        let reason = format!("is a part of {count}: name its folder");
                        Err(Error::Files { what: file.display().to_string(), reason })
                    }
                    _ => Ok(vec![file.clone()]),
                };
            }
            Some(file) if is_index(file) => return self.shards(file),
            Some(file) if is_gguf(file) => return Ok(vec![file.clone()]),
            _ => {}
        }
        if let Some(file) = self.itself() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let reason = instead(&name, file.parent().unwrap_or(file)).unwrap_or_else(|| {
                "no safetensors file, and weights beside it belong to another config: name them apart".into()
            });
            return Err(Error::Files { what: file.display().to_string(), reason });
        }
        // Use local shards before asking the hub for one file.
        let has = |name: &str| self.dir.as_ref().is_some_and(|dir| dir.join(name).is_file());
        if (has(SINGLE) || !has(INDEX))
            && let Some(single) = self.file(SINGLE)?
        {
            return Ok(vec![single]);
        }
        match self.file(INDEX)? {
            Some(index) => self.shards(&index),
            None => self.without_index(),
        }
    }

    /// The shards in a folder where nothing names them.
    fn without_index(&self) -> Result<Vec<PathBuf>> {
        const SHOWN: usize = 3;
        let dir = self.dir.as_deref();
        let shards = dir.map(shards_in).unwrap_or_default();
        let missing = shards.iter().filter(|shard| !shard.is_file()).filter_map(|shard| shard.file_name());
        let missing: Vec<String> = missing.map(|name| name.to_string_lossy().into_owned()).collect();
        let other = match (shards.len(), missing.len()) {
            (0, _) => dir.and_then(other_weights),
            (_, 0) => return Ok(shards),
            (count, lacking) => {
                let shown = missing.get(..SHOWN).unwrap_or(&missing).join(", ");
                Some(format!("of {count} shards it lacks {shown}{}", if lacking > SHOWN { ", ..." } else { "" }))
            }
        };
        let other = other.map(|other| format!("; {other}")).unwrap_or_default();
        self.refuse(&format!("no {SINGLE} and no {INDEX}{other}"), "")
    }

    fn shards(&self, index: &Path) -> Result<Vec<PathBuf>> {
        // Opening a missing one gives an error that names it.
        let shard = |name: String| Ok(self.file(&name)?.unwrap_or_else(|| index.with_file_name(&name)));
        names_of_shards(index)?.into_iter().map(shard).collect()
    }

    /// The tensors of the weights' first file and their types, by its header; none where it is not on this machine, or cannot be read.
    pub(crate) fn tensors(&self) -> BTreeMap<String, String> {
        self.first_of_weights().and_then(|file| header::tensors(&file)).unwrap_or_default()
    }

    /// The first file of the weights, if it is on this machine: nothing is fetched for it.
    fn first_of_weights(&self) -> Option<PathBuf> {
        let beside = |name: &str| Some(self.dir.as_ref()?.join(name)).filter(|file| file.is_file());
        let of_index = |index: &Path| Some(index.with_file_name(names_of_shards(index).ok()?.first()?));
        let file = match &self.named {
            Some(file) if is_safetensors(file) => Some(file.clone()),
            Some(file) if is_index(file) => of_index(file),
            // Weights beside a file of another name are not its own.
            _ if self.itself().is_some() => None,
            _ => {
                let of_folder = || shards_in(self.dir.as_deref()?).into_iter().next();
                beside(SINGLE).or_else(|| of_index(&beside(INDEX)?)).or_else(of_folder)
            }
        };
        file.filter(|file| file.is_file())
    }
}

/// The names of the files in an index, in order.
fn names_of_shards(index: &Path) -> Result<Vec<String>> {
    let what = || index.display().to_string();
    let json: Value = reading(index, |index| {
        let json = std::fs::read(index).map_err(|source| Error::Io { path: index.to_owned(), source })?;
        serde_json::from_slice(&json).map_err(|error| Error::Files { what: what(), reason: error.to_string() })
    })?;
    let refuse = |reason: &str| Err(Error::Files { what: what(), reason: format!("field `weight_map`: {reason}") });
    let names = json["weight_map"].as_object().map(|map| map.values().filter_map(Value::as_str));
    let mut names: Vec<String> = names.into_iter().flatten().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return refuse("no files");
    }
    // A shard must be a file beside the index, not a path out of the folder.
    if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1 || name.contains("..")) {
        return refuse(&format!("`{name}` is not a file beside it"));
    }
    Ok(names)
}

/// Weights in a folder that are not read, and what to do about them.
fn other_weights(dir: &Path) -> Option<String> {
    let names = names_in(dir);
    let found = names.iter().find_map(|name| Some(format!("there is {name}, {}", instead(name, dir)?)));
    found.or_else(|| {
        let name = names.iter().find(|name| is_safetensors(Path::new(name)))?;
        Some(format!("there is {name}: name it as the weights if it is the whole model"))
    })
}

/// The way out for a file of weights that is not read.
fn instead(name: &str, dir: &Path) -> Option<String> {
    if name == "adapter_model.safetensors" || name == "adapter_model.bin" {
        return Some("an adapter: merge it into its base model first, with peft's `merge_and_unload`".into());
    }
    if is_gguf(Path::new(name)) {
        return Some("which holds a whole model: name that file in place of its folder".into());
    }
    let (_, whose, options) = OTHERS.iter().find(|(end, ..)| name.ends_with(end))?;
    Some(match options {
        Some(options) => {
            let dir = dir.display();
            format!(
                "{whose}, which is not read: convert it to safetensors, in Python \
                 `transformers.AutoModel.from_pretrained('{dir}'{options}).save_pretrained('{dir}')`"
            )
        }
        None => format!("{whose}, which is not read: take the checkpoint that it was made from"),
    })
}
