use std::{io::Read, path::Path};

use irene_tree::did_you_mean;

use super::{Architecture, ModelSpec, built::BuiltShares};
use crate::{
    Config, Error, ModelFiles, Result, builtin,
    families::{self, Taken},
    files::is_id,
    gguf::{self, Gguf},
    quantisation,
    sentence::Sentence,
};

/// Where a model came from, and so where its other files are.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A config without files.
    Config,
    /// The built-in models: files may be in the Hugging Face cache.
    Builtin,
    /// Files beside the config.
    Files(ModelFiles),
}

impl ModelSpec {
    /// The model at this path (a config, or the directory of a config.json), the built-in one with this name, or the one with this id
    /// in the local Hugging Face cache ([`ModelFiles::find`]).
    ///
    /// A path comes before a built-in model of the same name, as in transformers; [`notes`](Self::notes) then says so.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with near matches; [`Error::Files`], [`Error::Io`] and [`Error::Config`] for a model's files.
    pub fn find(name_or_path: &str) -> Result<Self> {
        match (ModelFiles::at(name_or_path)?, Self::builtin(name_or_path)) {
            (Some(files), Some(builtin)) if !files.has_config() => {
                let name = builtin.name.clone();
                Ok(builtin.noting(format!(
                    "the built-in model {name} is taken: the folder `{name_or_path}` has no config.json"
                )))
            }
            (Some(files), builtin) => {
                let spec = Self::of_files(name_of_path(name_or_path), files)?;
                let note = format!("the path `{name_or_path}` is taken, not the built-in model of that name");
                Ok(if builtin.is_some() { spec.noting(note) } else { spec })
            }
            (None, Some(builtin)) => Ok(builtin),
            (None, None) => Self::of_hub(name_or_path),
        }
    }

    /// The built-in model with this name, or with this id on the Hugging Face hub.
    pub fn builtin(name_or_id: &str) -> Option<Self> {
        let (name, config, note) = builtin::find(name_or_id)?;
        let mut spec = Self { origin: Origin::Builtin, ..Self::from_config(name, config).ok()? };
        spec.notes.extend(note);
        Some(spec)
    }

    /// The model of a config; its `model_type` chooses the architecture, or a class in `architectures` where that is missing.
    ///
    /// # Errors
    /// [`Error::Config`] if the type is none of ours, or a field asks for other code than the plain one.
    pub fn from_config(name: impl Into<String>, config: Config) -> Result<Self> {
        let Taken { config, model_type, note } = families::take(config)?;
        let Some(architecture) = architecture(model_type) else {
            return Err(config.error("model_type", format!("`{model_type}` is not supported")));
        };
        let sentence = Sentence::of_config(&config)?;
        Ok(Self {
            name: name.into(),
            config,
            architecture,
            origin: Origin::Config,
            stored: None,
            sentence,
            notes: note.into_iter().collect(),
            built: BuiltShares::default(),
        })
    }

    /// The model of a config.json from any reader, such as the standard input.
    ///
    /// # Errors
    /// As [`from_config`](Self::from_config); [`Error::Io`] from the reader, [`Error::Files`] if it gives no JSON object.
    pub fn from_reader(name: &str, mut reader: impl Read) -> Result<Self> {
        let mut json = Vec::new();
        reader.read_to_end(&mut json).map_err(|source| Error::Io { path: name.into(), source })?;
        Self::from_config(name, Config::from_json(name, &json)?)
    }

    fn of_files(name: String, files: ModelFiles) -> Result<Self> {
        let path = files.config()?;
        let stored = gguf::is_gguf(&path).then(|| Gguf::open(&path)).transpose()?;
        let mut config = match &stored {
            Some(file) => file.config()?,
            None => quantisation::with_file_beside(Config::read(&path)?, &files)?,
        };
        let told = families::told_by(&config, &files, &name);
        let note = told.map(|(model_type, what)| {
            config.set("model_type", model_type.into());
            format!("{} has no `model_type`: taken for {model_type}, as {what}", config.origin())
        });
        let mut spec = Self::from_config(name, config)?;
        spec.notes.extend(note);
        match &stored {
            Some(file) => {
                let remarks = spec.remarks_on(file);
                spec.notes.extend(remarks);
            }
            None => take_dtype(&mut spec.config, &files),
        }
        let sentence = Sentence::of_files(&files)?.or(spec.sentence);
        Ok(Self { origin: Origin::Files(files), stored, sentence, ..spec })
    }

    /// The model with this id in the cache.
    fn of_hub(name: &str) -> Result<Self> {
        let similar = builtin::similar(name);
        let looks_like_path = name.contains('/') || !is_id(name);
        match ModelFiles::cached(&[name.to_owned()]).and_then(|files| Self::of_files(name.to_owned(), files)) {
            Err(Error::Files { what, .. }) if !looks_like_path && what == name => {
                Err(Error::UnknownModel { name: what, similar })
            }
            // For a hub id, report what the cache and the hub said, not "unknown built-in name".
            Err(Error::Files { what, reason }) if what.starts_with(name) => {
                Err(Error::Files { what, reason: reason + &did_you_mean(&similar) })
            }
            found => found,
        }
    }

    /// The model's files: those beside its config, or for a built-in model those in the Hugging Face cache, never those of a folder
    /// that has its name.
    ///
    /// # Errors
    /// [`Error::Files`] for a model of a config alone; as [`ModelFiles::find`].
    pub fn files(&self) -> Result<ModelFiles> {
        match &self.origin {
            Origin::Files(files) => Ok(files.clone()),
            Origin::Builtin => ModelFiles::cached(&builtin::hub_ids(&self.name)),
            Origin::Config => {
                let reason = "a config alone, with no weights or tokenizer beside it".into();
                Err(Error::Files { what: self.name.clone(), reason })
            }
        }
    }

    /// Whether it is a built-in model.
    pub fn is_builtin(&self) -> bool {
        matches!(self.origin, Origin::Builtin)
    }

    /// Things that were taken for granted when it was found, for the user to hear.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn noting(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }
}

/// Gives a config that says no type the one of the weights beside it, as transformers loads them: that of their first floats.
fn take_dtype(config: &mut Config, files: &ModelFiles) {
    const FLOATS: [&str; 4] = ["F64", "F32", "F16", "BF16"];
    if config.has_precision() || quantisation::is_stated(config) {
        return;
    }
    if let Some(dtype) = files.tensors().into_values().find(|dtype| FLOATS.contains(&dtype.as_str())) {
        config.set("torch_dtype", dtype.into());
    }
}

fn architecture(model_type: &str) -> Option<&'static dyn Architecture> {
    crate::architectures().find(|known| known.model_type() == model_type)
}

/// The name of the model at a path: the directory's, or the file's if that is more than `config.json` or `model`. Where that is the
/// name of a built-in model, the path itself.
fn name_of_path(typed: &str) -> String {
    let path = Path::new(typed);
    let Ok(full) = path.canonicalize() else { return typed.to_owned() };
    let of_directory = full.is_dir() || full.file_stem().is_some_and(|stem| stem == "config" || stem == "model");
    let name = match (full.is_dir(), of_directory) {
        (true, _) => full.file_name(),
        (false, true) => full.parent().and_then(Path::file_name),
        (false, false) => full.file_stem(),
    };
    let name = name.map_or_else(|| typed.into(), |name| name.to_string_lossy().into_owned());
    match () {
        () if builtin::find(&name).is_none() && builtin::find(typed).is_none() => name,
        () if path.components().count() == 1 && path.file_name().is_some() => format!("./{typed}"),
        () => typed.to_owned(),
    }
}
