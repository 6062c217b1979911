//! Rows of figures, printed as a table that fits the terminal, as CSV or as JSON.

use irene_tree::{
    Quantity,
    render::{self, Column, Grid, Heading},
};
use serde_json::{Map, Value};

use crate::output;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people
    Text,
    Json,
    Csv,
}

/// A column: its name in CSV and JSON, its title in text.
pub(crate) struct Field {
    key: String,
    title: String,
    unit: &'static str,
    is_word: bool,
    rank: u8,
    is_in_text: bool,
    is_in_data: bool,
    /// Says a cell in the line above the table, for a column that has no place in a table of equal cells.
    words: Option<fn(&str) -> String>,
}

impl Field {
    /// A column of words.
    pub(crate) fn word(key: &str, title: &str) -> Self {
        Self { is_word: true, ..Self::figure(key, title, "") }
    }

    /// A column of figures in a unit of [`render::in_unit`].
    pub(crate) fn figure(key: &str, title: &str, unit: &'static str) -> Self {
        Self {
            key: key.into(),
            title: title.into(),
            unit,
            is_word: false,
            rank: 0,
            is_in_text: true,
            is_in_data: true,
            words: None,
        }
    }

    pub(crate) fn of(quantity: Quantity) -> Self {
        Self::figure(quantity.name(), Column::Value(quantity).title(), quantity.unit())
    }

    /// Its rank where a terminal has not enough room; the greatest go first.
    pub(crate) fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// For CSV and JSON alone.
    pub(crate) fn only_data(self) -> Self {
        Self { is_in_text: false, ..self }
    }

    /// For text alone: what stands in other words beside it.
    pub(crate) fn only_text(self) -> Self {
        Self { is_in_data: false, ..self }
    }

    /// A setting: where several rows have the same, text has it once, in these words ([`Sheet::shared`]), and no column of it.
    pub(crate) fn setting(self, words: fn(&str) -> String) -> Self {
        Self { words: Some(words), ..self }
    }

    fn title_with_unit(&self) -> String {
        if self.unit.is_empty() { self.key.clone() } else { format!("{} ({})", self.key, self.unit) }
    }
}

/// The cells of a row.
pub(crate) enum Cell {
    Word(String),
    Count(usize),
    Figure(f64),
    /// Unknown.
    Absent,
}

impl From<&str> for Cell {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl From<String> for Cell {
    fn from(word: String) -> Self {
        Self::Word(word)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Cell {
    /// One that no number can hold is not known.
    fn from(figure: f64) -> Self {
        if figure.is_finite() { Self::Figure(figure) } else { Self::Absent }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl Cell {
    fn text(&self, unit: &str) -> String {
        match (self, unit) {
            (Self::Word(word), _) => word.clone(),
            (Self::Count(count), _) => count.to_string(),
            (Self::Figure(figure), "%") => format!("{figure:.1}%"),
            // The title says launches.
            (Self::Figure(figure), "launches") => format!("{figure:.0}"),
            (Self::Figure(figure), unit) => render::in_unit(*figure, unit),
            (Self::Absent, _) => String::new(),
        }
    }

    fn csv(&self) -> String {
        match self {
            Self::Word(word) => render::csv_field(word),
            Self::Count(count) => count.to_string(),
            Self::Figure(figure) => figure.to_string(),
            Self::Absent => String::new(),
        }
    }

    /// None where it is unknown.
    fn json(&self, unit: &str) -> Option<Value> {
        // Larger numbers are not all whole.
        const LARGEST_WHOLE: f64 = (1_u64 << 53) as f64;
        let is_count = |figure: f64| ["", "launches"].contains(&unit) && (0.0..LARGEST_WHOLE).contains(&figure);
        Some(match self {
            Self::Word(word) => word.clone().into(),
            Self::Count(count) => (*count).into(),
            Self::Figure(figure) if is_count(*figure) && figure.fract() == 0.0 => (*figure as u64).into(),
            Self::Figure(figure) => (*figure).into(),
            Self::Absent => return None,
        })
    }
}

/// A column, and what a subject's cell in it is.
type Shown<T> = (Field, fn(&T) -> Cell);

pub(crate) struct Sheet {
    fields: Vec<Field>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub(crate) fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        Self { fields: fields.into_iter().collect(), rows: Vec::new() }
    }

    /// A row for each subject.
    pub(crate) fn of<T, const N: usize>(subjects: &[T], columns: [Shown<T>; N]) -> Self {
        let row = |subject| columns.iter().map(|(_, cell)| cell(subject)).collect();
        let rows = subjects.iter().map(row).collect();
        Self { fields: columns.map(|(field, _)| field).into(), rows }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text of a setting that several rows have in common; empty where none of them has it.
    fn shared_cell(&self, column: usize) -> Option<String> {
        let [first, others @ ..] = self.rows.as_slice() else { return None };
        let Field { words, unit, .. } = &self.fields[column];
        let text = first[column].text(unit);
        let is_shared =
            words.is_some() && !others.is_empty() && others.iter().all(|row| row[column].text(unit) == text);
        is_shared.then_some(text)
    }

    /// The settings that several rows have in common, in words: they stand above the table.
    pub(crate) fn shared(&self) -> String {
        let words = self.fields.iter().enumerate().filter_map(|(column, field)| {
            let cell = self.shared_cell(column).filter(|cell| !cell.is_empty())?;
            field.words.map(|words| words(&cell))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The settings that tell a row from the others, in words.
    pub(crate) fn name(&self, row: usize) -> String {
        let words = self.fields.iter().enumerate().filter_map(|(column, field)| {
            let words = field.words.filter(|_| self.shared_cell(column).is_none())?;
            let cell = self.rows[row][column].text(field.unit);
            (!cell.is_empty()).then(|| words(&cell))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The figures that some row has, without the [shared](Self::shared) ones, as wide as the terminal at most.
    pub(crate) fn text(&self) -> String {
        let is_known = |column: usize| self.rows.iter().any(|row| !row[column].text("").is_empty());
        let is_shown = |column: &usize| {
            self.fields[*column].is_in_text && is_known(*column) && self.shared_cell(*column).is_none()
        };
        let shown: Vec<usize> = (0..self.fields.len()).filter(is_shown).collect();
        let mut grid = Grid::new(shown.iter().map(|&column| {
            let Field { title, is_word, rank, .. } = &self.fields[column];
            if *is_word { Heading::left(title) } else { Heading::right(title) }.rank(*rank)
        }));
        for row in &self.rows {
            grid.row(shown.iter().map(|&column| row[column].text(self.fields[column].unit)));
        }
        grid.text(output::width())
    }

    /// One line a row; a cell is empty where a figure is unknown.
    pub(crate) fn csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let titles = self.fields.iter().filter(|field| field.is_in_data);
        let titles = titles.map(|field| render::csv_field(&field.title_with_unit())).collect();
        let cells = |row: &Vec<Cell>| {
            let cells = self.fields.iter().zip(row).filter(|(field, _)| field.is_in_data);
            cells.map(|(_, cell)| cell.csv()).collect()
        };
        std::iter::once(titles).chain(self.rows.iter().map(cells)).map(line).collect()
    }

    /// One object a row; a field is left out where it is unknown.
    pub(crate) fn rows(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let fields = self.fields.iter().zip(row).filter(|(field, _)| field.is_in_data);
            let known = fields.filter_map(|(field, cell)| Some((field.key.clone(), cell.json(field.unit)?)));
            Value::Object(known.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    /// All of it in one format; in JSON the rows have this name.
    pub(crate) fn printed(&self, format: Format, name: &str) -> String {
        match format {
            Format::Text => self.text(),
            Format::Csv => self.csv(),
            Format::Json => output::json([(name, self.rows())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_all_rows_share_stand_above_the_table_and_the_others_name_a_row() {
        let mut sheet = Sheet::new([
            Field::word("model", "model").setting(str::to_owned),
            Field::word("device", "device").setting(str::to_owned),
            Field::figure("batch", "batch", "").setting(|batch| format!("batch {batch}")),
            Field::figure("past", "past", "").setting(|tokens| format!("{tokens} in the cache")),
            Field::figure("energy", "energy", "J"),
        ]);
        let row = |device: &str| [Cell::from("gpt2"), device.into(), Cell::Count(8), Cell::Absent, Cell::Figure(2.0)];
        sheet.row(row("l4"));
        assert!(
            sheet.shared().is_empty() && sheet.text().starts_with("model  device  batch  energy\n"),
            "one row shares nothing"
        );
        sheet.row(row("t4"));
        // Equal figures are no settings.
        assert_eq!(
            (sheet.shared().as_str(), sheet.text().as_str()),
            ("gpt2, batch 8", "device  energy\nl4         2 J\nt4         2 J\n")
        );
        assert_eq!((sheet.name(0), sheet.name(1)), ("l4".to_owned(), "t4".to_owned()));
        assert_eq!(sheet.csv().lines().next(), Some("model,device,batch,past,energy (J)"), "files have every column");
    }
}
