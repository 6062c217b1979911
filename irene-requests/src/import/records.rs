use std::borrow::Cow;

use irene_tree::Lines;
use serde_json::{Map, Value};

use crate::{Error, Figure, RequestRow, sheet::read::line};

/// An object of JSON, or a line of CSV by its titles.
pub(super) struct Record {
    /// The line that it begins in, from 1.
    pub(super) line: u64,
    fields: Value,
}

impl Record {
    pub(super) fn new(line: u64, fields: Value) -> Self {
        Self { line, fields }
    }

    /// The value at a path of names with dots between.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        // A title may have dots itself.
        let found =
            self.fields.get(path).or_else(|| path.split('.').try_fold(&self.fields, |value, name| value.get(name)));
        found.filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.fields.get(path).is_some() || self.at(path).is_some()
    }

    /// A finite number, of CSV in words.
    pub(super) fn number(&self, path: &str) -> Option<f64> {
        number(self.at(path)?)
    }

    /// A finite number above 0: these files have 0 for what was not measured.
    pub(super) fn positive(&self, path: &str) -> Option<f64> {
        self.number(path).filter(|number| *number > 0.0)
    }

    /// A whole number of at least 1.
    pub(super) fn count(&self, path: &str) -> Option<usize> {
        const MOST: f64 = 1e9;
        self.number(path)
            .filter(|number| number.fract() == 0.0 && (1.0..=MOST).contains(number))
            .map(|number| number as usize)
    }

    /// A text that is not empty.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}

/// Sets a figure if it is known, finite and above 0.
pub(super) fn set(row: &mut RequestRow, figure: Figure, value: Option<f64>) {
    row.figures.set(figure, value.filter(|value| value.is_finite() && *value > 0.0));
}

/// Keeps fields of a record as further columns.
pub(super) fn keep(row: &mut RequestRow, record: &Record, fields: &[&str]) {
    for field in fields {
        let cell = match record.at(field) {
            None => continue,
            Some(Value::String(text)) if text.is_empty() => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        row.set_further(field, cell);
    }
}

/// The records of a file of JSON (an object, an array of objects, or several after one another) or CSV, and what could not be read.
pub(super) fn read(origin: &str, bytes: &[u8]) -> (Vec<Record>, Vec<Error>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        let line = 1 + bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().matches('\n').count() as u64);
        return (Vec::new(), vec![fault(origin, line, "is not UTF-8 text")]);
    };
    match text.trim_start().bytes().next() {
        Some(b'{' | b'[') => read_json(origin, &without_infinities(text)),
        _ => read_csv(origin, text),
    }
}

pub(super) fn fault(origin: &str, line: u64, reason: impl ToString) -> Error {
    Error::Row { origin: origin.to_owned(), line, column: String::new(), reason: reason.to_string() }
}

/// Python writes numbers that JSON has no word for: they are absent. Quoted texts stay as they are.
fn without_infinities(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_quote = |character: char| {
        let is_quote = character == '"' && !is_escaped;
        is_escaped = is_quoted && character == '\\' && !is_escaped;
        is_quoted ^= is_quote;
        is_quote
    };
    // Every other part is inside quotes.
    let parts = text.split_inclusive(is_quote).enumerate().map(|(place, part)| match place % 2 {
        0 => Cow::Owned(WORDS.iter().fold(part.to_owned(), |part, word| part.replace(word, "null"))),
        _ => Cow::Borrowed(part),
    });
    Cow::Owned(parts.collect())
}

fn read_json(origin: &str, text: &str) -> (Vec<Record>, Vec<Error>) {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut begin = 0;
    while let Some(value) = values.next() {
        let end = values.byte_offset();
        let blank = text[begin..end].len() - text[begin..end].trim_start().len();
        let line = 1 + text[..begin + blank].matches('\n').count() as u64;
        begin = end;
        match value {
            Ok(Value::Array(all)) => records.extend(all.into_iter().map(|value| Record::new(line, value))),
            Ok(value) => records.push(Record::new(line, value)),
            Err(error) => {
                // The records after it cannot be told apart.
                faults.push(fault(origin, error.line() as u64, format!("is not JSON: {error}")));
                break;
            }
        }
    }
    (records, faults)
}

fn read_csv(origin: &str, text: &str) -> (Vec<Record>, Vec<Error>) {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    let lines = Lines::of(text.as_bytes(), None);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let Ok(titles) = reader.headers().cloned() else { return (records, faults) };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                faults.push(fault(origin, line(&lines, error.position()), error));
                continue;
            }
        };
        let line = line(&lines, record.position());
        if record.len() != titles.len() {
            let reason = format!("has {} cells where the first line has {}", record.len(), titles.len());
            faults.push(fault(origin, line, reason));
            continue;
        }
        let cells = titles.iter().zip(&record).map(|(title, cell)| (title.trim().to_owned(), Value::from(cell)));
        records.push(Record::new(line, Value::Object(cells.collect::<Map<_, _>>())));
    }
    // A file of one line that is no table has nothing to say of its lines.
    if records.is_empty() { (records, Vec::new()) } else { (records, faults) }
}
