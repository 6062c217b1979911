//! Designs scored by surrogates.

use rayon::prelude::*;

use super::{evaluation::Evaluation, objective::Objective, quantity::Quantity};
use crate::{
    Candidate, Describer, Error, Result,
    space::Embedding,
    surrogate::{Boshnas, Prediction, Saved, Surrogate, Surrogates},
};

/// What a device's surrogates, and one of accuracy, expect of designs.
pub struct Predicted<'a> {
    /// Describes the designs of the space that is searched.
    pub describer: &'a Describer,
    /// Of the device.
    pub surrogates: &'a Surrogates,
    /// Of accuracy as a share of 1, if it is sought.
    pub accuracy: Option<&'a dyn Surrogate>,
}

impl Predicted<'_> {
    /// The figures of the designs of embeddings, on all cores.
    ///
    /// # Errors
    /// [`Error::Outside`] for what is no embedding of a design in the space.
    pub fn evaluate(&self, embeddings: &[Embedding]) -> Result<Vec<Evaluation>> {
        let score = |embedding: &Embedding| Ok(self.of(&self.describer.describe_embedded(embedding.clone())?));
        embeddings.par_iter().map(score).collect()
    }

    /// The figures of one design.
    pub fn of(&self, candidate: &Candidate) -> Evaluation {
        let known = Quantity::ALL.into_iter().filter_map(|quantity| {
            let prediction = match quantity.measure() {
                Some(measure) => self.surrogates.predict(measure, candidate)?,
                None => self.accuracy.map(|accuracy| at_most_one(accuracy.predict(candidate)))?,
            };
            Some((quantity, prediction))
        });
        known.fold(Evaluation::new(), |evaluation, (quantity, prediction)| evaluation.with(quantity, prediction))
    }

    /// The objective between designs with its gradient, for [`RelaxedSpace`](super::RelaxedSpace).
    ///
    /// # Errors
    /// [`Error::Search`] for an objective of several figures, and for surrogates that have no gradient.
    pub fn relaxed(&self, objective: &Objective) -> Result<impl Fn(&[f64], &mut [f64]) -> f64 + Sync> {
        let of = |quantity: Quantity| -> Result<&Boshnas> {
            let saved = quantity.measure().and_then(|measure| self.surrogates.measures.get(&measure));
            match saved {
                Some(Saved::Boshnas(networks)) => Ok(networks),
                _ => {
                    let reason = "the gradient method needs a boshnas surrogate of";
                    Err(Error::Search(format!("{reason} {quantity}; fit one, or search by evolution")))
                }
            }
        };
        let terms = match objective {
            Objective::Pareto(quantities) if quantities.len() == 1 => vec![(of(quantities[0])?, 1.0)],
            Objective::Pareto(_) => {
                let reason = "the gradient method makes one figure small; give one quantity or weights(...)";
                return Err(Error::Search(reason.to_owned()));
            }
            Objective::Weighted(weights) => weights
                .iter()
                // Accuracy has no gradient here and is left to the climb that polishes.
                .filter(|weight| !weight.quantity.is_sought())
                .map(|weight| Ok((of(weight.quantity)?, weight.weight / weight.scale)))
                .collect::<Result<Vec<_>>>()?,
        };
        let terms: Vec<(Boshnas, f64)> =
            terms.into_iter().map(|(networks, weight)| (networks.clone(), weight)).collect();
        Ok(move |point: &[f64], gradient: &mut [f64]| {
            gradient.fill(0.0);
            let of_term = |(networks, weight): &(Boshnas, f64)| {
                let (value, slopes) = networks.gradient(point, 0.0);
                gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += weight * slope);
                weight * value
            };
            terms.iter().map(of_term).sum()
        })
    }
}

fn at_most_one(prediction: Prediction) -> Prediction {
    Prediction { value: prediction.value.min(1.0), ..prediction }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        Measure,
        made_up::{candidates, dataset, noise},
        space::DesignSpace,
        surrogate::{BoshnasLearner, LawLearner, Learner},
    };

    fn learned(learner: &dyn Learner, space: &DesignSpace) -> Surrogates {
        Surrogates::learn(learner, &dataset(&candidates(16, 0), noise), space, &[Measure::Latency], 0).unwrap()
    }

    struct Accurate(f64);

    impl Surrogate for Accurate {
        fn predict(&self, _: &Candidate) -> Prediction {
            Prediction { value: self.0, deviation: 0.01 }
        }
    }

    #[test]
    fn figures_are_those_of_the_surrogates_and_accuracy_is_a_share() {
        let space = DesignSpace::find("small").unwrap();
        let (surrogates, describer) = (learned(&LawLearner, &space), Describer::new(space.clone()));
        let unseen = candidates(5, 1);
        let embeddings: Vec<Embedding> = unseen.iter().map(|one| one.embedding.clone()).collect();
        let (sure, none) = (Accurate(1.3), None);
        for (accuracy, expected) in [(Some(&sure as &dyn Surrogate), Some(1.0)), (none, None)] {
            let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy };
            let figures = predicted.evaluate(&embeddings).unwrap();
            for (figures, one) in figures.iter().zip(&unseen) {
                assert_eq!(figures.get(Quantity::Latency), surrogates.predict(Measure::Latency, one));
                assert_eq!(figures.get(Quantity::Accuracy).map(|accuracy| accuracy.value), expected);
                assert_eq!((figures.get(Quantity::Energy), figures.get(Quantity::PeakPower)), (None, None));
            }
        }
        let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
        assert!(predicted.evaluate(&[Embedding::from(vec![9; 13])]).is_err());
    }

    #[test]
    fn only_networks_have_a_gradient_and_only_one_figure_is_followed() {
        let space = DesignSpace::find("small").unwrap();
        let describer = Describer::new(space.clone());
        let refused = |surrogates: &Surrogates, objective: &str| {
            let predicted = Predicted { describer: &describer, surrogates, accuracy: None };
            predicted.relaxed(&objective.parse().unwrap()).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let law = learned(&LawLearner, &space);
        assert!(refused(&law, "latency").contains("needs a boshnas surrogate of latency"));
        assert!(refused(&law, "pareto(latency, energy)").contains("makes one figure small"));
        let networks = learned(&BoshnasLearner::of(&space), &space);
        assert!(refused(&networks, "energy").contains("needs a boshnas surrogate of energy"));

        let predicted = Predicted { describer: &describer, surrogates: &networks, accuracy: None };
        let at: Vec<f64> = candidates(1, 0)[0].coordinates();
        let slopes = |objective: &str| {
            let mut gradient = vec![7.0; at.len()];
            let value = predicted.relaxed(&objective.parse().unwrap()).unwrap()(&at, &mut gradient);
            (value, gradient)
        };
        let ((value, gradient), (halved, flatter)) = (slopes("latency"), slopes("weights(accuracy=1, latency=1/2 s)"));
        assert!((halved - value / 2.0).abs() < 1e-12 && gradient.iter().any(|slope| *slope != 0.0));
        assert!(gradient.iter().zip(&flatter).all(|(slope, half)| (slope / 2.0 - half).abs() < 1e-12));
        let none = Surrogates::new("none", 0, space.clone(), BTreeMap::new());
        assert!(refused(&none, "latency").contains("latency"));
    }
}
