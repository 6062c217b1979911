//! The law: what a pass of a model takes and draws on a device, from the device's data sheet.

mod engine;
mod pass;
mod power;
mod time;

pub use engine::EngineLaw;
pub use pass::{Pass, PassCost, WorkCost};
pub use power::PowerLaw;
use serde::{Deserialize, Serialize};
pub use time::{
    AttentionLaw, KernelLaw, KernelTime, LaunchLaw, LinkLaw, MemoryLaw, ProductLaw, RowLaw, SpreadLaw, VendorLaw,
};

use crate::{Device, Engine, Work};

/// Every constant of the law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// Power and energy.
    pub power: PowerLaw,
    /// Engines, by name.
    pub engines: std::collections::BTreeMap<String, EngineLaw>,
}

impl Law {
    /// The law as it was fitted on public measurements.
    pub fn shipped() -> Self {
        let engines = Engine::all().iter().map(|engine| (engine.name.to_owned(), EngineLaw::default())).collect();
        Self { power: PowerLaw::default(), engines }
    }

    /// The time and energy of one kernel on one GPU.
    pub fn work(&self, work: &Work, device: &Device) -> WorkCost {
        let peak = device.peaks.of(work.activations).or(device.peaks.f32).unwrap_or(f64::INFINITY) * 1e12;
        let arithmetic = work.flops / (0.7 * peak);
        let memory = work.bytes() / (0.8 * device.bandwidth_gb_s * 1e9);
        let link = work.link_bytes / (0.6 * device.link_gb_s.unwrap_or(16.0) * 1e9);
        let seconds = arithmetic.max(memory).max(link) + 2e-6 * work.kernels;
        WorkCost { seconds, joules: self.power.dynamic_joules(work, device) }
    }

    /// The time and energy of a pass on one GPU.
    pub fn pass(&self, pass: &Pass, device: &Device, engine: &Engine) -> PassCost {
        let overhead = self.engines.get(engine.name).copied().unwrap_or_default();
        let mut sum = WorkCost { seconds: 0.0, joules: 0.0 };
        for (work, times) in &pass.works {
            let cost = self.work(work, device);
            sum.seconds += times * cost.seconds;
            sum.joules += times * cost.joules;
        }
        self.power.whole(sum, overhead.seconds(pass), device)
    }
}
