//! Time, energy and memory of serving requests on a device, from its data sheet.

mod arrivals;
mod host;
mod memory;
mod note;
mod tree;

use std::{borrow::Cow, cell::RefCell};

use irene_devices::{Device, Engine, FROM_DATA_SHEET, FigureSpread, Law, LawOn};
use irene_models::ModelSpec;
use irene_numerics::{GIB, NORMAL_90};
use irene_tree::{Format, Kernels, Parallel, Precision, Size};

use self::{arrivals::Settled, memory::Needs};
pub use self::{arrivals::rounded_down, host::Host, memory::Memory, note::Note};
pub(crate) use self::{
    host::OF_MACHINE,
    memory::CONTEXT,
    tree::{annotated, filled, parts},
};
use crate::{Error, Figures, Load, Passes, PassesCost, Request, Schedule, ScheduleCost, passes::Followed, ways};

/// The cost of serving requests, and its basis.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The figures that users of the model ask for.
    pub figures: Figures,
    /// The ends of the intervals that each figure lies in with a probability of 90%.
    pub interval: [Figures; 2],
    /// A request's prompt: its share of the energy, and the time of its pass; where it shares a pass with the steps of others, what it adds
    /// to them.
    pub prompt: Part,
    /// A generated token; None where none follows the first.
    pub token: Option<Part>,
    /// Sequences that run at once, while some run.
    pub running: f64,
    /// Requests that wait for those.
    pub waiting: f64,
    /// The memory of one GPU.
    pub memory: Memory,
    /// Warnings for readers of the figures.
    pub notes: Vec<Note>,
    /// Where the figures come from, in words.
    pub provenance: String,
    /// The request, with the load that arrivals settle at.
    request: Request,
    /// Requests that arrive in a second.
    rate: Option<f64>,
    /// The time that a request waits for those before it, s.
    wait_s: f64,
    /// A request's share of the energy while nothing runs, J.
    idle_j: f64,
    /// A request's share of the energy of the machine around the devices, J.
    machine_j: f64,
    /// The passes that serve the requests.
    pub(crate) schedule: Schedule,
}

impl Forecast {
    /// The sizes of the passes of one copy of the model, those of prompts first, each apart from the single tokens of others.
    pub fn sizes(&self) -> impl Iterator<Item = Size> + '_ {
        let prompts = self.schedule.prompts.iter().map(|runs| runs.size);
        prompts.chain(self.schedule.token_passes().map(|(size, ..)| size))
    }

    /// The same with other times of tokens: to the first and between them, each by a factor, and with the standard deviation of its logarithm. A
    /// wait for other requests stays as it is, and so does the time of a single token, which is that of the whole.
    #[must_use]
    pub(crate) fn with_token_times(mut self, [first, between]: [[f64; 2]; 2]) -> Self {
        let Figures { ttft_s, itl_s: Some(itl_s), .. } = self.figures else { return self };
        let wait_s = self.wait_s;
        let [low, high] = &mut self.interval;
        for (bound, figures) in [(-NORMAL_90, low), (0.0, &mut self.figures), (NORMAL_90, high)] {
            let moved = |[factor, spread]: [f64; 2], seconds: f64| factor * (bound * spread).exp() * seconds;
            let first_s = ttft_s.map(|seconds| wait_s + moved(first, seconds - wait_s));
            figures.ttft_s = first_s.map(|seconds| seconds.min(figures.latency_s));
            figures.itl_s = Some(moved(between, itl_s));
        }
        self
    }
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Energy on all GPUs, J.
    pub joules: f64,
    /// Time, s.
    pub seconds: f64,
}

/// The share of its TDP that a device with an open context draws where nobody has published it: the median of the cards in the catalogue,
/// which have 0.16 to 0.37.
pub(crate) const IDLE_SHARE: f64 = 0.2;

/// Far more than any request takes: the ends of its interval are numbers, too.
const MOST_JOULES: f64 = 1e100;

/// The cost of a request on a device, from its data sheet.
///
/// # Errors
/// [`Error::Request`] for a load, degrees or a device that cannot be; [`Error::Model`] for a model that cannot run like this;
/// [`Error::DoesNotFit`]; [`Error::Overload`]; [`Error::TooRare`].
pub fn forecast(
    spec: &ModelSpec,
    device: &Device,
    engine: &Engine,
    request: &Request,
    law: &Law,
) -> Result<Forecast, Error> {
    let model = Followed { spec, passes: &Passes::default() };
    forecast_by(model, device, engine, request, &|_| Cow::Borrowed(law))
}

/// The same by a law that depends on the schedule.
pub(crate) fn forecast_by<'a>(
    model: Followed<'_>,
    device: &Device,
    engine: &Engine,
    request: &Request,
    law: &dyn Fn(&Schedule) -> Cow<'a, Law>,
) -> Result<Forecast, Error> {
    check(device, request)?;
    model.spec.check_generation(request.prompt, request.generated)?;
    let asked = request.load;
    let request = &in_whole_ones(*request, engine);
    let needs = Needs::of(model, device, engine, request)?;
    if let Some(lacking) = needs.lacking() {
        return Err(does_not_fit(model, device, engine, request, lacking));
    }
    let most = needs.most_sequences();
    let at = |load: Load| {
        let schedule = Schedule::followed(model, engine, &Request { load, ..*request }, most)?;
        let cost = schedule.cost(&law(&schedule).on(device, engine, schedule.is_served()));
        Ok((schedule, cost))
    };
    let (settled, load, (schedule, cost)) = settled_schedule(request, engine, most, at)?;
    let mut figures = schedule.figures(&cost);
    let law = law(&schedule);
    let law = law.on(device, engine, schedule.is_served());
    let rate = if let Load::Rate(rate) = request.load { Some(rate) } else { None };
    let idle_j = match settled.zip(rate) {
        Some((settled, rate)) => idle_between(&mut figures, settled, rate, idle_w(device) * schedule.gpus)?,
        None => 0.0,
    };
    let mut notes = remarks(asked, request, device);
    let running = running(load, most);
    notes.extend(of_memory(&needs, &schedule, running));
    let [prompts, steps] = apart(&schedule, cost, &law);
    let tokens = schedule.requests * schedule.gaps;
    let is_decoder = model.spec.cache(Kernels::Fused)?.is_some();
    let spread = if is_decoder { law.spread() } else { law.spread_of_encoders() };
    // A meter that counts more than the devices knows no limit.
    let limit_w = law.engine().beside_w.map_or(device.limit_w() * schedule.gpus, |_| f64::INFINITY);
    let mut interval = interval(&figures, &spread, limit_w);
    if let Some(rate) = rate {
        interval.iter_mut().for_each(|end| at_a_rate(end, &figures, idle_j, rate, limit_w));
    }
    at_least_idle(&mut interval[0], &figures, device.idle_w.unwrap_or(0.0) * schedule.gpus, rate.is_some());
    Ok(Forecast {
        figures,
        interval,
        prompt: Part { joules: prompts.joules / schedule.requests, seconds: prompts.seconds / prompts.passes },
        token: (tokens > 0.0).then(|| Part { joules: steps.joules / tokens, seconds: steps.seconds / steps.passes }),
        running,
        waiting: schedule.waiting,
        memory: needs.with(running),
        notes,
        provenance: FROM_DATA_SHEET.to_owned(),
        request: Request { load, ..*request },
        rate,
        wait_s: settled.map_or(0.0, |settled| settled.wait_s),
        idle_j,
        machine_j: 0.0,
        schedule,
    })
}

/// Refuses what no request, run or device can be: sheets, commands and queries are checked where they are read, Rust code is not.
fn check(device: &Device, request: &Request) -> Result<(), Error> {
    let refused = |field, reason| Err(Error::Request { field, reason });
    let is_load = match request.load {
        Load::Sequences(sequences) => sequences > 0,
        Load::Concurrency(count) | Load::Rate(count) => count.is_finite() && count > 0.0,
    };
    if !is_load {
        return refused("load", format!("expected a finite number above 0, found {:?}", request.load));
    }
    let Parallel { tensor, pipeline, expert, data } = request.parallel;
    let is_degree = |degree: &usize| (1..=Parallel::MOST).contains(degree);
    if let Some(degree) = [tensor, pipeline, expert, data].into_iter().find(|degree| !is_degree(degree)) {
        return refused("parallel", format!("expected degrees from 1 to {}, found {degree}", Parallel::MOST));
    }
    device.fault().map_or(Ok(()), |fault| refused("device", fault))
}

/// The ends of the interval that each figure lies in with a probability of 90%.
fn interval(figures: &Figures, spread: &FigureSpread, limit_w: f64) -> [Figures; 2] {
    spread.factors().map(|FigureSpread { time, power, energy }| Figures {
        energy_per_request_j: energy * figures.energy_per_request_j,
        energy_per_token_j: figures.energy_per_token_j.map(|joules| energy * joules),
        power_w: (power * figures.power_w).min(limit_w),
        ttft_s: figures.ttft_s.map(|seconds| time * seconds),
        itl_s: figures.itl_s.map(|seconds| time * seconds),
        latency_s: time * figures.latency_s,
        tokens_per_s: figures.tokens_per_s.map(|rate| time * rate),
    })
}

/// Makes an end of the interval one of requests that arrive at a rate: what a device draws while nothing runs is known, as many as arrive are
/// served, however long each takes, and power is energy by rate.
fn at_a_rate(end: &mut Figures, figures: &Figures, idle_j: f64, rate: f64, limit_w: f64) {
    let all_j = figures.energy_per_request_j;
    let joules = end.energy_per_request_j * (1.0 - idle_j / all_j) + idle_j;
    // A device that has drawn its limit all the time has drawn no more.
    end.power_w = (joules * rate).min(limit_w.max(figures.power_w));
    end.energy_per_request_j = end.power_w / rate;
    end.energy_per_token_j = figures.energy_per_token_j.map(|token| token * end.energy_per_request_j / all_j);
    end.tokens_per_s = figures.tokens_per_s;
}

/// Raises the low end of the power to the idle power that was measured of the devices, which they draw whatever they run, and the energy to that
/// of as long as a request takes them at this end.
fn at_least_idle(low: &mut Figures, figures: &Figures, idle_w: f64, has_rate: bool) {
    let least_w = idle_w.min(figures.power_w);
    // As many requests as arrive are served, however long each takes.
    let time = if has_rate { 1.0 } else { low.latency_s / figures.latency_s };
    let least_j = least_w * time * figures.energy_per_request_j / figures.power_w;
    let raised = (least_j / low.energy_per_request_j).max(1.0);
    low.power_w = low.power_w.max(least_w);
    low.energy_per_request_j *= raised;
    low.energy_per_token_j = low.energy_per_token_j.map(|joules| raised * joules);
}

type Costed = (Schedule, ScheduleCost);

/// The load that arrivals settle at (the request's own if they come at no rate), with its schedule.
fn settled_schedule(
    request: &Request,
    engine: &Engine,
    most: f64,
    at: impl Fn(Load) -> Result<Costed, Error>,
) -> Result<(Option<Settled>, Load, Costed), Error> {
    // The last load that is tried is the one that arrivals settle at: its schedule is kept.
    let last = RefCell::new(None::<(Load, Costed)>);
    let figures = |load: Load| {
        let mut last = last.borrow_mut();
        if last.as_ref().is_none_or(|(known, _)| *known != load) {
            *last = Some((load, at(load)?));
        }
        last.as_ref().map(|(_, (schedule, cost))| schedule.figures(cost)).ok_or(Error::Load)
    };
    let settled = Settled::of(request, engine, most, figures)?;
    let load = settled.map_or(request.load, |settled| settled.load);
    figures(load)?;
    let (_, costed) = last.into_inner().ok_or(Error::Load)?;
    Ok((settled, load, costed))
}

/// Requests that run at once are one at least, and whole ones where none joins others that are generated for.
fn in_whole_ones(request: Request, engine: &Engine) -> Request {
    let Load::Concurrency(running) = request.load else { return request };
    let joins = engine.is_continuous && request.generated > 0;
    let running = if joins { running } else { running.round() };
    Request { load: Load::Concurrency(running.max(1.0)), ..request }
}

/// Sequences that run at once.
fn running(load: Load, most: f64) -> f64 {
    match load {
        Load::Sequences(sequences) => (sequences as f64).min(most),
        Load::Concurrency(concurrency) => concurrency.min(most),
        Load::Rate(_) => most,
    }
}

/// The power of a device that has nothing to do, W: a usual one where nobody has published it.
fn idle_w(device: &Device) -> f64 {
    device.idle_w.unwrap_or(IDLE_SHARE * device.tdp_w)
}

/// Makes the figures those of requests that arrive at a rate, with the time between them in which nothing runs; gives the energy of that time
/// for each.
fn idle_between(figures: &mut Figures, settled: Settled, rate: f64, idle_w: f64) -> Result<f64, Error> {
    let idle_j = (1.0 - settled.busy) * idle_w / rate;
    let tokens = figures.energy_per_token_j.map(|joules| figures.energy_per_request_j / joules);
    figures.energy_per_request_j += idle_j;
    figures.energy_per_token_j = tokens.map(|tokens| figures.energy_per_request_j / tokens);
    figures.power_w = figures.energy_per_request_j * rate;
    figures.ttft_s = figures.ttft_s.map(|seconds| seconds + settled.wait_s);
    figures.latency_s += settled.wait_s;
    figures.tokens_per_s = tokens.map(|tokens| tokens * rate);
    if figures.energy_per_request_j > MOST_JOULES { Err(Error::TooRare { rate }) } else { Ok(idle_j) }
}

/// The notes on what was asked for.
fn remarks(asked: Load, request: &Request, device: &Device) -> Vec<Note> {
    let arithmetic = device.arithmetic(request.precision.weights, request.precision.activations);
    let rounded = match (asked, request.load) {
        (Load::Concurrency(asked), Load::Concurrency(taken)) if asked != taken => {
            Some(Note::WholeRequests { asked, taken })
        }
        _ => None,
    };
    let is_assumed = matches!(request.load, Load::Rate(_)) && device.idle_w.is_none();
    let idle = is_assumed.then(|| Note::IdlePower { watts: idle_w(device) });
    arithmetic.fallback(device).map(Note::Format).into_iter().chain(rounded).chain(idle).collect()
}

/// The notes on memory.
fn of_memory(needs: &Needs, schedule: &Schedule, running: f64) -> Vec<Note> {
    let (memory, waiting, waves) = (needs.with(running), schedule.waiting, schedule.requests / running);
    let tight = needs.is_tight().then(|| Note::TightMemory { needed: memory.total(), usable: memory.usable });
    let full = (waiting > 0.5).then_some(Note::CacheFull { running, waiting });
    let waves = (waves > 1.0).then_some(Note::Waves { running, waves: waves.ceil() });
    tight.into_iter().chain(full).chain(waves).collect()
}

/// All passes with prompts, less what the steps in them take; and all steps.
fn apart(schedule: &Schedule, cost: ScheduleCost, law: &LawOn<'_>) -> [PassesCost; 2] {
    let ScheduleCost { prompts, steps, .. } = cost;
    let beside = schedule.prompts.iter().filter_map(|runs| {
        let (_, step) = runs.beside.as_ref()?;
        Some(runs.spent(&law.pass(step), schedule.gpus).times(runs.times))
    });
    let beside = beside.fold(PassesCost::default(), PassesCost::and);
    let added =
        PassesCost { seconds: prompts.seconds - beside.seconds, joules: prompts.joules - beside.joules, ..prompts };
    [added, steps.and(beside)]
}

/// The error of a model that is too large for the device, with what would help.
fn does_not_fit(
    model: Followed<'_>,
    device: &Device,
    engine: &Engine,
    request: &Request,
    [needed, available]: [f64; 2],
) -> Error {
    let fits_on = |device: &Device, request: &Request| {
        Needs::of(model, device, engine, request).is_ok_and(|needs| needs.lacking().is_none())
    };
    let fits = |request: &Request| fits_on(device, request);
    let tensor = ways::more_gpus(request.parallel, |parallel| fits(&Request { parallel, ..*request }));
    let narrower = [Format::F8E4M3, Format::Int4]
        .into_iter()
        .filter(|weights| weights.bytes(128) < request.precision.weights.bytes(128))
        .map(|weights| Precision { weights, ..request.precision })
        .find(|&precision| fits(&Request { precision, ..*request }));
    let weights = narrower.map(|precision| format!("precision.weights {}", precision.weights));
    let larger = ways::larger(device, |other| fits_on(other, request));
    let ways: Vec<String> = [tensor, weights, larger].into_iter().flatten().collect();
    Error::DoesNotFit {
        model: model.spec.name().to_owned(),
        device: device.name.clone(),
        needed_gib: needed / GIB,
        available_gib: available / GIB,
        ways: if ways.is_empty() { "a smaller model".into() } else { ways.join(", or ") },
    }
}
