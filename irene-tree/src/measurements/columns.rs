use std::fmt;

use super::unit::{self, Unit};
use crate::Quantity;

/// The content of a column of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The node's path.
    Scope,
    /// The node's class.
    InstanceType,
    /// The model.
    ModelName,
    /// Sequences in the batch.
    BatchSize,
    /// Tokens in a sequence.
    SeqLen,
    /// A measured quantity of the node.
    Measured(Quantity),
}

/// Every field by its name; a field may have a second name, the interchange format's.
const FIELDS: [(&str, Field); 18] = [
    ("scope", Field::Scope),
    ("class", Field::InstanceType),
    ("instance_type", Field::InstanceType),
    ("model", Field::ModelName),
    ("model_name", Field::ModelName),
    ("batch_size", Field::BatchSize),
    ("seq_len", Field::SeqLen),
    ("energy", Field::Measured(Quantity::GroundTruthEnergy)),
    ("ground_truth_energy", Field::Measured(Quantity::GroundTruthEnergy)),
    ("latency", Field::Measured(Quantity::Latency)),
    ("times_mean", Field::Measured(Quantity::Latency)),
    ("gpu_energy", Field::Measured(Quantity::GpuEnergy)),
    ("cpu", Field::Measured(Quantity::Cpu)),
    ("mem", Field::Measured(Quantity::Mem)),
    ("gpu", Field::Measured(Quantity::Gpu)),
    ("gpu_mem", Field::Measured(Quantity::GpuMem)),
    ("gpu_clk", Field::Measured(Quantity::GpuClk)),
    ("gpu_mem_clk", Field::Measured(Quantity::GpuMemClk)),
];

impl Field {
    /// Its name in a list of columns.
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        FIELDS.iter().find(|(known, _)| *known == name.trim()).map(|(_, field)| *field)
    }
}

/// A column that holds a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) field: Field,
    /// Its title in the file.
    pub(super) title: String,
    /// The unit that was said; None takes the title's, or the interchange format's.
    unit: Option<Unit>,
}

impl Column {
    /// The unit of a measured quantity.
    pub(super) fn unit(&self) -> Option<Unit> {
        let Field::Measured(quantity) = self.field else { return None };
        self.unit.or_else(|| unit::of_title(quantity, &self.title)).or_else(|| unit::units(quantity).first().copied())
    }
}

/// `energy from `Energy (mJ)` in mJ`.
impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from `{}`", self.field.name(), self.title)?;
        self.unit().map_or(Ok(()), |unit| write!(f, " in {}", unit.symbol))
    }
}

/// Which column of a file holds which field, and in which unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns(pub(super) Vec<Column>);

/// A list of columns that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongColumns(String);

impl Columns {
    /// Reads `FIELD=TITLE:UNIT,...`: the title may be left out where it is the field's name, the unit where it is in the title (`Energy (mJ)`) or
    /// the interchange format's (J, s, %, MHz). A comma that no field follows belongs to the title.
    ///
    /// # Errors
    /// [`WrongColumns`] for an unknown or repeated field, or if nothing is measured.
    pub fn parse(text: &str) -> Result<Self, WrongColumns> {
        let mut columns: Vec<Column> = Vec::new();
        for (field, entry) in entries(text)? {
            let column = column(field, &entry)?;
            if columns.iter().any(|known| known.field == column.field) {
                return Err(WrongColumns(format!("{} is given twice", column.field.name())));
            }
            columns.push(column);
        }
        if !columns.iter().any(|column| matches!(column.field, Field::Measured(_))) {
            return Err(WrongColumns(format!("no column is of a measured quantity; there are {}", names(true))));
        }
        Ok(Self(columns))
    }

    /// Whether a field has a column.
    pub fn have(&self, field: Field) -> bool {
        self.0.iter().any(|column| column.field == field)
    }
}

/// Splits at the commas that a field follows.
fn entries(text: &str) -> Result<Vec<(Field, String)>, WrongColumns> {
    let mut entries: Vec<(Field, String)> = Vec::new();
    for part in text.split(',') {
        let name = part.split(['=', ':']).next().unwrap_or_default().trim();
        if let Some(field) = Field::from_name(name) {
            entries.push((field, part.to_owned()));
            continue;
        }
        match entries.last_mut() {
            // A title may have a comma.
            Some((_, before)) if !part.contains('=') && !part.trim().is_empty() => *before += &format!(",{part}"),
            _ => return Err(WrongColumns(format!("`{name}` is not a field; there are {}", names(false)))),
        }
    }
    Ok(entries)
}

fn column(field: Field, entry: &str) -> Result<Column, WrongColumns> {
    let end = entry.find(['=', ':']).unwrap_or(entry.len());
    let (name, rest) = (entry[..end].trim(), &entry[end..]);
    let title_and_unit = match rest.strip_prefix('=') {
        Some(title) => title.to_owned(),
        None => format!("{name}{rest}"),
    };
    let (title, unit) = match (field, title_and_unit.rsplit_once(':')) {
        (Field::Measured(quantity), Some((title, symbol))) => match unit::find(quantity, symbol) {
            Some(unit) => (title, Some(unit)),
            // `energy:joule` names no column.
            None if !rest.starts_with('=') => {
                let known: Vec<&str> = unit::units(quantity).iter().map(|unit| unit.symbol).collect();
                return Err(WrongColumns(format!(
                    "{name}: `{symbol}` is not a unit of it; there are {}",
                    known.join(", ")
                )));
            }
            None => (title_and_unit.as_str(), None),
        },
        _ => (title_and_unit.as_str(), None),
    };
    match title.trim() {
        "" => Err(WrongColumns(format!("{name}= has no title of a column"))),
        title => Ok(Column { field, title: title.to_owned(), unit }),
    }
}

/// The fields' names; those of measured quantities alone.
fn names(only_measured: bool) -> String {
    let mut seen = Vec::new();
    for (name, field) in FIELDS {
        if field.name() == name && (!only_measured || matches!(field, Field::Measured(_))) {
            seen.push(name);
        }
    }
    seen.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        Columns::parse(text).unwrap().0.iter().map(Column::to_string).collect()
    }

    #[test]
    fn titles_and_units_are_said_or_understood() {
        assert_eq!(
            shown("scope=Layer, name,batch_size=B, energy=Energy (J):mJ,latency=latency_ms,gpu_energy=a:b,cpu"),
            [
                "scope from `Layer, name`",
                "batch_size from `B`",
                "energy from `Energy (J)` in mJ",
                "latency from `latency_ms` in ms",
                "gpu_energy from `a:b` in J",
                "cpu from `cpu` in %"
            ]
        );
        assert_eq!(shown("energy:kWh, class"), ["energy from `energy` in kWh", "class from `class`"]);
    }

    #[test]
    fn a_list_has_the_fields_that_it_names_and_each_has_one_first_name() {
        let columns = Columns::parse("instance_type=a,times_mean=b").unwrap();
        let fields = [Field::InstanceType, Field::Measured(Quantity::Latency), Field::Scope, Field::ModelName];
        assert_eq!(fields.map(|field| columns.have(field)), [true, true, false, false]);
        assert_eq!(fields.map(Field::name), ["class", "latency", "scope", "model"]);
        assert_eq!(names(true), "energy, latency, gpu_energy, cpu, mem, gpu, gpu_mem, gpu_clk, gpu_mem_clk");
        assert!(names(false).starts_with("scope, class, model, batch_size, seq_len, energy"));
    }

    #[test]
    fn a_list_that_cannot_be_says_what_can() {
        let error = |text| Columns::parse(text).unwrap_err().to_string();
        assert!(error("scpe=a,energy").starts_with("`scpe` is not a field; there are scope, class, model, batch_size"));
        assert!(error("energy,watts=b").starts_with("`watts` is not a field"));
        assert_eq!(error("energy,energy=b"), "energy is given twice");
        assert!(error("energy,").starts_with("`` is not a field"));
        assert!(error("").starts_with("`` is not a field"));
        assert_eq!(error("energy="), "energy= has no title of a column");
        assert!(error("scope,batch_size").contains("no column is of a measured quantity; there are energy, latency"));
        assert!(error("energy:watt").contains("`watt` is not a unit of it; there are J, mJ"));
    }
}
