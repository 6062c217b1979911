use std::{io::Read, path::Path};

use super::columns::{Column, Columns, Field};
use crate::{Error, Lines, Quantity, Result};

/// One line of a file of measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The file.
    pub origin: String,
    /// The line, from 1.
    pub line: u64,
    /// The node's path; None if the file has no column for it.
    pub scope: Option<String>,
    /// The node's class.
    pub instance_type: Option<String>,
    /// The model.
    pub model_name: Option<String>,
    /// Sequences in the batch.
    pub batch_size: Option<usize>,
    /// Tokens in a sequence.
    pub seq_len: Option<usize>,
    /// The measured values, in the interchange format's units. Empty cells are left out, and so is a 0 that must be more.
    pub values: Vec<(Quantity, f64)>,
}

/// The rows of one or more files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// One a line, file after file.
    pub rows: Vec<Row>,
    /// The columns that were found, in words, with their units.
    pub used: Vec<String>,
    /// Energies and latencies of 0, which are taken as not measured.
    pub zeros: usize,
}

/// The characters that may separate and quote cells. The first that gives the most columns is taken.
const SEPARATORS: [u8; 4] = *b",;\t|";
const QUOTES: [u8; 2] = *b"\"'";

/// Words for what was not measured.
const ABSENT: [&str; 8] = ["", "-", "na", "n/a", "nan", "none", "null", "[n/a]"];

/// Reads files of measurements by their names. A column has to be in one of them at least: a file of whole models has no scopes. Cells
/// may be separated by commas, semicolons, tabs or `|`, quoted or not; where they are not separated by commas, a number may have a decimal
/// comma. Empty cells are absent. Lines that begin with `#` are skipped.
///
/// # Errors
/// [`Error::Row`] with the line for a column that is not there and a cell that is no number; [`Error::Io`].
pub fn read<R: Read>(files: impl IntoIterator<Item = (String, R)>, columns: &Columns) -> Result<Table> {
    let mut table = Table::default();
    let mut missing: Vec<(&Column, Error)> = Vec::new();
    let mut found: Vec<&Column> = Vec::new();
    for (origin, mut input) in files {
        let mut bytes = Vec::new();
        let io = |source| Error::Io { path: origin.clone().into(), source };
        input.read_to_end(&mut bytes).map_err(io)?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let file = File { origin: &origin, layout: layout(text, columns) };
        let titles = file.layout.titles(text).map_err(|error| file.error(1, error.to_string()))?;
        let placed = file.placed(&titles, columns);
        let absent = columns.0.iter().filter(|column| !placed.iter().any(|(known, _)| known == column));
        missing.extend(absent.map(|column| (column, file.error(1, no_column(&titles, column)))));
        found.extend(placed.iter().map(|(column, _)| *column));
        file.read(text, &placed, &mut table)?;
    }
    match missing.into_iter().find(|(column, _)| !found.contains(column)) {
        Some((_, error)) => Err(error),
        None => {
            table.used = columns.0.iter().map(Column::to_string).collect();
            Ok(table)
        }
    }
}

#[derive(Clone, Copy)]
struct Layout {
    separator: u8,
    quote: u8,
}

/// The byte that begins a comment.
const COMMENT: Option<u8> = Some(b'#');

impl Layout {
    fn reader(self, text: &[u8]) -> csv::Reader<&[u8]> {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(self.separator).quote(self.quote).comment(COMMENT).flexible(true).trim(csv::Trim::All);
        builder.from_reader(text)
    }

    fn titles(self, text: &[u8]) -> csv::Result<csv::StringRecord> {
        self.reader(text).headers().cloned()
    }
}

/// The layout in which most columns are found, and the first line has as many cells without quotes around them.
fn layout(text: &[u8], columns: &Columns) -> Layout {
    let found = |layout: &Layout| {
        let titles = layout.titles(text).unwrap_or_default();
        let found = columns.0.iter().filter(|column| place(&titles, &column.title).is_some()).count();
        let first = layout.reader(text).records().next().and_then(csv::Result::ok).unwrap_or_default();
        let is_quoted = |cell: &str| cell.bytes().next().is_some_and(|byte| QUOTES.contains(&byte));
        (found, first.len() == titles.len(), !first.iter().any(is_quoted), titles.len())
    };
    let all = QUOTES.iter().flat_map(|&quote| SEPARATORS.map(|separator| Layout { separator, quote }));
    // The last of equals is taken, so in reverse.
    all.rev().max_by_key(found).unwrap_or(Layout { separator: b',', quote: b'"' })
}

/// A column's place by its title, or by its title in another case if only one has that.
fn place(titles: &csv::StringRecord, title: &str) -> Option<usize> {
    let mut alike = titles.iter().enumerate().filter(|(_, found)| found.eq_ignore_ascii_case(title));
    let exact = titles.iter().position(|found| found == title);
    exact.or_else(|| alike.next().filter(|_| alike.next().is_none()).map(|(place, _)| place))
}

struct File<'a> {
    origin: &'a str,
    layout: Layout,
}

impl File<'_> {
    fn error(&self, line: u64, reason: impl Into<String>) -> Error {
        Error::Row { path: Path::new(self.origin).to_owned(), line, reason: reason.into() }
    }

    /// The columns that the file has, with their places.
    fn placed<'c>(&self, titles: &csv::StringRecord, columns: &'c Columns) -> Vec<(&'c Column, usize)> {
        columns.0.iter().filter_map(|column| Some((column, place(titles, &column.title)?))).collect()
    }

    fn read(&self, text: &[u8], placed: &[(&Column, usize)], table: &mut Table) -> Result<()> {
        let lines = Lines::of(text, COMMENT);
        let line = |place: Option<&csv::Position>| lines.at(place.map_or(0, csv::Position::byte));
        for record in self.layout.reader(text).records() {
            let record = record.map_err(|error| self.error(line(error.position()), error.to_string()))?;
            if record.iter().any(|cell| !cell.is_empty()) {
                let row = self.row(line(record.position()), &record, placed, &mut table.zeros)?;
                table.rows.push(row);
            }
        }
        Ok(())
    }

    fn row(
        &self,
        line: u64,
        record: &csv::StringRecord,
        columns: &[(&Column, usize)],
        zeros: &mut usize,
    ) -> Result<Row> {
        let mut row = Row { origin: self.origin.to_owned(), line, ..Row::default() };
        for &(column, place) in columns {
            let cell = record.get(place).unwrap_or_default();
            let named = |error: String| self.error(line, format!("column `{}`: {error}", column.title));
            let is_absent = ABSENT.contains(&cell.to_ascii_lowercase().as_str());
            let word = || Some(cell.to_owned());
            match column.field {
                // An empty scope is not a file without scopes.
                Field::Scope => row.scope = Some(if is_absent { String::new() } else { cell.to_owned() }),
                _ if is_absent => {}
                Field::InstanceType => row.instance_type = word(),
                Field::ModelName => row.model_name = word(),
                Field::BatchSize => row.batch_size = Some(self.size(cell).map_err(named)?),
                Field::SeqLen => row.seq_len = Some(self.size(cell).map_err(named)?),
                Field::Measured(quantity) => {
                    let value = self.number(cell).map_err(named)? * column.unit().map_or(1.0, |unit| unit.factor);
                    let must_be_more = matches!(quantity, Quantity::GroundTruthEnergy | Quantity::Latency);
                    match value {
                        0.0 if must_be_more => *zeros += 1,
                        value => row.values.push((quantity, value)),
                    }
                }
            }
        }
        Ok(row)
    }

    fn number(&self, cell: &str) -> std::result::Result<f64, String> {
        let has_decimal_comma = self.layout.separator != b',' && !cell.contains('.') && cell.matches(',').count() == 1;
        let plain = if has_decimal_comma { cell.replace(',', ".") } else { cell.to_owned() };
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            Ok(_) => Err(format!("{cell} must be finite and not negative")),
            Err(_) => Err(format!("`{cell}` is no number; a unit belongs to the column, as in energy=TITLE:mJ")),
        }
    }

    fn size(&self, cell: &str) -> std::result::Result<usize, String> {
        match self.number(cell) {
            Ok(size) if size.fract() == 0.0 && (1.0..=1e9).contains(&size) => Ok(size as usize),
            _ => Err(format!("`{cell}` is no whole number of at least 1")),
        }
    }
}

/// Says that a file has no such column, and which it has.
fn no_column(titles: &csv::StringRecord, column: &Column) -> String {
    let title = &column.title;
    let near = super::scopes::nearest(title, titles.iter());
    let near = near.first().map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    let found: Vec<String> = titles.iter().map(|title| format!("`{title}`")).collect();
    format!("there is no column `{title}`{near}; the file has {}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(columns: &str, text: &str) -> Result<Table> {
        read([("m.csv".to_owned(), text.as_bytes())], &Columns::parse(columns).unwrap())
    }

    #[test]
    fn separators_quotes_orders_and_a_byte_order_mark_do_not_matter() {
        let layouts = [
            "Layer,B,S,E,t\n\"a, b\",8,16,1.5,2\n",
            "\u{feff}t;E;S;B;Layer\r\n2,0;1,5;16;8;\"a, b\"\r\n",
            "# made yesterday\nE\tLayer\tB\tS\tt\tmore\n1.5\ta, b\t8.0\t16\t2e0\n",
            "Layer|B|S|E|t\n'a, b'|8|16|1.5|2\n\n",
            "'Layer' , b, s, e, T\n'a, b', 8, 16, 1.5, 2\n",
        ];
        for text in layouts {
            let table = read_for("scope=Layer,batch_size=B,seq_len=S,energy=E:mJ,latency=t:ms", text).unwrap();
            assert_eq!(table.rows.len(), 1, "{text}");
            let row = &table.rows[0];
            assert_eq!(
                (row.scope.as_deref(), row.batch_size, row.seq_len),
                (Some("a, b"), Some(8), Some(16)),
                "{text}"
            );
            assert_eq!(row.values, [(Quantity::GroundTruthEnergy, 1.5e-3), (Quantity::Latency, 2e-3)], "{text}");
        }
    }

    #[test]
    fn empty_cells_are_absent_and_zeros_are_counted() {
        let text = "Layer,class,B,E,t\na,,8,NaN,\n,Linear,,n/a,3\nb,-,1,0,0\n,,,,\n";
        let table = read_for("scope=Layer,class,batch_size=B,energy=E,latency=t:ms", text).unwrap();
        assert_eq!((table.rows.len(), table.zeros), (3, 2));
        assert_eq!(table.rows[0].values, []);
        assert_eq!(
            (table.rows[1].scope.as_deref(), table.rows[1].instance_type.as_deref()),
            (Some(""), Some("Linear"))
        );
        assert_eq!((table.rows[1].batch_size, table.rows[2].instance_type.as_deref()), (None, None));
    }

    #[test]
    fn a_column_has_to_be_in_one_of_the_files() {
        let columns = Columns::parse("scope,energy,latency=t:us").unwrap();
        let files = |second: &'static str| {
            let files = [("a.csv", "scope,energy\nx,1\n"), ("b.csv", second)];
            read(files.map(|(name, text)| (name.to_owned(), text.as_bytes())), &columns)
        };
        let table = files("t;energy\n5;2\n").unwrap();
        let of = |row: &Row| (row.origin.clone(), row.line, row.scope.clone());
        assert_eq!(of(&table.rows[0]), ("a.csv".into(), 2, Some("x".into())));
        assert_eq!(of(&table.rows[1]), ("b.csv".into(), 2, None));
        let error = files("tt;energy\n5;2\n").unwrap_err().to_string();
        assert_eq!(error, "a.csv, line 1: there is no column `t`; the file has `scope`, `energy`");
    }

    #[test]
    fn what_is_wrong_has_its_file_line_and_column() {
        let error = |text: &str| read_for("energy=E", text).unwrap_err().to_string();
        let unit = error("Layer,E\na,1\nb,2 mJ\n");
        assert!(unit.starts_with("m.csv, line 3: column `E`: `2 mJ` is no number; a unit belongs"), "{unit}");
        assert_eq!(error("Layer,E\na,-1\n"), "m.csv, line 2: column `E`: -1 must be finite and not negative");
        let size = read_for("energy=E,batch_size=B", "B,E\n1.5,1\n").unwrap_err().to_string();
        assert_eq!(size, "m.csv, line 2: column `B`: `1.5` is no whole number of at least 1");
        assert!(error("Layer,Em\na,1\n").contains("no column `E`, did you mean `Em`?; the file has `Layer`, `Em`"));
        assert!(error("E;B\n1.234,5;1\n").contains("is no number"));
        // Where commas separate cells, none is a decimal comma.
        assert!(error("E,B\n\"1,5\",1\n").contains("`1,5` is no number"));
        assert!(error("E\ninf\n").contains("inf must be finite"));
    }

    #[test]
    fn one_column_of_decimal_commas_is_one_column() {
        let table = read_for("energy=E", "E\n1,5\n2,5\n").unwrap();
        let joules: Vec<f64> = table.rows.iter().map(|row| row.values[0].1).collect();
        assert_eq!(joules, [1.5, 2.5]);
        // A title in another case is taken if only one has its letters.
        assert_eq!(read_for("energy=E", "e,x\n3,4\n").unwrap().rows[0].values[0].1, 3.0);
        assert!(read_for("energy=eN", "en,EN\n3,4\n").is_err());
        assert_eq!(read_for("energy=EN", "en,EN\n3,4\n").unwrap().rows[0].values[0].1, 4.0);
    }

    #[test]
    fn a_size_is_a_whole_number_up_to_a_milliard() {
        let read = |size: &str| {
            read_for("energy=E,batch_size=B", &format!("B,E\n{size},1\n")).map(|table| table.rows[0].batch_size)
        };
        assert_eq!([read("1").unwrap(), read("1e9").unwrap()], [Some(1), Some(1_000_000_000)]);
        assert!(["0", "1000000001", "2.5"].iter().all(|size| read(size).is_err()));
    }
}
