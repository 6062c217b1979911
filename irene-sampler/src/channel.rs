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
            (Resource::Gpu(_) | Resource::Card(_), _) => write!(f, "{resource}.{}", metric.word()),
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
    /// How much of the computer a sensor on a board sees. It has no meaning for other resources.
    pub reach: Reach,
    /// Over which time a power is a mean.
    pub averaging: Averaging,
    /// The device keeps its mean power below this, watts, if it tells.
    pub cap_watts: Option<f64>,
}

/// Over which time a reading of power is a mean. The least is the best: a mean tells little of a window that is not much longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Averaging {
    /// It is the power of the moment.
    #[default]
    None,
    /// It is the mean of so long a time before the reading.
    Over(Duration),
    /// It is a mean; nothing tells over which time.
    Unknown,
}

impl Averaging {
    /// The time, seconds, as far as it is known.
    pub(crate) fn seconds(self) -> f64 {
        match self {
            Self::Over(time) => time.as_secs_f64(),
            Self::None | Self::Unknown => 0.0,
        }
    }
}

/// The time; nothing for the power of the moment.
impl fmt::Display for Averaging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Over(time) => write!(f, "{} s", time.as_secs_f64()),
            Self::Unknown => f.write_str("unknown time"),
        }
    }
}

/// How much of the computer a sensor on a board sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// All that the computer draws.
    Computer,
    /// All that comes through one power supply or battery. The supplies add up to the computer.
    Supply,
    /// All that a computer module draws through one of its inputs, without the board that carries it. The inputs add up to the module.
    Module,
    /// A processor.
    Processor,
    /// A GPU.
    Gpu,
    /// A part of what this sensor sees, such as a rail of a power supply.
    PartOf(Resource),
    /// Only the maker of the board knows.
    #[default]
    Unknown,
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

/// No processor package and no GPU draws more, watts.
const LARGEST_COMPONENT: f64 = 4000.0;

/// The bound of a device that tells limits is never below this, watts.
///
/// Firmware enforces limits on averages, and makers raise them far above the nominal power: parts of 4.5 to 15 W run at 49 to 78 W.
const LEAST_BOUND: f64 = 500.0;

/// A device may exceed its greatest limit this many times for a short time.
const HEADROOM: f64 = 4.0;

/// The power above which a reading of a processor or GPU cannot be true, watts: four times the greatest limit that the device tells,
/// within 500 and 4000 W. It catches counters that were reset; it is no opinion about what a board should draw.
pub(crate) fn power_bound(limits: impl IntoIterator<Item = f64>) -> f64 {
    match limits.into_iter().fold(0.0, f64::max) {
        0.0 => LARGEST_COMPONENT,
        greatest => (HEADROOM * greatest).clamp(LEAST_BOUND, LARGEST_COMPONENT),
    }
}

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
            reach: Reach::Unknown,
            averaging: Averaging::None,
            cap_watts: None,
        }
    }

    /// Whether this channel's energy includes the other's, so that the two must not be added. None if only the board's maker knows.
    pub fn covers(&self, other: &Self) -> Option<bool> {
        let (own, its) = (self.extent(), other.extent());
        match (self.board_reach(), other.board_reach()) {
            (None, None) => self.id.resource.covers(&other.id.resource),
            (_, Some(Reach::PartOf(outer))) if self.id.resource == *outer => Some(true),
            // Its outer sensor stands for it.
            (Some(Reach::PartOf(_)), _) => Some(false),
            (_, Some(Reach::PartOf(_))) => Some(own > 0),
            // A sensor beside the module may sit on the board that carries it.
            (Some(Reach::Module), Some(Reach::Unknown)) | (Some(Reach::Unknown), Some(Reach::Module)) => None,
            _ if own != its => Some(own > its),
            (Some(Reach::Supply), Some(Reach::Supply))
            | (Some(Reach::Module), Some(Reach::Module))
            | (Some(Reach::Gpu), Some(Reach::Gpu)) => Some(false),
            (Some(Reach::Processor), Some(Reach::Processor)) => (self.chip() == other.chip()).then_some(false),
            (Some(_), Some(_)) => None,
            // hwmon and DRM show the same cards.
            (None, Some(Reach::Gpu)) if matches!(self.id.resource, Resource::Card(_) | Resource::Apu(_)) => Some(true),
            (Some(Reach::Gpu), None) if matches!(other.id.resource, Resource::Card(_) | Resource::Apu(_)) => {
                Some(false)
            }
            (Some(Reach::Gpu), None) if matches!(other.id.resource, Resource::Gpu(_)) => Some(false),
            (None, Some(Reach::Gpu)) if matches!(self.id.resource, Resource::Gpu(_)) => Some(false),
            _ => self.id.resource.covers(&other.id.resource),
        }
    }

    /// The reach of a sensor on a board.
    fn board_reach(&self) -> Option<&Reach> {
        matches!(self.id.resource, Resource::Board { .. }).then_some(&self.reach)
    }

    /// How far outside it sits: a greater one sees everything behind a smaller one, and 0 is a component.
    fn extent(&self) -> u8 {
        match (&self.id.resource, &self.reach) {
            (Resource::Meter(_) | Resource::Host, _) => 4,
            (Resource::Board { .. }, Reach::Computer) => 3,
            (Resource::Board { .. }, Reach::Supply) => 2,
            (Resource::Board { .. }, Reach::Module) => 1,
            _ => 0,
        }
    }

    /// The name of its chip, without the number that tells two of one name apart.
    fn chip(&self) -> Option<&str> {
        match &self.id.resource {
            Resource::Board { chip, .. } => chip.split('@').next(),
            _ => None,
        }
    }

    /// An estimate of an energy that is counted up.
    pub(crate) fn estimate(resource: Resource) -> Self {
        Self { provenance: Provenance::Estimated, ..Self::new(resource, Metric::Energy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::tests::NAMES;

    #[test]
    fn the_bound_is_generous_and_refuses_what_cannot_be() {
        assert_eq!(power_bound([]), 4000.0, "nothing is told");
        assert_eq!(power_bound([6.0, 25.0, 78.0]), 500.0);
        assert_eq!(power_bound([280.0, 350.0]), 1400.0);
        assert_eq!(power_bound([4095.875]), 4000.0, "boards that set no limit tell a very great one");
    }

    #[test]
    fn a_name_and_a_unit_read_back() {
        assert!(NAMES[2..].iter().all(|name| !matches!(Resource::of_name(name), Resource::Meter(_))));
        for (metric, ..) in METRICS {
            assert_eq!(METRICS[metric as usize].0, metric);
            for name in NAMES {
                let id = ChannelId { resource: Resource::of_name(name), metric };
                assert_eq!(ChannelId::from(NameAndUnit::from(id.clone())), id, "{id}");
                assert_eq!(id.resource.to_string(), name);
            }
        }
    }

    #[test]
    fn words_are_those_of_tables() {
        let units = METRICS.map(|(metric, ..)| (metric.unit(), metric.is_energy()));
        let expected = [("J", true), ("W", true), ("%", false), ("%", false), ("MHz", false), ("MHz", false)];
        assert_eq!(units, expected);
        let means = [Averaging::None, Averaging::Over(Duration::from_millis(1500)), Averaging::Unknown];
        assert_eq!(means.map(|averaging| averaging.to_string()), ["", "1.5 s", "unknown time"]);
        assert_eq!([Provenance::Measured, Provenance::Estimated].map(Provenance::name), ["measured", "estimated"]);
    }

    #[test]
    fn a_name_that_no_sensor_has_keeps_its_unit() {
        let read = |unit: &str| ChannelId::from(NameAndUnit { name: "outlet.left".into(), unit: unit.into() });
        let outlet = |metric| ChannelId { resource: Resource::Meter("outlet.left".into()), metric };
        assert_eq!(
            ["watts", "joules", "percent", "volts"].map(read),
            [outlet(Metric::Power), outlet(Metric::Energy), outlet(Metric::Utilisation), outlet(Metric::Utilisation)]
        );
    }
}
