//! What is wrong with measurements: a clock that ticks coarsely, figures that are far off, and drift in the course of a campaign.
//! Found and told, so that nobody takes them for properties of the designs.

mod clock;
mod drift;

pub use clock::Clock;
pub use drift::Drift;
use serde::Serialize;

use crate::{
    Candidate, Dataset, Measure, Result,
    evaluate::{HeldOut, crossvalidate},
    surrogate::Learner,
};

/// What was found in one measure of a device's records.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The measure.
    pub measure: Measure,
    /// The clock, if its steps show.
    pub clock: Option<Clock>,
    /// The drift, if there is any.
    pub drift: Option<Drift>,
    /// Figures far from what the other records let expect.
    pub outliers: Vec<Outlier>,
}

/// A figure that is far off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlier {
    /// The record's hash.
    pub hash: String,
    /// Its place in the campaign.
    pub order: Option<usize>,
    /// The figure over what was expected.
    pub factor: f64,
}

/// So many times the usual spread is far off.
const FAR: f64 = 5.0;

/// Looks at one measure of records, each beside what the others let expect of it.
///
/// # Errors
/// What the learner says of too few records, and [`Error::Data`](crate::Error::Data) for a missing figure.
pub fn diagnose(
    learner: &dyn Learner,
    data: &Dataset,
    candidates: &[Candidate],
    measure: Measure,
) -> Result<Diagnosis> {
    const FOLDS: usize = 10;
    let figures = data.figures(measure)?;
    let held_out = crossvalidate(learner, candidates, &figures, FOLDS, 1, 0)?;
    let residuals = residuals(&held_out, figures.len());
    let orders: Vec<Option<usize>> = data.records.iter().map(|record| record.order).collect();
    let spread = spread(&residuals);
    let outlier = |(record, residual): (&crate::Record, &f64)| Outlier {
        hash: record.hash.to_string(),
        order: record.order,
        factor: residual.exp(),
    };
    let is_far = |(_, residual): &(&crate::Record, &f64)| residual.abs() > FAR * spread;
    Ok(Diagnosis {
        measure,
        clock: Clock::find(&figures),
        drift: Drift::find(&orders, &residuals),
        outliers: data.records.iter().zip(&residuals).filter(is_far).map(outlier).collect(),
    })
}

/// The logarithm of each figure over what was expected of it.
pub(crate) fn residuals(held_out: &[HeldOut], records: usize) -> Vec<f64> {
    let mut residuals = vec![0.0; records];
    for held in held_out {
        residuals[held.record] = (held.figure / held.prediction.value).ln();
    }
    residuals
}

/// A standard deviation that outliers do not move.
fn spread(residuals: &[f64]) -> f64 {
    const OF_NORMAL: f64 = 1.4826;
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    OF_NORMAL * sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}
