use std::io::Read;

use irene_devices::Catalogue;
use irene_tree::Format;

use crate::{
    Error, RequestRow, Result,
    sheet::{
        columns::{Bound, Column, SETTINGS, find},
        read::{Opened, is_absent, line, open, with_point},
    },
    write,
};

/// A sheet of requests or operations whose cells are compared.
#[derive(Clone, Debug)]
pub struct Table {
    origin: String,
    titles: Vec<String>,
    roles: Vec<Role>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    cells: Vec<String>,
}

/// The role of a column.
#[derive(Clone, Debug, PartialEq)]
enum Role {
    /// A setting, by its name in sheets.
    Setting(String),
    /// A figure by its name with the unit of sheets, which of its three columns, and what a cell is multiplied by.
    Figure(String, Bound, f64),
    Other,
}

/// Settings of operations.
const OF_OPERATIONS: [&str; 6] = ["op", "b", "m", "n", "k", "h"];

/// The sheet's name of a column.
pub(super) fn canonical(title: &str) -> String {
    match role(title) {
        Role::Setting(name) => name,
        _ => title.trim().to_owned(),
    }
}

fn role(title: &str) -> Role {
    let lower = title.trim().to_lowercase();
    if OF_OPERATIONS.contains(&lower.as_str()) {
        return Role::Setting(lower);
    }
    // An operation has no tokens: its energy alone is in that unit.
    if let Some(unit) = lower.strip_prefix("energy_")
        && let Some(Column::Figure(bound, _)) =
            find(&lower).or_else(|| find(&format!("energy_per_request_{unit}"))).map(|found| found.column)
        && find(&lower).is_none()
    {
        let factor = find(&format!("energy_per_request_{unit}")).map_or(1.0, |found| found.factor);
        return Role::Figure("energy_j".into(), bound, factor);
    }
    let Some(found) = find(title) else { return Role::Other };
    match found.column {
        Column::Figure(bound, figure) => Role::Figure(figure.name().into(), bound, found.factor),
        column => {
            let setting = SETTINGS.iter().find(|(known, ..)| *known == column);
            setting.map_or(Role::Other, |(_, name, _)| Role::Setting((*name).to_owned()))
        }
    }
}

impl Table {
    /// Reads a sheet; the origin is its name in errors.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Titles`] if no column is known; [`Error::Row`] with the line that is no row of a table.
    pub fn read(origin: impl Into<String>, input: impl Read) -> Result<Self> {
        let origin = origin.into();
        let Opened { titles, records, lines: of_text, has_decimal_comma } = open(&origin, input)?;
        let mut lines = Vec::new();
        for record in records {
            let fault = |line, reason| Error::Row { origin: origin.clone(), line, column: String::new(), reason };
            let record = record.map_err(|error| fault(line(&of_text, error.position()), error.to_string()))?;
            let number = line(&of_text, record.position());
            if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            if record.len() != titles.len() {
                return Err(fault(
                    number,
                    format!("it has {} cells where the first line has {}", record.len(), titles.len()),
                ));
            }
            let text = |cell| String::from_utf8_lossy(cell).trim().to_owned();
            let plain = |cell: String| if has_decimal_comma { with_point(&cell).into_owned() } else { cell };
            lines.push(Line { number, cells: record.iter().map(text).map(plain).collect() });
        }
        let mut roles: Vec<Role> = titles.iter().map(|title| role(title)).collect();
        if roles.iter().all(|role| *role == Role::Other) {
            let reason =
                "no column of a sheet of requests or operations, such as model, device, op or latency_s".into();
            return Err(Error::Titles { origin, reason });
        }
        prefer_better_titles(&titles, &mut roles);
        Ok(Self { origin, titles, roles, lines })
    }

    /// Rows in memory as the sheet that [`write()`](crate::write()) makes of them; the origin is its name in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read): no rows have no column.
    pub fn of(origin: impl Into<String>, rows: &[RequestRow]) -> Result<Self> {
        let mut sheet = Vec::new();
        write(&mut sheet, rows)?;
        Self::read(origin, sheet.as_slice())
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of rows that have a word in a column of words.
    pub fn rows_with(&self, column: &str, word: &str) -> usize {
        let has = |line: &&Line| self.cell(line, column).is_some_and(|cell| cell.split(' ').any(|known| known == word));
        self.lines.iter().filter(has).count()
    }

    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        self.titles.iter().map(String::as_str)
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The settings that it has columns of.
    pub(super) fn settings(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter_map(|role| if let Role::Setting(name) = role { Some(name.as_str()) } else { None })
    }

    /// The figures that it has columns of.
    pub(super) fn figures(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().filter_map(|role| match role {
            Role::Figure(name, Bound::Value, _) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(super) fn has_figure(&self, name: &str) -> bool {
        self.figures().any(|known| known == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &str) -> Option<usize> {
        let setting = self.roles.iter().position(|role| matches!(role, Role::Setting(known) if known == name));
        setting.or_else(|| self.titles.iter().position(|title| title.eq_ignore_ascii_case(name)))
    }

    /// A cell of a column; None if it is absent.
    pub(super) fn cell<'a>(&self, line: &'a Line, name: &str) -> Option<&'a str> {
        self.place(name).and_then(|place| line.cells.get(place)).map(String::as_str).filter(|cell| !is_absent(cell))
    }

    /// A setting in the form in which settings are compared; None if it is absent, or says what an absent one means.
    pub(super) fn setting(&self, line: &Line, name: &str) -> Option<String> {
        let is_degree = name.ends_with("_parallel");
        Some(comparable(name, self.cell(line, name)?)).filter(|value| !is_degree || value != "1")
    }

    /// A figure in the unit of sheets.
    pub(super) fn figure(&self, line: &Line, name: &str, bound: Bound) -> Result<Option<f64>> {
        let column = self.roles.iter().enumerate().find_map(|(place, role)| match role {
            Role::Figure(known, of, factor) if known == name && *of == bound => Some((place, *factor)),
            _ => None,
        });
        let Some((place, factor)) = column else { return Ok(None) };
        let Some(cell) = line.cells.get(place).filter(|cell| !is_absent(cell)) else { return Ok(None) };
        match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value * factor)),
            _ => {
                let (origin, column) = (self.origin.clone(), self.titles[place].clone());
                Err(Error::Row { origin, line: line.number, column, reason: format!("`{cell}` is not a number") })
            }
        }
    }
}

/// The column whose title says it best counts; other spellings of it say nothing.
fn prefer_better_titles(titles: &[String], roles: &mut [Role]) {
    for place in 0..roles.len() {
        let is_own = |at: usize| match &roles[at] {
            Role::Setting(name) => *name == titles[at],
            Role::Figure(name, bound, _) => format!("{name}{}", bound.suffix()) == titles[at],
            Role::Other => true,
        };
        let same = |at: usize| match (&roles[at], &roles[place]) {
            (Role::Figure(one, of, _), Role::Figure(other, bound, _)) => one == other && of == bound,
            (one, other) => one == other && *one != Role::Other,
        };
        let rank = |at: usize| (!is_own(at), find(&titles[at]).map(|found| found.spelling), at);
        if !is_own(place) && (0..roles.len()).any(|at| at != place && same(at) && rank(at) < rank(place)) {
            roles[place] = Role::Other;
        }
    }
}

/// Numbers by their value, devices and formats by the catalogues' names, other words in lower case.
fn comparable(name: &str, cell: &str) -> String {
    match name {
        "device" => Catalogue::find(cell).map_or_else(|_| cell.to_lowercase(), |device| device.name),
        "weights" | "cache" => {
            cell.parse().map_or_else(|_| cell.to_lowercase(), |format: Format| format.name().to_owned())
        }
        _ => cell.parse().map_or_else(|_| cell.to_lowercase(), |number: f64| number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_their_roles_whatever_they_are_called() {
        let setting = |name: &str| Role::Setting(name.into());
        assert_eq!(role("GPU"), setting("device"));
        assert_eq!((role("M"), role("op")), (setting("m"), setting("op")));
        assert_eq!(role("latency_ms"), Role::Figure("latency_s".into(), Bound::Value, 1e-3));
        assert_eq!(role("energy_mj_high"), Role::Figure("energy_j".into(), Bound::High, 1e-3));
        assert_eq!(role("energy_per_token_j"), Role::Figure("energy_per_token_j".into(), Bound::Value, 1.0));
        assert_eq!((role("energy_source"), role("note")), (Role::Other, Role::Other));
    }
}
