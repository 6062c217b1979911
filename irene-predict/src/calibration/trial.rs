//! How far off calibrations by a few requests are on all others.

use std::collections::BTreeSet;

use irene_devices::{FigureSpread, Law};
use irene_numerics::{GOLDEN, mixed};
use rayon::prelude::*;

use super::Calibration;
use crate::{Error, Measured};

/// The error of a calibration on a request that it was not made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialError {
    /// As [`Measured::residuals`].
    pub residuals: [Option<f64>; 3],
    /// The error that the calibration itself expects.
    pub spread: FigureSpread,
}

/// Calibrates a law on so many requests of each engine of each device, chosen at random, and predicts all others of it; so often.
///
/// # Errors
/// As [`Calibration::of`].
pub fn try_calibrations<'a, 'l>(
    measured: &[&'a Measured],
    law: impl Fn(&Measured) -> &'l Law + Sync,
    requests: usize,
    choices: u64,
) -> Result<Vec<(&'a Measured, TrialError)>, Error> {
    let key = |one: &Measured| (one.device.name.clone(), one.engine.name, one.is_served());
    let keys: BTreeSet<_> = measured.iter().map(|one| key(one)).collect();
    let mut errors = Vec::new();
    for of in keys {
        let all: Vec<&Measured> = measured.iter().copied().filter(|one| key(one) == of).collect();
        let choices = if all.len() > requests { choices } else { 0 };
        let tried = (0..choices).into_par_iter().map(|choice| try_one(&all, &law, requests, choice));
        errors.extend(tried.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten());
    }
    Ok(errors)
}

fn try_one<'a, 'l>(
    all: &[&'a Measured],
    law: impl Fn(&Measured) -> &'l Law,
    requests: usize,
    choice: u64,
) -> Result<Vec<(&'a Measured, TrialError)>, Error> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|place| scattered((choice << 32) + *place as u64));
    let (chosen, others) = order.split_at(requests);
    let chosen: Vec<Measured> = chosen.iter().map(|place| all[*place].clone()).collect();
    let calibration = Calibration::from_law(law(all[0]), &chosen)?;
    let of = |place: &usize| {
        let law = calibration.law_of(all[*place]);
        (all[*place], TrialError { residuals: all[*place].residuals(&law), spread: all[*place].spread(&law) })
    };
    Ok(others.iter().map(of).collect())
}

/// A number that looks like chance, the same for the same number.
fn scattered(number: u64) -> u64 {
    mixed(number.wrapping_add(1).wrapping_mul(GOLDEN))
}
