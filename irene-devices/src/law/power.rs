use serde::{Deserialize, Serialize};

use super::{PassCost, WorkCost};
use crate::{Device, Work};

/// The power of a device: a static share, and energy by arithmetic and traffic, up to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// The power while kernels run, whatever they do, as a share of the TDP.
    pub static_share: f64,
    /// The power that arithmetic at peak adds, as a share of the TDP.
    pub arithmetic_share: f64,
    /// The power that traffic at full bandwidth adds, as a share of the TDP.
    pub memory_share: f64,
}

impl Default for PowerLaw {
    fn default() -> Self {
        Self { static_share: 0.25, arithmetic_share: 0.6, memory_share: 0.4 }
    }
}

impl PowerLaw {
    /// Joules of a kernel beyond the static power.
    pub fn dynamic_joules(&self, work: &Work, device: &Device) -> f64 {
        let peak = device.peaks.of(work.activations).or(device.peaks.f32).unwrap_or(f64::INFINITY) * 1e12;
        let (arithmetic, memory) = (work.flops / peak, work.bytes() / (device.bandwidth_gb_s * 1e9));
        device.tdp_w * (self.arithmetic_share * arithmetic + self.memory_share * memory)
    }

    /// The cost of kernels and of a time beside them, with the power limit kept.
    pub fn whole(&self, kernels: WorkCost, idle_seconds: f64, device: &Device) -> PassCost {
        let room = device.tdp_w * (1.0 - self.static_share);
        let stretch = (kernels.joules / (room * kernels.seconds).max(f64::MIN_POSITIVE)).max(1.0);
        let seconds = kernels.seconds * stretch + idle_seconds;
        let joules = kernels.joules + self.static_share * device.tdp_w * seconds;
        PassCost { seconds, joules, dynamic_joules: kernels.joules, idle_seconds, stretch }
    }
}
