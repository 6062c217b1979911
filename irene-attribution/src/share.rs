use std::sync::Arc;

use irene_sampler::Provenance;
use serde::Serialize;

use crate::Operation;

/// A request's energy. Written as JSON it has these fields, without those that are not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Share {
    /// The model.
    pub model: Arc<str>,
    /// The operation that it asked for.
    pub operation: Operation,
    /// Tokens of its prompt, those that a cache had too.
    pub prompt_tokens: u64,
    /// Tokens that were generated.
    pub tokens: u64,
    /// From its begin to its end, s.
    pub seconds: f64,
    /// Energy of its prompt, nJ.
    pub prompt_nj: u64,
    /// Energy of the tokens that were generated, nJ.
    pub decode_nj: u64,
    /// Its share of the idle power, nJ.
    pub idle_nj: u64,
    /// The share of its time for which the meter's energy is known, 0 to 1. The energies cover that time only.
    pub covered: f64,
    /// The number of the meter's intervals that it rests on.
    pub intervals: usize,
    /// The idle power, W; None if it was not known yet, so that no energy counts as idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_watts: Option<f64>,
    /// Where the meter's energy comes from; None without a meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Whether it was dropped before its end, or outlived the meter.
    pub is_cancelled: bool,
}

/// Joules of a nanojoule, and seconds of a nanosecond.
pub(crate) const NANO: f64 = 1e-9;

impl Share {
    /// All its energy, J; None if no part of its time is covered.
    pub fn joules(&self) -> Option<f64> {
        self.known(self.prompt_nj + self.decode_nj + self.idle_nj)
    }

    /// Energy of its prompt, J.
    pub fn prompt_joules(&self) -> Option<f64> {
        self.known(self.prompt_nj)
    }

    /// Energy of the tokens that were generated, J.
    pub fn decode_joules(&self) -> Option<f64> {
        self.known(self.decode_nj)
    }

    /// Its share of the idle power, J; None if the idle power was not known.
    pub fn idle_joules(&self) -> Option<f64> {
        self.idle_watts.and_then(|_| self.known(self.idle_nj))
    }

    fn known(&self, nanojoules: u64) -> Option<f64> {
        (self.covered > 0.0).then_some(nanojoules as f64 * NANO)
    }

    /// Names and values for the headers of an answer: `x-energy-joules`, `x-energy-prompt-joules`, `x-energy-decode-joules`,
    /// `x-energy-idle-joules`, `x-energy-covered`, `x-energy-provenance`. Unknown values are left out.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let energies = [
            ("x-energy-joules", self.joules()),
            ("x-energy-prompt-joules", self.prompt_joules()),
            ("x-energy-decode-joules", self.decode_joules()),
            ("x-energy-idle-joules", self.idle_joules()),
        ];
        let known = energies.into_iter().filter_map(|(name, joules)| Some((name, format!("{:.9}", joules?))));
        let provenance = self.provenance.map(|provenance| ("x-energy-provenance", provenance.name().to_owned()));
        known.chain([("x-energy-covered", format!("{:.4}", self.covered))]).chain(provenance).collect()
    }
}
