use std::{
    borrow::Cow,
    fmt,
    io::{Cursor, Read},
};

use irene_tree::{Format, Kernels, Lines, Parallel, UnknownFormat};

use super::{
    Figures, Load, RequestRow,
    columns::{Bound, Column, Found, Spelling, recognise},
};
use crate::{Error, Result};

/// The characters that may separate cells.
const SEPARATORS: [u8; 3] = *b",;\t";

/// Whether a cell says that something is not known.
pub(crate) fn is_absent(cell: &str) -> bool {
    ["", "-", "na", "n/a", "nan", "none", "null"].contains(&cell.trim().to_lowercase().as_str())
}

/// The rows of a sheet, one after the other. A row with a fault is an error that names its line and column; the rows after it are read.
///
/// Cells are separated by commas, semicolons or tabs. Lines that begin with `#` and empty ones are skipped.
pub struct RequestReader {
    origin: String,
    records: csv::ByteRecordsIntoIter<Cursor<Vec<u8>>>,
    lines: Lines,
    titles: Vec<String>,
    columns: Vec<Option<Found>>,
    has_decimal_comma: bool,
    is_over: bool,
}

/// A CSV file whose line of titles has been read.
pub(crate) struct Opened {
    pub(crate) titles: Vec<String>,
    pub(crate) records: csv::ByteRecordsIntoIter<Cursor<Vec<u8>>>,
    pub(crate) lines: Lines,
    pub(crate) has_decimal_comma: bool,
}

/// The byte that begins a comment.
const COMMENT: Option<u8> = Some(b'#');

/// The line of a record.
pub(crate) fn line(lines: &Lines, place: Option<&csv::Position>) -> u64 {
    lines.at(place.map_or(0, csv::Position::byte))
}

/// Reads all of an input, and its line of titles.
pub(crate) fn open(origin: &str, mut input: impl Read) -> Result<Opened> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|source| Error::Io { origin: origin.to_owned(), source })?;
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    let separator = separator(&bytes);
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).comment(COMMENT).flexible(true);
    let lines = Lines::of(&bytes, COMMENT);
    let mut reader = builder.from_reader(Cursor::new(bytes));
    let fault = |error: csv::Error| Error::Titles { origin: origin.to_owned(), reason: error.to_string() };
    let titles = reader.headers().map_err(fault)?.iter().map(|title| title.trim().to_owned()).collect();
    Ok(Opened { titles, records: reader.into_byte_records(), lines, has_decimal_comma: separator != b',' })
}

impl fmt::Debug for RequestReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, titles, .. } = self;
        f.debug_struct("RequestReader").field("origin", origin).field("titles", titles).finish_non_exhaustive()
    }
}

impl RequestReader {
    /// Reads all of the input and its line of titles; the origin is its name in errors.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Titles`] if the first line is not that of a sheet.
    pub fn new(origin: impl Into<String>, input: impl Read) -> Result<Self> {
        let origin = origin.into();
        let Opened { titles, records, lines, has_decimal_comma } = open(&origin, input)?;
        let columns = recognise(&titles).map_err(|reason| Error::Titles { origin: origin.clone(), reason })?;
        Ok(Self { origin, records, lines, titles, columns, has_decimal_comma, is_over: false })
    }
}

/// The separator of the first line.
fn separator(bytes: &[u8]) -> u8 {
    let is_said = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#");
    let first = bytes.split(|&byte| byte == b'\n').find(is_said).unwrap_or_default();
    let count = |separator: &u8| first.iter().filter(|byte| *byte == separator).count();
    // The last of equals is taken, so in reverse.
    SEPARATORS.into_iter().rev().max_by_key(count).unwrap_or(b',')
}

impl Iterator for RequestReader {
    type Item = Result<RequestRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().map(|(row, fault)| fault.map_or(Ok(row), Err))
    }
}

impl RequestReader {
    /// The next row as far as it can be read, and its fault if it has one.
    pub fn next_row(&mut self) -> Option<(RequestRow, Option<Error>)> {
        loop {
            if self.is_over {
                return None;
            }
            return Some(match self.records.next()? {
                Ok(record) if record.iter().all(|cell| cell.trim_ascii().is_empty()) => continue,
                Ok(record) => self.row(&record),
                Err(error) => {
                    // The input itself has ended.
                    self.is_over = true;
                    let line = line(&self.lines, error.position());
                    let row = RequestRow { line, ..RequestRow::default() };
                    (row, Some(self.fault(line, "", error.to_string())))
                }
            });
        }
    }
}

impl RequestReader {
    /// The name of the sheet in errors.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn fault(&self, line: u64, column: &str, reason: String) -> Error {
        Error::Row { origin: self.origin.clone(), line, column: column.to_owned(), reason }
    }

    /// A row without the cells that cannot be read, and the first fault.
    fn row(&self, record: &csv::ByteRecord) -> (RequestRow, Option<Error>) {
        let line = line(&self.lines, record.position());
        let (cells, titles) = (record.len(), self.titles.len());
        let mut fault = (cells != titles).then(|| {
            let reason = format!(
                "it has {cells} cells where the first line has {titles}: add or remove some, or put a cell with a separator into quotes"
            );
            self.fault(line, "", reason)
        });
        let mut row = RequestRow { line, ..RequestRow::default() };
        for ((cell, title), found) in record.iter().zip(&self.titles).zip(&self.columns) {
            if let Err(reason) = self.cell(&mut row, cell, title, *found) {
                fault.get_or_insert_with(|| self.fault(line, title, reason));
            }
        }
        let is_mean =
            |found: &Found| found.spelling == Spelling::Mean && matches!(found.column, Column::Figure(Bound::Value, _));
        if self.columns.iter().flatten().any(is_mean) {
            of_mean_gap(&mut row);
        }
        (row, fault)
    }

    fn cell(&self, row: &mut RequestRow, cell: &[u8], title: &str, found: Option<Found>) -> Result<(), String> {
        let cell = std::str::from_utf8(cell).map_err(|_| "is not UTF-8: save the file in UTF-8")?;
        match found {
            None => row.further.push((title.to_owned(), cell.to_owned())),
            Some(_) if is_absent(cell) => {}
            Some(found) => self.set(row, found, cell.trim())?,
        }
        Ok(())
    }

    fn set(&self, row: &mut RequestRow, Found { column, factor, .. }: Found, cell: &str) -> Result<(), String> {
        let word = || Some(cell.to_owned());
        match column {
            Column::Model => row.model = word(),
            Column::Device => row.device = word(),
            Column::Engine => row.engine = word(),
            Column::Weights => row.weights = Some(format(cell)?),
            Column::Cache => row.cache = Some(format(cell)?),
            Column::Kernels => row.kernels = Some(kernels(cell)?),
            Column::Sequences => set_load(row, Load::Sequences(self.whole(cell, MOST_SEQUENCES)?))?,
            Column::Concurrency => set_load(row, Load::Concurrency(self.positive(cell)?))?,
            Column::Rate => set_load(row, Load::Rate(self.positive(cell)?))?,
            Column::Prompt => row.prompt = Some(self.not_negative(cell)?),
            Column::Generated => row.generated = Some(self.not_negative(cell)?),
            Column::Tensor => self.degree(cell, &mut row.parallel.tensor, &mut row.stated_ones[0])?,
            Column::Pipeline => self.degree(cell, &mut row.parallel.pipeline, &mut row.stated_ones[1])?,
            Column::Expert => self.degree(cell, &mut row.parallel.expert, &mut row.stated_ones[2])?,
            Column::Data => self.degree(cell, &mut row.parallel.data, &mut row.stated_ones[3])?,
            Column::Figure(bound, figure) => {
                let value = match bound {
                    // An interval may reach down to nothing.
                    Bound::Low => self.not_negative(cell)?,
                    Bound::Value | Bound::High => self.positive(cell)?,
                };
                figures(row, bound).set(figure, Some(value * factor));
            }
        }
        Ok(())
    }

    fn degree(&self, cell: &str, degree: &mut usize, is_stated_one: &mut bool) -> Result<(), String> {
        *degree = self.whole(cell, Parallel::MOST)?;
        *is_stated_one = *degree == 1;
        Ok(())
    }

    fn number(&self, cell: &str) -> Result<f64, String> {
        let plain = if self.has_decimal_comma { with_point(cell) } else { cell.into() };
        let number = plain.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("`{cell}` is not a number: write one such as 0.25, or leave the cell empty"))
    }

    fn positive(&self, cell: &str) -> Result<f64, String> {
        let number = self.number(cell)?;
        if number > 0.0 {
            Ok(number)
        } else {
            Err(format!("{cell} is not above 0: leave the cell empty where it is not known"))
        }
    }

    fn not_negative(&self, cell: &str) -> Result<f64, String> {
        let number = self.number(cell)?;
        if number >= 0.0 {
            Ok(number)
        } else {
            Err(format!("{cell} is below 0: leave the cell empty where it is not known"))
        }
    }

    fn whole(&self, cell: &str, most: usize) -> Result<usize, String> {
        let number = self.number(cell)?;
        let is_whole = number.fract() == 0.0 && (1.0..=most as f64).contains(&number);
        if is_whole { Ok(number as usize) } else { Err(format!("{cell} is not a whole number from 1 to {most}")) }
    }
}

/// A mean time between tokens has the prompts of other requests in it: with the time to the first token it is the whole time rather than the
/// median gap.
fn of_mean_gap(row: &mut RequestRow) {
    let Figures { ttft_s, itl_s, latency_s: None, .. } = row.figures else { return };
    if let (Some(first), Some(gap), Some(generated)) = (ttft_s, itl_s, row.generated)
        && generated >= 1.0
    {
        (row.figures.latency_s, row.figures.itl_s) = (Some(first + gap * (generated - 1.0)), None);
    }
}

/// A number with a decimal comma as one with a point; other words as they are.
pub(crate) fn with_point(cell: &str) -> Cow<'_, str> {
    let plain = cell.replacen(',', ".", 1);
    let is_number = !cell.contains('.') && plain.parse::<f64>().is_ok();
    if is_number { plain.into() } else { cell.into() }
}

/// More than any batch has: what is beyond is a slip.
const MOST_SEQUENCES: usize = 1_000_000_000;

fn format(cell: &str) -> Result<Format, String> {
    cell.parse().map_err(|error: UnknownFormat| error.to_string())
}

fn kernels(cell: &str) -> Result<Kernels, String> {
    Kernels::find(cell).ok_or_else(|| format!("`{cell}` is neither eager nor fused"))
}

fn set_load(row: &mut RequestRow, load: Load) -> Result<(), String> {
    match row.load.replace(load) {
        None => Ok(()),
        Some(_) => Err("a row has one of sequences, concurrency and rate: leave the others empty".into()),
    }
}

pub(super) fn figures(row: &mut RequestRow, bound: Bound) -> &mut Figures {
    match bound {
        Bound::Value => &mut row.figures,
        Bound::Low => &mut row.low,
        Bound::High => &mut row.high,
    }
}
