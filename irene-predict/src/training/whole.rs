//! A run of many steps.

use super::TrainingForecast;

/// How long a run of training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainingLength {
    /// So many steps.
    Steps(f64),
    /// Whole steps, until they have seen so many tokens.
    Tokens(f64),
}

/// The totals of a run of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingRun {
    /// Steps.
    pub steps: f64,
    /// Tokens that they see.
    pub tokens: f64,
    /// Time, s.
    pub seconds: f64,
    /// Energy of all GPUs, J.
    pub joules: f64,
    /// Time of all GPUs together, s.
    pub gpu_seconds: f64,
    /// FLOPs that run, of all GPUs.
    pub flops: f64,
    /// FLOPs by the rule of 6 for each parameter and token.
    pub rule_flops: f64,
    /// The ends of the intervals of the time, s.
    pub seconds_range: [f64; 2],
    /// The ends of the intervals of the energy, J.
    pub joules_range: [f64; 2],
}

impl TrainingForecast {
    /// The totals of a run of such steps.
    pub fn run_of(&self, length: TrainingLength) -> TrainingRun {
        let steps = match length {
            TrainingLength::Steps(steps) => steps,
            TrainingLength::Tokens(tokens) => (tokens / self.tokens).ceil(),
        };
        let seconds = steps * self.figures.seconds;
        TrainingRun {
            steps,
            tokens: steps * self.tokens,
            seconds,
            joules: steps * self.figures.joules,
            gpu_seconds: seconds * self.run.parallel.gpus() as f64,
            flops: steps * self.flops,
            rule_flops: steps * self.rule_flops(),
            seconds_range: self.interval.map(|end| steps * end.seconds),
            joules_range: self.interval.map(|end| steps * end.joules),
        }
    }
}
