use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Resource;

/// The quantity that is read of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Energy counted from the first reading on, J; its difference is energy.
    Energy,
    /// Power, W; its integral is energy.
    Power,
    /// The share of time in which it is busy, %.
    Utilisation,
    /// The share of its memory that is in use, %.
    Memory,
    /// The frequency of its cores, MHz.
    CoreClock,
    /// The frequency of its memory, MHz.
    MemoryClock,
}

/// Each metric with its word in names, and its unit in names and in files.
const METRICS: [(Metric, &str, &str, &str); 6] = [
    (Metric::Energy, "energy", "J", "joules"),
    (Metric::Power, "power", "W", "watts"),
    (Metric::Utilisation, "util", "%", "percent"),
    (Metric::Memory, "mem", "%", "percent"),
    (Metric::CoreClock, "sm_clock", "MHz", "megahertz"),
    (Metric::MemoryClock, "mem_clock", "MHz", "megahertz"),
];

impl Metric {
    fn word(self) -> &'static str {
        METRICS[self as usize].1
    }

    /// The symbol of its unit.
    pub fn unit(self) -> &'static str {
        METRICS[self as usize].2
    }

    /// Whether energy follows from it.
    pub fn is_energy(self) -> bool {
        matches!(self, Self::Energy | Self::Power)
    }
}

/// Which channel: a metric of a resource. Files have its name and unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "NameAndUnit", from = "NameAndUnit")]
pub struct ChannelId {
    /// The resource.
    pub resource: Resource,
    /// Its metric.
    pub metric: Metric,
}

/// The name in tables and files: `cpu`, `mem`, `gpu0.power`, `rapl.package-0`, `hwmon.psu.power1` ...
impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, metric } = self;
        match (resource, metric) {
            (Resource::Host, Metric::Utilisation) => f.write_str("cpu"),
            (Resource::Host, Metric::Memory) => f.write_str("mem"),
            (Resource::Gpu(_), _) => write!(f, "{resource}.{}", metric.word()),
            (_, metric) if metric.is_energy() => write!(f, "{resource}"),
            _ => write!(f, "{resource}.{}", metric.word()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct NameAndUnit {
    name: String,
    unit: String,
}

impl From<ChannelId> for NameAndUnit {
    fn from(id: ChannelId) -> Self {
        Self { name: id.to_string(), unit: METRICS[id.metric as usize].3.to_owned() }
    }
}

impl From<NameAndUnit> for ChannelId {
    fn from(NameAndUnit { name, unit }: NameAndUnit) -> Self {
        let resource = match name.as_str() {
            "cpu" | "mem" => "host",
            name => name.rsplit_once('.').map_or(name, |(resource, _)| resource),
        };
        let metrics = || METRICS.iter().filter(|metric| metric.3 == unit).map(|metric| metric.0);
        let mut ids = metrics().map(|metric| Self { resource: Resource::of_name(resource), metric });
        ids.find(|id| id.to_string() == name).unwrap_or_else(|| Self {
            resource: Resource::of_name(&name),
            metric: metrics().next().unwrap_or(Metric::Utilisation),
        })
    }
}

/// A metric of a resource that a sensor reads over and over, and how far its readings can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// The metric and the resource.
    pub id: ChannelId,
    /// Where an energy comes from.
    pub provenance: Provenance,
    /// How often the sensor has something new, if its maker tells.
    pub update_period: Option<Duration>,
    /// The most that the device can draw, watts: a greater power is left out.
    pub limit_watts: f64,
    /// A counter of energy begins again at so many joules, if known.
    pub wraps_at: Option<f64>,
    /// Power is not interpolated over a longer time without readings.
    pub longest_gap: Duration,
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
    /// A measured metric of a resource, with wide limits.
    pub fn new(resource: Resource, metric: Metric) -> Self {
        Self {
            id: ChannelId { resource, metric },
            provenance: Provenance::Measured,
            update_period: None,
            limit_watts: LARGEST_POWER,
            wraps_at: None,
            longest_gap: Duration::from_secs(10),
        }
    }

    /// An estimate of an energy that is counted up.
    pub(crate) fn estimate(resource: Resource) -> Self {
        Self { provenance: Provenance::Estimated, ..Self::new(resource, Metric::Energy) }
    }
}

/// The places of the channels whose energies add up to the total: those that no other channel covers.
///
/// A resource whose energy is counted and whose power is read has its counter in the total; one that is read twice has the first.
pub fn totals(channels: &[Channel]) -> Vec<usize> {
    let energies = || channels.iter().map(|channel| &channel.id).enumerate().filter(|(_, id)| id.metric.is_energy());
    let is_covered = |&(place, id): &(usize, &ChannelId)| {
        energies().any(|(other, outer)| {
            let is_same = outer.resource == id.resource;
            outer.resource.covers(&id.resource) == Some(true) || is_same && (outer.metric, other) < (id.metric, place)
        })
    };
    energies().filter(|energy| !is_covered(energy)).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::tests::NAMES;

    #[test]
    fn a_name_and_a_unit_read_back() {
        assert!(NAMES[1..].iter().all(|name| !matches!(Resource::of_name(name), Resource::Meter(_))));
        for (metric, ..) in METRICS {
            assert_eq!(METRICS[metric as usize].0, metric);
            for name in NAMES {
                let id = ChannelId { resource: Resource::of_name(name), metric };
                assert_eq!(ChannelId::from(NameAndUnit::from(id.clone())), id, "{id}");
                assert_eq!(id.resource.to_string(), name);
            }
        }
    }
}
