use irene_explore::{
    Candidate, Result,
    learning::{DesignFeature, Learner, PredictedValue, Saved, Surrogate},
};
use irene_numerics::{least_squares, mean, moments};
use serde::{Deserialize, Serialize};

use crate::records::{Records, check};

/// Numbers of a design, whose logarithms it learns from. The table of words tells the hidden size.
const FEATURES: [DesignFeature; 9] = [
    DesignFeature::Flops,
    DesignFeature::EncoderParameters,
    DesignFeature::WordParameters,
    DesignFeature::Layers,
    DesignFeature::Heads,
    DesignFeature::Linears,
    DesignFeature::ConvolutionHeads,
    DesignFeature::DftHeads,
    DesignFeature::DctHeads,
];

/// The penalties that are tried.
const PENALTIES: [f64; 5] = [0.003, 0.01, 0.03, 0.1, 0.3];

/// Parts of the records, each left out to choose the penalty.
const PARTS: usize = 5;

/// Learns a [`Ridge`]: the plainest way to use what a design does, to tell what of another learner's accuracy is its features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RidgeLearner;

impl Learner for RidgeLearner {
    fn name(&self) -> &'static str {
        "ridge"
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], _seed: u64) -> Result<Box<dyn Surrogate>> {
        let rows: Vec<Vec<f64>> = candidates.iter().map(|candidate| logarithms(candidate).to_vec()).collect();
        Ok(Box::new(Ridge::fit(&rows, figures)?))
    }
}

fn logarithms(candidate: &Candidate) -> [f64; FEATURES.len()] {
    FEATURES.map(|feature| candidate.features.get(feature).ln_1p())
}

/// Ridge regression of a figure's logarithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ridge {
    intercept: f64,
    weights: Vec<f64>,
    /// The deviation of the logarithm, on the parts left out.
    deviation: f64,
}

impl Ridge {
    fn fit(rows: &[Vec<f64>], figures: &[f64]) -> Result<Self> {
        Records::new(rows, figures)?;
        let targets: Vec<f64> = figures.iter().map(|figure| figure.ln()).collect();
        check("logarithm of figure", &targets)?;
        let error = |penalty: f64| {
            let mut errors = Vec::new();
            for left_out in 0..PARTS {
                let known = |place: &usize| place % PARTS != left_out;
                let Some(ridge) = Self::of(rows, &targets, known, penalty) else { continue };
                let others = (0..rows.len()).filter(|place| !known(place));
                errors.extend(others.map(|place| (ridge.at(&rows[place]) - targets[place]).powi(2)));
            }
            mean(&errors).unwrap_or_default().sqrt()
        };
        let tried = PENALTIES.map(|penalty| (error(penalty), penalty));
        let (deviation, penalty) =
            tried.into_iter().fold(tried[0], |best, next| if next.0 < best.0 { next } else { best });
        let ridge = Self::of(rows, &targets, |_| true, penalty);
        Ok(Self { deviation, ..ridge.unwrap_or_default() })
    }

    /// From the rows at these places; None if there are none. The penalty of a weight counts by the standard deviation of its numbers.
    fn of(rows: &[Vec<f64>], targets: &[f64], is_known: impl Fn(&usize) -> bool, penalty: f64) -> Option<Self> {
        let known: Vec<usize> = (0..rows.len()).filter(is_known).collect();
        let width = rows[*known.first()?].len();
        let (centre, _) = moments(known.iter().map(|&place| targets[place]));
        let column = |column: usize| moments(known.iter().map(move |&place| rows[place][column]));
        let columns: Vec<(f64, f64)> = (0..width).map(column).collect();
        let centred =
            |&place: &usize| -> Vec<f64> { rows[place].iter().zip(&columns).map(|(x, (mean, _))| x - mean).collect() };
        let mut all: Vec<Vec<f64>> = known.iter().map(centred).collect();
        for (held, (_, spread)) in columns.iter().enumerate() {
            let mut row = vec![0.0; width];
            row[held] = spread * (penalty * known.len() as f64).sqrt();
            all.push(row);
        }
        let mut right: Vec<f64> = known.iter().map(|&place| targets[place] - centre).collect();
        right.resize(all.len(), 0.0);
        let all: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
        let weights = least_squares(&all, &right, &vec![1.0; all.len()]);
        let mean: f64 = weights.iter().zip(&columns).map(|(weight, (mean, _))| weight * mean).sum();
        Some(Self { intercept: centre - mean, weights, deviation: 0.0 })
    }

    fn at(&self, row: &[f64]) -> f64 {
        self.intercept + self.weights.iter().zip(row).map(|(weight, x)| weight * x).sum::<f64>()
    }
}

impl Surrogate for Ridge {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        let value = self.at(&logarithms(candidate)).exp();
        PredictedValue { value, deviation: value * self.deviation }
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("ridge", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_powers_is_found_where_a_column_says_nothing_and_another_repeats_one() {
        let rows: Vec<Vec<f64>> = (0..40).map(|i| f64::from(i).sin()).map(|x| vec![x, x, 1.0]).collect();
        let figures: Vec<f64> = rows.iter().map(|row| (2.0 + 3.0 * row[0]).exp()).collect();
        let ridge = Ridge::fit(&rows, &figures).unwrap();
        assert!((ridge.at(&[0.5, 0.5, 1.0]) - 3.5).abs() < 0.02, "{ridge:?}");
        assert_eq!(ridge.weights[2], 0.0);
        assert!(Ridge::fit(&rows, &[0.0; 40]).is_err());
    }
}
