//! Two selections beside each other, and what each change does.

mod pairs;
mod reason;

use serde::Serialize;

pub use self::pairs::{ComponentPair, NodePair, TypePair};
use crate::{
    Answer, Basis, By, Change, Estimate, Lookup, Result, Selection, Whole,
    answer::{AT_THE_WALL, WHOLE_MACHINE},
    fields::told,
    interval,
};

/// Two selections and where they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// The first.
    pub a: Whole,
    /// The second.
    pub b: Whole,
    /// The effect of each change by itself.
    pub changes: Vec<Effect>,
    /// Their energies, by token where loads or lengths differ and both or neither generate, otherwise by request.
    pub energy: EnergyDifference,
    /// Their latencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyDifference>,
    /// The memory that they need on one GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryDifference>,
    /// By part of the model; models of different families have the same parts.
    pub components: Vec<ComponentPair>,
    /// By class of module.
    pub by_type: Vec<TypePair>,
    /// Node by node: a's in their order, then those that only b has.
    pub nodes: Vec<NodePair>,
}

/// One change by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Effect {
    /// The setting.
    pub name: String,
    /// Its value before, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its value after.
    pub to: String,
    /// The energy with this change alone over that without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_ratio: Option<f64>,
    /// Whether the energy falls or grows.
    pub effect: Direction,
    /// Why it changes nothing, what it changes, or why it cannot stand alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether an energy falls or grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Direction {
    /// It stays, to a thousandth.
    None,
    /// It falls.
    Less,
    /// It grows.
    More,
    /// The change has no answer by itself.
    Other,
}

/// Changes below this share are none.
const NOTHING: f64 = 1e-3;

impl Direction {
    fn of(ratio: f64) -> Self {
        match ratio {
            ratio if (ratio - 1.0).abs() < NOTHING => Self::None,
            ratio if ratio < 1.0 => Self::Less,
            _ => Self::More,
        }
    }
}

/// Two energies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnergyDifference {
    /// Their measure.
    pub by: By,
    /// a's, J.
    pub a_j: f64,
    /// b's, J.
    pub b_j: f64,
    /// b's less a's, J.
    pub difference_j: f64,
    /// b's over a's.
    pub ratio: f64,
    /// The lower end of the ratio's 90% interval, without the error that both share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_low: Option<f64>,
    /// The upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_high: Option<f64>,
    /// Whether the two cannot be told apart.
    pub is_within_intervals: bool,
}

/// Two latencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LatencyDifference {
    /// a's, s.
    pub a_s: f64,
    /// b's, s.
    pub b_s: f64,
    /// b's less a's, s.
    pub difference_s: f64,
    /// b's over a's.
    pub ratio: f64,
}

/// The memory that two selections need on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemoryDifference {
    /// a's, bytes.
    pub a_bytes: f64,
    /// b's, bytes.
    pub b_bytes: f64,
    /// b's less a's, bytes.
    pub difference_bytes: f64,
}

impl EnergyDifference {
    pub(crate) fn of(a: &Estimate, b: &Estimate) -> Option<Self> {
        let by = measure(a, b);
        let (a_j, b_j) = (a.energy_j(by)?, b.energy_j(by)?);
        let ratio = b_j / a_j;
        let factor = interval::ratio_factor(a, b);
        Some(Self {
            by,
            a_j,
            b_j,
            difference_j: b_j - a_j,
            ratio,
            ratio_low: factor.map(|factor| ratio / factor),
            ratio_high: factor.map(|factor| ratio * factor),
            is_within_intervals: ratio == 1.0 || factor.is_some_and(|factor| ratio.ln().abs() <= factor.ln()),
        })
    }
}

/// Measured profiles and data sheets mean different energies, unless the data sheet's has the machine on top.
fn note(a: &Estimate, b: &Estimate) -> Option<&'static str> {
    let has_mark = |of: &Estimate| [AT_THE_WALL, WHOLE_MACHINE].iter().any(|mark| of.marks.contains(mark));
    let is_of_wall = |of: &Estimate| of.basis == Basis::Profile || has_mark(of);
    (is_of_wall(a) != is_of_wall(b)).then_some(
        "one figure has the whole machine in it (at the wall, by a measured profile or by the meter of a calibration), the other is of the devices' \
         own meters (a data sheet); the difference is not that of the devices alone",
    )
}

/// By token where requests or loads differ, so that what is served is the same; otherwise by request. A token that is generated is no token of a
/// prompt.
fn measure(a: &Estimate, b: &Estimate) -> By {
    let of = |of: &Estimate| (of.selection.row.load, of.selection.prompt(), of.selection.generated());
    let generates = |of: &Estimate| of.selection.generated() > 0;
    if of(a) == of(b) || generates(a) != generates(b) { By::Request } else { By::Token }
}

/// Two answers beside each other. The effect of single changes is that of [`Lookup::what_if`].
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for an answer without energy.
pub fn compare(a: &Answer, b: &Answer) -> Result<Comparison> {
    let lacks = || crate::Error::setting("model", "has no energy to compare by");
    let energy = EnergyDifference::of(&a.estimate, &b.estimate).ok_or_else(lacks)?;
    let latency = a.estimate.figures.latency_s.zip(b.estimate.figures.latency_s);
    let memory = a.estimate.memory_bytes().zip(b.estimate.memory_bytes());
    let shares = [a.share_of_tree(energy.by), b.share_of_tree(energy.by)];
    let mut whole_b = b.whole();
    whole_b.notes.extend(note(&a.estimate, &b.estimate).map(str::to_owned));
    Ok(Comparison {
        a: a.whole(),
        b: whole_b,
        changes: Vec::new(),
        latency: latency.map(|(a_s, b_s)| LatencyDifference { a_s, b_s, difference_s: b_s - a_s, ratio: b_s / a_s }),
        memory: memory.map(|(a_bytes, b_bytes)| MemoryDifference {
            a_bytes,
            b_bytes,
            difference_bytes: b_bytes - a_bytes,
        }),
        components: pairs::components(&a.tree, &b.tree, shares),
        by_type: pairs::types(&a.tree, &b.tree, shares),
        nodes: pairs::nodes(&a.tree, &b.tree, shares),
        energy,
    })
}

impl Lookup {
    /// Compares a selection with the changed one, and gives the effect of each change by itself.
    ///
    /// # Errors
    /// As [`Selection::changed`] and [`answer`](Self::answer), for either selection.
    pub fn what_if(&self, selection: &Selection, changes: &[Change]) -> Result<Comparison> {
        let a = self.answer(selection)?;
        let b = self.answer(&selection.changed(changes)?)?;
        let mut comparison = compare(&a, &b)?;
        comparison.changes = match changes {
            [change] => vec![effect(&a, &b, change)],
            changes => changes.iter().map(|change| self.effect_alone(&a, selection, change)).collect(),
        };
        Ok(comparison)
    }

    fn effect_alone(&self, a: &Answer, selection: &Selection, change: &Change) -> Effect {
        let alone = selection.changed(std::slice::from_ref(change)).and_then(|changed| self.answer(&changed));
        match alone {
            Ok(b) => effect(a, &b, change),
            Err(error) => Effect {
                name: change.name.clone(),
                from: before(&a.estimate, change),
                to: change.value.clone(),
                energy_ratio: None,
                effect: Direction::Other,
                reason: Some(format!("by itself it has no answer: {}", told(&error))),
            },
        }
    }
}

fn effect(a: &Answer, b: &Answer, change: &Change) -> Effect {
    let ratio = EnergyDifference::of(&a.estimate, &b.estimate).map(|energy| energy.ratio);
    let direction = ratio.map_or(Direction::Other, Direction::of);
    let reason = match direction {
        Direction::None => Some(reason::of_nothing(a, b, change)),
        _ => reason::of_difference(a, b),
    };
    Effect {
        name: change.name.clone(),
        from: before(&a.estimate, change),
        to: change.value.clone(),
        energy_ratio: ratio,
        effect: direction,
        reason,
    }
}

/// The value of a setting that is changed, before it is.
fn before(of: &Estimate, change: &Change) -> Option<String> {
    let own = of.selection.value(&change.name);
    own.or_else(|| of.value(&change.name)).or_else(|| of.model.field(&change.name).map(crate::settings::written))
}
