//! Defects of measurements: a clock that ticks coarsely, outliers, and drift in the course of a campaign.
//! They are reported, so that nobody takes them for properties of the designs.

mod clock;
mod drift;
mod in_campaign;

pub use clock::Clock;
pub use drift::Drift;
pub use in_campaign::{InCampaign, crossvalidate_in_campaign};
use irene_numerics::upper_median;
use serde::Serialize;

use crate::{
    Candidate, Dataset, Measure, Result,
    learning::{
        evaluate::{HeldOutRecord, crossvalidate},
        surrogate::Learner,
    },
};

/// The defects found in one measure of a device's records.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The measure.
    pub measure: Measure,
    /// The clock, if its steps show.
    pub clock: Option<Clock>,
    /// The drift, if there is any.
    pub drift: Option<Drift>,
    /// Figures far from the prediction by the other records.
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

/// A figure this many spreads off is an outlier.
const FAR: f64 = 5.0;
/// The least spread, in e-folds: figures that follow their law exactly are no outliers by a rounding.
const LEAST_SPREAD: f64 = 2e-3;

/// Compares one measure of each record with its prediction by the other records.
///
/// # Errors
/// The learner's error for too few records, and [`Error::Data`](crate::Error::Data) for a missing figure.
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
    let far = FAR * spread(&residuals).max(LEAST_SPREAD);
    let outlier = |(record, residual): (&crate::Record, &f64)| Outlier {
        hash: record.hash.to_string(),
        order: record.order,
        factor: residual.exp(),
    };
    let is_far = |(_, residual): &(&crate::Record, &f64)| residual.abs() > far;
    Ok(Diagnosis {
        measure,
        clock: Clock::find(&figures),
        drift: Drift::find(&orders, &residuals),
        outliers: data.records.iter().zip(&residuals).filter(is_far).map(outlier).collect(),
    })
}

/// The logarithm of each figure over what was expected of it; NaN where that is not above 0, as of some learners.
pub(crate) fn residuals(held_out: &[HeldOutRecord], records: usize) -> Vec<f64> {
    let mut residuals = vec![0.0; records];
    for held in held_out {
        residuals[held.record] = (held.figure / held.prediction.value).ln();
    }
    residuals
}

/// A standard deviation that outliers do not move; residuals that are no numbers are left out.
fn spread(residuals: &[f64]) -> f64 {
    const OF_NORMAL: f64 = 1.4826;
    let sizes = residuals.iter().map(|residual| residual.abs()).filter(|size| size.is_finite());
    OF_NORMAL * upper_median(sizes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learning::{CostLawLearner, PredictedValue, Surrogate},
        made_up::{Always, candidates, dataset, noise},
    };

    impl Learner for Always {
        fn name(&self) -> &'static str {
            "always"
        }

        fn fit(&self, _: &[&Candidate], _: &[f64], _: u64) -> Result<Box<dyn Surrogate>> {
            Ok(Box::new(*self))
        }
    }

    /// Designs measured with a factor by their order.
    fn campaign(factor: impl Fn(usize) -> f64) -> (Dataset, Vec<Candidate>) {
        let candidates = candidates(40, 0);
        (dataset(&candidates, factor), candidates)
    }

    #[test]
    fn the_figure_that_is_far_off_is_named_and_no_other() {
        let (data, candidates) = campaign(|order| if order == 11 { 3.0 } else { noise(order) });
        let found = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap();
        assert_eq!(found.outliers.len(), 1, "{:?}", found.outliers);
        let outlier = &found.outliers[0];
        assert_eq!((outlier.order, &outlier.hash), (Some(11), &data.records[11].hash));
        assert!((2.7..3.3).contains(&outlier.factor), "{outlier:?}");
        assert_eq!((found.clock, found.drift), (None, None));
    }

    #[test]
    fn a_campaign_that_slowly_warms_up_drifts() {
        let (data, candidates) = campaign(|order| noise(order) * (1.0 + 0.2 * (order as f64 / 8.0).sin()));
        let drift = diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap().drift.unwrap();
        assert!(drift.lag_one > 0.3 && drift.deviation > 0.03, "{drift:?}");
        assert!(drift.at(12) > drift.at(38) + 0.1, "{} {}", drift.at(12), drift.at(38));
    }

    #[test]
    fn figures_that_follow_exactly_have_no_outliers() {
        let (data, candidates) = campaign(|_| 1.0);
        assert_eq!(diagnose(&CostLawLearner, &data, &candidates, Measure::Latency).unwrap().outliers, []);
        assert!(diagnose(&CostLawLearner, &data, &candidates, Measure::Energy).is_err());
    }

    #[test]
    fn predictions_of_0_or_less_are_survived() {
        let (data, candidates) = campaign(noise);
        for value in [0.0, -1.0, f64::NAN] {
            let always = Always(PredictedValue { value, deviation: 1.0 });
            let found = diagnose(&always, &data, &candidates, Measure::Latency).unwrap();
            assert_eq!(found.drift, None, "{value}");
        }
        let orders: Vec<Option<usize>> = (0..40).map(Some).collect();
        assert_eq!(Drift::find(&orders, &[f64::NAN; 40]), None);
        assert_eq!(Drift::find(&orders, &[f64::INFINITY; 40]), None);
    }
}
