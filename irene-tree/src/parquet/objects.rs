//! Rows of named values that are no trees: request sheets and records.

use std::{io::Write, path::Path};

use serde_json::{Map, Number, Value};

use super::table::{Cell, Kind, Reader, Writer};
use crate::Result;

/// Writes objects as rows: fields that hold numbers alone become columns of numbers, others text; lists and objects in them are JSON. The
/// objects are gone through twice, first for the columns.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) from the writer; that of the objects.
pub fn write_objects<I>(writer: impl Write + Send, objects: impl Fn() -> Result<I>) -> Result<()>
where
    I: Iterator<Item = Result<Map<String, Value>>>,
{
    let mut columns: Vec<(String, Kind)> = Vec::new();
    for object in objects()? {
        for (name, value) in &object? {
            let kind = match value {
                Value::Null => continue,
                Value::Number(number) if number.is_i64() => Kind::Whole,
                Value::Number(_) => Kind::Number,
                _ => Kind::Text,
            };
            match columns.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = wider(*known, kind),
                None => columns.push((name.clone(), kind)),
            }
        }
    }
    let mut table = Writer::new(writer, columns.iter().map(|(name, kind)| (name.as_str(), *kind)))?;
    for object in objects()? {
        let object = object?;
        table.row(columns.iter().map(|(name, kind)| cell(object.get(name)?, *kind)))?;
    }
    table.finish().map(drop)
}

fn wider(a: Kind, b: Kind) -> Kind {
    match (a, b) {
        (a, b) if a == b => a,
        (Kind::Text, _) | (_, Kind::Text) => Kind::Text,
        _ => Kind::Number,
    }
}

fn cell(value: &Value, kind: Kind) -> Option<Cell> {
    match (value, kind) {
        (Value::Null, _) => None,
        (Value::String(text), _) => Some(Cell::Text(text.clone())),
        (value, Kind::Text) => Some(Cell::Text(value.to_string())),
        (value, Kind::Whole) => value.as_i64().map(Cell::Whole),
        (value, Kind::Number) => value.as_f64().map(Cell::Number),
    }
}

/// Reads rows as objects without the fields that are null. Text that is a JSON list or object is read as such.
pub struct ObjectReader {
    table: Reader,
    names: Vec<String>,
    rows: std::vec::IntoIter<Map<String, Value>>,
    is_over: bool,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ObjectReader {
    /// Opens the file at this path.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::File`](crate::Error::File) if it is no Parquet file.
    pub fn open(path: &Path) -> Result<Self> {
        let table = Reader::open(path)?;
        Ok(Self { names: table.names(), table, rows: Vec::new().into_iter(), is_over: false })
    }

    /// The columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    fn batch(&mut self) -> Result<Option<Vec<Map<String, Value>>>> {
        let Some(columns) = self.table.batch()? else { return Ok(None) };
        let mut rows = vec![Map::new(); columns.first().map_or(0, Vec::len)];
        for (name, column) in self.names.iter().zip(columns) {
            for (row, cell) in rows.iter_mut().zip(column) {
                if let Some(cell) = cell {
                    row.insert(name.clone(), value(cell));
                }
            }
        }
        Ok(Some(rows))
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Whole(whole) => whole.into(),
        Cell::Number(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Cell::Text(text) if text.starts_with(['{', '[']) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Cell::Text(text) => Value::String(text),
    }
}

impl Iterator for ObjectReader {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            if self.is_over {
                return None;
            }
            match self.batch() {
                Ok(Some(rows)) => self.rows = rows.into_iter(),
                Ok(None) => return None,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
