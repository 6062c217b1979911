use irene_numerics::{nonnegative_minimum, upper_median};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::are_usable;
use crate::learning::features::{DesignFeature, DesignFeatures};

/// A price for each feature and a constant, fitted to relative errors; a few records that are far off count little.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Additive {
    /// The price of each of [`columns`], in the measure's unit. None is below 0, but the last column is a constant to take away.
    prices: Vec<f64>,
    /// The least prediction, in the measure's unit.
    floor: f64,
}

/// DesignFeatures that alone make a law: the others say where it differs, and pay a penalty for it.
const PLAIN: [DesignFeature; 6] = [
    DesignFeature::WordParameters,
    DesignFeature::Parameters,
    DesignFeature::Flops,
    DesignFeature::Layers,
    DesignFeature::Heads,
    DesignFeature::Linears,
];

/// Penalties on prices, as shares of their columns' size.
const PENALTY: f64 = 0.1;
const PLAIN_PENALTY: f64 = 1e-3;

/// Rounds in which records far off lose weight.
const ROUNDS: usize = 5;

/// The least prediction, as a share of the smallest figure.
const LEAST: f64 = 0.5;

const COLUMNS: usize = DesignFeature::COUNT + 2;

/// The features, between a constant to add and one to take away: what starts before the clock costs time and little energy.
fn columns(features: &DesignFeatures) -> [f64; COLUMNS] {
    let mut all = [1.0; COLUMNS];
    all[1..=DesignFeature::COUNT].copy_from_slice(features.values());
    all[COLUMNS - 1] = -1.0;
    all
}

fn penalty(column: usize) -> f64 {
    let is_plain = column == 0 || column == COLUMNS - 1 || PLAIN.iter().any(|plain| *plain as usize + 1 == column);
    if is_plain { PLAIN_PENALTY } else { PENALTY }
}

impl Additive {
    pub(super) fn fit(features: &[&DesignFeatures], figures: &[f64]) -> Self {
        let relative: Vec<[f64; COLUMNS]> = features
            .iter()
            .zip(figures)
            .map(|(features, figure)| columns(features).map(|column| column / figure))
            .collect();
        let mut rows = DMatrix::from_fn(relative.len(), COLUMNS, |row, column| relative[row][column]);
        // Columns of one size, so that a penalty means the same to all.
        let sizes: Vec<f64> = rows.column_iter().map(|column| column.norm().max(f64::MIN_POSITIVE)).collect();
        for (mut column, size) in rows.column_iter_mut().zip(&sizes) {
            column /= *size;
        }
        let mut weights = DVector::from_element(figures.len(), 1.0);
        let mut prices = DVector::zeros(COLUMNS);
        for _ in 0..ROUNDS {
            let mut weighted = rows.clone();
            for mut column in weighted.column_iter_mut() {
                column.component_mul_assign(&weights);
            }
            let mut gram = weighted.transpose() * &weighted;
            for column in 0..COLUMNS {
                gram[(column, column)] += penalty(column).powi(2);
            }
            prices = nonnegative_minimum(&gram, &weighted.tr_mul(&weights), prices);
            let misses: Vec<f64> = (&rows * &prices).iter().map(|fit| (fit - 1.0).abs()).collect();
            let far = (2.5 * upper_median(misses.iter().copied()).unwrap_or_default()).max(1e-3);
            for (weight, miss) in weights.iter_mut().zip(&misses) {
                *weight = (far / miss.max(far)).sqrt();
            }
        }
        let smallest = figures.iter().copied().fold(f64::INFINITY, f64::min);
        Self { prices: prices.iter().zip(&sizes).map(|(price, size)| price / size).collect(), floor: LEAST * smallest }
    }

    /// Whether it has a price for each column, and finite numbers.
    pub(super) fn is_sound(&self) -> bool {
        self.prices.len() == COLUMNS && are_usable(&self.prices) && self.floor > 0.0 && are_usable([&self.floor])
    }

    /// The logarithm of its prediction.
    pub(super) fn log(&self, features: &DesignFeatures) -> f64 {
        let sum: f64 = columns(features).iter().zip(&self.prices).map(|(column, price)| column * price).sum();
        sum.max(self.floor).ln()
    }
}
