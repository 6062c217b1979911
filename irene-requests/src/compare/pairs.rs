use std::collections::HashMap;

use irene_devices::Catalogue;

use super::{Pair, Table, table::Line};
use crate::{Error, Result, sheet::columns::Bound};

/// Rows of two tables that have the same settings.
pub(super) struct Pairs<'a> {
    truth: &'a Table,
    predicted: &'a Table,
    /// The place of the prediction of each measurement.
    places: Vec<Option<usize>>,
}

/// The settings of a row, as far as it has them.
type Settings = Vec<Option<String>>;

impl<'a> Pairs<'a> {
    pub(super) fn of(truth: &'a Table, predicted: &'a Table) -> Result<Self> {
        let shared: Vec<&str> =
            truth.settings().filter(|name| predicted.settings().any(|other| other == *name)).collect();
        let settings = |table: &Table| -> Vec<Settings> {
            table.lines().iter().map(|line| shared.iter().map(|name| table.setting(line, name)).collect()).collect()
        };
        let (ours, theirs) = (settings(truth), settings(predicted));
        let is_same_order =
            ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(one, other)| agree(one, other));
        let places = if is_same_order {
            (0..ours.len()).map(Some).collect()
        } else {
            if shared.is_empty() {
                let (truth, predicted) = (truth.origin().to_owned(), predicted.origin().to_owned());
                let reason =
                    "they have no column of a setting in common, such as model or device, to match their rows by"
                        .into();
                return Err(Error::Compare { truth, predicted, reason });
            }
            matched(&ours, &theirs).map_err(|place| {
                let said = shared
                    .iter()
                    .zip(&theirs[place])
                    .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
                let reason = format!(
                    "no row of {} that is left has its settings ({})",
                    truth.origin(),
                    said.collect::<Vec<_>>().join(", ")
                );
                let line = predicted.lines()[place].number;
                Error::Row { origin: predicted.origin().to_owned(), line, column: String::new(), reason }
            })?
        };
        Ok(Self { truth, predicted, places })
    }

    /// How many measurements have no prediction of any of these figures, and the line of the first.
    pub(super) fn unpredicted(&self, figures: &[&str]) -> Result<Option<(usize, u64)>> {
        let mut without: Option<(usize, u64)> = None;
        for (line, place) in self.truth.lines().iter().zip(&self.places) {
            let other = place.map(|place| &self.predicted.lines()[place]);
            let has = |name: &&str| {
                other.map_or(Ok(false), |other| Ok(self.predicted.figure(other, name, Bound::Value)?.is_some()))
            };
            if !figures.iter().map(has).collect::<Result<Vec<bool>>>()?.contains(&true) {
                let (count, first) = without.unwrap_or((0, line.number));
                without = Some((count + 1, first));
            }
        }
        Ok(without)
    }

    /// The measurements of a figure that have a prediction, with their values of some columns.
    pub(super) fn figure(&self, name: &str, by: &[String]) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for (line, place) in self.truth.lines().iter().zip(&self.places) {
            let Some(other) = place.map(|place| &self.predicted.lines()[place]) else { continue };
            let truth = self.truth.figure(line, name, Bound::Value)?.filter(|truth| *truth > 0.0);
            let predicted = self.predicted.figure(other, name, Bound::Value)?;
            let (Some(truth), Some(predicted)) = (truth, predicted) else { continue };
            let low = self.predicted.figure(other, name, Bound::Low)?;
            let high = self.predicted.figure(other, name, Bound::High)?;
            let values = by.iter().map(|name| self.cell(line, other, name)).collect();
            pairs.push(Pair {
                truth,
                predicted,
                interval: low.zip(high),
                values,
                model: self.cell(line, other, "model"),
            });
        }
        Ok(pairs)
    }

    /// A cell of a pair; a device by its name in the catalogue, which has several elsewhere.
    fn cell(&self, line: &Line, other: &Line, name: &str) -> Option<String> {
        let cell = self.truth.cell(line, name).or_else(|| self.predicted.cell(other, name))?;
        let device = (name == "device").then(|| Catalogue::find(cell).ok()).flatten();
        Some(device.map_or_else(|| cell.to_owned(), |device| device.name))
    }
}

/// Whether two rows have the same settings, as far as both have them.
fn agree(one: &Settings, other: &Settings) -> bool {
    one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none() || one == other)
}

/// The place of each measurement's prediction. First as a part of the measurements in their order, since a command leaves out what it cannot
/// predict; if that fails, by the settings that every row has.
///
/// # Errors
/// The place of a prediction that no measurement is left for.
fn matched(ours: &[Settings], theirs: &[Settings]) -> Result<Vec<Option<usize>>, usize> {
    in_order(ours, theirs).map_or_else(|| by_settings(ours, theirs), Ok)
}

fn in_order(ours: &[Settings], theirs: &[Settings]) -> Option<Vec<Option<usize>>> {
    let mut places = vec![None; ours.len()];
    let mut left = 0..ours.len();
    for (place, settings) in theirs.iter().enumerate() {
        let at = left.find(|at| agree(&ours[*at], settings))?;
        places[at] = Some(place);
    }
    Some(places)
}

fn by_settings(ours: &[Settings], theirs: &[Settings]) -> Result<Vec<Option<usize>>, usize> {
    let columns = ours.first().map_or(0, Vec::len);
    let is_everywhere = |column: &usize| ours.iter().chain(theirs).all(|settings| settings[*column].is_some());
    let always: Vec<usize> = (0..columns).filter(is_everywhere).collect();
    let key = |settings: &Settings| always.iter().map(|column| settings[*column].clone()).collect::<Vec<_>>();
    let mut rows: HashMap<Vec<Option<String>>, Vec<usize>> = HashMap::new();
    for (at, settings) in ours.iter().enumerate() {
        rows.entry(key(settings)).or_default().push(at);
    }
    let mut places = vec![None; ours.len()];
    for (place, settings) in theirs.iter().enumerate() {
        let left = rows.get_mut(&key(settings)).ok_or(place)?;
        let at = left.iter().position(|at| agree(&ours[*at], settings)).ok_or(place)?;
        places[left.remove(at)] = Some(place);
    }
    Ok(places)
}
