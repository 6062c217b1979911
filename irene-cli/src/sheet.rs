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
}

impl Field {
    /// A column of words.
    pub(crate) fn word(key: &str, title: &str) -> Self {
        Self {
            key: key.into(),
            title: title.into(),
            unit: "",
            is_word: true,
            rank: 0,
            is_in_text: true,
            is_in_data: true,
        }
    }

    /// A column of figures in a unit of [`render::in_unit`].
    pub(crate) fn figure(key: &str, title: &str, unit: &'static str) -> Self {
        Self { key: key.into(), title: title.into(), unit, is_word: false, rank: 0, is_in_text: true, is_in_data: true }
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

pub(crate) struct Sheet {
    fields: Vec<Field>,
    rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub(crate) fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        Self { fields: fields.into_iter().collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The figures that some row has, as wide as the terminal at most.
    pub(crate) fn text(&self) -> String {
        let is_known = |column: usize| self.rows.iter().any(|row| !row[column].text("").is_empty());
        let shown: Vec<usize> =
            (0..self.fields.len()).filter(|&column| self.fields[column].is_in_text && is_known(column)).collect();
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
