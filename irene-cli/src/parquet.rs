//! Parquet files, in a command that is built with them.

use std::path::Path;

use anyhow::Result;
use irene_tree::Tree;

/// Whether a file is a Parquet file, by its name.
pub(crate) fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// The trees of a file, one at a time.
pub(crate) type Trees = Box<dyn Iterator<Item = irene_tree::Result<Tree>>>;

#[cfg(feature = "parquet")]
pub(crate) use with::{convert, holds_trees, text, trees, write_text, write_trees};
#[cfg(not(feature = "parquet"))]
pub(crate) use without::{convert, holds_trees, text, trees, write_text, write_trees};

/// Shows trees, one after another.
pub(crate) type EachTree<'a> = dyn FnMut(&mut dyn FnMut(&Tree) -> Result<()>) -> Result<()> + 'a;

#[cfg(not(feature = "parquet"))]
mod without {
    use super::{EachTree, Path, Result, Trees, is_named};

    fn refused(path: &Path) -> irene_tree::Error {
        let reason = "this irene is built without Parquet; `--features parquet` builds it with".into();
        irene_tree::Error::File { path: path.to_owned(), reason }
    }

    pub(crate) fn trees(path: &Path) -> irene_tree::Result<Trees> {
        Err(refused(path))
    }

    pub(crate) fn holds_trees(path: &Path) -> Result<bool> {
        Err(refused(path).into())
    }

    pub(crate) fn text(path: &Path) -> Result<String> {
        Err(refused(path).into())
    }

    pub(crate) fn write_trees(path: &Path, _each: &mut EachTree<'_>) -> Result<()> {
        Err(refused(path).into())
    }

    pub(crate) fn write_text(path: &Path, _text: &str) -> Result<usize> {
        Err(refused(path).into())
    }

    pub(crate) fn convert(from: &Path, to: &Path) -> Result<String> {
        Err(refused(if is_named(from) { from } else { to }).into())
    }
}

#[cfg(feature = "parquet")]
mod with {
    use anyhow::{Context, ensure};
    use irene_tree::parquet::{self, ObjectReader, TreeReader, TreeWriter};
    use serde_json::{Map, Value};

    use super::{EachTree, Path, Result, Trees, is_named};
    use crate::{commands::trees::count, input, output};

    pub(crate) fn trees(path: &Path) -> irene_tree::Result<Trees> {
        Ok(Box::new(TreeReader::open(path)?))
    }

    /// Sheets and records have no scopes.
    pub(crate) fn holds_trees(path: &Path) -> Result<bool> {
        Ok(parquet::column_names(path)?.iter().any(|name| name == "scope"))
    }

    pub(crate) fn write_trees(path: &Path, each: &mut EachTree<'_>) -> Result<()> {
        output::write_file(path, |writer| {
            let mut table = TreeWriter::new(writer)?;
            each(&mut |tree| Ok(table.write(tree)?))?;
            table.finish()?;
            Ok(())
        })
    }

    /// The text of records, a line each, or of a request sheet.
    pub(crate) fn text(path: &Path) -> Result<String> {
        let reader = ObjectReader::open(path)?;
        let names = reader.names().to_vec();
        if names.iter().any(|name| name == "model_dict") {
            return reader.map(|record| Ok(Value::Object(record?).to_string() + "\n")).collect();
        }
        let mut sheet = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(Vec::new());
        sheet.write_record(&names)?;
        for row in reader {
            let row = row?;
            let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            sheet.write_record(names.iter().map(|name| row.get(name).map_or_else(String::new, cell)))?;
        }
        Ok(String::from_utf8(sheet.into_inner()?)?)
    }

    /// Writes the text of records or of a request sheet. Gives the number of rows.
    pub(crate) fn write_text(path: &Path, text: &str) -> Result<usize> {
        let rows = if text.trim_start().starts_with('{') { records(text)? } else { sheet(text)? };
        ensure!(!rows.is_empty(), "no rows");
        output::write_file(path, |writer| Ok(parquet::write_objects(writer, || Ok(rows.iter().cloned().map(Ok)))?))?;
        Ok(rows.len())
    }

    fn records(text: &str) -> Result<Vec<Map<String, Value>>> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let record = |(place, line)| serde_json::from_str(line).with_context(|| format!("line {}", place + 1));
        lines.map(record).collect()
    }

    /// The rows of a sheet; columns that hold numbers alone are numbers.
    fn sheet(text: &str) -> Result<Vec<Map<String, Value>>> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let titles: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let records = reader.records().collect::<Result<Vec<_>, _>>()?;
        let is_number = |cell: &str| cell.is_empty() || number(cell).is_some();
        let has_numbers =
            |column: usize| records.iter().filter_map(|row: &csv::StringRecord| row.get(column)).all(is_number);
        let has_numbers: Vec<bool> = (0..titles.len()).map(has_numbers).collect();
        let row = |record: &csv::StringRecord| {
            let cells = titles.iter().zip(record).zip(&has_numbers).filter(|((_, cell), _)| !cell.is_empty());
            let cell = |((title, cell), is_number): ((&String, &str), &bool)| {
                let value = if *is_number { number(cell) } else { None };
                (title.clone(), value.unwrap_or_else(|| cell.into()))
            };
            cells.map(cell).collect()
        };
        Ok(records.iter().map(row).collect())
    }

    fn number(cell: &str) -> Option<Value> {
        let whole = cell.parse::<i64>().ok().map(Value::from);
        whole.or_else(|| cell.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from))
    }

    /// Writes trees, records or a request sheet as the other file's name says. Says how much there was.
    pub(crate) fn convert(from: &Path, to: &Path) -> Result<String> {
        if input::begins_with_tree(from)? {
            let mut trees = 0;
            output::write_trees(Some(to), &mut |write| {
                for tree in input::trees(from)? {
                    write(&tree?)?;
                    trees += 1;
                }
                Ok(())
            })?;
            return Ok(count(trees, "tree"));
        }
        let (name, text) = input::text(from)?;
        let rows = if is_named(to) {
            write_text(to, &text).with_context(|| name)?
        } else {
            output::write_text(to, &text)?;
            text.lines().count().saturating_sub(usize::from(!text.starts_with('{')))
        };
        Ok(count(rows, "row"))
    }
}
