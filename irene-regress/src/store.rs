//! Predictor files: safetensors, with JSON in the header for everything that is not a list of numbers.

use std::collections::{BTreeMap, HashMap};

use irene_numerics::StandardScaler;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The schema of files; later ones are refused, as their numbers may mean something else.
const SCHEMA_VERSION: u64 = 1;

/// The header's one key. With one JSON object as its value, equal predictors give equal files.
const HEADER_KEY: &str = "irene";

/// The content of a predictor file: named lists of numbers and a header.
///
/// A method puts words into the header ([`set`](Self::set)) and numbers into lists ([`put`](Self::put)), and takes them out again by the
/// same names. `schema_version`, `method` and `provenance` in the header are the file's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    origin: String,
    header: Map<String, Value>,
    lists: BTreeMap<String, Vec<f64>>,
}

impl Store {
    /// The file of a method, without words and numbers of its own.
    pub fn new(method: &str) -> Self {
        let mut store = Self { origin: "predictor".into(), header: Map::new(), lists: BTreeMap::new() };
        store.set_method(method);
        store
    }

    /// Sets the fields that every file has.
    pub(crate) fn set_method(&mut self, method: &str) {
        self.set("schema_version", SCHEMA_VERSION);
        self.set("method", method);
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if safetensors refuses them.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // A file with such a number could not be read again.
        if let Some((name, _)) = self.lists.iter().find(|(_, numbers)| numbers.iter().any(|number| !number.is_finite()))
        {
            return Err(
                self.error(format!("`{name}` has a number that is not finite; the training data is beyond reason"))
            );
        }
        let bytes: BTreeMap<&str, Vec<u8>> = self
            .lists
            .iter()
            .map(|(name, numbers)| (name.as_str(), numbers.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, bytes)| Ok((*name, TensorView::new(Dtype::F64, vec![bytes.len() / 8], bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let header = HashMap::from([(HEADER_KEY.to_owned(), Value::Object(self.header.clone()).to_string())]);
        views
            .and_then(|views| safetensors::serialize(views, Some(header)))
            .map_err(|error| self.error(error.to_string()))
    }

    /// Reads a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] for anything but a predictor file of a known schema.
    pub fn from_bytes(origin: &str, bytes: &[u8]) -> Result<Self> {
        let mut store = Self { origin: origin.to_owned(), header: Map::new(), lists: BTreeMap::new() };
        let damaged =
            |error: &dyn std::fmt::Display| store.error(format!("not a predictor file, or a damaged one ({error})"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
        let header = metadata.metadata().as_ref().and_then(|header| header.get(HEADER_KEY));
        let header = header.ok_or_else(|| damaged(&"no irene header"))?;
        let header = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        let mut lists = BTreeMap::new();
        for (name, tensor) in tensors.iter() {
            if tensor.dtype() != Dtype::F64 {
                return Err(damaged(&format!("`{name}` is not of 64-bit numbers")));
            }
            let numbers = tensor.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            lists.insert(name.to_owned(), numbers);
        }
        store.header = header;
        store.lists = lists;
        store.check_version()?;
        Ok(store)
    }

    fn check_version(&self) -> Result<()> {
        match self.header.get("schema_version").and_then(Value::as_u64) {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(newer) if newer > SCHEMA_VERSION => Err(self.error(format!(
                "written by a newer irene (schema {newer}, this one reads {SCHEMA_VERSION}); update irene, or train again"
            ))),
            _ => Err(self.error("no schema version; not a predictor file, or a damaged one".into())),
        }
    }

    /// An error that names this file: for numbers that a method cannot have written.
    pub fn error(&self, reason: String) -> Error {
        Error::PredictorFile { origin: self.origin.clone(), reason }
    }

    /// Sets a field of the header: a word, a number, or any other JSON value.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.header.insert(name.to_owned(), value.into());
    }

    pub(crate) fn set_list<S: AsRef<str>>(&mut self, name: &str, words: impl Iterator<Item = S>) {
        self.set(name, words.map(|word| word.as_ref().to_owned()).collect::<Vec<_>>());
    }

    /// The word in a field of the header.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if there is none.
    pub fn get(&self, name: &str) -> Result<&str> {
        let word = self.header.get(name).and_then(Value::as_str);
        word.ok_or_else(|| self.error(format!("header field `{name}` is missing or no word")))
    }

    pub(crate) fn get_list(&self, name: &str) -> Result<Vec<String>> {
        let words = self.header.get(name).cloned().and_then(|value| serde_json::from_value(value).ok());
        words.ok_or_else(|| self.error(format!("header field `{name}` is missing or no list of words")))
    }

    /// The words in a field of the header; none if the file has no such field.
    pub(crate) fn get_list_if_any(&self, name: &str) -> Result<Vec<String>> {
        if self.header.contains_key(name) { self.get_list(name) } else { Ok(Vec::new()) }
    }

    /// The value of a field of the header.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if it is not there.
    pub fn get_value(&self, name: &str) -> Result<&Value> {
        self.header.get(name).ok_or_else(|| self.error(format!("header field `{name}` is missing")))
    }

    /// Sets the list with this name. Numbers that are not finite make [`DeviceProfile::to_bytes`](crate::DeviceProfile::to_bytes) fail.
    pub fn put(&mut self, name: &str, numbers: &[f64]) {
        self.lists.insert(name.to_owned(), numbers.to_vec());
    }

    /// The list with this name and exactly this many finite numbers.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if there is no such list.
    pub fn take(&self, name: &str, len: usize) -> Result<Vec<f64>> {
        let numbers = self.take_any(name)?;
        if numbers.len() != len {
            return Err(self.error(format!("`{name}` has {} numbers, expected {len}", numbers.len())));
        }
        Ok(numbers)
    }

    /// The list with this name, of finite numbers.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] if there is no such list.
    pub(crate) fn take_any(&self, name: &str) -> Result<Vec<f64>> {
        let numbers = self.lists.get(name).ok_or_else(|| self.error(format!("`{name}` is missing")))?;
        if numbers.iter().any(|x| !x.is_finite()) {
            return Err(self.error(format!("`{name}` has a number that is not finite")));
        }
        Ok(numbers.clone())
    }

    /// Whether there is a list with this name.
    pub fn has(&self, name: &str) -> bool {
        self.lists.contains_key(name)
    }

    /// The list with this name, of so many numbers that are not negative.
    pub(crate) fn take_coefficients<const N: usize>(&self, name: &str) -> Result<[f64; N]> {
        let numbers = self.take(name, N)?;
        if numbers.iter().any(|coefficient| *coefficient < 0.0) {
            return Err(self.error(format!("`{name}` must not be negative")));
        }
        Ok(std::array::from_fn(|place| numbers[place]))
    }

    pub(crate) fn put_scaler(&mut self, name: &str, scaler: &StandardScaler) {
        self.put(&format!("{name}.mean"), &scaler.mean);
        self.put(&format!("{name}.scale"), &scaler.scale);
    }

    pub(crate) fn take_scaler(&self, name: &str, columns: usize) -> Result<StandardScaler> {
        let mean = self.take(&format!("{name}.mean"), columns)?;
        let scale = self.take(&format!("{name}.scale"), columns)?;
        if scale.iter().any(|scale| *scale <= 0.0) {
            return Err(self.error(format!("`{name}.scale` must be above 0")));
        }
        Ok(StandardScaler { mean, scale })
    }
}
