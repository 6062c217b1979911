//! Predictor files: [safetensors](https://github.com/huggingface/safetensors), with JSON in the header for everything that is not a list
//! of numbers.

use std::collections::BTreeMap;

use irene_numerics::StandardScaler;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// The schema of files; later ones are refused, as their numbers may mean something else.
const SCHEMA_VERSION: u64 = 1;

/// The name of what is no list, and the type of those that are.
const METADATA: &str = "__metadata__";
const F64: &str = "F64";

type Header = Map<String, Value>;
type Lists = BTreeMap<String, Vec<f64>>;

/// The part of a file before the numbers.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "__metadata__")]
    metadata: Metadata,
    #[serde(flatten)]
    lists: BTreeMap<String, Place>,
}

/// With one key, and one JSON object as its value, equal predictors give equal files.
#[derive(Deserialize)]
struct Metadata {
    irene: String,
}

/// The bytes of a list, from the first of all numbers.
#[derive(Deserialize)]
struct Place {
    dtype: String,
    data_offsets: [usize; 2],
}

/// The header and the lists of a file, or the reason why there are none.
fn read(bytes: &[u8]) -> std::result::Result<(Header, Lists), String> {
    const CUT: &str = "its header is cut off";
    let (len, rest) = bytes.split_first_chunk::<8>().ok_or(CUT)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| CUT)?;
    let (head, mut numbers) = rest.split_at_checked(len).ok_or(CUT)?;
    let head: Head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    let header = serde_json::from_str(&head.metadata.irene).map_err(|error| error.to_string())?;
    let mut places: Vec<_> = head.lists.into_iter().collect();
    places.sort_by_key(|(_, place)| place.data_offsets);
    let (mut lists, mut at) = (BTreeMap::new(), 0);
    for (name, Place { dtype, data_offsets: [start, end] }) in places {
        if dtype != F64 {
            return Err(format!("`{name}` is not of 64-bit numbers"));
        }
        let len = end.checked_sub(start).filter(|len| start == at && len.is_multiple_of(8) && *len <= numbers.len());
        let Some(len) = len else {
            return Err(format!("`{name}` is not where its header says"));
        };
        let (own, further) = numbers.split_at(len);
        lists.insert(name, own.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect());
        (numbers, at) = (further, end);
    }
    if !numbers.is_empty() {
        return Err("it goes on after its last list".to_owned());
    }
    Ok((header, lists))
}

/// The content of a predictor file: named lists of numbers and a header.
///
/// A method puts words into the header ([`set`](Self::set)) and numbers into lists ([`put`](Self::put)), and takes them out again by the
/// same names. `schema_version`, `method` and `provenance` in the header are the file's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    origin: String,
    header: Header,
    lists: Lists,
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
    /// [`Error::PredictorFile`] for a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // A file with such a number could not be read again.
        if let Some((name, _)) = self.lists.iter().find(|(_, numbers)| numbers.iter().any(|number| !number.is_finite()))
        {
            return Err(
                self.error(format!("`{name}` has a number that is not finite; the training data is beyond reason"))
            );
        }
        let mut head = Map::new();
        head.insert(METADATA.to_owned(), json!({ "irene": Value::Object(self.header.clone()).to_string() }));
        let mut end = 0;
        for (name, numbers) in &self.lists {
            let start = end;
            end += size_of_val(numbers.as_slice());
            head.insert(name.clone(), json!({ "dtype": F64, "shape": [numbers.len()], "data_offsets": [start, end] }));
        }
        let mut head = Value::Object(head).to_string();
        // The numbers begin at a multiple of their size.
        while !head.len().is_multiple_of(8) {
            head.push(' ');
        }
        let numbers = self.lists.values().flatten().flat_map(|number| number.to_le_bytes());
        Ok((head.len() as u64).to_le_bytes().into_iter().chain(head.into_bytes()).chain(numbers).collect())
    }

    /// Reads a file's bytes; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::PredictorFile`] for anything but a predictor file of a known schema.
    pub fn from_bytes(origin: &str, bytes: &[u8]) -> Result<Self> {
        let mut store = Self { origin: origin.to_owned(), header: Map::new(), lists: BTreeMap::new() };
        (store.header, store.lists) =
            read(bytes).map_err(|reason| store.error(format!("not a predictor file, or a damaged one ({reason})")))?;
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

    /// Whether the header has a field of this name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.header.contains_key(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_as_the_safetensors_crate_wrote_it_and_has_no_other_bytes() {
        let file = include_bytes!("../profiles/gtx-1070.measured.safetensors");
        let store = Store::from_bytes("file", file).unwrap();
        assert_eq!(store.to_bytes().unwrap(), file);
        let error = Store::from_bytes("file", &[&file[..], &[0]].concat()).unwrap_err().to_string();
        assert!(error.contains("goes on after its last list"), "{error}");
    }
}
