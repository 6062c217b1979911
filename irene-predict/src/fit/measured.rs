use irene_devices::{BusyTimes, Device, Engine, FigureSpread, KernelLaw, KernelTime, Law, Pass, PassLaw, Work};
use irene_requests::RequestRow;

use crate::{Error, Schedule, Service};

/// A request that was measured, with the passes that serve it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Where it comes from; sources may weigh differently.
    pub source: String,
    /// The model, as its row names it.
    pub model: String,
    /// What was asked of it, where its row says that.
    pub task: Option<String>,
    /// The device.
    pub device: Device,
    /// The engine.
    pub engine: &'static Engine,
    /// The time of its schedule, s.
    pub seconds: Option<f64>,
    /// The mean power of all GPUs, W.
    pub watts: Option<f64>,
    /// How much its residuals count.
    pub(super) weight: f64,
    pub(super) schedule: Schedule,
    passes: Vec<MeasuredPass>,
}

/// A pass, and its kernels' times alone, which no constant of the law changes.
#[derive(Clone, Debug)]
struct MeasuredPass {
    pass: Pass,
    times: f64,
    alone: Vec<KernelTime>,
}

/// What a pass takes of a device and of its engine; how often it runs stands beside.
#[derive(Clone, Debug)]
pub(super) struct PassTimes {
    times: f64,
    busy: BusyTimes,
}

impl Measured {
    /// The passes of a row's request, and what was measured of it.
    ///
    /// # Errors
    /// A row that has no forecast.
    pub fn of(source: &str, row: &RequestRow, service: &mut Service) -> Result<Self, Error> {
        let setting = service.setting(row).map_err(|fault| fault.error)?;
        let forecast = setting.forecast(Law::shipped())?;
        let schedule = forecast.into_schedule();
        let figures = &row.figures;
        let tokens = schedule.requests * schedule.generated;
        let by_rate = figures.tokens_per_s.filter(|_| tokens > 0.0).map(|rate| tokens / rate);
        let by_steps = figures.itl_s.map(|seconds| seconds * schedule.gaps);
        let seconds = match (schedule.is_steady, figures.latency_s) {
            (true, _) => by_rate.or(by_steps),
            (false, Some(latency)) => Some(latency),
            (false, None) => by_rate.or_else(|| Some(by_steps? + figures.ttft_s?)),
        };
        let joules = figures.energy_per_request_j.map(|joules| joules * schedule.requests);
        let joules = joules.or_else(|| Some(figures.energy_per_token_j? * tokens).filter(|joules| *joules > 0.0));
        let watts = figures.power_w.or_else(|| Some(joules? / seconds?));
        let kernels = KernelLaw::shipped();
        let alone = |(work, _): &(Work, f64)| kernels.time(work, &setting.device);
        let passes = schedule.prompts.iter().chain(&schedule.steps).map(|(pass, times)| MeasuredPass {
            alone: pass.works.iter().map(alone).collect(),
            pass: pass.clone(),
            times: *times,
        });
        Ok(Self {
            source: source.to_owned(),
            model: row.model.clone().unwrap_or_default(),
            task: row.further("task").map(str::to_owned),
            device: Device::clone(&setting.device),
            engine: setting.engine,
            seconds,
            watts,
            weight: 1.0,
            passes: passes.collect(),
            schedule,
        })
    }

    /// With residuals that count so much.
    #[must_use]
    pub fn weighing(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// How far off a law is for it, by what it says itself.
    pub fn spread(&self, law: &Law) -> FigureSpread {
        law.on(&self.device, self.engine, self.is_served()).spread()
    }

    /// The measured energy of a generated token, J.
    pub fn joules_a_token(&self) -> Option<f64> {
        let tokens = self.schedule.requests * self.schedule.generated;
        Some(self.watts? * self.seconds? / tokens).filter(|joules| joules.is_finite())
    }

    /// Whether its requests came over a network.
    pub fn is_served(&self) -> bool {
        self.schedule.is_served()
    }

    pub(super) fn busy(&self, law: &PassLaw) -> Vec<PassTimes> {
        let of = |of: &MeasuredPass| {
            let mut busy = BusyTimes::default();
            for ((work, times), alone) in of.pass.works.iter().zip(&of.alone) {
                busy.add(work, *times, alone, law, &self.device);
            }
            PassTimes { times: of.times, busy }
        };
        self.passes.iter().map(of).collect()
    }

    /// The time of its kernels and that of its engine, s.
    pub(super) fn times(&self, law: &Law, passes: &[PassTimes]) -> [f64; 2] {
        let on = law.on(&self.device, self.engine, self.is_served());
        let mut sum = [0.0; 2];
        for (PassTimes { times, busy }, of) in passes.iter().zip(&self.passes) {
            let [kernels, beside] = on.times(busy, &of.pass);
            sum = [sum[0] + times * kernels, sum[1] + times * beside];
        }
        sum
    }

    /// The mean power of all GPUs, W, if kernels and engine share the time as here.
    pub(super) fn power(&self, law: &Law, [kernels, beside]: [f64; 2]) -> f64 {
        let dynamic = |of: &MeasuredPass| {
            let of_works = of.pass.works.iter();
            of.times * of_works.map(|(work, times)| times * law.power.dynamic_joules(work, &self.device)).sum::<f64>()
        };
        let dynamic: f64 = self.passes.iter().map(dynamic).sum();
        let cost = law.power.whole(kernels, self.schedule.filled * dynamic, beside, &self.device);
        self.schedule.gpus * cost.joules / cost.seconds
    }
}
