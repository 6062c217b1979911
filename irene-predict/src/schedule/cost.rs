//! The cost of a schedule's passes, and the figures that follow.

use irene_devices::{LawOn, PassCost};

use super::{Runs, Schedule};

/// The cost of some passes.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct PassesCost {
    /// Passes.
    pub passes: f64,
    /// Time, s.
    pub seconds: f64,
    /// Energy of all GPUs, J.
    pub joules: f64,
}

impl PassesCost {
    /// A pass of one GPU on so many, of which a share has something to do.
    pub(crate) fn of(cost: &PassCost, filled: f64, gpus: f64) -> Self {
        // The others wait with a model loaded.
        let joules = filled * cost.joules + (1.0 - filled) * cost.loaded_joules;
        Self { passes: 1.0, seconds: cost.seconds, joules: joules * gpus }
    }

    /// This cost, `times` over.
    #[must_use]
    pub fn times(self, times: f64) -> Self {
        Self { passes: times * self.passes, seconds: times * self.seconds, joules: times * self.joules }
    }

    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (seconds, joules) = (self.seconds + other.seconds, self.joules + other.joules);
        Self { passes: self.passes + other.passes, seconds, joules }
    }
}

/// Time and energy of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScheduleCost {
    /// The passes with prompts.
    pub(crate) prompts: PassesCost,
    /// The others.
    pub(crate) steps: PassesCost,
    /// The times of the prompt of the first wave of a batch and of all its passes, s.
    pub(crate) wave_s: [f64; 2],
}

/// The figures that users of a model ask for. A static batch has the latency of the whole batch, a steady state that of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Energy of a request, all GPUs, J.
    pub energy_per_request_j: f64,
    /// Energy of a generated token, all GPUs, J; None where none is generated.
    pub energy_per_token_j: Option<f64>,
    /// Mean power of all GPUs, W.
    pub power_w: f64,
    /// Time to the first token, s.
    pub ttft_s: Option<f64>,
    /// Median time between two tokens of a sequence, s.
    pub itl_s: Option<f64>,
    /// Time from the start to the last token, s.
    pub latency_s: f64,
    /// Generated tokens of all sequences in a second.
    pub tokens_per_s: Option<f64>,
}

/// As a request sheet has them.
impl From<Figures> for irene_requests::Figures {
    fn from(figures: Figures) -> Self {
        Self {
            energy_per_request_j: Some(figures.energy_per_request_j),
            energy_per_token_j: figures.energy_per_token_j,
            power_w: Some(figures.power_w),
            ttft_s: figures.ttft_s,
            itl_s: figures.itl_s,
            latency_s: Some(figures.latency_s),
            tokens_per_s: figures.tokens_per_s,
        }
    }
}

impl Schedule {
    /// The cost of all passes, over all GPUs.
    pub(crate) fn cost(&self, law: &LawOn<'_>) -> ScheduleCost {
        let costs = law.passes(self.prompts.iter().chain(&self.steps).map(|runs| &runs.pass));
        let (of_prompts, of_steps) = costs.split_at(self.prompts.len());
        let sum = |costs: &[PassCost], passes: &[Runs]| {
            let spent = costs.iter().zip(passes).map(|(cost, runs)| runs.spent(cost, self.gpus).times(runs.times));
            spent.fold(PassesCost::default(), PassesCost::and)
        };
        // Waves have equally many kinds of steps, the first wave's first.
        let of_wave = self.steps.len() / self.prompts.len().max(1);
        let waves = self.prompts.first().map_or(1.0, |runs| runs.times);
        let prompt_s = of_prompts.first().map_or(0.0, |cost| cost.seconds);
        let steps_s = sum(&of_steps[..of_wave], &self.steps[..of_wave]).seconds / waves;
        ScheduleCost {
            prompts: sum(of_prompts, &self.prompts),
            steps: sum(of_steps, &self.steps),
            wave_s: [prompt_s, prompt_s + steps_s],
        }
    }

    /// The cost of any pass of one GPU, over all GPUs.
    pub(crate) fn spent(&self, cost: &PassCost) -> PassesCost {
        PassesCost::of(cost, self.prompts.first().map_or(1.0, |runs| runs.filled), self.gpus)
    }

    /// The figures of the schedule, from the cost of its passes.
    pub(crate) fn figures(&self, cost: &ScheduleCost) -> Figures {
        let ScheduleCost { prompts, steps, .. } = *cost;
        let (seconds, joules) = (prompts.seconds + steps.seconds, prompts.joules + steps.joules);
        let tokens = self.requests * self.generated;
        let of_tokens = |figure: f64| (tokens > 0.0).then_some(figure);
        let ttft_s = if self.is_steady { self.steady_first_s(cost) } else { self.batch_first_s(cost) };
        // The passes that most tokens wait for; a mean has the prompts of others in it.
        let usual = if self.is_mixed && prompts.passes > steps.passes { prompts } else { steps };
        // Little's law: as many requests are there all the time, and so each stays as long as all of them take to be replaced.
        let latency_s = if self.is_steady { seconds * (1.0 + self.waiting / self.requests) } else { seconds };
        Figures {
            energy_per_request_j: joules / self.requests,
            energy_per_token_j: of_tokens(joules / tokens),
            power_w: joules / seconds,
            ttft_s: of_tokens(ttft_s.min(latency_s)),
            itl_s: of_tokens(usual.seconds / usual.passes).filter(|_| self.gaps > 0.0),
            latency_s,
            tokens_per_s: of_tokens(tokens / seconds),
        }
    }

    /// The time to the first token in a steady state, s: a prompt waits for those before it, and for half a step where others run.
    fn steady_first_s(&self, cost: &ScheduleCost) -> f64 {
        let ScheduleCost { prompts, steps, .. } = *cost;
        let slots = if self.is_mixed { self.gaps + 1.0 } else { self.gaps.max(1.0) };
        let wait = self.waiting / self.requests + self.beside * 0.5 / slots;
        prompts.seconds / prompts.passes + (prompts.seconds + steps.seconds) * wait
    }

    /// The mean time to the first token of a batch, s: those of later waves wait for the earlier ones. Where as many requests are there all the
    /// time, each waits for all waves but its own.
    fn batch_first_s(&self, cost: &ScheduleCost) -> f64 {
        let seconds = cost.prompts.seconds + cost.steps.seconds;
        let [prompt_s, wave_s] = cost.wave_s;
        let full = self.prompts.first().map_or(1.0, |runs| runs.times);
        let in_full = full * self.of_wave;
        let rest = (self.requests - in_full).max(0.0);
        let prompts = in_full * prompt_s + rest * (cost.prompts.seconds - full * prompt_s);
        let waits = if self.is_served() {
            in_full * (seconds - wave_s) + rest * full * wave_s
        } else {
            wave_s * (in_full * (full - 1.0) / 2.0 + rest * full)
        };
        (prompts + waits) / self.requests
    }
}
