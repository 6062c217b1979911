//! Reading the modules from their folder.

use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::{Dense, Kind, MODES, Mode, Sentence, Step};
use crate::{Activation, Config, Error, ModelFiles, Result, error::reading};

const MODULES: &str = "modules.json";

/// The way out of modules that are not run.
const ALONE: &str = "to run the model without its modules, name its config.json under another name";

/// The activations of dense layers, by the ends of PyTorch's class names.
const ACTIVATIONS: [(&str, Option<Activation>); 6] = [
    ("Identity", None),
    ("Tanh", Some(Activation::Tanh)),
    ("GELU", Some(Activation::Gelu)),
    ("ReLU", Some(Activation::Relu)),
    ("SiLU", Some(Activation::Silu)),
    ("Sigmoid", Some(Activation::Sigmoid)),
];

impl Sentence {
    /// The modules in a model's folder, if there are any.
    ///
    /// # Errors
    /// [`Error::Files`] for files that are no such modules, or modules that are not run here.
    pub(crate) fn of_files(files: &ModelFiles) -> Result<Option<Self>> {
        let Some(path) = files.of_pipeline(MODULES)? else { return Ok(None) };
        let modules = Modules { path: &path, files };
        let steps = modules.list()?.into_iter().map(|module| modules.step(&module));
        let steps: Vec<Step> = steps.filter_map(Result::transpose).collect::<Result<_>>()?;
        let is_pooling = |step: &Step| matches!(step.kind, Kind::Pooling(_));
        let begins = steps.first().is_none_or(is_pooling);
        if !begins || steps.iter().skip(1).any(is_pooling) {
            return modules.refuse(format!("expected one Pooling, before all other modules; {ALONE}"));
        }
        Ok((!steps.is_empty()).then_some(Self { steps }))
    }

    /// The modules that a config names in `sentence_modules`, a list of words: a way of pooling, or `normalize`. Built-in models have it.
    ///
    /// # Errors
    /// [`Error::Config`] for another word.
    pub(crate) fn of_config(config: &Config) -> Result<Option<Self>> {
        const FIELD: &str = "sentence_modules";
        if config.value(FIELD).is_none() {
            return Ok(None);
        }
        let step = |(place, word): (usize, String)| {
            let (class, kind) = match (word.as_str(), Mode::of_word(&word)) {
                ("normalize", _) => ("Normalize", Kind::Normalize),
                (_, Some(mode)) => ("Pooling", Kind::Pooling(vec![mode])),
                _ => return Err(config.error(FIELD, format!("`{word}` is not supported here; {}", known_modes()))),
            };
            Ok(Step { name: format!("{}_{class}", place + 1), kind })
        };
        let steps = config.field::<Vec<String>>(FIELD)?.into_iter().enumerate().map(step);
        Ok(Some(Self { steps: steps.collect::<Result<_>>()? }))
    }
}

fn known_modes() -> String {
    format!("there are {}", MODES.map(|(word, ..)| word).join(", "))
}

/// The folder that the first module of a pipeline is in, where that is not the pipeline's own.
pub(crate) fn folder_of_model(pipeline: &Path) -> Option<std::path::PathBuf> {
    let json = std::fs::read(pipeline.join(MODULES)).ok()?;
    let modules: Vec<Value> = serde_json::from_slice(&json).ok()?;
    let path = modules.first()?["path"].as_str().filter(|path| !path.is_empty() && is_below(path))?;
    Some(pipeline.join(path))
}

/// Whether a path leads below a folder, not out of it.
fn is_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A modules.json and the folder that it belongs to.
struct Modules<'a> {
    path: &'a Path,
    files: &'a ModelFiles,
}

impl Modules<'_> {
    fn refuse<T>(&self, reason: String) -> Result<T> {
        Err(Error::Files { what: self.path.display().to_string(), reason })
    }

    fn list(&self) -> Result<Vec<Map<String, Value>>> {
        let json = read(self.path)?;
        match serde_json::from_slice(&json) {
            Ok(modules) => Ok(modules),
            Err(error) => self.refuse(format!("not a list of modules ({error})")),
        }
    }

    /// A module's step; None for the model itself and for what does nothing when it runs.
    fn step(&self, module: &Map<String, Value>) -> Result<Option<Step>> {
        let word = |name: &str| module.get(name).and_then(Value::as_str);
        let class = word("type").unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let path = word("path").unwrap_or_default();
        if !is_below(path) {
            return self.refuse(format!("`{path}` is not a folder below it"));
        }
        let kind = match class {
            "Transformer" | "Dropout" => return Ok(None),
            "Normalize" => Kind::Normalize,
            "Pooling" => Kind::Pooling(self.modes(&self.config(path)?)?),
            "Dense" => Kind::Dense(self.dense(path)?),
            other => {
                let known = "Transformer, Pooling, Dense, Normalize";
                return self.refuse(format!("its module `{other}` is not run here; there are {known}; {ALONE}"));
            }
        };
        let place = module.get("idx").and_then(Value::as_u64).unwrap_or_default();
        Ok(Some(Step { name: format!("{place}_{class}"), kind }))
    }

    /// The config.json in a module's folder.
    fn config(&self, path: &str) -> Result<Config> {
        match self.files.of_pipeline(&format!("{path}/config.json"))? {
            Some(file) => Config::read(&file),
            None => self.refuse(format!("there is no {path}/config.json beside it")),
        }
    }

    fn modes(&self, config: &Config) -> Result<Vec<Mode>> {
        const FIELD: &str = "pooling_mode";
        let words = match config.value(FIELD) {
            Some(Value::String(word)) => vec![word.clone()],
            Some(_) => config.field::<Vec<String>>(FIELD)?,
            None => {
                let mut words = Vec::new();
                for (word, switch, ..) in MODES {
                    if config.flag_or(switch, false)? {
                        words.push(word.to_owned());
                    }
                }
                words
            }
        };
        if words.is_empty() {
            return Ok(vec![Mode::Mean]);
        }
        let unknown = |word: &str| config.error(FIELD, format!("`{word}` is not supported here; {}", known_modes()));
        words.iter().map(|word| Mode::of_word(word).ok_or_else(|| unknown(word))).collect()
    }

    fn dense(&self, path: &str) -> Result<Dense> {
        const FIELD: &str = "activation_function";
        let config = self.config(path)?;
        let class = config.word_or(FIELD, "Tanh")?;
        let name = class.rsplit('.').next().unwrap_or_default();
        let Some((_, activation)) = ACTIVATIONS.iter().find(|(known, _)| *known == name) else {
            let known = ACTIVATIONS.map(|(known, _)| known).join(", ");
            return Err(config.error(FIELD, format!("`{class}` is not supported here; there are {known}")));
        };
        for field in ["module_input_name", "module_output_name"] {
            let name = config.word_or(field, "sentence_embedding")?;
            if name != "sentence_embedding" {
                return Err(config.error(field, format!("`{name}` is not supported here, only `sentence_embedding`")));
            }
        }
        Ok(Dense {
            widths: [config.size("in_features")?, config.size("out_features")?],
            is_biased: config.flag_or("bias", true)?,
            activation: *activation,
            weights: self.files.of_pipeline(&format!("{path}/model.safetensors"))?,
            folder: self.path.with_file_name(path).display().to_string(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    reading(path, |path| std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source }))
}
