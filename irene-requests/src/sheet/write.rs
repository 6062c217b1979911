use std::{
    collections::{HashMap, HashSet},
    io::Write,
};

use irene_tree::{Format, Kernels};

use super::{
    Figure, Load, RequestRow,
    columns::{Bound, Column, SETTINGS, find},
};
use crate::{Error, Result};

/// Writes a sheet. Columns that some row fills come in the order of the crate's documentation, then further columns in the order of their
/// first use.
///
/// # Errors
/// [`Error::Io`] from the writer.
pub fn write(writer: impl Write, rows: &[RequestRow]) -> Result<()> {
    let further = further_columns(rows);
    // A further column that would be taken for a known one is told from it by the known one's presence.
    let taken: Vec<Column> = further.iter().filter_map(|(title, _)| Some(find(title)?.column)).collect();
    let is_needed = |column: Column| rows.iter().any(|row| cell(row, column).is_some()) || taken.contains(&column);
    let mut known: Vec<(Column, String)> = columns().into_iter().filter(|(column, _)| is_needed(*column)).collect();
    if known.is_empty() && !rows.is_empty() {
        // A sheet is known by a column of its own.
        known.extend(columns().into_iter().next());
    }
    // A cell that begins like a comment stands in quotes.
    let mut csv = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(writer);
    let titles = known.iter().map(|(_, title)| title.as_str()).chain(further.iter().map(|(title, _)| *title));
    csv.write_record(titles).map_err(fault)?;
    for row in rows {
        let cells = known.iter().map(|(column, _)| cell(row, *column).unwrap_or_default());
        let of_title: HashMap<(&str, usize), &str> = placed(row).collect();
        let further = further.iter().map(|title| of_title.get(title).copied().unwrap_or_default().to_owned());
        csv.write_record(cells.chain(further)).map_err(fault)?;
    }
    csv.flush().map_err(|source| Error::Io { origin: "writing the sheet".into(), source })
}

/// The titles of further columns, each with its place among those of the same title: a sheet may have several without a title.
fn further_columns(rows: &[RequestRow]) -> Vec<(&str, usize)> {
    let mut known = HashSet::new();
    rows.iter().flat_map(placed).map(|(column, _)| column).filter(|column| known.insert(*column)).collect()
}

/// The further cells of a row by their columns.
fn placed(row: &RequestRow) -> impl Iterator<Item = ((&str, usize), &str)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    row.further.iter().map(move |(title, cell)| {
        let next = places.entry(title).or_default();
        *next += 1;
        ((title.as_str(), *next - 1), cell.as_str())
    })
}

fn fault(error: csv::Error) -> Error {
    // A reader that has gone is known by the system's own error.
    let words = error.to_string();
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        _ => std::io::Error::other(words),
    };
    Error::Io { origin: "writing the sheet".into(), source }
}

/// All columns with their titles, in order.
fn columns() -> Vec<(Column, String)> {
    let settings = SETTINGS.iter().map(|(column, name, _)| (*column, (*name).to_owned()));
    let figures = Figure::ALL.into_iter().flat_map(|figure| {
        Bound::ALL.map(|bound| (Column::Figure(bound, figure), format!("{}{}", figure.name(), bound.suffix())))
    });
    settings.chain(figures).collect()
}

/// The cell of a row; None where it is absent, or what an absent one means and the row does not say.
fn cell(row: &RequestRow, column: Column) -> Option<String> {
    let degree = |degree: usize, place: usize| (degree != 1 || row.stated_ones[place]).then(|| degree.to_string());
    match column {
        Column::Model => row.model.clone(),
        Column::Device => row.device.clone(),
        Column::Engine => row.engine.clone(),
        Column::Weights => row.weights.map(Format::name).map(str::to_owned),
        Column::Cache => row.cache.map(Format::name).map(str::to_owned),
        Column::Kernels => row.kernels.map(Kernels::name).map(str::to_owned),
        Column::Sequences => of_load(row, |load| load.sequences().map(|count| count as f64)),
        Column::Concurrency => of_load(row, |load| if let Load::Concurrency(mean) = load { Some(mean) } else { None }),
        Column::Rate => of_load(row, |load| if let Load::Rate(rate) = load { Some(rate) } else { None }),
        Column::Prompt => row.prompt.map(number),
        Column::Generated => row.generated.map(number),
        Column::Tensor => degree(row.parallel.tensor, 0),
        Column::Pipeline => degree(row.parallel.pipeline, 1),
        Column::Expert => degree(row.parallel.expert, 2),
        Column::Data => degree(row.parallel.data, 3),
        Column::Figure(Bound::Value, figure) => row.figures.get(figure).map(number),
        Column::Figure(Bound::Low, figure) => row.low.get(figure).map(number),
        Column::Figure(Bound::High, figure) => row.high.get(figure).map(number),
    }
}

fn of_load(row: &RequestRow, part: impl Fn(Load) -> Option<f64>) -> Option<String> {
    row.load.and_then(part).map(number)
}

/// The shortest form that reads back as the same number.
fn number(value: f64) -> String {
    // Display has no exponents: what is far from 1 would be long.
    const PLAIN: std::ops::Range<f64> = 1e-6..1e16;
    if value == 0.0 || PLAIN.contains(&value.abs()) { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Result};

    use super::*;

    /// A pipe that nobody reads.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_told_from_other_faults() {
        // More than is kept back before it is written.
        let row = RequestRow { model: Some("m".repeat(1 << 16)), ..RequestRow::default() };
        let error = write(Gone, &[row.clone(), row]).unwrap_err();
        assert!(matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe));
    }
}
