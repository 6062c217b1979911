use irene_numerics::{NORMAL_90, conformal_quantile};
use serde::{Deserialize, Serialize};

use super::{Said, VIEWS, are_divisors, are_usable};
use crate::learning::surrogate::PredictedValue;

/// The trust in each view, and the spread of their mix, from held-out records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Blend {
    /// Add up to 1.
    trust: [f64; VIEWS],
    /// Added to the logarithm. Errors are relative, so a figure a little below the median is off by less on average.
    shift: f64,
    /// The standard deviation of what was held out, in e-folds.
    deviation: f64,
}

const EVEN: f64 = 1.0 / VIEWS as f64;
/// Trust is given in quarters.
const QUARTERS: usize = 4;
/// The gain that uneven trust needs, as a share of the error.
const EVENNESS: f64 = 0.05;
/// The share that is taken of the best shift of the held-out records.
const SHIFTED: f64 = 0.5;
/// The reach of the interval over that of 90% of the held-out misses. It is more than 1, as the blend was chosen on the same records, and
/// records of one campaign miss together.
const WIDER: f64 = 1.1;
/// About so many records double it: laws of a few records are poor in ways that their own misses cannot show.
const DOUBLING: f64 = 7.0;
/// The reach of the interval in e-folds at a distance of 1 outside the training data.
const BEYOND: f64 = 0.12;

impl Blend {
    pub(super) fn fit(held_out: &[(Said, f64)]) -> Self {
        let error = |trust: &[f64; VIEWS], shift: f64| {
            // A record that is off by a multiple does not tell which view is right.
            let miss = |(said, log): &(Said, f64)| ((mixed(trust, said) + shift - log).exp() - 1.0).abs().min(1.0);
            held_out.iter().map(miss).sum::<f64>() / held_out.len().max(1) as f64
        };
        let unevenness = |trust: &[f64; VIEWS]| trust.iter().map(|share| (share - EVEN).powi(2)).sum::<f64>();
        let by_error = |trust: &[f64; VIEWS]| error(trust, 0.0) * (1.0 + EVENNESS * unevenness(trust));
        let trust = trusts().into_iter().map(|trust| (by_error(&trust), trust)).min_by(|a, b| a.0.total_cmp(&b.0));
        let trust = trust.map_or([EVEN; VIEWS], |(_, trust)| trust);
        let shifts = (-10..=2).map(|step| f64::from(step) * 0.01);
        let shift = shifts.map(|shift| (error(&trust, shift), shift)).min_by(|a, b| a.0.total_cmp(&b.0));
        let shift = SHIFTED * shift.map_or(0.0, |(_, shift)| shift);
        let mut misses: Vec<f64> = held_out
            .iter()
            .map(|(said, log)| (mixed(&trust, said) + shift - log).abs() / (1.0 + said.leverage).sqrt())
            .collect();
        misses.sort_by(f64::total_cmp);
        let wider = WIDER + (DOUBLING / misses.len().max(1) as f64).powi(2);
        let reach = wider * conformal_quantile(&misses, 0.9).unwrap_or_default();
        Self { trust, shift, deviation: (reach / NORMAL_90).max(1e-3) }
    }

    /// Whether the trust adds up to 1, and the spread is above 0.
    pub(super) fn is_sound(&self) -> bool {
        let whole = (self.trust.iter().sum::<f64>() - 1.0).abs() < 1e-9;
        let shares = self.trust.iter().all(|share| (0.0..=1.0).contains(share));
        whole && shares && are_usable([&self.shift]) && are_divisors([&self.deviation])
    }

    pub(super) fn trust(&self) -> &[f64; VIEWS] {
        &self.trust
    }

    /// The prediction for a design whose squared distance from the range of the training data is `beyond`.
    pub(super) fn predict(&self, said: &Said, beyond: f64) -> PredictedValue {
        let value = (mixed(&self.trust, said) + self.shift).exp();
        let inside = self.deviation.powi(2) * (1.0 + said.leverage);
        PredictedValue::of_log(value, (inside + (BEYOND / NORMAL_90).powi(2) * beyond).sqrt())
    }
}

fn mixed(trust: &[f64; VIEWS], said: &Said) -> f64 {
    trust.iter().zip(&said.views).map(|(share, view)| share * view).sum()
}

/// Every way to hand out trust.
fn trusts() -> Vec<[f64; VIEWS]> {
    let mut ways = Vec::new();
    hand_out(QUARTERS, 0, [0.0; VIEWS], &mut ways);
    ways
}

/// Hands out what is left to this view and those after it.
fn hand_out(left: usize, view: usize, given: [f64; VIEWS], ways: &mut Vec<[f64; VIEWS]>) {
    let mut given = given;
    if view + 1 == VIEWS {
        given[view] = left as f64 / QUARTERS as f64;
        return ways.push(given);
    }
    for share in 0..=left {
        given[view] = share as f64 / QUARTERS as f64;
        hand_out(left - share, view + 1, given, ways);
    }
}
