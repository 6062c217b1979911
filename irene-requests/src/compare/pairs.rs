use std::collections::{HashMap, VecDeque};

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
        if shared.is_empty() && truth.len() != predicted.len() {
            let (truth, predicted) = (truth.origin().to_owned(), predicted.origin().to_owned());
            let reason =
                "they have no column of a setting in common, such as model or device, to match their rows by".into();
            return Err(Error::Compare { truth, predicted, reason });
        }
        let (ours, theirs) = (settings(truth), settings(predicted));
        let places = matched(&ours, &theirs).map_err(|Unmatched { place, candidates }| {
            let reason = match &candidates[..] {
                [] => {
                    let values = shared.iter().zip(&theirs[place]);
                    let said = values.filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
                    let said = said.collect::<Vec<_>>().join(", ");
                    format!("no row of {} that is left has its settings ({said})", truth.origin())
                }
                [one, other, ..] => {
                    let differs = |at: &usize| ours[*one][*at] != ours[*other][*at];
                    let names = (0..shared.len()).filter(differs).map(|at| format!("`{}`", shared[at]));
                    format!(
                        "it may be of line {} or of line {} of {}, which differ in {}: fill that in",
                        truth.lines()[*one].number,
                        truth.lines()[*other].number,
                        truth.origin(),
                        names.collect::<Vec<_>>().join(", ")
                    )
                }
                [_] => String::new(),
            };
            let line = predicted.lines()[place].number;
            Error::Row { origin: predicted.origin().to_owned(), line, column: String::new(), reason }
        })?;
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

/// A prediction without a measurement of its own.
struct Unmatched {
    place: usize,
    /// Measurements that it may be of, if there are several with different settings; else none.
    candidates: Vec<usize>,
}

/// The place of each measurement's prediction: equal settings first, in the order of the file. A prediction of which no measurement has just these
/// settings is of the one that has them as far as both say: a flag of the command fills cells that the measurements leave empty.
fn matched(ours: &[Settings], theirs: &[Settings]) -> Result<Vec<Option<usize>>, Unmatched> {
    let mut rows: HashMap<&Settings, VecDeque<usize>> = HashMap::new();
    for (at, settings) in ours.iter().enumerate() {
        rows.entry(settings).or_default().push_back(at);
    }
    let mut places = vec![None; ours.len()];
    let mut left = Vec::new();
    for (place, settings) in theirs.iter().enumerate() {
        match rows.get_mut(settings).and_then(VecDeque::pop_front) {
            Some(at) => places[at] = Some(place),
            None => left.push(place),
        }
    }
    let columns = ours.first().map_or(0, Vec::len);
    let is_everywhere = |column: &usize| ours.iter().chain(theirs).all(|settings| settings[*column].is_some());
    let always: Vec<usize> = (0..columns).filter(is_everywhere).collect();
    let key = |settings: &Settings| always.iter().map(|column| settings[*column].clone()).collect::<Settings>();
    let mut free: HashMap<Settings, Vec<usize>> = HashMap::new();
    for at in (0..ours.len()).filter(|at| places[*at].is_none()) {
        free.entry(key(&ours[at])).or_default().push(at);
    }
    for place in left {
        let rows = free.entry(key(&theirs[place])).or_default();
        let agreeing: Vec<usize> = rows.iter().copied().filter(|at| agree(&ours[*at], &theirs[place])).collect();
        let other = agreeing.iter().copied().find(|at| ours[*at] != ours[agreeing[0]]);
        let (Some(at), None) = (agreeing.first().copied(), other) else {
            let candidates = agreeing.first().copied().into_iter().chain(other).collect();
            return Err(Unmatched { place, candidates });
        };
        rows.retain(|row| *row != at);
        places[at] = Some(place);
    }
    Ok(places)
}

/// Whether two rows have the same settings, as far as both have them.
fn agree(one: &Settings, other: &Settings) -> bool {
    one.iter().zip(other).all(|(one, other)| one.is_none() || other.is_none() || one == other)
}
