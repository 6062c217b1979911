//! The law: what a pass of a model takes and draws on a device, from the device's data sheet.

mod busy;
mod engine;
mod host;
mod makers;
mod parts;
mod pass;
mod power;
#[cfg(test)]
mod tests;
mod time;

use std::{collections::BTreeMap, sync::LazyLock};

pub use busy::BusyTimes;
pub use engine::{EngineLaw, EngineModes, FigureSpread};
pub use host::HostLaw;
pub use makers::MakerLaw;
pub use parts::WorkParts;
pub use pass::{Pass, PassCost, PassLaw, WorkCost};
pub use power::PowerLaw;
use serde::{Deserialize, Serialize};
use time::overlapped;
pub use time::{KernelLaw, KernelTime};

use crate::{Device, DeviceClass, Engine, Vendor, Work};

/// Every constant of the law of passes, as fitted on public measurements of whole requests; kernels have their own ([`KernelLaw`]).
///
/// Time of a pass = kernels, each started and then as long as its arithmetic and traffic take, and the engine's own; under an engine that
/// starts kernels from the host one by one, the longer of what the host takes to start them and of the kernels. Energy = what the device
/// draws whatever it does, and what arithmetic and traffic take, kept below the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// Kernels in passes.
    pub pass: PassLaw,
    /// Power and energy.
    pub power: PowerLaw,
    /// Engines, by name.
    pub engines: BTreeMap<String, EngineModes>,
    /// Devices that differ from NVIDIA's, by their architecture, or by their maker for all others of it.
    pub makers: BTreeMap<String, MakerLaw>,
    /// The machine around the devices.
    pub host: HostLaw,
}

/// The part of the law that holds for one engine on one device.
#[derive(Clone, Debug)]
pub struct LawOn<'a> {
    law: &'a Law,
    kernels: &'a KernelLaw,
    device: &'a Device,
    engine: EngineLaw,
    maker: MakerLaw,
    starts_ahead: bool,
}

impl Law {
    /// The law as it was fitted on public measurements.
    ///
    /// # Panics
    /// Never: the tests read the constants that are shipped.
    #[allow(clippy::expect_used)]
    pub fn shipped() -> &'static Self {
        static LAW: LazyLock<Law> =
            LazyLock::new(|| serde_json::from_str(include_str!("../../data/law.json")).expect("the tests read it"));
        &LAW
    }

    /// The law before anything was measured: prior constants of kernels and processors, and engines that add nothing.
    ///
    /// # Panics
    /// Never: the tests read the constants that are shipped.
    #[allow(clippy::expect_used)]
    pub fn prior() -> Self {
        serde_json::from_str(include_str!("../../data/law_prior.json")).expect("the tests read it")
    }

    /// The law on a device under an engine. An engine that was not measured counts as the one most like it, and is less sure.
    pub fn on<'a>(&'a self, device: &'a Device, engine: &Engine, is_served: bool) -> LawOn<'a> {
        let of = |name: &str| self.engines.get(name).and_then(|modes| modes.of(is_served));
        let starts_ahead = engine.starts_kernels_ahead();
        let like = || of(engine.like).map(EngineLaw::standing_in);
        let engine = of(engine.name).or_else(like).unwrap_or_default();
        let of = |name: &str| self.makers.get(name).copied();
        let measured = of(&device.architecture);
        // Measurements of a maker's accelerators say nothing of its processors.
        let of_maker = || of(device.vendor.name()).filter(|_| device.class != DeviceClass::Cpu);
        let maker = measured.or_else(of_maker).unwrap_or_else(|| MakerLaw::unmeasured(device.vendor));
        // The kernels' law knows AMD's libraries.
        let is_known = starts_ahead && device.vendor == Vendor::Amd && measured.is_none();
        let maker = MakerLaw { kernels: if is_known { 1.0 } else { maker.kernels }, ..maker };
        LawOn { law: self, kernels: KernelLaw::shipped(), device, engine, maker, starts_ahead }
    }

    /// The law of training on a device by an engine that starts kernels from the host: its own kernels, of which the kernels' law knows
    /// NVIDIA's and AMD's libraries. How far off a step is comes from steps on GPUs that were left out.
    pub fn in_training<'a>(&'a self, device: &'a Device, engine: &Engine) -> LawOn<'a> {
        let law = self.on(device, engine, false);
        let is_known = matches!(device.vendor, Vendor::Nvidia | Vendor::Amd);
        let maker = if is_known { law.maker.with_known_kernels() } else { law.maker };
        let time = law.kernels.spread.step;
        let power = law.engine.spread.power;
        let spread = FigureSpread { time, power, energy: time.hypot(power) };
        LawOn { engine: EngineLaw { spread, ..law.engine }, maker, ..law }
    }

    /// The time and energy of a pass on one GPU.
    pub fn pass(&self, pass: &Pass, device: &Device, engine: &Engine) -> PassCost {
        self.on(device, engine, pass.is_served).pass(pass)
    }
}

/// Kernels that were costed: passes of one schedule differ in few of theirs.
#[derive(Default)]
struct Kernels(Vec<(Work, BusyTimes, f64)>);

impl Kernels {
    fn of(&mut self, work: &Work, cost: impl FnOnce() -> (BusyTimes, f64)) -> (BusyTimes, f64) {
        if let Some((_, busy, joules)) = self.0.iter().find(|(known, ..)| known == work) {
            return (*busy, *joules);
        }
        let (busy, joules) = cost();
        self.0.push((*work, busy, joules));
        (busy, joules)
    }
}

impl LawOn<'_> {
    /// The time and energy of one kernel on one GPU, without the power limit.
    pub fn work(&self, work: &Work) -> WorkCost {
        let seconds = self.on_device(&self.busy(work, &self.kernels.time(work, self.device)));
        WorkCost { seconds, joules: self.law.power.dynamic_joules(work, self.device) }
    }

    /// The times of one kernel in a pass, from its time alone.
    fn busy(&self, work: &Work, alone: &KernelTime) -> BusyTimes {
        let mut busy = BusyTimes::default();
        busy.add(work, 1.0, alone, &self.law.pass, self.device);
        busy
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// The engine's constants.
    pub fn engine(&self) -> EngineLaw {
        self.engine
    }

    /// The constants of the device's maker.
    pub fn maker(&self) -> MakerLaw {
        self.maker
    }

    /// How far off figures are on devices and of language models that were not measured.
    pub fn spread(&self) -> FigureSpread {
        self.engine.spread.and(self.maker.spread)
    }

    /// The same of encoders, which no engine was measured with.
    pub fn spread_of_encoders(&self) -> FigureSpread {
        let engine = if self.engine.covers_encoders { self.engine } else { self.engine.standing_in() };
        engine.spread.and(self.maker.spread)
    }

    /// The time and energy of a pass on one GPU.
    pub fn pass(&self, pass: &Pass) -> PassCost {
        self.stage(pass, 1.0, 0.0)
    }

    /// The time and energy on one GPU of a pipeline whose stages each have a part of a pass. It waits for other stages for the share `waiting` of
    /// its own time.
    pub fn stage(&self, pass: &Pass, stages: f64, waiting: f64) -> PassCost {
        self.costed(pass, stages, waiting, &mut Kernels::default())
    }

    /// The times and energies of several passes: kernels that they share are costed once.
    pub fn passes<'p>(&self, passes: impl IntoIterator<Item = &'p Pass>) -> Vec<PassCost> {
        let mut kernels = Kernels::default();
        passes.into_iter().map(|pass| self.costed(pass, 1.0, 0.0, &mut kernels)).collect()
    }

    fn costed(&self, pass: &Pass, stages: f64, waiting: f64, known: &mut Kernels) -> PassCost {
        let (mut busy, mut joules) = (BusyTimes::default(), 0.0);
        for (work, times) in &pass.works {
            let (of_one, of_work) = known.of(work, || {
                let of_one = self.busy(work, &self.kernels.time(work, self.device));
                (of_one, self.law.power.dynamic_joules(work, self.device))
            });
            busy.add_times(&of_one, *times);
            joules += times * of_work;
        }
        let [kernels, beside] = self.times(&busy, pass).map(|seconds| seconds / stages);
        let cost = self.as_measured(self.law.power.whole(kernels, joules / stages, beside, self.device));
        if waiting == 0.0 {
            return cost;
        }
        // A limit holds while the stage works, however long it waits then.
        let rest = self.law.power.whole(0.0, 0.0, waiting * cost.seconds, self.device);
        PassCost {
            seconds: cost.seconds + rest.seconds,
            joules: cost.joules + rest.joules,
            loaded_joules: cost.loaded_joules + rest.loaded_joules,
            ..cost
        }
    }

    /// The cost of a pass whose kernels, and what the device waits for beside them, take so long.
    pub fn cost(&self, pass: &Pass, [kernels, beside]: [f64; 2]) -> PassCost {
        let works = pass.works.iter();
        let joules = works.map(|(work, times)| times * self.law.power.dynamic_joules(work, self.device)).sum();
        self.as_measured(self.law.power.whole(kernels, joules, beside, self.device))
    }

    /// The cost with the power that measurements of one's own machine have. Neither the limit nor the idle power of the data sheet is in their way,
    /// but a meter of the devices alone sees no more than their limit.
    fn as_measured(&self, cost: PassCost) -> PassCost {
        let limit_w = if self.engine.beside_w.is_some() { f64::INFINITY } else { self.device.limit_w() };
        let most = (limit_w * cost.seconds / cost.joules).max(1.0);
        cost.with_power(self.engine.power.min(most))
    }

    /// The cost of a time, s, with joules beyond what the device draws anyway, kept below its power limit.
    pub fn whole(&self, seconds: f64, joules: f64) -> PassCost {
        self.law.power.whole(seconds, joules, 0.0, self.device)
    }

    /// The times of a pass's kernels and of what the device waits for beside them, s.
    pub fn times(&self, busy: &BusyTimes, pass: &Pass) -> [f64; 2] {
        let (kernels, beside) = (self.on_device(busy), self.engine.seconds(pass, &self.maker));
        if !self.starts_ahead {
            return [kernels, beside];
        }
        // The host starts kernels while earlier ones run: the longer of both decides. Gaps between kernels are too short for a device to rest.
        let running = kernels.max(busy.started_by_host(&self.engine, &self.maker));
        [running, if pass.is_sampled { beside } else { 0.0 }]
    }

    /// The time of kernels without waiting for a host that starts them one by one, s.
    fn on_device(&self, busy: &BusyTimes) -> f64 {
        if self.starts_ahead {
            self.maker.kernels.max(1.0) * self.engine.kernels * busy.alone
        } else {
            busy.seconds(&self.engine, &self.maker)
        }
    }
}
