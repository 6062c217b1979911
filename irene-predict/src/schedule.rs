//! The passes that serve requests: traced once, then costed by any law on any device.

mod cost;

use irene_devices::{Engine, LawOn, Pass, PassCost};
use irene_tree::Size;

pub(crate) use self::cost::ScheduleCost;
pub use self::cost::{Figures, PassesCost};
use crate::{Error, Load, Request, passes::Followed};

/// The passes of a static batch, or of a steady state in the time that each running sequence takes to be replaced.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// Passes with prompts.
    pub(crate) prompts: Vec<Runs>,
    /// Passes with single tokens alone.
    pub(crate) steps: Vec<Runs>,
    /// Requests that are served.
    pub(crate) requests: f64,
    /// Requests of a wave of a batch that runs in several; otherwise all.
    pub(crate) of_wave: f64,
    /// Tokens that are generated for each.
    pub(crate) generated: f64,
    /// Steps between the first and the last token of a request.
    pub(crate) gaps: f64,
    /// GPUs.
    pub(crate) gpus: f64,
    /// Requests that wait for room in the cache of a steady state.
    pub(crate) waiting: f64,
    /// How likely others run in a copy of a steady state when a request comes.
    pub(crate) beside: f64,
    /// Whether requests come and go one by one.
    pub(crate) is_steady: bool,
    /// Whether prompts are read in the steps of others.
    pub(crate) is_mixed: bool,
}

/// A pass, and how often it runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Runs {
    /// Its size; of a pass with prompts that of these alone.
    pub(crate) size: Size,
    /// One GPU's part of it, with all that is in it.
    pub(crate) pass: Pass,
    /// How often it runs.
    pub(crate) times: f64,
    /// Passes that are under way at once, as a share of the copies and their stages.
    pub(crate) filled: f64,
    /// The single tokens of others in a pass with prompts, as a pass of their own.
    pub(crate) beside: Option<(Size, Pass)>,
}

/// Pasts at which the steps of a generation are followed, in shares of its length: Gauss's two points, whose mean is that of all steps
/// for any cubic.
const GAUSS: [f64; 2] = [0.211_324_865_405_187_1, 0.788_675_134_594_812_9];
/// The same of the fewer steps that prompts share, whose mean is that of any straight line.
const MIDDLE: [f64; 1] = [0.5];

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

    /// A batch that there is no room for runs in waves, one after the other: full ones, and one of the rest.
    fn batch(model: Followed<'_>, request: &Request, sequences: f64, most: f64) -> Result<Self, Error> {
        let sequences = sequences.round().max(1.0);
        let (mut prompts, mut steps) = (Vec::new(), Vec::new());
        for (of_wave, times) in [(most, (sequences / most).floor()), (sequences % most, 1.0)] {
            if of_wave * times > 0.0 {
                let (prompt, of_tokens) = wave(model, request, of_wave, times)?;
                prompts.push(prompt);
                steps.extend(of_tokens);
            }
        }
        Ok(Self {
            prompts,
            steps,
            requests: sequences,
            of_wave: sequences.min(most),
            generated: request.generated as f64,
            gaps: request.generated.saturating_sub(1) as f64,
            gpus: request.parallel.gpus() as f64,
            waiting: 0.0,
            beside: 0.0,
            is_steady: false,
            is_mixed: false,
        })
    }

    /// In the time of the steps of a request, each running sequence is replaced once, and so each brings its prompt once. The first token comes
    /// from the pass of the prompt; where that is a step of the others too, a request is in as many passes as it has tokens.
    fn steady(
        model: Followed<'_>,
        engine: &Engine,
        request: &Request,
        concurrency: f64,
        most: f64,
    ) -> Result<Self, Error> {
        let running = concurrency.min(most);
        let mean = of_pass(running, request);
        let gaps = request.generated.saturating_sub(1) as f64;
        // Passes that prompts join, or come between.
        let slots = if engine.mixes_prompts { request.generated as f64 } else { gaps.max(1.0) };
        let run = |size: Size, times: f64| Runs::of(model, request, size, times, mean.min(1.0));
        let (mut prompts, mut steps) = (Vec::new(), Vec::new());
        for (sequences, part) in around(mean.max(1.0)) {
            if !engine.mixes_prompts {
                steps.extend(tokens(request, GAUSS, sequences, gaps * part, &run)?);
            }
            for (count, of) in around(sequences as f64 / slots) {
                let times = slots * part * of;
                if count > 0 {
                    // Those that a prompt is read for are not among the others.
                    let others = if engine.mixes_prompts { sequences.saturating_sub(count) } else { 0 };
                    let step = tokens(request, MIDDLE, others, times, &run)?.pop();
                    prompts.push(run(Size::new(count, request.prompt), times)?.with(step));
                } else if engine.mixes_prompts {
                    steps.extend(tokens(request, GAUSS, sequences, times, &run)?);
                }
            }
        }
        let of_copy = (running / request.parallel.data.max(1) as f64).max(1.0);
        Ok(Self {
            prompts,
            steps,
            requests: running,
            of_wave: running,
            generated: request.generated as f64,
            gaps,
            gpus: request.parallel.gpus() as f64,
            waiting: concurrency - running,
            beside: 1.0 - of_copy.recip(),
            is_steady: true,
            is_mixed: engine.mixes_prompts,
        })
    }

    /// The steps of single tokens, also those in passes with prompts: each as a pass of its own, and how often it runs.
    pub(crate) fn token_passes(&self) -> impl Iterator<Item = (Size, &Pass, &Runs)> {
        let beside = self.prompts.iter().filter_map(|runs| {
            let (size, pass) = runs.beside.as_ref()?;
            Some((*size, pass, runs))
        });
        self.steps.iter().map(|runs| (runs.size, &runs.pass, runs)).chain(beside)
    }

    /// Whether its requests come over a network, one by one.
    pub(crate) fn is_served(&self) -> bool {
        self.prompts.first().is_some_and(|runs| runs.pass.is_served)
    }
}

impl Runs {
    fn of(model: Followed<'_>, request: &Request, size: Size, times: f64, filled: f64) -> Result<Self, Error> {
        Ok(Self { size, pass: model.pass(request, size)?, times, filled, beside: None })
    }

    /// With a step of others in each pass.
    fn with(self, step: Option<Self>) -> Self {
        let Some(step) = step else { return self };
        Self { pass: step.pass.joined(&self.pass), beside: Some((step.size, step.pass)), ..self }
    }

    /// With other prompts beside the same steps.
    pub(crate) fn reading(&self, prompts: Pass) -> Self {
        let pass = self.beside.as_ref().map_or_else(|| prompts.clone(), |(_, step)| step.joined(&prompts));
        Self { pass, ..self.clone() }
    }

    /// The cost that its prompts add to the steps beside them, on so many GPUs.
    pub(crate) fn added(&self, gpus: f64, law: &LawOn<'_>) -> PassesCost {
        let of = |pass: &Pass| self.spent(&law.pass(pass), gpus);
        let step = self.beside.as_ref().map_or_else(PassesCost::default, |(_, step)| of(step));
        let whole = of(&self.pass);
        PassesCost { seconds: whole.seconds - step.seconds, joules: whole.joules - step.joules, ..whole }
    }

    /// The cost of its pass on one GPU, over so many.
    pub(crate) fn spent(&self, cost: &PassCost, gpus: f64) -> PassesCost {
        PassesCost::of(cost, self.filled, gpus)
    }
}

/// The mean number of sequences in one pass of one copy of the model: a pipeline splits a batch among its stages.
fn of_pass(sequences: f64, request: &Request) -> f64 {
    sequences / (request.parallel.data * request.parallel.pipeline).max(1) as f64
}

/// The whole numbers around a mean, and the part of the passes that have each.
fn around(mean: f64) -> impl Iterator<Item = (usize, f64)> {
    let (whole, rest) = (mean.floor() as usize, mean.fract());
    [(whole, 1.0 - rest), (whole + 1, rest)].into_iter().filter(|(_, part)| *part > 0.0)
}

/// The passes of so many waves of a batch: the prompt's, and the steps.
fn wave(model: Followed<'_>, request: &Request, sequences: f64, waves: f64) -> Result<(Runs, Vec<Runs>), Error> {
    let mean = of_pass(sequences, request);
    // All wait for the copy or stage that has the most; those with one fewer count as full.
    let fullest = mean.ceil().max(1.0) as usize;
    let count = request.generated.saturating_sub(1) as f64;
    // Copies with fewer do less in a single pass, and read the same weights in a step.
    let filled = if count == 0.0 { mean / fullest as f64 } else { mean.min(1.0) };
    let run = |size: Size, times: f64| Runs::of(model, request, size, times, filled);
    let prompt = run(Size::new(fullest, request.prompt), waves)?;
    Ok((prompt, tokens(request, GAUSS, fullest, waves * count, &run)?))
}

/// The passes that stand for `count` steps of so many sequences, at these places of the generation.
fn tokens<const N: usize>(
    request: &Request,
    places: [f64; N],
    sequences: usize,
    count: f64,
    run: &impl Fn(Size, f64) -> Result<Runs, Error>,
) -> Result<Vec<Runs>, Error> {
    if count <= 0.0 || sequences == 0 {
        return Ok(Vec::new());
    }
    let (first, between) = (request.prompt, request.generated.saturating_sub(2) as f64);
    let past = |share: f64| first.saturating_add((share * between).round() as usize);
    places.into_iter().map(|share| run(Size::new(sequences, 1).after(past(share)), count / N as f64)).collect()
}
