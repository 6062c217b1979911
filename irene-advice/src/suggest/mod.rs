//! Ideas that save energy, each with its saving and its price.

mod formats;
mod load;
mod machines;
mod models;
mod serving;

use serde::Serialize;

use crate::{
    Basis, Bounds, By, Change, Error, Estimate, Lookup, Result, Selection, Whole, answer::DOES_NOT_FIT, interval,
};

/// Ideas that save energy, most first, and those that do not.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestions {
    /// The selection as it is.
    pub baseline: Whole,
    /// The measure that energies are by.
    pub measure: By,
    /// The suggestions that save energy, most first.
    pub suggestions: Vec<Suggestion>,
    /// The suggestions that save nothing or have no answer.
    pub left_out: Vec<LeftOut>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestion {
    /// Its kind.
    pub kind: Kind,
    /// It in words.
    pub title: String,
    /// The changes of the selection: `concurrency=64`. Absent where a selection cannot say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The energy as it is, J.
    pub energy_a_j: f64,
    /// The energy with it, J.
    pub energy_b_j: f64,
    /// The share of the energy that it saves.
    pub saved_share: f64,
    /// The least that it is likely to save; below 0 where it may cost more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_share_low: Option<f64>,
    /// The most that it is likely to save.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_share_high: Option<f64>,
    /// Everything else that it changes.
    pub price: Price,
    /// Why it saves.
    pub why: String,
    /// The assumption that it rests on beside the selection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed: Option<String>,
}

/// The price of a suggestion beside energy: figures with it over those without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Price {
    /// The ratio of the times of a request or batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ratio: Option<f64>,
    /// The ratio of the times to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ratio: Option<f64>,
    /// The ratio of the memory of each GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ratio: Option<f64>,
    /// Whether answers stay the same.
    pub accuracy: Accuracy,
    /// GPUs that it needs, where their number changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<usize>,
}

/// The accuracy of answers, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Accuracy {
    /// The same is computed.
    #[default]
    Unchanged,
    /// Something else is computed, and nothing here tells how well.
    Unknown,
}

/// The kinds of suggestions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
#[allow(missing_docs)] // their names
pub enum Kind {
    Concurrency,
    Batch,
    Padding,
    Kernels,
    Weights,
    CacheFormat,
    PrefixCache,
    Device,
    PowerLimit,
    Gpus,
    SmallerModel,
    FewerLayers,
    Speculative,
}

/// A kind that is not suggested, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftOut {
    /// Its kind.
    pub kind: Kind,
    /// The reason.
    pub reason: String,
}

/// Less is no saving.
const LEAST: f64 = 1e-3;

/// The suggestions that are found on the way.
pub(crate) struct Advice<'a> {
    lookup: &'a Lookup,
    selection: &'a Selection,
    /// The selection as it is.
    a: Estimate,
    bounds: Bounds,
    found: Vec<Suggestion>,
    left_out: Vec<LeftOut>,
}

/// A suggestion before it is tried.
pub(crate) struct Idea {
    pub(crate) kind: Kind,
    pub(crate) changes: Vec<Change>,
    pub(crate) title: String,
    pub(crate) why: String,
    pub(crate) accuracy: Accuracy,
    pub(crate) assumed: Option<String>,
}

impl Idea {
    pub(crate) fn new(kind: Kind, changes: Vec<Change>, title: impl Into<String>, why: impl Into<String>) -> Self {
        let (title, why) = (title.into(), why.into());
        Self { kind, changes, title, why, accuracy: Accuracy::Unchanged, assumed: None }
    }
}

impl Lookup {
    /// Ideas that save energy in a selection: those that can be computed, within the bounds.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate) and [`Bounds::check`]; [`Error::Setting`] for bounds on tokens where none are generated.
    pub fn suggest(&self, selection: &Selection, bounds: Bounds) -> Result<Suggestions> {
        bounds.check_for(selection.generated())?;
        let answer = self.answer(selection)?;
        let baseline = answer.whole();
        let mut advice = Advice::new(self, selection, answer.estimate, bounds);
        advice.load();
        advice.padding();
        advice.kernels();
        advice.formats();
        advice.prefix_cache();
        advice.machines();
        advice.models();
        advice.speculative();
        let measure = advice.by();
        let Advice { mut found, left_out, .. } = advice;
        found.sort_by(|x, y| y.saved_share.total_cmp(&x.saved_share));
        Ok(Suggestions { baseline, measure, suggestions: found, left_out })
    }
}

impl<'a> Advice<'a> {
    fn new(lookup: &'a Lookup, selection: &'a Selection, a: Estimate, bounds: Bounds) -> Self {
        Self { lookup, selection, a, bounds, found: Vec::new(), left_out: Vec::new() }
    }

    fn by(&self) -> By {
        if self.a.selection.generated() > 0 { By::Token } else { By::Request }
    }

    /// The energy by which ways are compared, J; infinite where it is unknown.
    fn energy(&self, of: &Estimate) -> f64 {
        of.energy_j(self.by()).unwrap_or(f64::INFINITY)
    }

    fn is_of_sheet(&self) -> bool {
        self.a.basis != Basis::Profile
    }

    fn leave_out(&mut self, kind: Kind, reason: impl Into<String>) {
        self.left_out.push(LeftOut { kind, reason: reason.into() });
    }

    /// Leaves out what only a data sheet knows, on a measured machine.
    fn needs_sheet(&mut self, kind: Kind, what: &str) -> bool {
        if !self.is_of_sheet() {
            let reason = format!(
                "the profile that was measured on {} knows nothing of {what}; a device of the catalogue of data sheets does",
                self.a.device
            );
            self.leave_out(kind, reason);
        }
        !self.is_of_sheet()
    }

    /// The figures of the selection with some changes, by the same law as before.
    fn estimate(&self, changes: &[Change]) -> Result<Estimate> {
        let estimate = self.lookup.estimate(&self.selection.changed(changes)?)?;
        if estimate.basis != self.a.basis {
            let reason = "is known by another law, and the two cannot be compared";
            return Err(Error::setting("device", format!("{} {reason}", estimate.device)));
        }
        if estimate.marks.contains(&DOES_NOT_FIT) {
            return Err(Error::setting("device", format!("the memory of {} is too small", estimate.device)));
        }
        Ok(estimate)
    }

    /// Takes up an idea if it saves energy within the bounds.
    fn try_out(&mut self, idea: Idea) {
        match self.estimate(&idea.changes) {
            Ok(b) => self.take_up(idea, &b),
            Err(error) => self.leave_out(idea.kind, format!("{}: {error}", idea.title)),
        }
    }

    fn take_up(&mut self, idea: Idea, b: &Estimate) {
        let Some((energy_a_j, energy_b_j)) = self.a.energy_j(self.by()).zip(b.energy_j(self.by())) else { return };
        if let Some((broken, _)) = self.bounds.broken(b) {
            return self.leave_out(idea.kind, format!("{}: {broken}", idea.title));
        }
        let price = self.price(b, idea.accuracy);
        let set = Some(Change::join(&idea.changes)).filter(|set| !set.is_empty());
        let factor = interval::ratio_factor(&self.a, b);
        self.push(idea, set, [energy_a_j, energy_b_j], factor, price);
    }

    /// Takes up what no selection can say: with its energy over that of now.
    fn take_up_ratio(&mut self, idea: Idea, ratio: f64, price: Price) {
        let Some(energy) = self.a.energy_j(self.by()) else { return };
        let factor = interval::factor_of_one_model(&self.a);
        self.push(idea, None, [energy, ratio * energy], factor, price);
    }

    fn push(&mut self, idea: Idea, set: Option<String>, [a, b]: [f64; 2], factor: Option<f64>, price: Price) {
        let ratio = b / a;
        let saved_share = 1.0 - ratio;
        if saved_share.is_nan() || saved_share < LEAST {
            let takes = if ratio > 1.0 + LEAST {
                format!("takes {:.1}% more", -100.0 * saved_share)
            } else {
                "saves nothing".into()
            };
            return self.leave_out(idea.kind, format!("{}: {takes}", idea.title));
        }
        let Idea { kind, title, why, assumed, .. } = idea;
        self.found.push(Suggestion {
            kind,
            title,
            set,
            energy_a_j: a,
            energy_b_j: b,
            saved_share,
            saved_share_low: factor.map(|factor| 1.0 - ratio * factor),
            saved_share_high: factor.map(|factor| 1.0 - ratio / factor),
            price,
            why,
            assumed,
        });
    }

    fn price(&self, b: &Estimate, accuracy: Accuracy) -> Price {
        let ratio = |a: Option<f64>, b: Option<f64>| Some(b? / a?);
        let gpus = |of: &Estimate| of.selection.row.parallel.gpus();
        Price {
            latency_ratio: ratio(self.a.figures.latency_s, b.figures.latency_s),
            ttft_ratio: ratio(self.a.figures.ttft_s, b.figures.ttft_s),
            memory_ratio: ratio(self.a.memory_bytes(), b.memory_bytes()),
            accuracy,
            gpus: (gpus(&self.a) != gpus(b)).then(|| gpus(b)),
        }
    }
}
