//! Times to the first token and between tokens.
//!
//! The law knows them less well than the time of the whole, which says nothing of them. So their errors, once the law is moved by the whole, are a
//! process of their own: settings share them as far as they are alike.

use irene_devices::Law;
use irene_numerics::CovarianceFactor;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{
    left_out::{Miss, width},
    likeness::{OF_TOKENS, Place, noise},
    part::factor,
};
use crate::Measured;

/// A setting whose time was measured, once or several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    place: Place,
    /// The logarithm of the moved law's time over the measured one, in the mean.
    residual: f64,
    /// How many measurements it counts as, in its own error.
    worth: f64,
}

/// Repeats have the clock's error in common.
const MOST: f64 = 4.0;

/// The settings of measured requests, for the time to the first token and for that between tokens; `law` is the moved one of each.
pub(super) fn seen(measured: &[&Measured], places: &[Place], law: impl Fn(&Place) -> Law) -> [Vec<Seen>; 2] {
    let mut found: [Vec<(Place, f64, f64)>; 2] = Default::default();
    for (one, place) in measured.iter().zip(places).filter(|(one, _)| one.token_times != [None; 2] && one.generates()) {
        for (residual, settings) in one.token_residuals(&law(place)).into_iter().zip(&mut found) {
            let Some(residual) = residual.filter(|residual| residual.is_finite()) else { continue };
            match settings.iter_mut().find(|(known, ..)| known.is_repeat_of(place)) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + residual, *count + 1.0),
                None => settings.push((place.clone(), residual, 1.0)),
            }
        }
    }
    let of = |(place, sum, count): (Place, f64, f64)| Seen { place, residual: sum / count, worth: count.min(MOST) };
    found.map(|settings| settings.into_iter().map(of).collect())
}

/// One of the times, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct TokenTime {
    seen: Vec<Seen>,
    covariance: CovarianceFactor,
    /// The inverse of the covariance times the residuals.
    weights: DVector<f64>,
    /// How much wider intervals are than the covariances have them, for the settings that were left out: 1 at least.
    width: f64,
}

impl TokenTime {
    /// None for no settings, and for numbers that no calibration writes.
    pub(super) fn new(seen: &[Seen]) -> Option<Self> {
        let is_sound = |one: &Seen| one.residual.is_finite() && one.worth.is_finite() && one.worth > 0.0;
        if seen.is_empty() || !seen.iter().all(is_sound) {
            return None;
        }
        let shared = |i: usize, j: usize| seen[i].place.shared(&seen[j].place, OF_TOKENS)[0];
        let covariance = CovarianceFactor::of(seen.len(), shared, |i| noise(OF_TOKENS)[0] / seen[i].worth)?;
        let residuals = DVector::from_iterator(seen.len(), seen.iter().map(|one| one.residual));
        let weights = covariance.solve(&residuals);
        let mut known = Self { seen: seen.to_vec(), covariance, weights, width: 1.0 };
        known.width = width(known.missed().iter()).unwrap_or(1.0);
        Some(known)
    }

    /// How far off each setting is by what the others say of it (Rasmussen and Williams, 2006, section 5.4.2).
    pub(super) fn missed(&self) -> Vec<Miss> {
        let mut inverse = DMatrix::identity(self.seen.len(), self.seen.len());
        self.covariance.whiten(&mut inverse);
        let of = |at: usize| {
            let precision = inverse.column(at).norm_squared();
            Miss { residual: self.weights[at] / precision, deviation: precision.sqrt().recip(), counts: true }
        };
        (0..self.seen.len()).map(of).collect()
    }

    /// The factor of the time of a setting, and the standard deviation of its logarithm.
    pub(super) fn at(&self, place: &Place) -> [f64; 2] {
        let shared = self.seen.iter().map(|one| place.shared(&one.place, OF_TOKENS)[0]);
        let shared = DVector::from_iterator(self.seen.len(), shared);
        let variance =
            place.shared(place, OF_TOKENS)[0] + noise(OF_TOKENS)[0] - shared.dot(&self.covariance.solve(&shared));
        [factor(-shared.dot(&self.weights)), self.width * variance.max(0.0).sqrt()]
    }
}
