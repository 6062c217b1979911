use std::path::{Path, PathBuf};

use irene_tree::{Format, Precision};
use serde_json::{Map, Value};

use crate::{Error, Result, error::reading, quantisation};

/// The largest size that a field may give: far above any model's, low enough that no product of sizes overflows.
const LARGEST: usize = 1 << 24;

/// The type of a model whose weights say it, when they are loaded.
const AUTO: &str = "auto";

/// A Hugging Face config.json, read field by field with errors that name the field.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    origin: String,
    fields: Map<String, Value>,
}

impl Config {
    /// The fields of a JSON object; `origin` names them in errors.
    ///
    /// # Errors
    /// [`Error::Files`] if it is no JSON object.
    pub fn from_json(origin: impl Into<String>, json: &[u8]) -> Result<Self> {
        let origin = origin.into();
        // Some editors begin a file with a byte order mark.
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let fields = serde_json::from_slice(json).or_else(|error| match json.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(&without_infinities(json)),
            _ => Err(error),
        });
        match fields {
            Ok(fields) => Ok(Self { origin, fields }),
            Err(error) => {
                let reason = format!("no model's config: not a JSON object ({error})");
                Err(Error::Files { what: origin, reason })
            }
        }
    }

    /// A config of these fields, without a file.
    pub(crate) fn of_fields(origin: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { origin: origin.into(), fields }
    }

    /// A config.json, or the one in this directory.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Files`] if it is no JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join("config.json") } else { PathBuf::from(path) };
        reading(&file, |file| {
            let json = std::fs::read(file).map_err(|source| Error::Io { path: file.to_owned(), source })?;
            Self::from_json(file.display().to_string(), &json)
        })
    }

    /// Has fields read by other names too, given as pairs of the other name and the one that the code reads. Some names come before it, as in
    /// transformers.
    ///
    /// # Errors
    /// [`Error::Config`] if a field has one value by each name.
    pub(crate) fn read_also(&mut self, also: &[(&str, &str)]) -> Result<()> {
        // Those of LFM2's first configs.
        const FIRST: [&str; 2] = ["block_ff_dim", "tie_embedding"];
        for (other, name) in also {
            let Some(value) = self.value(other) else { continue };
            match self.value(name) {
                Some(known) if known != value && !FIRST.contains(other) => {
                    return Err(self.error(other, format!("is {value} where `{name}`, the same size, is {known}")));
                }
                _ => drop(self.fields.insert((*name).to_owned(), value.clone())),
            }
        }
        Ok(())
    }

    /// A field, unless it is missing or null.
    pub(crate) fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn stated(&self, field: &str) -> Result<&Value> {
        self.value(field).ok_or_else(|| self.error(field, "is missing".into()))
    }

    /// Gives a field another value.
    pub(crate) fn set(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
    }

    /// Takes a field away.
    pub(crate) fn remove(&mut self, field: &str) {
        self.fields.shift_remove(field);
    }

    /// Whether the field is there, even if it is null.
    pub(crate) fn has_field(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The same config with a size where the field is missing or null.
    pub(crate) fn with_default(&self, field: &str, size: usize) -> Self {
        let mut config = self.clone();
        if config.value(field).is_none() {
            config.fields.insert(field.to_owned(), size.into());
        }
        config
    }

    /// Every field.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }

    /// The file or built-in model that it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A size: a whole number of at least 1.
    ///
    /// # Errors
    /// [`Error::Config`] if it is missing or not such a number.
    pub fn size(&self, field: &'static str) -> Result<usize> {
        self.as_size(field, self.stated(field)?, 1)
    }

    /// A size that has a default where the field is missing or null.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and not such a number.
    pub fn size_or(&self, field: &'static str, default: usize) -> Result<usize> {
        self.value(field).map_or(Ok(default), |value| self.as_size(field, value, 1))
    }

    /// A token's id, which may be 0.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and not a whole number of at least 0.
    pub fn token_or(&self, field: &'static str, default: usize) -> Result<usize> {
        self.value(field).map_or(Ok(default), |value| self.as_size(field, value, 0))
    }

    /// Tokens' ids, given as one or as a list; none where the field is missing or null.
    ///
    /// # Errors
    /// [`Error::Config`] if it is neither.
    pub fn tokens(&self, field: &'static str) -> Result<Vec<i64>> {
        let token = |value: &Value| Ok(self.as_size(field, value, 0)? as i64);
        match self.value(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(tokens)) => tokens.iter().map(token).collect(),
            Some(value) => Ok(vec![token(value)?]),
        }
    }

    /// A positive number that has a default.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and not a positive number.
    pub fn number_or(&self, field: &'static str, default: f64) -> Result<f64> {
        let Some(value) = self.value(field) else { return Ok(default) };
        let number = value.as_f64().filter(|number| *number > 0.0);
        number.ok_or_else(|| self.error(field, format!("expected a positive number, found {value}")))
    }

    /// A probability, from 0 to 1, that has a default: of a dropout.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and not such a number.
    pub fn probability_or(&self, field: &'static str, default: f64) -> Result<f64> {
        let Some(value) = self.value(field) else { return Ok(default) };
        let probability = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        probability.ok_or_else(|| self.error(field, format!("expected a number from 0 to 1, found {value}")))
    }

    /// A word that has a default.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and not a string.
    pub fn word_or<'a>(&'a self, field: &'static str, default: &'a str) -> Result<&'a str> {
        match self.value(field) {
            None => Ok(default),
            Some(Value::String(word)) => Ok(word),
            Some(value) => Err(self.error(field, format!("expected a word, found {value}"))),
        }
    }

    /// A switch that has a default.
    ///
    /// # Errors
    /// [`Error::Config`] if it is there and neither true nor false.
    pub fn flag_or(&self, field: &'static str, default: bool) -> Result<bool> {
        match self.value(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.error(field, format!("expected true or false, found {value}"))),
        }
    }

    /// A field of another type.
    ///
    /// # Errors
    /// [`Error::Config`] if it is missing or not of that type.
    pub fn field<'a, T: serde::Deserialize<'a>>(&'a self, field: &'static str) -> Result<T> {
        T::deserialize(self.stated(field)?).map_err(|error| self.error(field, error.to_string()))
    }

    /// Whether it says in which format activations are.
    pub fn has_precision(&self) -> bool {
        ["torch_dtype", "dtype"].iter().any(|field| self.value(field).is_some_and(|word| word != AUTO))
    }

    /// The number formats that the model is stored and run in, by `torch_dtype` (or `dtype`) and `quantization_config`; where neither
    /// says, those of the weights beside it, 32-bit floats without weights, and bfloat16 beside quantised ones.
    ///
    /// # Errors
    /// [`Error::Config`] for a type or a quantisation that is unknown here; [`Run::precision`](crate::Run::precision) says another.
    pub fn precision(&self) -> Result<Precision> {
        let field = if self.value("torch_dtype").is_some() { "torch_dtype" } else { "dtype" };
        let default = if quantisation::is_stated(self) { "bf16" } else { "f32" };
        let word = Some(self.word_or(field, default)?).filter(|word| *word != AUTO).unwrap_or(default);
        let activations = word.parse().ok().filter(|format: &Format| format.holds_activations());
        let unknown = || self.error(field, format!("`{word}` is unknown here; give run.precision"));
        let activations = activations.ok_or_else(unknown)?;
        let weights = quantisation::format_of(self)?.unwrap_or(activations);
        Ok(Precision { weights, activations, cache: activations })
    }

    /// The number of classes that a classification head tells apart: the number of names in `id2label`, else `num_labels`, else 2.
    ///
    /// # Errors
    /// [`Error::Config`] if either is there and not such a number.
    pub fn num_labels(&self) -> Result<usize> {
        match self.fields.get("id2label") {
            Some(Value::Object(names)) if !names.is_empty() => Ok(names.len()),
            _ => self.size_or("num_labels", 2),
        }
    }

    /// A number of layers.
    ///
    /// # Errors
    /// [`Error::Config`] if it is missing or too large.
    pub fn layers(&self, field: &'static str) -> Result<usize> {
        const MOST: usize = 4096;
        match self.size(field)? {
            layers if layers <= MOST => Ok(layers),
            layers => Err(self.error(field, format!("expected at most {MOST} layers, found {layers}"))),
        }
    }

    /// A width that a number of heads must divide.
    ///
    /// # Errors
    /// [`Error::Config`] if either is missing or they contradict each other.
    pub fn width_and_heads(&self, width: &'static str, heads: &'static str) -> Result<(usize, usize)> {
        let (hidden, count) = (self.size(width)?, self.size(heads)?);
        if hidden % count != 0 {
            return Err(self.error(heads, format!("{count} heads do not divide `{width}`, which is {hidden}")));
        }
        Ok((hidden, count))
    }

    /// An error about one of the fields.
    pub fn error(&self, field: &str, reason: String) -> Error {
        Error::Config { origin: self.origin.clone(), field: field.to_owned(), reason }
    }

    fn as_size(&self, field: &'static str, value: &Value, least: usize) -> Result<usize> {
        value
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| (least..=LARGEST).contains(size))
            .ok_or_else(|| {
                self.error(field, format!("expected a whole number from {least} to {LARGEST}, found {value}"))
            })
    }
}

/// The same with null where Python's JSON has a number that is none in JSON, as in `"time_step_limit": [0.0, Infinity]`.
fn without_infinities(json: &[u8]) -> Vec<u8> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    let (mut plain, mut rest) = (Vec::with_capacity(json.len()), json);
    let mut is_text = false;
    while let Some((&byte, after)) = rest.split_first() {
        let word = WORDS.iter().find_map(|word| rest.strip_prefix(word.as_bytes())).filter(|_| !is_text);
        let (taken, after): (&[u8], &[u8]) = match (word, after) {
            (Some(after), _) => (&b"null"[..], after),
            // A character behind a backslash ends no text.
            (None, [_, after @ ..]) if is_text && byte == b'\\' => (&rest[..2], after),
            (None, after) => (&rest[..1], after),
        };
        is_text ^= byte == b'"';
        plain.extend_from_slice(taken);
        rest = after;
    }
    plain
}
