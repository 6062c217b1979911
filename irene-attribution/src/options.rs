use std::{sync::Arc, time::Duration};

use irene_sampler::sensors::Idle;
use serde::Serialize;

use crate::Error;

/// How a meter shares its energy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The work of tokens of requests that do not set it.
    pub weights: Weights,
    /// Who pays for the idle power while requests run: all of them, evenly at each moment ([`Idle::Shared`]), or none ([`Idle::Apart`]).
    pub idle: Idle,
    /// The idle power.
    pub idle_power: IdlePower,
    /// How long an interval waits for requests to report past it, and for readings. Then a prompt that goes on counts by time, a request
    /// that generated and has reported nothing since has done nothing, and time without readings is unknown.
    pub horizon: Duration,
    /// How long an interval waits, once all have reported past it, for the end of work across it: only then is it known how much of that
    /// work was done in it. A longer time is nearer to the truth where requests report seldom, as those without streams do; a shorter one
    /// gives shares earlier.
    pub lookahead: Duration,
    /// How much later than its work the report of a token may come, by the network or on a busy machine.
    pub delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weights: Weights::EVEN,
            idle: Idle::Shared,
            idle_power: IdlePower::Learned,
            horizon: Duration::from_secs(30),
            lookahead: Duration::from_secs(1),
            delay: Duration::from_millis(10),
        }
    }
}

/// The power that the machine draws while nothing runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IdlePower {
    /// In watts, as it was measured before.
    Given(f64),
    /// The mean over the newest minute in which nothing ran. Until that makes up half a second, no energy counts as idle.
    Learned,
}

impl IdlePower {
    pub(crate) fn check(self) -> Result<(), Error> {
        match self {
            Self::Given(watts) if !(watts.is_finite() && watts >= 0.0) => Err(Error::IdlePower(watts)),
            _ => Ok(()),
        }
    }
}

/// The work of a token: the energy that is expected of it. Only the proportions matter.
///
/// `irene bench` measures both for a server, and `irene predict` forecasts them. With [`EVEN`](Self::EVEN) weights a prompt's tokens, which
/// are worked on together, get too much and the tokens that are generated one by one too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Picojoules.
    pub(crate) prompt: u64,
    pub(crate) token: u64,
}

impl Weights {
    /// A token of a prompt weighs as much as one that is generated.
    pub const EVEN: Self = Self { prompt: Self::PER_JOULE as u64, token: Self::PER_JOULE as u64 };

    const PER_JOULE: f64 = 1e12;

    /// Joules of a token of a prompt, and of one that is generated.
    ///
    /// # Errors
    /// [`Error::Weight`] if one is no number from 0 to 1000; [`Error::NoWeight`] if both are zero.
    pub fn new(prompt_j: f64, token_j: f64) -> Result<Self, Error> {
        let weight = |of, joules: f64| {
            let is_energy = (0.0..=1000.0).contains(&joules);
            is_energy.then_some((joules * Self::PER_JOULE).round() as u64).ok_or(Error::Weight { of, joules })
        };
        let weights = Self { prompt: weight("prompt token", prompt_j)?, token: weight("generated token", token_j)? };
        if weights.prompt == 0 && weights.token == 0 { Err(Error::NoWeight) } else { Ok(weights) }
    }
}

/// The operation that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// An answer in a chat.
    #[default]
    Chat,
    /// The continuation of a text.
    TextCompletion,
    /// Embeddings.
    Embeddings,
}

impl Operation {
    /// OpenTelemetry's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
        }
    }
}

/// The facts of a request when it comes. A model's name converts to it.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestInfo {
    /// The model. Its account is under this name.
    pub model: Arc<str>,
    /// The operation that it asks for.
    pub operation: Operation,
    /// The work of its tokens, if the options do not say.
    pub weights: Option<Weights>,
    /// Whether the length of its prompt becomes known late, by the usage at the end of an answer for example: then intervals wait for
    /// [`Request::prompt`](crate::Request::prompt) even after its first token.
    pub prompt_comes_late: bool,
    /// Whether its tokens are told at its end alone, as those of an answer in one piece are: then only its end says how
    /// much of the energy that it took by [time](Options::horizon) is its prompt's. The accounts have that energy from
    /// its end on.
    pub tokens_come_late: bool,
}

impl<T: Into<Arc<str>>> From<T> for RequestInfo {
    fn from(model: T) -> Self {
        Self {
            model: model.into(),
            operation: Operation::default(),
            weights: None,
            prompt_comes_late: false,
            tokens_come_late: false,
        }
    }
}
