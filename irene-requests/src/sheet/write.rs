use std::io::Write;

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
    let is_needed = |column: Column| {
        let is_like = |(title, _): &(&str, usize)| find(title).is_some_and(|found| found.column == column);
        rows.iter().any(|row| cell(row, column).is_some()) || further.iter().any(is_like)
    };
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
        let of_title = |title: &str, place| row.further.iter().filter(move |(known, _)| *known == title).nth(place);
        let further =
            further.iter().map(|&(title, place)| of_title(title, place).map_or("", |(_, cell)| cell).to_owned());
        csv.write_record(cells.chain(further)).map_err(fault)?;
    }
    csv.flush().map_err(|source| Error::Io { origin: "writing the sheet".into(), source })
}

/// The titles of further columns, each with its place among those of the same title: a sheet may have several without a title.
fn further_columns(rows: &[RequestRow]) -> Vec<(&str, usize)> {
    let mut columns: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        for (place, (title, _)) in row.further.iter().enumerate() {
            let before = row.further[..place].iter().filter(|(known, _)| known == title).count();
            if !columns.contains(&(title, before)) {
                columns.push((title, before));
            }
        }
    }
    columns
}

fn fault(error: csv::Error) -> Error {
    let origin = "writing the sheet".into();
    Error::Io { origin, source: std::io::Error::other(error) }
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
