//! How much the law's errors in two settings have in common.

use irene_devices::FigureSpread;
use serde::{Deserialize, Serialize};

use crate::Schedule;

/// Standard deviations of the logarithms of time and of power at a given time, which no constant of the law explains: of errors that
/// settings like each other share, of those that settings of one model share beside, and of the measurements' own. All are those of an engine and
/// a device that are known as well as [`TYPICAL`].
const OF_SETTINGS: [f64; 2] = [0.1, 0.06];
const OF_MODELS: [f64; 2] = [0.15, 0.1];
const OF_MEASUREMENTS: [f64; 2] = [0.05, 0.04];

/// The standard deviations that these make together with those of the constants.
const TYPICAL: [f64; 2] = [0.215, 0.135];

/// How far off the law is known to be in time and in power, over what is typical.
pub(super) fn scale(known: &FigureSpread) -> [f64; 2] {
    /// No law is known better.
    const LEAST: f64 = 0.1;
    [known.time / TYPICAL[0], known.power / TYPICAL[1]].map(|scale| scale.max(LEAST))
}

/// Settings whose logarithms are this near are one that was measured again.
pub(super) const REPEATED: f64 = 0.05;

/// A setting, as far as others are like it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    model: String,
    /// Logarithms of running sequences, of the roots of generated and of prompt tokens, and of GPUs.
    at: [f64; 4],
}

impl Place {
    pub(super) fn of(model: &str, schedule: &Schedule) -> Self {
        let root = |tokens: f64| 0.5 * (tokens + 1.0).ln();
        let prompt = schedule.prompts.first().map_or(0.0, |runs| runs.size.new as f64);
        let at = [schedule.requests.ln(), root(schedule.generated), root(prompt), schedule.gpus.ln()];
        Self { model: model.to_owned(), at }
    }

    /// Whether the settings are one, as nearly as it can be kept.
    pub(super) fn is_repeat_of(&self, other: &Self) -> bool {
        self.model == other.model && self.at.iter().zip(&other.at).all(|(a, b)| (a - b).abs() < REPEATED)
    }

    /// Covariances of the errors of time and of power, the measurements' own left out.
    pub(super) fn shared(&self, other: &Self, freedom: Freedom) -> [f64; 2] {
        let apart: f64 = self.at.iter().zip(&other.at).map(|(a, b)| (a - b).powi(2)).sum();
        // A model's own errors reach twice as far.
        let (near, far) = ((-apart / 2.0).exp(), (-apart / 8.0).exp());
        let of_model = if self.model == other.model { far } else { 0.0 };
        let shared = |figure: usize| near * OF_SETTINGS[figure].powi(2) + of_model * OF_MODELS[figure].powi(2);
        [0, 1].map(|figure| (freedom.form * freedom.scale[figure]).powi(2) * shared(figure))
    }
}

/// How far constants and form of the law may be off, as multiples of how far they are on devices in general.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freedom {
    /// Multiplies the spreads of constants.
    pub(super) constants: f64,
    /// Multiplies the errors that settings share and no constant explains.
    pub(super) form: f64,
    /// Multiplies the measurements' own errors.
    pub(super) measurement: f64,
    /// How far off the law is known to be in time and in power: [`scale`]. Older files have what is typical.
    #[serde(default = "typical")]
    pub(super) scale: [f64; 2],
}

fn typical() -> [f64; 2] {
    [1.0, 1.0]
}

/// A machine like those that the law was fitted to.
pub(super) const USUAL: Freedom = Freedom { constants: 1.0, form: 1.0, measurement: 1.0, scale: [1.0, 1.0] };

/// Machines that are another than the usual one, those first that say least of other settings than the measured ones.
pub(super) const OTHERS: [Freedom; 3] = [
    // A machine whose measurements depart from the law for reasons of their own.
    Freedom { form: 10.0, ..USUAL },
    // A machine with constants of its own, on which the law's form holds better than on others: many repeatable measurements show it.
    Freedom { constants: 10.0, form: 0.2, measurement: 0.5, ..USUAL },
    // A machine or a server that does otherwise than the law in ways of its own, which settings like each other share.
    Freedom { constants: 10.0, form: 3.0, ..USUAL },
];

/// The times of tokens, by a law that was moved by the time of the whole.
pub(super) const OF_TOKENS: Freedom = Freedom { form: 2.0, ..USUAL };

/// Variances of the measurements' own errors of time and of power, which are no greater where the law is known less well.
pub(super) fn noise(freedom: Freedom) -> [f64; 2] {
    let own = |figure: usize| freedom.measurement * freedom.scale[figure].min(1.0) * OF_MEASUREMENTS[figure];
    [0, 1].map(|figure| own(figure).powi(2))
}

/// The errors of time and of power, at a given time, that make up that of a figure.
pub(super) type Mixture = [f64; 2];

/// The mixture of a time.
pub(super) const TIME: Mixture = [1.0, 0.0];
/// The mixture of power where the time is known too.
pub(super) const POWER: Mixture = [0.0, 1.0];

/// The covariance of two figures whose errors of time and of power have these covariances.
pub(super) fn covariance_of([time, power]: [f64; 2], a: Mixture, b: Mixture) -> f64 {
    time * a[0] * b[0] + power * a[1] * b[1]
}
