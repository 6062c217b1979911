//! The figures of measured requests that a calibration rests on.

use irene_devices::{BusyTimes, Law};
use irene_numerics::median;

use super::likeness::{Mixture, POWER, Place, REPEATED, TIME};
use crate::fit::{Measured, Serving, longer};

/// The step of logarithms that slopes are taken over.
pub(super) const STEP: f64 = 1e-3;

/// A figure that counts: of the measured requests with these places, which repeat one setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) rows: Vec<usize>,
    pub(super) mixture: Mixture,
    /// How much of a change of all times is in the energy.
    pub(super) time_in_energy: f64,
}

/// Logarithms of the time and energy of a request, by a law.
pub(super) fn logarithms(serving: &Serving, law: &Law, busy: &[BusyTimes]) -> [f64; 2] {
    let times = serving.times(law, busy);
    let seconds = serving.seconds(&times);
    [seconds.ln(), (serving.power(law, &times) * seconds).ln()]
}

/// A first guess of the power that the meter of measurements counts beside the devices, W: by how much most of them exceed the law. None where it
/// counts the devices alone.
pub(super) fn beside_w(measured: &[&Measured], law: &Law) -> Option<f64> {
    measured.iter().find_map(|one| one.meter.as_ref())?;
    let beyond = |one: &&Measured| {
        let serving = &one.serving;
        let times = serving.times_by(law);
        let predicted = serving.seconds(&times);
        let seconds = one.seconds.unwrap_or(predicted);
        let watts = one.joules.map(|joules| joules / seconds).or(one.watts)?;
        Some(watts - serving.power(law, &longer(&times, seconds / predicted)))
    };
    median(measured.iter().filter_map(beyond)).map(|watts| watts.max(0.0))
}

/// The figures of measurements that count. Repeats of one setting say how well measurements repeat, and nothing more of the machine: they are
/// taken together.
pub(super) fn figures(measured: &[&Measured], places: &[Place], law: &Law) -> Vec<Figure> {
    let mut settings: Vec<(Vec<usize>, [f64; 2])> = Vec::new();
    let known = |one: &Measured| [one.seconds.is_some(), one.watts.is_some(), one.joules.is_some()];
    for (at, one) in measured.iter().enumerate() {
        let predicted = logarithms(&one.serving, law, &one.serving.busy(&law.pass));
        // Equal sizes in other number formats take other times.
        let is_repeat = |(rows, of_first): &&mut (Vec<usize>, [f64; 2])| {
            known(one) == known(measured[rows[0]])
                && places[at].is_repeat_of(&places[rows[0]])
                && predicted.iter().zip(of_first.iter()).all(|(a, b)| (a - b).abs() < REPEATED)
        };
        match settings.iter_mut().find(is_repeat) {
            Some((rows, _)) => rows.push(at),
            None => settings.push((vec![at], predicted)),
        }
    }
    let of = |(rows, _): (Vec<usize>, [f64; 2])| {
        let first = measured[rows[0]];
        let time_in_energy = time_in_energy(&first.serving, law);
        let mixtures = match (first.seconds, first.watts, first.joules) {
            (Some(_), Some(_), _) => vec![TIME, POWER],
            (Some(_), None, _) => vec![TIME],
            (None, _, Some(_)) => vec![[time_in_energy, 1.0]],
            (None, Some(_), None) => vec![[time_in_energy - 1.0, 1.0]],
            (None, None, None) => Vec::new(),
        };
        mixtures.into_iter().map(move |mixture| Figure { rows: rows.clone(), mixture, time_in_energy })
    };
    settings.into_iter().flat_map(of).collect()
}

/// How much of a change of all times is in the energy: a device draws some power whatever it does.
pub(super) fn time_in_energy(serving: &Serving, law: &Law) -> f64 {
    let times = serving.times_by(law);
    1.0 + (serving.power(law, &longer(&times, STEP.exp())) / serving.power(law, &times)).ln() / STEP
}

/// The logarithm of the law's figure over the measured one.
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

impl Figure {
    /// How far a law is off, in the mean over its requests.
    pub(super) fn residual(&self, measured: &[&Measured], law: &Law, busy: &[Vec<BusyTimes>]) -> f64 {
        let each = self.rows.iter().map(|&at| residual(measured[at], self.mixture, law, &busy[at]));
        each.sum::<f64>() / self.rows.len() as f64
    }

    /// How many measurements it counts as.
    pub(super) fn worth(&self, is_doubted: bool) -> f64 {
        /// Repeats have the meter's error in common.
        const MOST: f64 = 4.0;
        /// As good as none.
        const DOUBTED: f64 = 1e-4;
        if is_doubted { DOUBTED } else { (self.rows.len() as f64).min(MOST) }
    }
}
