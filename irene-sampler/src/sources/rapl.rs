//! Intel's and AMD's running average power limit counters, through Linux's powercap.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Channel, Counter, Readings, Source, Step, Unit};

use super::{
    Kind, Places, Unavailable,
    text_file::{NUMBER, TextFile},
};

pub(super) const KIND: Kind =
    Kind { name: "rapl", what: "energy of processor packages and memory, by their own counters", open };

const FIX: &str = "`sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj /sys/class/powercap/intel-rapl*/*/energy_uj` until the next \
     boot, or a udev rule: SUBSYSTEM==\"powercap\", ACTION==\"add\", RUN+=\"/bin/chmod a+r /sys%p/energy_uj\"";

/// Counters are updated about every millisecond (Intel SDM, volume 3, section 15.10).
const UPDATE_PERIOD: Duration = Duration::from_millis(1);

/// Packages draw more than their limits for short times.
const HEADROOM: f64 = 4.0;

/// What no package draws, watts, where its limits are not told.
const LARGEST_POWER: f64 = 4000.0;

const MICRO: f64 = 1e-6;

struct Domain {
    energy: TextFile,
    counter: Counter,
}

/// The domains of all packages.
pub(super) struct Rapl {
    channels: Vec<Channel>,
    domains: Vec<Domain>,
}

fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    Ok(Box::new(Rapl::open(places)?))
}

impl Rapl {
    pub(super) fn open(places: &Places) -> Result<Self, Unavailable> {
        let root = places.sys.join("class/powercap");
        let mut zones = Vec::new();
        find_zones(&root, None, &mut zones).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unavailable::new(format!("{}: no such directory", root.display()))
                .fixed_by("on bare metal `sudo modprobe intel_rapl_common intel_rapl_msr`; a virtual machine has none"),
            _ => Unavailable::new(format!("{}: {error}", root.display())),
        })?;
        if zones.is_empty() {
            return Err(Unavailable::new(format!("{}: no RAPL domains", root.display())));
        }
        // psys is the whole platform, packages and memory included; without it the packages and the memory are the total.
        let has_psys = zones.iter().any(|zone| zone.name == "psys");
        let mut rapl = Rapl { channels: Vec::new(), domains: Vec::new() };
        for zone in &zones {
            let path = zone.path.join("energy_uj");
            let mut energy = TextFile::open(&path, NUMBER).map_err(|error| refusal(&path, &error))?;
            energy.read().map_err(|error| refusal(&path, &error))?;
            let number = |name: &str| TextFile::open(&zone.path.join(name), NUMBER).ok()?.number();
            let range = number("max_energy_range_uj").filter(|&range| range > 0.0).map(|range| range * MICRO);
            let limits = (0..4).filter_map(|i| number(&format!("constraint_{i}_max_power_uw"))).fold(0.0, f64::max);
            let mut channel = Channel::energy(format!("rapl.{}", zone.full_name()), Unit::Joules);
            channel.limit_watts = LARGEST_POWER;
            if limits > 0.0 {
                channel.limit_watts = HEADROOM * limits * MICRO;
            }
            channel.update_period = Some(UPDATE_PERIOD);
            channel.is_total = match zone.name.as_str() {
                "psys" => true,
                "dram" => !has_psys,
                name => !has_psys && name.starts_with("package"),
            };
            rapl.domains.push(Domain { energy, counter: Counter::of(&channel, range) });
            rapl.channels.push(channel);
        }
        Ok(rapl)
    }

    /// What each domain has used since the first reading.
    pub(super) fn read(&mut self, time: f64, mut each: impl FnMut(usize, Step)) {
        for (channel, domain) in self.domains.iter_mut().enumerate() {
            let reading = domain.energy.number().and_then(|energy| domain.counter.advance(time, energy * MICRO));
            if let Some(step) = reading {
                each(channel, step);
            }
        }
    }
}

fn refusal(path: &Path, error: &std::io::Error) -> Unavailable {
    let unavailable = Unavailable::new(format!("{}: {error}", path.display()));
    if error.kind() == ErrorKind::PermissionDenied { unavailable.fixed_by(FIX) } else { unavailable }
}

struct Zone {
    path: PathBuf,
    name: String,
    /// The package it is part of.
    parent: Option<String>,
}

impl Zone {
    fn full_name(&self) -> String {
        self.parent.iter().map(String::as_str).chain([self.name.as_str()]).collect::<Vec<_>>().join(".")
    }
}

/// The driver whose zones are taken where several list the same package; others, such as `intel-rapl-mmio`, know fewer domains.
const MAIN_DRIVER: &str = "intel-rapl:";

/// The zones below a directory, in the order of their names. Linux also lists the inner ones beside the outer ones, as
/// `intel-rapl:0:0`; those are found inside `intel-rapl:0`.
fn find_zones(dir: &Path, parent: Option<&str>, zones: &mut Vec<Zone>) -> std::io::Result<()> {
    let mut names: Vec<String> = std::fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let depth = name.matches(':').count();
            name.starts_with("intel-rapl") && depth == if parent.is_none() { 1 } else { 2 }
        })
        .collect();
    names.sort_by_cached_key(|name| (!name.starts_with(MAIN_DRIVER), name.clone()));
    for entry in names {
        let path = dir.join(entry);
        let Ok(name) = std::fs::read_to_string(path.join("name")) else { continue };
        let name = name.trim().to_owned();
        // The same packages by another driver (`intel-rapl-mmio:0`) would count twice.
        if zones.iter().any(|zone| zone.name == name && zone.parent.as_deref() == parent) {
            continue;
        }
        zones.push(Zone { path: path.clone(), name: name.clone(), parent: parent.map(str::to_owned) });
        if parent.is_none() {
            find_zones(&path, Some(&name), zones)?;
        }
    }
    Ok(())
}

impl Source for Rapl {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        self.read(readings.stamp().time, |channel, step| readings.put(channel, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_comes_with_the_command_that_changes_that() {
        let line = refusal(Path::new("/sys/x/energy_uj"), &ErrorKind::PermissionDenied.into()).to_string();
        assert!(line.starts_with("/sys/x/energy_uj: permission denied"), "{line}");
        assert!(line.contains("chmod a+r") && line.contains("udev rule"), "{line}");
        assert_eq!(refusal(Path::new("energy_uj"), &ErrorKind::NotFound.into()).fix, None);
    }
}
