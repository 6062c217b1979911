//! Predictions held against measurements: two sheets, of requests or of operations.

mod errors;
mod pairs;
mod rank;
mod table;

use irene_numerics::mean;

use self::pairs::Pairs;
pub use self::{
    errors::PercentErrors,
    rank::{Rank, kendall},
    table::Table,
};
use crate::{Error, Figure, Result};

/// The errors of predictions against measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Rows of the measurements.
    pub rows: usize,
    /// How many of them have no prediction, and the line of the first.
    pub unpredicted: Option<(usize, u64)>,
    /// For each figure that both sheets have: all rows, then the rows of each value of each column that is asked for.
    pub groups: Vec<Group>,
    /// The order of the configurations of each model by energy a token.
    pub ranks: Vec<Rank>,
}

/// The errors of a figure in some of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The figure, with its unit.
    pub figure: String,
    /// The column and the value that the rows share; None for all rows.
    pub by: Option<(String, String)>,
    /// How far off the predictions are.
    pub errors: PercentErrors,
}

/// A measurement with its prediction.
struct Pair {
    truth: f64,
    predicted: f64,
    interval: Option<(f64, f64)>,
    /// The values in the columns that are asked for.
    values: Vec<Option<String>>,
    model: Option<String>,
}

impl Comparison {
    /// Kendall's rank correlation of energy a token over the configurations of a model: the mean over the models; None without one that
    /// has two configurations.
    pub fn rank(&self) -> Option<f64> {
        mean(&self.ranks.iter().map(|rank| rank.tau).collect::<Vec<_>>())
    }
}

/// Columns that are asked for where nobody asks for others.
const BY: [&str; 4] = ["op", "device", "model", "engine"];

/// Compares every figure that both sheets have, over all rows and by the values of columns: `op`, `device`, `model` and `engine`, as far as
/// there are such, or those that are asked for.
///
/// Rows with equal settings are matched, those of one setting in their order; then those whose settings agree as far as both sheets say
/// them. Units follow from the titles: `latency_ms` is compared with `latency_s`.
///
/// # Errors
/// [`Error::Compare`] if the sheets share no setting or no figure, or a column that is asked for is in neither; [`Error::Row`] for a row of
/// the predictions that no measurement has the settings of, or several have, and for a cell that is no number.
pub fn compare(truth: &Table, predicted: &Table, by: Option<&[String]>) -> Result<Comparison> {
    let fault = |reason: String| {
        let (truth, predicted) = (truth.origin().to_owned(), predicted.origin().to_owned());
        Error::Compare { truth, predicted, reason }
    };
    let is_there = |name: &str| truth.has(name) || predicted.has(name);
    let by: Vec<String> = match by {
        None => BY.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned()).collect(),
        Some(asked) => asked.iter().map(|name| table::canonical(name)).collect(),
    };
    if let Some(absent) = by.iter().find(|name| !is_there(name)) {
        let there: Vec<&str> = truth.titles().collect();
        return Err(fault(format!("neither has a column `{absent}`; the first has {}", there.join(", "))));
    }
    let pairs = Pairs::of(truth, predicted)?;
    let mut groups = Vec::new();
    let mut ranks = Vec::new();
    let shared: Vec<&str> = truth.figures().filter(|figure| predicted.has_figure(figure)).collect();
    for &figure in &shared {
        let found = pairs.figure(figure, &by)?;
        if found.is_empty() {
            continue;
        }
        if figure == Figure::EnergyPerToken.name() {
            ranks = rank::by_model(&found);
        }
        groups.extend(grouped(figure, &by, &found));
    }
    if groups.is_empty() {
        let names = |table: &Table| table.figures().collect::<Vec<_>>().join(", ");
        return Err(fault(format!(
            "no row has a figure in both: the first has {}; the second {}",
            names(truth),
            names(predicted)
        )));
    }
    Ok(Comparison { rows: truth.len(), unpredicted: pairs.unpredicted(&shared)?, groups, ranks })
}

/// All rows, then those of each value in order of their first.
fn grouped(figure: &str, by: &[String], pairs: &[Pair]) -> Vec<Group> {
    let mut groups = vec![group(figure, None, pairs.iter())];
    for (place, column) in by.iter().enumerate() {
        let mut values: Vec<&str> = Vec::new();
        for value in pairs.iter().filter_map(|pair| pair.values[place].as_deref()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        groups.extend(values.into_iter().map(|value| {
            let of_value = pairs.iter().filter(|pair| pair.values[place].as_deref() == Some(value));
            group(figure, Some((column.clone(), value.to_owned())), of_value)
        }));
    }
    groups
}

fn group<'a>(figure: &str, by: Option<(String, String)>, pairs: impl Iterator<Item = &'a Pair>) -> Group {
    let mut errors = PercentErrors::default();
    for Pair { truth, predicted, interval, .. } in pairs {
        let ratio = predicted / truth;
        match interval {
            Some((low, high)) => errors.add_with_interval(ratio, (low..=high).contains(&truth)),
            None => errors.add(ratio),
        }
    }
    Group { figure: figure.to_owned(), by, errors }
}
