use serde::{Deserialize, Serialize};

use super::FigureSpread;
use crate::Vendor;

/// How the devices of a maker differ from NVIDIA's with the same data sheet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerLaw {
    /// The time of kernels, as a factor.
    pub kernels: f64,
    /// The time of starting them, and of the engine, as a factor.
    pub launches: f64,
    /// The time that an engine takes more on several GPUs, as a factor.
    pub several_gpus: f64,
    /// The error of predictions beyond that for NVIDIA's.
    pub spread: FigureSpread,
}

/// No different, and none measured.
impl Default for MakerLaw {
    fn default() -> Self {
        Self {
            kernels: 1.0,
            launches: 1.0,
            several_gpus: 1.0,
            spread: FigureSpread { time: 0.4, power: 0.3, energy: 0.5 },
        }
    }
}

impl MakerLaw {
    /// The law of a maker whose libraries the law of kernels knows.
    pub(super) fn with_known_kernels(self) -> Self {
        let power = self.spread.power;
        Self { kernels: 1.0, spread: FigureSpread { time: 0.0, power, energy: power }, ..self }
    }

    /// The law of a maker none of whose devices was measured.
    pub(super) fn unmeasured(vendor: Vendor) -> Self {
        match vendor {
            Vendor::Nvidia => Self { spread: FigureSpread { time: 0.0, power: 0.0, energy: 0.0 }, ..Self::default() },
            _ => Self::default(),
        }
    }
}
