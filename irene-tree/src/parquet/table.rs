//! Rows of nullable columns to and from Parquet, a group of rows at a time.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};

use super::fault;
use crate::{Error, Result};

/// The kind of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Number,
    Text,
}

/// One cell; None is null.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        // A count beyond this was refused long before.
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Rows that are held before they are written, or read at once.
const GROUP: usize = 1 << 14;
const BATCH: usize = 1 << 10;

/// The cells of a column that are not null, and for each row whether it has one.
enum Values {
    Whole(Vec<i64>),
    Number(Vec<f64>),
    Text(Vec<ByteArray>),
}

struct Column {
    values: Values,
    levels: Vec<i16>,
}

/// Writes rows, in groups.
pub(super) struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write + Send> Writer<W> {
    pub(super) fn new<'n>(writer: W, columns: impl IntoIterator<Item = (&'n str, Kind)> + Clone) -> Result<Self> {
        let field = |(name, kind): (&str, Kind)| {
            let physical = match kind {
                Kind::Whole => Physical::INT64,
                Kind::Number => Physical::DOUBLE,
                Kind::Text => Physical::BYTE_ARRAY,
            };
            let logical = (kind == Kind::Text).then_some(LogicalType::String);
            let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
            builder.with_logical_type(logical).build().map(Arc::new)
        };
        let fields =
            columns.clone().into_iter().map(field).collect::<std::result::Result<_, _>>().map_err(unwritten)?;
        let schema = Type::group_type_builder("irene").with_fields(fields).build().map_err(unwritten)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(writer, Arc::new(schema), Arc::new(properties)).map_err(unwritten)?;
        let column = |(_, kind): (&str, Kind)| Column {
            values: match kind {
                Kind::Whole => Values::Whole(Vec::new()),
                Kind::Number => Values::Number(Vec::new()),
                Kind::Text => Values::Text(Vec::new()),
            },
            levels: Vec::new(),
        };
        Ok(Self { file, columns: columns.into_iter().map(column).collect(), rows: 0 })
    }

    /// Writes a row of as many cells as there are columns.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Option<Cell>>) -> Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.levels.push(cell.is_some().into());
            match (&mut column.values, cell) {
                (Values::Whole(values), Some(Cell::Whole(whole))) => values.push(whole),
                (Values::Number(values), Some(Cell::Number(number))) => values.push(number),
                (Values::Text(values), Some(Cell::Text(text))) => values.push(ByteArray::from(text.into_bytes())),
                (_, None) => {}
                // A cell of another kind than its column's is a slip of ours.
                _ => column.levels.last_mut().into_iter().for_each(|level| *level = 0),
            }
        }
        self.rows += 1;
        if self.rows == GROUP { self.flush().map_err(unwritten) } else { Ok(()) }
    }

    fn flush(&mut self) -> std::result::Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            match &mut column.values {
                Values::Whole(values) => write_column::<Int64Type, W>(&mut group, values, &column.levels)?,
                Values::Number(values) => write_column::<DoubleType, W>(&mut group, values, &column.levels)?,
                Values::Text(values) => write_column::<ByteArrayType, W>(&mut group, values, &column.levels)?,
            }
            column.levels.clear();
        }
        self.rows = 0;
        group.close().map(drop)
    }

    /// Writes what is held and the file's end.
    pub(super) fn finish(mut self) -> Result<W> {
        if self.rows > 0 {
            self.flush().map_err(unwritten)?;
        }
        self.file.into_inner().map_err(unwritten)
    }
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> std::result::Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, Some(levels), None)?;
    values.clear();
    column.close()
}

fn unwritten(error: ParquetError) -> Error {
    let source = match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => *error,
            Err(error) => std::io::Error::other(error),
        },
        error => std::io::Error::other(error),
    };
    Error::Io { path: "writing Parquet".into(), source }
}

/// Reads rows, a batch at a time, whatever the size of the file's groups.
pub(super) struct Reader {
    path: PathBuf,
    file: SerializedFileReader<File>,
    /// The next group, and the columns of the one that is read.
    group: usize,
    readers: Vec<ColumnReader>,
    left: usize,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let file = SerializedFileReader::new(file).map_err(|error| unread(path, &error))?;
        let columns = file.metadata().file_metadata().schema_descr().columns();
        if let Some(column) = columns.iter().find(|column| column.max_rep_level() > 0 || column.max_def_level() > 1) {
            let name = column.path().string();
            return Err(fault(path, format!("column `{name}` is nested; its rows must be flat")));
        }
        Ok(Self { path: path.to_owned(), file, group: 0, readers: Vec::new(), left: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn names(&self) -> Vec<String> {
        let columns = self.file.metadata().file_metadata().schema_descr().columns();
        columns.iter().map(|column| column.name().to_owned()).collect()
    }

    /// The cells of the next rows, column by column; None after the last.
    pub(super) fn batch(&mut self) -> Result<Option<Vec<Vec<Option<Cell>>>>> {
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group).map_err(|error| unread(&self.path, &error))?;
            let readers = (0..group.num_columns()).map(|column| group.get_column_reader(column));
            self.readers =
                readers.collect::<std::result::Result<_, _>>().map_err(|error| unread(&self.path, &error))?;
            self.left = group.metadata().num_rows() as usize;
            self.group += 1;
        }
        let rows = self.left.min(BATCH);
        self.left -= rows;
        let names = self.names();
        let mut columns = Vec::with_capacity(self.readers.len());
        for (reader, name) in self.readers.iter_mut().zip(&names) {
            let cells = cells(reader, rows)
                .map_err(|error| fault(&self.path, format!("column `{name}`: {}", reason(&error))))?;
            if cells.len() != rows {
                return Err(fault(&self.path, format!("column `{name}` ends before the others")));
            }
            columns.push(cells);
        }
        Ok(Some(columns))
    }
}

fn unread(path: &Path, error: &ParquetError) -> Error {
    fault(path, reason(error))
}

fn reason(error: &ParquetError) -> String {
    match error.to_string() {
        text if text.contains("feature") => {
            format!("is compressed in a way that is not read here; write it with snappy, zstd, LZ4 or none ({text})")
        }
        text => format!("is no Parquet file that can be read: {text}"),
    }
}

fn cells(reader: &mut ColumnReader, rows: usize) -> std::result::Result<Vec<Option<Cell>>, ParquetError> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => read_column(reader, rows, |value| Ok(Cell::Whole(value.into()))),
        ColumnReader::Int32ColumnReader(reader) => read_column(reader, rows, |value| Ok(Cell::Whole(value.into()))),
        ColumnReader::Int64ColumnReader(reader) => read_column(reader, rows, |value| Ok(Cell::Whole(value))),
        ColumnReader::FloatColumnReader(reader) => read_column(reader, rows, |value| Ok(Cell::Number(value.into()))),
        ColumnReader::DoubleColumnReader(reader) => read_column(reader, rows, |value| Ok(Cell::Number(value))),
        ColumnReader::ByteArrayColumnReader(reader) => {
            read_column(reader, rows, |value: ByteArray| Ok(Cell::Text(value.as_utf8()?.to_owned())))
        }
        _ => Err(ParquetError::General("is of a type that no table of ours has".into())),
    }
}

fn read_column<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    cell: impl Fn(T::T) -> std::result::Result<Cell, ParquetError>,
) -> std::result::Result<Vec<Option<Cell>>, ParquetError> {
    let (mut values, mut levels, mut read) = (Vec::new(), Vec::new(), 0);
    while read < rows {
        // A page may end before.
        let (records, ..) = reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    let mut values = values.into_iter().map(cell);
    // A column that has no nulls has no levels.
    if levels.is_empty() {
        return values.map(|value| value.map(Some)).collect();
    }
    levels.into_iter().map(|level| if level > 0 { values.next().transpose() } else { Ok(None) }).collect()
}
