//! Whether two answers can be told apart.
//!
//! Two forecasts share a part of their error, and a ratio of them errs less for it. How much they share was measured: the correlation of the
//! residuals of 603 public measurements of energy by data sheets, by what two of them have in common (`cargo run -p irene-predict --example
//! shared_error`); measured profiles and calibrations share less (docs/saving.md).

use crate::{Basis, By, Estimate};

/// The same device, engine and model at another setting. All settings share the errors that come from what a data sheet does not say. A
/// profile or a calibration has learned most of that, so its settings have less of their errors in common.
fn of_one_model(basis: Basis) -> f64 {
    match basis {
        Basis::DataSheet => 0.67,
        Basis::Calibrated => 0.5,
        Basis::Profile => 0.35,
    }
}

/// The same model on another device.
const OF_ONE_MODEL_ELSEWHERE: f64 = 0.35;

/// The correlation of the errors of two answers. Other models have none in common that was seen.
fn shared_error(a: &Estimate, b: &Estimate) -> f64 {
    let is_same_model = a.model.name() == b.model.name() && a.selection.config == b.selection.config;
    let of_engine = |of: &Estimate| of.engine.map(|engine| engine.name);
    match (is_same_model && a.basis == b.basis, a.device == b.device && of_engine(a) == of_engine(b)) {
        (true, true) => of_one_model(a.basis),
        (true, false) => OF_ONE_MODEL_ELSEWHERE,
        (false, _) => 0.0,
    }
}

/// Half the interval of an energy, in logarithms.
fn half_width(of: &Estimate) -> Option<f64> {
    let [low, high] = of.energy_interval_j(By::Request)?;
    Some((high / low).ln() / 2.0).filter(|width| width.is_finite())
}

/// The same factor for another way to run the same model on the same device, of which there is no estimate by itself.
pub(crate) fn factor_of_one_model(of: &Estimate) -> Option<f64> {
    Some((half_width(of)? * (2.0 * (1.0 - of_one_model(of.basis))).sqrt()).exp())
}

/// The factor that the ratio of two energies may be off either way with a probability of 90%; None where an interval is unknown.
pub(crate) fn ratio_factor(a: &Estimate, b: &Estimate) -> Option<f64> {
    let (of_a, of_b) = (half_width(a)?, half_width(b)?);
    // The same figures by the same law err by the same.
    if a.basis == b.basis && a.device == b.device && a.figures == b.figures {
        return Some(1.0);
    }
    let variance = of_a * of_a + of_b * of_b - 2.0 * shared_error(a, b) * of_a * of_b;
    Some(variance.max(0.0).sqrt().exp())
}
