//! Designs scored by surrogates.

use std::fmt;

use irene_models::flexibert::Design;
use rayon::prelude::*;

use super::{criterion::Criterion, evaluation::Evaluation};
use crate::{
    Candidate, Describer, Result,
    learning::{PredictedValue, Surrogate, Surrogates},
};

/// Predicts the figures of designs by a device's surrogates, and by one of accuracy.
pub struct Predicted<'a> {
    /// Describes the designs of the space that is searched.
    pub describer: &'a Describer,
    /// The surrogates of the device.
    pub surrogates: &'a Surrogates,
    /// A surrogate of accuracy as a share of 1, if accuracy is sought.
    pub accuracy: Option<&'a dyn Surrogate>,
}

impl fmt::Debug for Predicted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicted").field("surrogates", self.surrogates).finish_non_exhaustive()
    }
}

impl Predicted<'_> {
    /// The predicted figures of designs, on all cores.
    ///
    /// # Errors
    /// As [`Describer::describe`].
    pub fn evaluate(&self, designs: &[Design]) -> Result<Vec<Evaluation>> {
        designs.par_iter().map(|design| Ok(self.of(&self.describer.describe(design.clone())?))).collect()
    }

    /// The figures of one design.
    pub fn of(&self, candidate: &Candidate) -> Evaluation {
        let known = Criterion::ALL.into_iter().filter_map(|criterion| {
            let prediction = match criterion.measure() {
                // A design that is found is measured after the campaign.
                Some(measure) => self.surrogates.predict(measure, candidate)?.later(measure),
                None => self.accuracy.map(|accuracy| at_most_one(accuracy.predict(candidate)))?,
            };
            Some((criterion, prediction))
        });
        known.fold(Evaluation::new(), |evaluation, (criterion, prediction)| evaluation.with(criterion, prediction))
    }
}

fn at_most_one(prediction: PredictedValue) -> PredictedValue {
    PredictedValue { value: prediction.value.min(1.0), ..prediction }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Measure,
        learning::{CostLawLearner, Learner},
        made_up::{Always, candidates, dataset, noise},
        space::{DesignSpace, Sampling},
    };

    fn learned(learner: &dyn Learner, space: &DesignSpace) -> Surrogates {
        Surrogates::learn(learner, &dataset(&candidates(16, 0), noise), space, &[Measure::Latency], 0).unwrap()
    }

    #[test]
    fn figures_are_those_of_the_surrogates_and_accuracy_is_a_share() {
        let space = DesignSpace::find("small").unwrap();
        let (surrogates, describer) = (learned(&CostLawLearner, &space), Describer::new(space.clone()));
        let unseen = candidates(5, 1);
        let designs: Vec<Design> = unseen.iter().map(|one| one.design.clone()).collect();
        let (sure, none) = (Always(PredictedValue { value: 1.3, deviation: 0.01 }), None);
        for (accuracy, expected) in [(Some(&sure as &dyn Surrogate), Some(1.0)), (none, None)] {
            let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy };
            let figures = predicted.evaluate(&designs).unwrap();
            for (figures, one) in figures.iter().zip(&unseen) {
                let predicted = surrogates.predict(Measure::Latency, one).map(|value| value.later(Measure::Latency));
                assert_eq!(figures.get(Measure::Latency), predicted);
                let accuracy = figures.get(Criterion::Accuracy);
                assert_eq!(accuracy.map(|accuracy| accuracy.value), expected);
                assert_eq!(accuracy.map(|accuracy| Criterion::Accuracy.interval(&accuracy).1), expected);
                assert_eq!((figures.get(Measure::Energy), figures.get(Measure::PeakPower)), (None, None));
            }
        }
        let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
        let outside = DesignSpace::published().sample(Sampling::Sobol, 1, 0).unwrap();
        assert!(predicted.evaluate(&outside).is_err());
    }
}
