//! The energy counters of Intel's and AMD's processors (running average power limit, RAPL), through Linux's powercap.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Channel, Metric, Missing, Need, Readings, Resource, Sensor, channel::power_bound};

use super::{
    Kind, Places, Unavailable,
    text_file::{MICRO, TextFile, sorted, told},
};

pub(super) const KIND: Kind =
    Kind { name: "rapl", what: "energy of processor packages and memory, by their own counters", open };

const FIX: &str = "`sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj /sys/class/powercap/intel-rapl*/*/energy_uj` until the next \
     boot, or a udev rule: SUBSYSTEM==\"powercap\", ACTION==\"add\", RUN+=\"/bin/chmod a+r /sys%p/energy_uj\"";

/// The processor updates its counters about every millisecond (Intel SDM, volume 3, section 15.10).
const UPDATE_PERIOD: Duration = Duration::from_millis(1);

/// A zone has at most so many limits: of long and short times, and of peaks.
const CONSTRAINTS: usize = 4;

/// The counters of all packages that can be read.
struct Rapl {
    channels: Vec<Channel>,
    counters: Vec<TextFile>,
    missing: Vec<Missing>,
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let root = places.sys.join("class/powercap");
    let mut zones = Vec::new();
    find_zones(&root, None, &mut zones).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Unavailable::at(&root, "no such directory")
            .fixed_by("on bare metal `sudo modprobe intel_rapl_common intel_rapl_msr`; a virtual machine has none"),
        _ => Unavailable::at(&root, error),
    })?;
    if zones.is_empty() {
        return Err(Unavailable::at(&root, "no RAPL domains"));
    }
    let mut rapl = Rapl { channels: Vec::new(), counters: Vec::new(), missing: Vec::new() };
    for Zone { path, resource } in zones {
        match TextFile::readable(&path.join("energy_uj"), || FIX.to_owned()) {
            Ok(counter) => {
                rapl.counters.push(counter);
                rapl.channels.push(channel(&path, resource));
            }
            Err(why) => rapl.missing.push(Missing { resource, why, need: Need::Essential }),
        }
    }
    match rapl.missing.first() {
        Some(missing) if rapl.channels.is_empty() => Err(Unavailable { is_there: true, ..missing.why.clone() }),
        _ => Ok(Box::new(rapl)),
    }
}

/// The channel of a zone, with the bounds that its files tell.
fn channel(zone: &Path, resource: Resource) -> Channel {
    let number = |name: &str| Some(told(&zone.join(name))? * MICRO);
    // The nominal power, and what the firmware was set to allow over long, short and peak times.
    let limits = (0..CONSTRAINTS)
        .flat_map(|i| [format!("constraint_{i}_max_power_uw"), format!("constraint_{i}_power_limit_uw")]);
    let mut channel = Channel::new(resource, Metric::Energy);
    channel.limit_watts = power_bound(limits.filter_map(|name| number(&name)));
    channel.update_period = Some(UPDATE_PERIOD);
    // The first constraint is that of the longest time.
    channel.cap_watts = number("constraint_0_power_limit_uw");
    channel.wraps_at = number("max_energy_range_uj");
    channel
}

struct Zone {
    path: PathBuf,
    resource: Resource,
}

/// Where several drivers list the same package, this one's zones are taken: others, such as `intel-rapl-mmio`, know fewer domains.
const MAIN_DRIVER: &str = "intel-rapl:";

/// The zones below a directory, in the order of their names. Linux also lists the inner ones beside the outer ones, as
/// `intel-rapl:0:0`; those are found inside `intel-rapl:0`. Zones of other names than the powercap driver's are left out.
fn find_zones(dir: &Path, package: Option<&str>, zones: &mut Vec<Zone>) -> std::io::Result<()> {
    let depth = if package.is_none() { 1 } else { 2 };
    let mut entries = sorted(dir)?;
    entries.retain(|entry| entry.starts_with("intel-rapl") && entry.matches(':').count() == depth);
    entries.sort_by_key(|entry| !entry.starts_with(MAIN_DRIVER));
    for entry in entries {
        let path = dir.join(entry);
        let Ok(name) = std::fs::read_to_string(path.join("name")) else { continue };
        let name = package.into_iter().chain([name.trim()]).collect::<Vec<_>>().join(".");
        // The same package by another driver (`intel-rapl-mmio:0`) would count twice.
        let is_new = |resource: &Resource| zones.iter().all(|zone| zone.resource != *resource);
        let Some(resource) = Resource::of_domain(&name).filter(is_new) else { continue };
        zones.push(Zone { path: path.clone(), resource });
        if package.is_none() {
            find_zones(&path, Some(&name), zones)?;
        }
    }
    Ok(())
}

impl Sensor for Rapl {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        for (channel, counter) in self.counters.iter_mut().enumerate() {
            if let Some(microjoules) = counter.number() {
                readings.push(channel, microjoules * MICRO);
            }
        }
    }

    fn missing(&self) -> &[Missing] {
        &self.missing
    }
}
