use irene_devices::{
    BusyTimes, Device, DeviceClass, Engine, FigureSpread, KernelLaw, KernelTime, Law, LawOn, Pass, PassLaw, Work,
};
use irene_requests::{Figure, Figures, Load, METER, RequestRow};

use crate::{Error, PassesCost, Schedule, Service, service::Fault};

/// A schedule on a device under an engine, with what no constant of the law changes.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) schedule: Schedule,
    device: Device,
    engine: &'static Engine,
    passes: Vec<ServedPass>,
}

/// A pass, how often it runs on which share of the GPUs, and its kernels' times alone.
#[derive(Clone, Debug)]
struct ServedPass {
    pass: Pass,
    times: f64,
    filled: f64,
    alone: Vec<KernelTime>,
}

/// The times of a pass, s: of its kernels, and of what is beside them.
pub(crate) type PassSeconds = [f64; 2];

/// The same passes with all times so much longer.
pub(crate) fn longer(times: &[PassSeconds], factor: f64) -> Vec<PassSeconds> {
    times.iter().map(|times| times.map(|time| time * factor)).collect()
}

impl Serving {
    pub(crate) fn of(schedule: Schedule, device: &Device, engine: &'static Engine) -> Self {
        let kernels = KernelLaw::shipped();
        let alone = |(work, _): &(Work, f64)| kernels.time(work, device);
        let passes = schedule.prompts.iter().chain(&schedule.steps).map(|runs| ServedPass {
            alone: runs.pass.works.iter().map(alone).collect(),
            pass: runs.pass.clone(),
            times: runs.times,
            filled: runs.filled,
        });
        Self { passes: passes.collect(), device: device.clone(), engine, schedule }
    }

    /// The times of the kernels of each pass, whatever the engine.
    pub(crate) fn busy(&self, law: &PassLaw) -> Vec<BusyTimes> {
        self.passes.iter().map(|of| BusyTimes::of(&of.pass, &of.alone, law, &self.device)).collect()
    }

    fn on<'a>(&'a self, law: &'a Law) -> LawOn<'a> {
        law.on(&self.device, self.engine, self.schedule.is_served())
    }

    /// The times of each pass by a law.
    pub(crate) fn times_by(&self, law: &Law) -> Vec<PassSeconds> {
        self.times(law, &self.busy(&law.pass))
    }

    /// The same from its kernels' times.
    pub(crate) fn times(&self, law: &Law, busy: &[BusyTimes]) -> Vec<PassSeconds> {
        let on = self.on(law);
        // A limit at the TDP slows nothing down: fits need not look.
        let is_limited = self.device.limit_w() < self.device.tdp_w;
        let of = |(busy, of): (&BusyTimes, &ServedPass)| {
            let [kernels, beside] = on.times(busy, &of.pass);
            let slowed = if is_limited { on.cost(&of.pass, [kernels, beside]).slowed } else { 1.0 };
            [slowed * kernels, beside]
        };
        busy.iter().zip(&self.passes).map(of).collect()
    }

    /// The time of the whole schedule, s.
    pub(crate) fn seconds(&self, times: &[PassSeconds]) -> f64 {
        self.passes.iter().zip(times).map(|(of, [kernels, beside])| of.times * (kernels + beside)).sum()
    }

    /// The time to the first token, s, if no request waits for others.
    pub(crate) fn first_seconds(&self, times: &[PassSeconds]) -> Option<f64> {
        let [of_all] = self.schedule.prompts.as_slice() else { return None };
        let waits = self.schedule.is_steady || of_all.times > 1.0;
        times.first().filter(|_| !waits).map(|[kernels, beside]| kernels + beside)
    }

    /// The mean power of all GPUs, W, if passes take these times, however long a limit would have them, and what the law's meter counts beside
    /// them. It is that of a forecast: a limit holds for each pass.
    pub(crate) fn power(&self, law: &Law, times: &[PassSeconds]) -> f64 {
        let on = self.on(law);
        let joules = |(of, times): (&ServedPass, &PassSeconds)| {
            let spent = PassesCost::of(&on.cost(&of.pass, *times), of.filled, self.schedule.gpus);
            of.times * (times[0] + times[1]) * spent.joules / spent.seconds
        };
        let of_devices = self.passes.iter().zip(times).map(joules).sum::<f64>() / self.seconds(times);
        of_devices + on.engine().beside_w.unwrap_or(0.0)
    }

    /// The error that a law itself expects.
    pub(crate) fn spread(&self, law: &Law) -> FigureSpread {
        self.on(law).spread()
    }

    /// The times to the first token and between tokens, s.
    pub(crate) fn token_times(&self, law: &Law) -> [Option<f64>; 2] {
        let cost = self.schedule.cost(&self.on(law));
        let figures = self.schedule.figures(&cost);
        [figures.ttft_s, figures.itl_s]
    }
}

/// A request that was measured, with the passes that serve it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Where it comes from; sources may weigh differently.
    pub source: String,
    /// The model.
    pub model: String,
    /// The task, if the row names one.
    pub task: Option<String>,
    /// The device.
    pub device: Device,
    /// The engine.
    pub engine: &'static Engine,
    /// The time of its schedule, s.
    pub seconds: Option<f64>,
    /// The time to the first token of a batch that runs at once, s.
    pub first_s: Option<f64>,
    /// The mean power of all GPUs, W.
    pub watts: Option<f64>,
    /// The energy of its schedule, J.
    pub joules: Option<f64>,
    /// The times to the first token and between tokens, s.
    pub token_times: [Option<f64>; 2],
    /// The meter of its energy, where that counts more than the GPUs.
    pub meter: Option<String>,
    /// Whether its energy or power is a power model's estimate.
    pub is_estimated: bool,
    /// How much its residuals count.
    pub(super) weight: f64,
    pub(crate) serving: Serving,
}

impl Measured {
    /// A row's request, with its passes and its measured figures.
    ///
    /// # Errors
    /// A [`Fault`] for a row that has no forecast, or no measured figure that tells its energy or time.
    pub fn of(source: &str, row: &RequestRow, service: &Service) -> Result<Self, Fault> {
        let row = &in_steady_state(row)?;
        let setting = service.setting(row)?;
        let forecast = setting.forecast().map_err(Fault::of(""))?;
        let predicted = Figures::from(forecast.figures);
        let schedule = forecast.schedule;
        let figures = &row.figures;
        let tokens = schedule.requests * schedule.generated;
        let by_rate = figures.tokens_per_s.filter(|_| tokens > 0.0).map(|rate| tokens / rate);
        let seconds = if schedule.is_steady {
            // Other times are to the whole as the law has it.
            let by =
                |figure: Figure| Some(figures.get(figure)? / predicted.get(figure)? * tokens / predicted.tokens_per_s?);
            by_rate.or_else(|| by(Figure::Latency)).or_else(|| by(Figure::Itl))
        } else {
            let by_parts = || Some(figures.itl_s? * schedule.gaps + figures.ttft_s?);
            figures.latency_s.or(by_rate).or_else(by_parts)
        };
        let joules = figures.energy_per_request_j.map(|joules| joules * schedule.requests);
        let of_tokens = || Some(figures.energy_per_token_j? * tokens).filter(|_| tokens > 0.0);
        let joules = joules.or_else(of_tokens);
        let watts = figures.power_w.or_else(|| Some(joules? / seconds?));
        if [seconds, watts, joules].iter().all(Option::is_none) {
            return Err(Fault { column: "", error: Error::NotMeasured });
        }
        if let Some(wrong) = [seconds, watts, joules].into_iter().flatten().find(|figure| !is_measurable(*figure)) {
            return Err(Fault { column: "", error: Error::NotAbove0(wrong) });
        }
        Ok(Self {
            source: source.to_owned(),
            model: setting.spec.name().to_owned(),
            task: row.further("task").map(str::to_owned),
            device: Device::clone(&setting.device),
            engine: setting.engine,
            seconds,
            first_s: figures.ttft_s.filter(|seconds| schedule.generated > 0.0 && is_measurable(*seconds)),
            watts,
            joules,
            token_times: [figures.ttft_s, figures.itl_s].map(|time| time.filter(|seconds| is_measurable(*seconds))),
            meter: whole_machine(row, &setting.device).map(str::to_owned),
            is_estimated: watts.or(joules).is_some() && row.further("provenance") == Some("estimated"),
            weight: 1.0,
            serving: Serving::of(schedule, &setting.device, setting.engine),
        })
    }

    /// Sets how much its residuals count.
    #[must_use]
    pub(crate) fn weighing(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The error that a law itself expects for it.
    pub fn spread(&self, law: &Law) -> FigureSpread {
        self.serving.spread(law)
    }

    /// The measured energy of a generated token, J.
    pub fn joules_a_token(&self) -> Option<f64> {
        let schedule = &self.serving.schedule;
        let joules = self.joules.or_else(|| Some(self.watts? * self.seconds?))?;
        Some(joules / (schedule.requests * schedule.generated)).filter(|joules| joules.is_finite())
    }

    /// Logarithms of predicted over measured times: to the first token, between tokens.
    pub fn token_residuals(&self, law: &Law) -> [Option<f64>; 2] {
        if self.token_times == [None; 2] {
            return [None; 2];
        }
        let predicted = self.serving.token_times(law);
        [0, 1].map(|time| Some((predicted[time]? / self.token_times[time]?).ln()))
    }

    /// Whether tokens follow the first.
    pub fn generates(&self) -> bool {
        self.serving.schedule.gaps > 0.0
    }

    /// The number of its GPUs.
    pub fn gpus(&self) -> f64 {
        self.serving.schedule.gpus
    }

    /// Whether its requests came over a network.
    pub fn is_served(&self) -> bool {
        self.serving.schedule.is_served()
    }
}

/// The meter of a row's energies, if it counts more than the GPUs. A chip that is a machine of its own has no other meter.
fn whole_machine<'a>(row: &'a RequestRow, device: &Device) -> Option<&'a str> {
    /// Each channel and each meter of GPUs alone has one of these in its name.
    const OF_GPUS: [&str; 3] = ["gpu", "card", "nvml"];
    let is_card = matches!(device.class, DeviceClass::Datacenter | DeviceClass::Workstation | DeviceClass::Consumer);
    let Figures { energy_per_request_j, energy_per_token_j, power_w, .. } = row.figures;
    let has_energy = energy_per_request_j.or(energy_per_token_j).or(power_w).is_some();
    let is_of_gpus = |part: &str| OF_GPUS.iter().any(|word| part.to_lowercase().contains(word));
    let meter = row.further(METER).filter(|meter| is_card && has_energy && !meter.is_empty())?;
    (!meter.split(" + ").all(is_of_gpus)).then_some(meter)
}

fn is_measurable(figure: f64) -> bool {
    figure.is_finite() && figure > 0.0
}

/// A row whose requests arrive at a rate as one with the mean number that ran, which their latency tells (Little's law). The energy of one that left
/// the device idle in between says little of the request, and is left out.
fn in_steady_state(row: &RequestRow) -> Result<RequestRow, Fault> {
    /// Below this mean number the device is idle for more than a twentieth of the time.
    const BUSY: f64 = 3.0;
    /// A server that makes less of the tokens that are asked for does not keep up.
    const KEPT_UP: f64 = 0.9;
    let Some(Load::Rate(rate)) = row.load else { return Ok(row.clone()) };
    let figures = row.figures;
    let by_steps = || Some(figures.itl_s? * row.generated?);
    // Few at once are no queue: then the server idles in between.
    let in_system = figures.latency_s.or_else(by_steps).map(|latency| rate * latency);
    let may_queue = in_system.is_none_or(|count| count >= BUSY);
    let asked = row.generated.map(|generated| rate * generated).filter(|_| may_queue);
    if let Some(made) = figures.tokens_per_s.filter(|made| asked.is_some_and(|asked| *made < KEPT_UP * asked)) {
        // The latency has a queue in it that grows; the sequences that get tokens are those that run.
        let gap = figures.itl_s.ok_or(Fault { column: "rate", error: Error::FellBehind })?;
        let figures = Figures { ttft_s: None, latency_s: None, ..figures };
        return Ok(RequestRow { load: Some(Load::Concurrency((made * gap).max(1.0))), figures, ..row.clone() });
    }
    let latency = figures.latency_s.or_else(by_steps).ok_or(Fault { column: "rate", error: Error::RateAlone })?;
    let mean = rate * latency;
    let known = Figures { tokens_per_s: None, ..figures };
    let figures = match mean < BUSY {
        true => Figures { energy_per_request_j: None, energy_per_token_j: None, power_w: None, ..known },
        false => known,
    };
    Ok(RequestRow { load: Some(Load::Concurrency(mean.max(1.0))), figures, ..row.clone() })
}

impl Measured {
    /// Its GPUs, sequences and lengths, in a line.
    pub(crate) fn label(&self) -> String {
        let schedule = &self.serving.schedule;
        let first = schedule.prompts.first().map_or_else(String::new, |runs| runs.size.to_string());
        format!("{}x {:.1} {first} {}", schedule.gpus, schedule.requests, schedule.generated)
    }
}
