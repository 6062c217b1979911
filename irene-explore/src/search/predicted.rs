//! Designs scored by surrogates.

use rayon::prelude::*;

use super::{evaluation::Evaluation, objective::Objective, quantity::Quantity};
use crate::{
    Candidate, Describer, Error, Measure, Result,
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
            let prediction = match measure(quantity) {
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
            let saved = measure(quantity).and_then(|measure| self.surrogates.measures.get(&measure));
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

/// The measure that a quantity is, if it is one of a device.
fn measure(quantity: Quantity) -> Option<Measure> {
    match quantity {
        Quantity::Accuracy => None,
        Quantity::Latency => Some(Measure::Latency),
        Quantity::Energy => Some(Measure::Energy),
        Quantity::PeakPower => Some(Measure::PeakPower),
    }
}

fn at_most_one(prediction: Prediction) -> Prediction {
    Prediction { value: prediction.value.min(1.0), ..prediction }
}
