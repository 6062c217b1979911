use serde::{Deserialize, Serialize};

/// The measures that ProTran takes of a model on a device, for one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Seconds a sequence.
    Latency,
    /// Joules a sequence.
    Energy,
    /// Watts, the largest sample.
    PeakPower,
}

impl Measure {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Latency, Self::Energy, Self::PeakPower];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Energy => "energy",
            Self::PeakPower => "peak_power",
        }
    }

    /// The symbol of its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Latency => "s",
            Self::Energy => "J",
            Self::PeakPower => "W",
        }
    }
}

/// A figure of each measure, where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Seconds a sequence.
    #[serde(default, rename = "latency_s", skip_serializing_if = "Option::is_none")]
    pub latency: Option<f64>,
    /// Joules a sequence.
    #[serde(default, rename = "energy_J", skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// Watts.
    #[serde(default, rename = "peak_power_W", skip_serializing_if = "Option::is_none")]
    pub peak_power: Option<f64>,
}

impl Measures {
    /// The figure of one.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Latency => self.latency,
            Measure::Energy => self.energy,
            Measure::PeakPower => self.peak_power,
        }
    }
}
