//! The calibration of one engine on one device.
//!
//! The logarithm of a measured figure is that of the law's, plus an error that settings share as far as they are alike, plus the measurement's own (a
//! Gaussian process about the law; Rasmussen and Williams, 2006, sections 2.2 and 2.7). The law's constants have priors about their values in the
//! law of the data sheet. The constants that are likeliest are found first; what is left of the errors nearby corrects a prediction, and its variance
//! follows from both:
//!
//! | | |
//! |---|---|
//! | r, of each figure | ln by the law − ln measured: [`Observation::residual`] |
//! | K | [`covariance`] of the figures' errors, each measurement's own on the diagonal |
//! | H, S | the slopes of r by the logarithms of the constants, and the prior variances of these |
//! | ½ rᵀ K⁻¹ r + ½ (θ − θ₀)ᵀ S⁻¹ (θ − θ₀) | least for the likeliest logarithms θ; a figure that is far off counts less than by its square |
//! | w = K⁻¹ r | [`Part::weights`] |
//! | A = Hᵀ K⁻¹ H + S⁻¹ | the precision of the constants, with the factor [`Part::of_constants`] |
//! | m = max(1, √(rᵀ w / figures)) | [`Part::misfit`] |
//!
//! For a figure of another setting, with the slopes h and the covariances k with those that were measured:
//!
//! | | |
//! |---|---|
//! | −kᵀ w | what is added to its logarithm |
//! | m √(k(x, x) + own − kᵀ K⁻¹ k + uᵀ A⁻¹ u) | its standard deviation, where u = h − Hᵀ K⁻¹ k |

use irene_devices::{BusyTimes, FigureSpread, Law};
use irene_numerics::{ConstantsFit, CovarianceFactor, LevenbergMarquardt, Prior, median};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{
    constants::{law_for_engine, perturbed, scaled},
    figures::{Figure, STEP, figures, logarithms, time_in_energy},
    likeness::{Freedom, Mixture, OF_ANOTHER_FORM, OF_ITS_OWN, POWER, Place, TIME, USUAL, covariance_of, noise},
};
use crate::fit::{Busy, Measured, Serving};

/// A figure of a measured request, or of repeats of one: where it was measured, and how far the calibrated law is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Observation {
    place: Place,
    mixture: Mixture,
    /// The logarithm of the law's figure over the measured one.
    residual: f64,
    /// Its slopes by the logarithms of the constants.
    slopes: Vec<f64>,
    /// How many measurements it counts as, in its own error. Older files have no repeats apart.
    #[serde(default = "once")]
    worth: f64,
}

fn once() -> f64 {
    1.0
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
    /// The figures behind the observations; files do not have them.
    #[serde(skip)]
    figures: Vec<Figure>,
}

/// The calibration of one engine.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) data: PartData,
    /// The laws with one constant moved by a [`STEP`] each.
    perturbed: Vec<Law>,
    covariance: CovarianceFactor,
    /// The inverse of the covariance times the residuals, and times the slopes.
    weights: DVector<f64>,
    weighted_slopes: DMatrix<f64>,
    /// The root of what is left of the errors over what was expected, at least 1: intervals are wider by it.
    misfit: f64,
    /// The covariance of the constants' logarithms.
    of_constants: CovarianceFactor,
    /// As [`Calibration::left_out`](super::Calibration::left_out).
    pub(super) left_out: [Vec<f64>; 3],
}

impl PartData {
    /// The calibration by requests of one engine on one device, of which there is one at least. Figures that are doubted hardly count.
    fn of(law: &Law, measured: &[&Measured], freedom: Freedom, doubted: &[usize]) -> Option<Self> {
        let first = measured.first()?;
        let (law, mut constants) = law_for_engine(law, &first.device, first.engine, first.is_served());
        constants.iter_mut().for_each(|(_, spread)| *spread *= freedom.constants);
        let places: Vec<Place> = measured.iter().map(|one| Place::of(&one.model, &one.serving.schedule)).collect();
        let figures = figures(measured, &places, &law);
        let worths: Vec<f64> = (0..figures.len()).map(|at| figures[at].worth(doubted.contains(&at))).collect();
        let at_place = |(figure, worth): (&Figure, &f64)| (&places[figure.rows[0]], figure.mixture, *worth);
        let at_places: Vec<_> = figures.iter().zip(&worths).map(at_place).collect();
        let covariance = covariance(&at_places, freedom)?;
        let busy = Busy::of(measured);
        let residuals = |law: &Law| {
            busy.with(&law.pass, |busy| {
                let of = |figure: &Figure| figure.residual(measured, law, busy);
                DVector::from_iterator(figures.len(), figures.iter().map(of))
            })
        };
        let with = |factors: &[f64]| {
            perturbed(&law, constants.iter().zip(factors).map(|((name, _), factor)| (name.as_str(), factor.ln())))
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
            .map(|(name, _)| Some((residuals(&perturbed(&law, [(name.as_str(), STEP)])?) - &here) / STEP))
            .collect::<Option<_>>()?;
        let observation = |(row, figure): (usize, &Figure)| Observation {
            place: places[figure.rows[0]].clone(),
            mixture: figure.mixture,
            residual: here[row],
            slopes: slopes.iter().map(|slopes| slopes[row]).collect(),
            worth: worths[row],
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
            figures,
        })
    }

    /// The errors of time, power at the measured time, and energy, from those of the figures.
    fn left_out(&self, errors_of_figures: &[[f64; 2]]) -> [Vec<f64>; 3] {
        let mut errors: [Vec<f64>; 3] = Default::default();
        for (at, (figure, [residual, _])) in self.figures.iter().zip(errors_of_figures).enumerate() {
            match figure.mixture {
                TIME => {
                    errors[0].push(*residual);
                    let power = self.figures.get(at + 1).filter(|next| next.mixture == POWER);
                    let of_power = power.map(|_| errors_of_figures[at + 1][0]);
                    errors[2].extend(of_power.map(|of_power| of_power + figure.time_in_energy * residual));
                }
                POWER => errors[1].push(*residual),
                // Energy alone; power alone has less of the time in it.
                [time, _] if time > figure.time_in_energy - 0.5 => errors[2].push(*residual),
                _ => {}
            }
        }
        errors
    }
}

/// The covariance of figures' errors, from their places, mixtures and worths.
fn covariance(figures: &[(&Place, Mixture, f64)], freedom: Freedom) -> Option<CovarianceFactor> {
    let shared = |i: usize, j: usize| {
        let ((a, of_a, _), (b, of_b, _)) = (figures[i], figures[j]);
        covariance_of(a.shared(b, freedom), of_a, of_b)
    };
    let own = |i: usize| covariance_of(noise(freedom), figures[i].1, figures[i].1) / figures[i].2;
    CovarianceFactor::of(figures.len(), shared, own)
}

impl Part {
    /// The calibration by requests of one engine on one device, of which there is one at least.
    ///
    /// A figure that all others contradict is doubted, as long as these are few: a unit or a meter went wrong there.
    pub(super) fn of(law: &Law, measured: &[&Measured]) -> Option<Self> {
        /// Standard deviations.
        const FAR: f64 = 4.0;
        /// At most one figure of so many is doubted.
        const FEW: usize = 10;
        let mut doubted = Vec::new();
        loop {
            let errors = PartData::of(law, measured, USUAL, &doubted).and_then(Self::new)?.errors_left_out();
            let sizes: Vec<f64> = errors.iter().map(|[residual, deviation]| (residual / deviation).abs()).collect();
            // Where the law fits badly throughout, no figure stands out. Half of a normal deviate's sizes are below 0.67.
            let usual = (median(sizes.iter().copied()).unwrap_or(0.0) / 0.67).max(1.0);
            let farthest = (0..sizes.len())
                .filter(|at| !doubted.contains(at) && sizes[*at].is_finite())
                .max_by(|a, b| sizes[*a].total_cmp(&sizes[*b]));
            match farthest.filter(|at| sizes[*at] > FAR * usual && FEW * (doubted.len() + 1) <= sizes.len()) {
                Some(at) => doubted.push(at),
                None => {
                    let mut part = Self::likeliest(law, measured, &doubted)?;
                    part.left_out = part.data.left_out(&part.errors_left_out());
                    return Some(part);
                }
            }
        }
    }

    /// The machine is taken for another one than usual if that makes the measurements clearly likelier.
    fn likeliest(law: &Law, measured: &[&Measured], doubted: &[usize]) -> Option<Self> {
        /// The logarithm of how much likelier.
        const CLEARLY: f64 = 6.0;
        let by = |freedom: Freedom| PartData::of(law, measured, freedom, doubted).and_then(Self::new);
        let usual = by(USUAL)?;
        let others = [OF_ITS_OWN, OF_ANOTHER_FORM].into_iter().filter_map(by);
        let likeliest = others.max_by(|a, b| a.evidence().total_cmp(&b.evidence()));
        let is_clear = |other: &Self| other.evidence() > usual.evidence() + CLEARLY;
        Some(likeliest.filter(is_clear).unwrap_or(usual))
    }

    /// For each figure, how far off a calibration on all others is, and how far that expects to be (in the form and with the freedom of this one;
    /// Rasmussen and Williams, 2006, section 5.4.2).
    fn errors_left_out(&self) -> Vec<[f64; 2]> {
        let count = self.weights.len();
        let mut inverse = DMatrix::identity(count, count);
        self.covariance.whiten(&mut inverse);
        let of = |at: usize| {
            let row = self.weighted_slopes.row(at);
            let slopes = DVector::from_iterator(row.len(), row.iter().copied());
            // The constants are found again without it.
            let precision = inverse.column(at).norm_squared() - slopes.dot(&self.of_constants.solve(&slopes));
            [self.weights[at] / precision, precision.sqrt().recip()]
        };
        (0..count).map(of).collect()
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
                && one.worth.is_finite()
                && one.worth > 0.0
        };
        if !figures.iter().all(is_sound) || constants.iter().any(|(_, spread)| *spread <= 0.0 || spread.is_nan()) {
            return None;
        }
        let places: Vec<_> = figures.iter().map(|one| (&one.place, one.mixture, one.worth)).collect();
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
        let perturbed = constants.iter().map(|(name, _)| perturbed(&data.law, [(name.as_str(), STEP)]));
        let perturbed = perturbed.collect::<Option<_>>()?;
        let of_constants = CovarianceFactor::new(precision)?;
        let left_out = Default::default();
        Some(Self { perturbed, covariance, weights, weighted_slopes, misfit, of_constants, left_out, data })
    }

    /// The law of a setting: the constants as calibrated, times and power as measurements of settings like it have them, and how far off they may be.
    pub(super) fn law_at(&self, serving: &Serving, place: &Place) -> Law {
        let (law, freedom) = (&self.data.law, self.data.freedom);
        let busy = serving.busy(&law.pass);
        let here = logarithms(serving, law, &busy);
        let slope = |perturbed: &Law| self.slope(serving, perturbed, &busy, here);
        let slopes: Vec<[f64; 2]> = self.perturbed.iter().map(slope).collect();
        let slopes = |figure: usize| DVector::from_iterator(slopes.len(), slopes.iter().map(|slope| slope[figure]));
        let (of_time, of_energy) = (slopes(0), slopes(1));
        let covariances = |mixture: Mixture| {
            let figures = self.data.observations.iter();
            let shared =
                figures.map(|other| covariance_of(place.shared(&other.place, freedom), mixture, other.mixture));
            DVector::from_iterator(self.weights.len(), shared)
        };
        let [time, power] = [TIME, POWER].map(|mixture| (-covariances(mixture).dot(&self.weights)).exp());
        let in_energy = time_in_energy(serving, law);
        let spread = |mixture: Mixture, slopes: DVector<f64>| {
            let covariances = covariances(mixture);
            let shared = covariance_of(place.shared(place, freedom), mixture, mixture);
            let mut variance = shared + covariance_of(noise(freedom), mixture, mixture);
            variance -= covariances.dot(&self.covariance.solve(&covariances));
            let slopes = slopes - self.weighted_slopes.tr_mul(&covariances);
            self.misfit * (variance + slopes.dot(&self.of_constants.solve(&slopes))).max(0.0).sqrt()
        };
        let spread = FigureSpread {
            power: spread([in_energy - 1.0, 1.0], &of_energy - &of_time),
            energy: spread([in_energy, 1.0], of_energy),
            time: spread(TIME, of_time),
        };
        scaled(law, time, power, spread)
    }

    /// The slopes of the logarithms of time and energy by that of one constant.
    fn slope(&self, serving: &Serving, perturbed: &Law, busy: &[BusyTimes], here: [f64; 2]) -> [f64; 2] {
        let there = match perturbed.pass == self.data.law.pass {
            true => logarithms(serving, perturbed, busy),
            false => logarithms(serving, perturbed, &serving.busy(&perturbed.pass)),
        };
        [0, 1].map(|figure| (there[figure] - here[figure]) / STEP)
    }
}
