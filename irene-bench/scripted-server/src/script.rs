use std::time::Duration;

/// The behaviour of a server.
#[derive(Clone, Debug)]
pub struct Script {
    /// J for each token of a prompt.
    pub joules_per_prompt_token: f64,
    /// J for each generated token.
    pub joules_per_token: f64,
    /// J for each step, whatever the number of sequences that run.
    pub joules_per_step: f64,
    /// W, at all times.
    pub idle_watts: f64,
    /// Time of a token of a prompt. Prompts are taken one after the other, while no sequence gets tokens.
    pub seconds_per_prompt_token: f64,
    /// Time of a step.
    pub seconds_per_step: f64,
    /// Time that each running sequence adds to a step.
    pub seconds_per_sequence: f64,
    /// The most sequences that run at once; others wait.
    pub most_sequences: usize,
    /// The counter begins again after so many microjoules.
    pub wraps_at_uj: u64,
    /// The counter at the start, μJ.
    pub begins_at_uj: u64,
    /// A sequence ends after so many tokens, unless the request forces its length.
    pub ends_after: Option<usize>,
    /// Whether a stream ends with its usage where a request asks for it.
    pub streams_usage: bool,
    /// Fields of a request that are refused, as strict servers do.
    pub refused_fields: Vec<String>,
    /// Paths that exist; all if empty.
    pub paths: Vec<String>,
    /// Faults. The first that applies to a request does.
    pub faults: Vec<Fault>,
    /// The name of its model.
    pub model: String,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            joules_per_prompt_token: 1e-3,
            joules_per_token: 0.02,
            joules_per_step: 0.0,
            idle_watts: 2.0,
            seconds_per_prompt_token: 2e-5,
            seconds_per_step: 2e-3,
            seconds_per_sequence: 2e-5,
            most_sequences: 256,
            wraps_at_uj: 262_143_328_850,
            begins_at_uj: 5_000_000,
            ends_after: None,
            streams_usage: true,
            refused_fields: Vec::new(),
            paths: Vec::new(),
            faults: Vec::new(),
            model: "scripted".into(),
        }
    }
}

/// A request that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The number of the first such request, from 0.
    pub first: usize,
    /// Each so-manieth request after it goes wrong too.
    pub every: usize,
    /// The misdeed.
    pub misdeed: Misdeed,
}

impl Fault {
    /// A misdeed at each so-manieth request from this one on.
    pub fn every(every: usize, first: usize, misdeed: Misdeed) -> Self {
        Self { first, every: every.max(1), misdeed }
    }

    pub(crate) fn applies(&self, number: usize) -> bool {
        number >= self.first && (number - self.first).is_multiple_of(self.every.max(1))
    }
}

/// A misdeed that a request meets.
#[derive(Clone, Debug)]
pub enum Misdeed {
    /// An answer with this status, without work.
    Status(u16),
    /// The request waits so long before it is taken up, and nothing is sent.
    Stall(Duration),
    /// The connection ends after so many tokens.
    Disconnect(usize),
    /// The answer comes in pieces of a few bytes, so that lines and characters are cut, with such a pause between two.
    Slow(Duration),
    /// Lines that are no events stand between the events.
    Garbage,
    /// The usage is not that of the request.
    WrongUsage,
    /// The answer sends the client to another address.
    Redirect(String),
}
