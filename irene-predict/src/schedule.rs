//! The passes that serve requests: traced once, then costed by any law on any device.

use irene_devices::{Device, Engine, Law, Pass, PassCost};
use irene_tree::Size;

use crate::{Error, Load, Request, passes::Followed};

/// The passes of a static batch, or of a steady state in the time that each running sequence takes to be replaced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// Passes with prompts, and how often each runs.
    pub(crate) prompts: Vec<(Pass, f64)>,
    /// Passes with single tokens alone, and how often each runs.
    pub(crate) steps: Vec<(Pass, f64)>,
    /// The prompt's pass and the steps, each apart from the others: its size, and how often it runs.
    pub(crate) sizes: Vec<(Size, f64)>,
    /// Requests that are served.
    pub(crate) requests: f64,
    /// Tokens that are generated for each.
    pub(crate) generated: f64,
    /// Steps between the first and the last token of a request.
    pub(crate) gaps: f64,
    /// GPUs.
    pub(crate) gpus: f64,
    /// Passes that are under way at once in a pipeline, as a share of its stages.
    pub(crate) filled: f64,
    /// Requests that wait for room in the cache of a steady state.
    pub(crate) waiting: f64,
    /// Whether requests come and go one by one.
    pub(crate) is_steady: bool,
    /// Whether each of the first passes is a step with prompts beside it: the step of the same place among the others.
    pub(crate) is_mixed: bool,
}

/// Time and energy of some passes.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Spent {
    /// Passes.
    pub passes: f64,
    /// Time, s.
    pub seconds: f64,
    /// Energy of all GPUs, J.
    pub joules: f64,
}

impl Spent {
    /// A pass of one GPU on so many, of which a share has something to do.
    pub(crate) fn of(cost: &PassCost, filled: f64, gpus: f64) -> Self {
        // The others wait with a model loaded, and draw no less than an idle device.
        let waiting = (cost.joules - cost.dynamic_joules).max(cost.idle_joules);
        let joules = filled * cost.joules + (1.0 - filled) * waiting;
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
    pub(crate) prompts: Spent,
    /// The others.
    pub(crate) steps: Spent,
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

/// Pasts at which the steps of a generation are followed, in shares of its length: Gauss's two points, whose mean is that of all steps
/// for any cubic.
const GAUSS: [f64; 2] = [0.211_324_865_405_187_1, 0.788_675_134_594_812_9];

impl Schedule {
    /// The schedule of a request on an engine whose cache has room for `most` sequences: the others wait.
    pub(crate) fn followed(model: Followed<'_>, engine: &Engine, request: &Request, most: f64) -> Result<Self, Error> {
        match request.load {
            // Requests for which nothing is generated leave no tokens behind for others to join.
            Load::Concurrency(running) if engine.is_continuous && request.generated > 0 => {
                Self::steady(model, engine, request, running, most)
            }
            Load::Concurrency(running) => Self::batch(model, request, running, most),
            Load::Sequences(sequences) => Self::batch(model, request, sequences as f64, most),
            Load::Rate(_) => Err(Error::Load),
        }
    }

    fn batch(model: Followed<'_>, request: &Request, sequences: f64, most: f64) -> Result<Self, Error> {
        let waves = (sequences / most).max(1.0);
        let share = Share::of(sequences.min(most).round(), request);
        // All wait for the copy or stage that has the most; those with one fewer count as full.
        let fullest = share.mean.ceil().max(1.0) as usize;
        let prompt = Size::new(fullest, request.prompt);
        let count = request.generated.saturating_sub(1);
        let last = request.prompt.saturating_add(count.saturating_sub(1));
        let steps = step_sizes(fullest, [request.prompt, last], waves * count as f64);
        Ok(Self {
            prompts: vec![(model.pass(request, prompt)?, waves)],
            steps: passes(model, request, &steps)?,
            sizes: std::iter::once((prompt, waves)).chain(steps).collect(),
            requests: sequences,
            generated: request.generated as f64,
            gaps: count as f64,
            gpus: request.parallel.gpus() as f64,
            // Copies with fewer do less in a single pass, and read the same weights in a step.
            filled: if count == 0 { share.mean / fullest as f64 } else { share.filled },
            waiting: 0.0,
            is_steady: false,
            is_mixed: false,
        })
    }

    /// In the time of the steps of a request, each running sequence is replaced once, and so each brings its prompt once. The first token comes
    /// from the pass of the prompt; where that is a step of the others too, a request has as many steps as tokens.
    fn steady(
        model: Followed<'_>,
        engine: &Engine,
        request: &Request,
        concurrency: f64,
        most: f64,
    ) -> Result<Self, Error> {
        let running = concurrency.min(most);
        let share = Share::of(running, request);
        let count = if engine.mixes_prompts { request.generated } else { request.generated - 1 } as f64;
        let last = request.prompt.saturating_add(request.generated - 1);
        let of_share = |(sequences, part)| step_sizes(sequences, [request.prompt, last], count * part);
        let step_sizes: Vec<(Size, f64)> = share.around().into_iter().flat_map(of_share).collect();
        let steps = self::passes(model, request, &step_sizes)?;
        // Prompts of one copy of the model; several share a pass where there are more than steps.
        let replaced = share.mean.max(1.0);
        let of_pass = (replaced / count.max(1.0)).ceil().max(1.0);
        let passes = replaced / of_pass;
        let prompt_size = Size::new(of_pass as usize, request.prompt);
        let prompt = model.pass(request, prompt_size)?;
        let (prompts, steps) = if engine.mixes_prompts {
            let mixed = steps.iter().map(|(step, times)| (step.joined(&prompt), passes * times / count)).collect();
            let alone = |(step, times): (Pass, f64)| (step, times * (1.0 - passes / count).max(0.0));
            (mixed, steps.into_iter().map(alone).collect())
        } else {
            (vec![(prompt, passes)], steps)
        };
        Ok(Self {
            prompts,
            steps,
            sizes: std::iter::once((prompt_size, passes)).chain(step_sizes).collect(),
            requests: running,
            generated: request.generated as f64,
            gaps: count,
            gpus: request.parallel.gpus() as f64,
            filled: share.filled,
            waiting: concurrency - running,
            is_steady: true,
            is_mixed: engine.mixes_prompts,
        })
    }

    /// Whether its requests come over a network, one by one.
    pub(crate) fn is_served(&self) -> bool {
        self.prompts.first().is_some_and(|(pass, _)| pass.is_served)
    }

    /// The cost of all passes, over all GPUs.
    pub(crate) fn cost(&self, law: &Law, device: &Device, engine: &Engine) -> ScheduleCost {
        let on = law.on(device, engine, self.is_served());
        let costs = on.passes(self.prompts.iter().chain(&self.steps).map(|(pass, _)| pass));
        let (of_prompts, of_steps) = costs.split_at(self.prompts.len());
        let sum = |costs: &[PassCost], passes: &[(Pass, f64)]| {
            let spent = costs.iter().zip(passes).map(|(cost, (_, times))| self.spent(cost).times(*times));
            spent.fold(Spent::default(), Spent::and)
        };
        ScheduleCost { prompts: sum(of_prompts, &self.prompts), steps: sum(of_steps, &self.steps) }
    }

    /// The cost of a pass of one GPU, over all GPUs.
    pub(crate) fn spent(&self, cost: &PassCost) -> Spent {
        Spent::of(cost, self.filled, self.gpus)
    }

    /// The figures of the schedule, from the cost of its passes.
    pub(crate) fn figures(&self, cost: &ScheduleCost) -> Figures {
        let ScheduleCost { prompts, steps } = *cost;
        let (seconds, joules) = (prompts.seconds + steps.seconds, prompts.joules + steps.joules);
        let tokens = self.requests * self.generated;
        let of_tokens = |figure: f64| (tokens > 0.0).then_some(figure);
        // A prompt that comes in a steady state waits for those before it, and for half a step.
        let wait =
            if self.is_steady { seconds * (self.waiting / self.requests + 0.5 / self.gaps.max(1.0)) } else { 0.0 };
        let ttft_s = prompts.seconds / prompts.passes + wait;
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
}

/// The mean number of sequences in one pass of one copy of the model: a pipeline splits a batch among its stages.
struct Share {
    mean: f64,
    filled: f64,
}

impl Share {
    fn of(sequences: f64, request: &Request) -> Self {
        let passes = (request.parallel.data * request.parallel.pipeline).max(1) as f64;
        let mean = sequences / passes;
        Self { mean, filled: mean.min(1.0) }
    }

    /// The whole numbers of sequences whose mean it is, and the part of the passes that have each.
    fn around(&self) -> Vec<(usize, f64)> {
        /// Nearer ones are taken for whole.
        const NEAR: f64 = 0.02;
        let (whole, rest) = (self.mean.floor(), self.mean.fract());
        let nearest = self.mean.round().max(1.0);
        if self.mean <= 1.0 || (self.mean - nearest).abs() < NEAR * self.mean {
            return vec![(nearest as usize, 1.0)];
        }
        vec![(whole as usize, 1.0 - rest), (whole as usize + 1, rest)]
    }
}

/// The steps that stand for `count` steps after `first` to `last` tokens.
fn step_sizes(sequences: usize, [first, last]: [usize; 2], count: f64) -> Vec<(Size, f64)> {
    if count <= 0.0 {
        return Vec::new();
    }
    let past = |share: f64| (first as f64 + share * (last - first) as f64).round() as usize;
    GAUSS.into_iter().map(|share| (Size::new(sequences, 1).after(past(share)), count / 2.0)).collect()
}

fn passes(model: Followed<'_>, request: &Request, sizes: &[(Size, f64)]) -> Result<Vec<(Pass, f64)>, Error> {
    sizes.iter().map(|(size, times)| Ok((model.pass(request, *size)?, *times))).collect()
}
