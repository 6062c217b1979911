//! Single sensors by name: `rapl:package-0`, `nvml:0`, `hwmon:corsairpsu/power-total`.

use crate::{Channel, Resource};

use super::Unavailable;

/// A sensor that a user named, as a kind and a name of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    kind: &'static str,
    /// In small letters, its parts joined by points, as in the names of resources.
    name: String,
}

/// The kinds that consist of several sensors.
const KINDS: [&str; 4] = ["nvml", "drm", "rapl", "hwmon"];

/// The kind and the own name of a resource.
fn parts(resource: &Resource) -> Option<(&'static str, String)> {
    let name = resource.to_string().to_lowercase();
    match resource {
        Resource::Gpu(number) => Some(("nvml", number.to_string())),
        Resource::Card(number) => Some(("drm", number.to_string())),
        Resource::Apu(_) => Some(("drm", name)),
        Resource::Board { .. } => Some(("hwmon", name.strip_prefix("hwmon.")?.to_owned())),
        _ => Some(("rapl", name.strip_prefix("rapl.")?.to_owned())),
    }
}

impl Choice {
    /// A choice of this kind by a name with `/` or `.` between chip and sensor, or package and domain; None if the kind is one sensor.
    pub(super) fn new(kind: &str, name: &str) -> Option<Self> {
        let kind = KINDS.into_iter().find(|known| *known == kind)?;
        let name = name.trim().to_lowercase().replace('/', ".").replace(' ', "-");
        let name = ["gpu", "card"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name).to_owned();
        Some(Self { kind, name })
    }

    /// Whether it chooses among sensors of this resource's kind.
    pub(crate) fn is_about(&self, resource: &Resource) -> bool {
        parts(resource).is_some_and(|(kind, _)| kind == self.kind)
    }

    /// Whether it names this resource, or the chip that it belongs to. For `psu@hwmon3` it may name `psu`, which is all of that name, or
    /// `hwmon3`.
    pub fn names(&self, resource: &Resource) -> bool {
        let Some((kind, name)) = parts(resource).filter(|(kind, _)| *kind == self.kind) else { return false };
        if kind != "hwmon" {
            return name == self.name;
        }
        let (chip, sensor) = name.split_once('.').unwrap_or((&name, ""));
        let (chosen_chip, chosen_sensor) =
            self.name.split_once('.').map_or((self.name.as_str(), None), |(chip, sensor)| (chip, Some(sensor)));
        names_one_of(chosen_chip, chip) && chosen_sensor.is_none_or(|chosen| names_one_of(chosen, sensor))
    }

    /// Whether it names a single sensor, and no chip of several.
    pub fn is_single(&self) -> bool {
        self.kind != "hwmon" || self.name.contains('.')
    }

    /// Refuses a name that none of these channels has, with those there are.
    pub(super) fn check<'a>(&self, channels: impl Iterator<Item = &'a Channel> + Clone) -> Result<(), Unavailable> {
        let resources = channels.filter(|channel| channel.id.metric.is_energy()).map(|channel| &channel.id.resource);
        if resources.clone().any(|resource| self.names(resource)) {
            return Ok(());
        }
        let mut known: Vec<String> =
            resources.filter_map(parts).filter(|(kind, _)| *kind == self.kind).map(shown).collect();
        known.dedup();
        let own = format!("{}:{}", self.kind, self.name.replacen('.', "/", 1));
        // The nearest first.
        known.sort_by(|a, b| strsim::jaro_winkler(b, &own).total_cmp(&strsim::jaro_winkler(a, &own)));
        let reason = Unavailable::new(format!("`{own}` is no sensor of energy or power"));
        Err(if known.is_empty() { reason } else { reason.fixed_by(format!("there are {}", known.join(", "))) })
    }
}

/// The name by which a sensor is chosen.
fn shown((kind, name): (&'static str, String)) -> String {
    format!("{kind}:{}", if kind == "hwmon" { name.replacen('.', "/", 1) } else { name })
}

/// Whether a name is this one, or one of the two that it joins by an `@`.
fn names_one_of(chosen: &str, name: &str) -> bool {
    chosen == name || name.split_once('@').is_some_and(|(name, place)| chosen == name || chosen == place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: &str, chosen: &str, resource: &str) -> bool {
        Choice::new(kind, chosen).unwrap().names(&Resource::of_name(resource))
    }

    #[test]
    fn a_name_chooses_its_sensor_or_all_of_its_chip() {
        assert!(names("rapl", "package-0", "rapl.package-0"));
        assert!(!names("rapl", "package-0", "rapl.package-0.core"));
        assert!(names("rapl", "package-0/core", "rapl.package-0.core"));
        assert!(names("nvml", "1", "gpu1") && names("nvml", "gpu1", "gpu1") && !names("nvml", "1", "gpu11"));
        assert!(names("drm", "1", "card1") && names("drm", "card1", "card1") && names("drm", "apu0", "apu0"));
        assert!(!names("nvml", "1", "card1") && !names("drm", "1", "gpu1"));
        assert!(names("hwmon", "CorsairPSU/power total", "hwmon.corsairpsu.power-total"));
        assert!(names("hwmon", "corsairpsu/power +3.3v", "hwmon.corsairpsu.power-+3.3v"));
        assert!(names("hwmon", "corsairpsu", "hwmon.corsairpsu.power-total"));
        for chosen in ["psu/pin", "psu", "hwmon3/pin", "psu@hwmon3/pin"] {
            assert!(names("hwmon", chosen, "hwmon.psu@hwmon3.pin"), "{chosen}");
        }
        assert!(!names("hwmon", "hwmon4/pin", "hwmon.psu@hwmon3.pin"));
        assert!(!names("nvml", "0", "rapl.package-0"));
        assert_eq!(Choice::new("log", "x"), None);
    }
}
