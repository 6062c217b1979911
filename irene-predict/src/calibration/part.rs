//! The calibration of one engine on one device.
//!
//! The logarithm of a measured figure is that of the law's, plus an error that settings share as far as they are alike, plus the measurement's own (a
//! Gaussian process about the law). The law's constants have priors about their values in the law of the data sheet. The constants that are likeliest
//! are found first; what is left of the errors nearby corrects a prediction, and its variance follows from both.

use irene_devices::{BusyTimes, FigureSpread, Law};
use irene_numerics::{ConstantsFit, CovarianceFactor, LevenbergMarquardt, Prior};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{
    constants::{apart, moved, scaled},
    likeness::{Freedom, Mixture, OF_ANOTHER_FORM, OF_ITS_OWN, POWER, Place, TIME, USUAL, mixed, noise},
};
use crate::fit::{Busy, Measured, Serving, longer};

/// The step of logarithms that slopes are taken over.
const STEP: f64 = 1e-3;

/// A figure of a measured request: where it was measured, and how far the calibrated law is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Observation {
    place: Place,
    mixture: Mixture,
    /// The logarithm of the law's figure over the measured one.
    residual: f64,
    /// Its slopes by the logarithms of the constants.
    slopes: Vec<f64>,
}

/// The calibration of one engine, as files hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartData {
    pub(super) engine: String,
    pub(super) is_served: bool,
    pub(super) rows: usize,
    law: Law,
    /// How far the law may be off.
    freedom: Freedom,
    /// The negative logarithm of the prior density of the constants' logarithms, but for what is the same for all. Only the choice of the
    /// freedom asks for it.
    #[serde(skip)]
    unlikeliness: f64,
    /// The constants that measurements move, with the standard deviations of their logarithms before.
    constants: Vec<(String, f64)>,
    observations: Vec<Observation>,
}

/// The calibration of one engine.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) data: PartData,
    /// The laws with one constant moved by a step each.
    moved: Vec<Law>,
    covariance: CovarianceFactor,
    /// The inverse of the covariance times the residuals, and times the slopes.
    weights: DVector<f64>,
    weighted_slopes: DMatrix<f64>,
    /// The root of what is left of the errors over what was expected, at least 1: intervals are wider by it.
    misfit: f64,
    /// The covariance of the constants' logarithms.
    of_constants: CovarianceFactor,
}

/// Logarithms of the time and energy of a request, by a law.
fn logarithms(one: &Serving, law: &Law, busy: &[BusyTimes]) -> [f64; 2] {
    let times = one.times(law, busy);
    let seconds = one.seconds(&times);
    [seconds.ln(), (one.power(law, &times) * seconds).ln()]
}

/// The figures of measurements that count: their requests and mixtures.
fn figures(measured: &[&Measured], law: &Law) -> Vec<(usize, Mixture)> {
    let of = |(at, one): (usize, &&Measured)| match (one.seconds, one.watts, one.joules) {
        (Some(_), Some(_), _) => vec![(at, TIME), (at, POWER)],
        (Some(_), None, _) => vec![(at, TIME)],
        (None, _, Some(_)) => vec![(at, [time_in_energy(&one.serving, law), 1.0])],
        (None, Some(_), None) => vec![(at, [time_in_energy(&one.serving, law) - 1.0, 1.0])],
        (None, None, None) => Vec::new(),
    };
    measured.iter().enumerate().flat_map(of).collect()
}

/// How much of a change of all times is in the energy: a device draws some power whatever it does.
fn time_in_energy(one: &Serving, law: &Law) -> f64 {
    let busy = one.busy(&law.pass);
    let times = one.times(law, &busy);
    1.0 + (one.power(law, &longer(&times, STEP.exp())) / one.power(law, &times)).ln() / STEP
}

fn residual(one: &Measured, mixture: Mixture, law: &Law, busy: &[BusyTimes]) -> f64 {
    let serving = &one.serving;
    let times = serving.times(law, busy);
    let seconds = serving.seconds(&times);
    match (mixture, one.seconds, one.watts, one.joules) {
        (TIME, Some(measured), ..) => (seconds / measured).ln(),
        (POWER, Some(measured), Some(watts), joules) => {
            // Where a row has both, its energy is what is asked for.
            let watts = joules.map_or(watts, |joules| joules / measured);
            (serving.power(law, &longer(&times, measured / seconds)) / watts).ln()
        }
        (_, _, _, Some(joules)) => (serving.power(law, &times) * seconds / joules).ln(),
        (_, _, Some(watts), _) => (serving.power(law, &times) / watts).ln(),
        _ => 0.0,
    }
}

impl PartData {
    /// The calibration by requests of one engine on one device, of which there is one at least.
    fn of(law: &Law, measured: &[&Measured], freedom: Freedom) -> Option<Self> {
        let first = measured.first()?;
        let (law, mut constants) = apart(law, &first.device, first.engine, first.is_served());
        constants.iter_mut().for_each(|(_, spread)| *spread *= freedom.constants);
        let figures = figures(measured, &law);
        let places: Vec<Place> = measured.iter().map(|one| Place::of(&one.model, &one.serving.schedule)).collect();
        let at_places: Vec<_> = figures.iter().map(|(at, mixture)| (&places[*at], *mixture)).collect();
        let covariance = covariance(&at_places, freedom)?;
        let busy = Busy::of(measured);
        let residuals = |law: &Law| {
            busy.with(&law.pass, |busy| {
                let of = |(at, mixture): &(usize, Mixture)| residual(measured[*at], *mixture, law, &busy[*at]);
                DVector::from_iterator(figures.len(), figures.iter().map(of))
            })
        };
        let with = |factors: &[f64]| {
            moved(&law, constants.iter().zip(factors).map(|((name, _), factor)| (name.as_str(), factor.ln())))
        };
        let whitened = |factors: &[f64]| {
            let mut residuals = with(factors).map_or_else(|| DVector::from_element(1, f64::NAN), |law| residuals(&law));
            if residuals.len() == figures.len() {
                covariance.whiten(&mut residuals);
            }
            residuals.as_slice().to_vec()
        };
        let priors: Vec<Prior> = constants.iter().map(|(_, spread)| Prior { value: 1.0, spread: *spread }).collect();
        let steps = LevenbergMarquardt { rounds: 20, tolerance: 1e-4, most_damping: 1e4 };
        let factors = ConstantsFit { steps, outlier: 3.0 }.fit(&priors, whitened);
        let law = with(&factors)?;
        let distance = |(prior, factor): (&Prior, &f64)| 0.5 * prior.residual(factor.ln()).powi(2) + prior.spread.ln();
        let unlikeliness = priors.iter().zip(&factors).map(distance).sum();
        let here = residuals(&law);
        let slopes: Vec<DVector<f64>> = constants
            .iter()
            .map(|(name, _)| Some((residuals(&moved(&law, [(name.as_str(), STEP)])?) - &here) / STEP))
            .collect::<Option<_>>()?;
        let observation = |(row, (at, mixture)): (usize, &(usize, Mixture))| Observation {
            place: places[*at].clone(),
            mixture: *mixture,
            residual: here[row],
            slopes: slopes.iter().map(|slopes| slopes[row]).collect(),
        };
        let observations = figures.iter().enumerate().map(observation).collect();
        let engine = first.engine.name.to_owned();
        Some(Self {
            engine,
            is_served: first.is_served(),
            rows: measured.len(),
            law,
            freedom,
            unlikeliness,
            constants,
            observations,
        })
    }
}

/// The covariance of figures' errors.
fn covariance(figures: &[(&Place, Mixture)], freedom: Freedom) -> Option<CovarianceFactor> {
    let shared = |i: usize, j: usize| mixed(figures[i].0.shared(figures[j].0, freedom), figures[i].1, figures[j].1);
    CovarianceFactor::of(figures.len(), shared, |i| mixed(noise(freedom), figures[i].1, figures[i].1))
}

impl Part {
    /// The calibration by requests of one engine on one device, of which there is one at least.
    ///
    /// The machine is taken for another one than usual if that makes the measurements clearly likelier.
    pub(super) fn of(law: &Law, measured: &[&Measured]) -> Option<Self> {
        /// The logarithm of how much likelier.
        const CLEARLY: f64 = 6.0;
        let by = |freedom: Freedom| PartData::of(law, measured, freedom).and_then(Self::new);
        let usual = by(USUAL)?;
        let others = [OF_ITS_OWN, OF_ANOTHER_FORM].into_iter().filter_map(by);
        let likeliest = others.max_by(|a, b| a.evidence().total_cmp(&b.evidence()));
        let is_clear = |other: &Self| other.evidence() > usual.evidence() + CLEARLY;
        Some(likeliest.filter(is_clear).unwrap_or(usual))
    }

    /// The logarithm of the likelihood of the measurements over all constants (Laplace's approximation), but for what is the same for all.
    fn evidence(&self) -> f64 {
        let residuals = self.data.observations.iter().zip(self.weights.iter());
        let misfit: f64 = residuals.map(|(one, weight)| 0.5 * one.residual * weight).sum();
        -misfit
            - self.covariance.half_log_determinant()
            - self.data.unlikeliness
            - self.of_constants.half_log_determinant()
    }

    /// The calibration from its measurements; None for numbers that no calibration writes.
    pub(super) fn new(data: PartData) -> Option<Self> {
        let (figures, constants) = (&data.observations, &data.constants);
        let is_sound = |one: &Observation| {
            one.slopes.len() == constants.len()
                && one.slopes.iter().all(|slope| slope.is_finite())
                && one.residual.is_finite()
        };
        if !figures.iter().all(is_sound) || constants.iter().any(|(_, spread)| *spread <= 0.0 || spread.is_nan()) {
            return None;
        }
        let places: Vec<_> = figures.iter().map(|one| (&one.place, one.mixture)).collect();
        let covariance = covariance(&places, data.freedom)?;
        let weights = covariance.solve(&DVector::from_iterator(figures.len(), figures.iter().map(|one| one.residual)));
        let left = figures.iter().zip(weights.iter()).map(|(one, weight)| one.residual * weight).sum::<f64>();
        let misfit = (left / figures.len() as f64).sqrt().max(1.0);
        let slopes = DMatrix::from_fn(figures.len(), constants.len(), |row, column| figures[row].slopes[column]);
        let mut weighted_slopes = slopes.clone();
        for column in 0..constants.len() {
            weighted_slopes.set_column(column, &covariance.solve(&slopes.column(column).into_owned()));
        }
        let mut precision = slopes.transpose() * &weighted_slopes;
        for (at, (_, spread)) in constants.iter().enumerate() {
            precision[(at, at)] += spread.powi(-2);
        }
        let moved =
            constants.iter().map(|(name, _)| moved(&data.law, [(name.as_str(), STEP)])).collect::<Option<_>>()?;
        let of_constants = CovarianceFactor::new(precision)?;
        Some(Self { moved, covariance, weights, weighted_slopes, misfit, of_constants, data })
    }

    /// The law of a setting: the constants as calibrated, times and power as measurements of settings like it have them, and how far off they may be.
    pub(super) fn law_at(&self, one: &Serving, place: &Place) -> Law {
        let (law, freedom) = (&self.data.law, self.data.freedom);
        let busy = one.busy(&law.pass);
        let here = logarithms(one, law, &busy);
        let slopes: Vec<[f64; 2]> = self.moved.iter().map(|moved| self.slope(one, moved, &busy, here)).collect();
        let slopes = |figure: usize| DVector::from_iterator(slopes.len(), slopes.iter().map(|slope| slope[figure]));
        let (of_time, of_energy) = (slopes(0), slopes(1));
        let near = |mixture: Mixture| {
            let figures = self.data.observations.iter();
            let shared = figures.map(|other| mixed(place.shared(&other.place, freedom), mixture, other.mixture));
            DVector::from_iterator(self.weights.len(), shared)
        };
        let [time, power] = [TIME, POWER].map(|mixture| (-near(mixture).dot(&self.weights)).exp());
        let in_energy = time_in_energy(one, law);
        let spread = |mixture: Mixture, slopes: DVector<f64>| {
            let near = near(mixture);
            let shared = mixed(place.shared(place, freedom), mixture, mixture);
            let mut own = shared + mixed(noise(freedom), mixture, mixture);
            own -= near.dot(&self.covariance.solve(&near));
            let slopes = slopes - self.weighted_slopes.tr_mul(&near);
            self.misfit * (own + slopes.dot(&self.of_constants.solve(&slopes))).max(0.0).sqrt()
        };
        let spread = FigureSpread {
            power: spread([in_energy - 1.0, 1.0], &of_energy - &of_time),
            energy: spread([in_energy, 1.0], of_energy),
            time: spread(TIME, of_time),
        };
        scaled(law, time, power, spread)
    }

    /// The slopes of the logarithms of time and energy by that of one constant.
    fn slope(&self, one: &Serving, moved: &Law, busy: &[BusyTimes], here: [f64; 2]) -> [f64; 2] {
        let there = match moved.pass == self.data.law.pass {
            true => logarithms(one, moved, busy),
            false => logarithms(one, moved, &one.busy(&moved.pass)),
        };
        [0, 1].map(|figure| (there[figure] - here[figure]) / STEP)
    }
}
