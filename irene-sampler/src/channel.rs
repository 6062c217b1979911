use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One quantity that a source reads over and over.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// What it is called: `cpu`, `gpu0.power`, `rapl.package-0` ...
    pub name: String,
    /// What the readings are counted in, and how they add up to energy.
    pub unit: Unit,
    /// Where an energy comes from.
    pub provenance: Provenance,
    /// Whether it is part of what its source measures in all: of a package and the cores in it, only the package is.
    pub is_total: bool,
    /// How often the sensor itself has something new, where its maker says so.
    pub update_period: Option<Duration>,
    /// Readings of power above this, in watts, are no readings.
    pub limit_watts: f64,
    /// Power is not interpolated over a longer time without readings.
    pub longest_gap: Duration,
}

/// What readings are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Percent of a whole.
    Percent,
    /// A clock's frequency, MHz.
    Megahertz,
    /// Power; its integral is energy.
    Watts,
    /// Energy counted from the first reading on; its difference is energy.
    Joules,
}

impl Unit {
    /// The sign behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Megahertz => "MHz",
            Self::Watts => "W",
            Self::Joules => "J",
        }
    }

    /// Whether energy follows from it.
    pub fn is_energy(self) -> bool {
        matches!(self, Self::Watts | Self::Joules)
    }
}

/// Where an energy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// A meter read it.
    Measured,
    /// A model of power gives it, such as thermal design power times load.
    Estimated,
}

impl Provenance {
    /// The word in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
        }
    }
}

/// No computer that runs one model draws more, watts.
const LARGEST_POWER: f64 = 20_000.0;

impl Channel {
    /// A channel of no energy.
    pub fn gauge(name: impl Into<String>, unit: Unit) -> Self {
        Self {
            name: name.into(),
            unit,
            provenance: Provenance::Measured,
            is_total: false,
            update_period: None,
            limit_watts: LARGEST_POWER,
            longest_gap: Duration::from_secs(10),
        }
    }

    /// A measured channel of energy that is part of its source's total.
    pub fn energy(name: impl Into<String>, unit: Unit) -> Self {
        Self { is_total: true, ..Self::gauge(name, unit) }
    }
}
