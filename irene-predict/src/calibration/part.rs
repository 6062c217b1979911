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
//! | m = max(1, √(rᵀ w / figures)) | [`Part::misfit`]; more where settings that are left out need it |
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
    figures::{Figure, STEP, beside_w, figures, logarithms, time_in_energy},
    left_out::{LeftOutError, Miss, errors, widths},
    likeness::{Freedom, Mixture, OTHERS, POWER, Place, TIME, USUAL, covariance_of, noise, scale},
    tokens::{Seen, TokenTime, seen},
};
use crate::fit::{Busy, Measured, Serving};

/// A figure of a measured request, or of repeats of one: where it was measured, and how far the calibrated law is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Observation {
    place: Place,
    mixture: Mixture,
    /// The logarithm of the law's figure over the measured one.
    pub(super) residual: f64,
    /// Its slopes by the logarithms of the constants.
    slopes: Vec<f64>,
    /// How many measurements it counts as, in its own error. Older files have no repeats apart.
    #[serde(default = "once")]
    pub(super) worth: f64,
}

fn once() -> f64 {
    1.0
}

fn no_wider() -> [f64; 3] {
    [1.0; 3]
}

/// The calibration of one engine, as files hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartData {
    pub(super) engine: String,
    pub(super) is_served: bool,
    pub(super) rows: usize,
    pub(super) law: Law,
    /// How far the law may be off.
    freedom: Freedom,
    /// The negative logarithm of the prior density of the constants' logarithms, but for what is the same for all. Only the choice of the
    /// freedom asks for it.
    #[serde(skip)]
    unlikeliness: f64,
    /// The constants that measurements move, with the standard deviations of their logarithms before.
    constants: Vec<(String, f64)>,
    pub(super) observations: Vec<Observation>,
    /// The figures behind the observations; files do not have them.
    #[serde(skip)]
    pub(super) figures: Vec<Figure>,
    /// How much wider the intervals of time, power and energy are for the settings that were left out: 1 at least. Older files do not know.
    #[serde(default = "no_wider")]
    widths: [f64; 3],
    /// The settings whose time to the first token, and between tokens, was measured.
    #[serde(default)]
    tokens: [Vec<Seen>; 2],
}

/// The calibration of one engine.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) data: PartData,
    /// The laws with one constant moved by a [`STEP`] each.
    perturbed: Vec<Law>,
    pub(super) covariance: CovarianceFactor,
    /// The inverse of the covariance times the residuals, and times the slopes.
    pub(super) weights: DVector<f64>,
    pub(super) weighted_slopes: DMatrix<f64>,
    /// The root of what is left of the errors over what was expected, at least 1: intervals are wider by it.
    misfit: f64,
    /// The covariance of the constants' logarithms.
    pub(super) of_constants: CovarianceFactor,
    /// The times to the first token and between tokens, where they were measured.
    tokens: [Option<TokenTime>; 2],
    /// As [`Calibration::left_out`](super::Calibration::left_out).
    pub(super) left_out: [Vec<LeftOutError>; 5],
}

impl PartData {
    /// The calibration by requests of one engine on one device, of which there is one at least. Figures that are doubted hardly count.
    fn of(law: &Law, measured: &[&Measured], freedom: Freedom, doubted: &[usize]) -> Option<Self> {
        let first = measured.first()?;
        let served = (&first.device, first.engine, first.is_served());
        let freedom = Freedom { scale: scale_of(law, measured)?, ..freedom };
        let (law, constants) = law_for_engine(law, served, beside_w(measured, law), freedom);
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
        let (factors, unlikeliness) = likeliest_factors(&constants, whitened);
        let law = with(&factors)?;
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
            widths: no_wider(),
            tokens: Default::default(),
        })
    }
}

/// The likeliest factors on the constants, and their [`PartData::unlikeliness`].
fn likeliest_factors(constants: &[(String, f64)], whitened: impl Fn(&[f64]) -> Vec<f64>) -> (Vec<f64>, f64) {
    let priors: Vec<Prior> = constants.iter().map(|(_, spread)| Prior { value: 1.0, spread: *spread }).collect();
    let steps = LevenbergMarquardt { rounds: 20, tolerance: 1e-4, most_damping: 1e4 };
    let factors = ConstantsFit { steps, outlier: 3.0 }.fit(&priors, whitened);
    let distance = |(prior, factor): (&Prior, &f64)| 0.5 * prior.residual(factor.ln()).powi(2) + prior.spread.ln();
    let unlikeliness = priors.iter().zip(&factors).map(distance).sum();
    (factors, unlikeliness)
}

/// More than any machine draws.
const MOST_W: f64 = 1e9;

/// The exponential, which is a number that others can be multiplied by.
pub(super) fn factor(logarithm: f64) -> f64 {
    const MOST: f64 = 30.0;
    logarithm.clamp(-MOST, MOST).exp()
}

/// How far off a law is known to be for these measurements, over what is typical. An engine's constants come from language models.
fn scale_of(law: &Law, measured: &[&Measured]) -> Option<[f64; 2]> {
    let first = measured.first()?;
    let on = law.on(&first.device, first.engine, first.is_served());
    let is_generating = measured.iter().all(|one| one.serving.schedule.generated > 0.0);
    Some(scale(&if is_generating { on.spread() } else { on.spread_of_encoders() }))
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
    /// Whether an energy is among the measurements.
    pub(super) fn knows_energy(&self) -> bool {
        self.data.observations.iter().any(|observation| observation.mixture[1] != 0.0)
    }

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
                None => return Some(Self::likeliest(law, measured, &doubted)?.judged(measured)),
            }
        }
    }

    /// The machine is taken for another one than usual if that makes the measurements clearly likelier.
    fn likeliest(law: &Law, measured: &[&Measured], doubted: &[usize]) -> Option<Self> {
        /// The logarithm of how much likelier.
        const CLEARLY: f64 = 6.0;
        let by = |freedom: Freedom| PartData::of(law, measured, freedom, doubted).and_then(Self::new);
        let mut likeliest = by(USUAL)?;
        for other in OTHERS {
            let evidence = likeliest.evidence() + CLEARLY;
            likeliest = by(other).filter(|other| other.evidence() > evidence).unwrap_or(likeliest);
        }
        Some(likeliest)
    }

    /// With the times of tokens, and with what settings that are left out say of how wide intervals have to be.
    fn judged(mut self, measured: &[&Measured]) -> Self {
        let places: Vec<Place> = measured.iter().map(|one| Place::of(&one.model, &one.serving.schedule)).collect();
        let moved = |place: &Place| scaled(&self.data.law, self.factors(place), FigureSpread::default());
        let tokens = seen(measured, &places, moved);
        self.tokens = [0, 1].map(|time| TokenTime::new(&tokens[time]));
        self.data.tokens = tokens;
        let missed = self.missed(measured);
        self.data.widths = widths(&missed);
        let [time, power, energy] = missed.map(|missed| errors(&missed, self.misfit));
        let [first, between] = [0, 1].map(|time| {
            let missed: Vec<Miss> = self.tokens[time].as_ref().map(TokenTime::missed).unwrap_or_default();
            errors(&missed, 1.0)
        });
        self.left_out = [time, power, energy, first, between];
        self
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
        let is_wide = |width: &f64| width.is_finite() && *width >= 1.0;
        let engines = data.law.engines.values().flat_map(|modes| [modes.offline, modes.served]).flatten();
        let mut beside = engines.filter_map(|engine| engine.beside_w);
        if !figures.iter().all(is_sound)
            || constants.iter().any(|(_, spread)| *spread <= 0.0 || spread.is_nan())
            || !data.widths.iter().all(is_wide)
            || !beside.all(|watts| (0.0..=MOST_W).contains(&watts))
        {
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
        let tokens = [0, 1].map(|time| TokenTime::new(&data.tokens[time]));
        let left_out = Default::default();
        Some(Self { perturbed, covariance, weights, weighted_slopes, misfit, of_constants, tokens, left_out, data })
    }

    /// The covariances of the error of a setting's figure with those that were measured.
    fn covariances(&self, place: &Place, mixture: Mixture) -> DVector<f64> {
        let shared =
            |other: &Observation| covariance_of(place.shared(&other.place, self.data.freedom), mixture, other.mixture);
        DVector::from_iterator(self.weights.len(), self.data.observations.iter().map(shared))
    }

    /// The factors of the time and of the power of a setting, as measurements of settings like it have them.
    fn factors(&self, place: &Place) -> [f64; 2] {
        [TIME, POWER].map(|mixture| factor(-self.covariances(place, mixture).dot(&self.weights)))
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
        let in_energy = time_in_energy(serving, law);
        let spread = |mixture: Mixture, slopes: DVector<f64>, width: f64| {
            let covariances = self.covariances(place, mixture);
            let shared = covariance_of(place.shared(place, freedom), mixture, mixture);
            let mut variance = shared + covariance_of(noise(freedom), mixture, mixture);
            variance -= covariances.dot(&self.covariance.solve(&covariances));
            let slopes = slopes - self.weighted_slopes.tr_mul(&covariances);
            let variance = variance + slopes.dot(&self.of_constants.solve(&slopes));
            width.max(self.misfit) * variance.max(0.0).sqrt()
        };
        let [time, power, energy] = self.data.widths;
        let spread = FigureSpread {
            power: spread([in_energy - 1.0, 1.0], &of_energy - &of_time, power),
            energy: spread([in_energy, 1.0], of_energy, energy),
            time: spread(TIME, of_time, time),
        };
        scaled(law, self.factors(place), spread)
    }

    /// The factors of the times to the first token and between tokens, by the moved law of a setting, and the standard deviations of their
    /// logarithms: those of the data sheet where they were not measured.
    pub(super) fn token_times(&self, serving: &Serving, place: &Place) -> [[f64; 2]; 2] {
        [0, 1].map(|time| match &self.tokens[time] {
            Some(known) => known.at(place),
            None => [1.0, serving.spread(&self.data.law).time],
        })
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
