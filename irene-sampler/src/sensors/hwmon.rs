//! The sensors of power and energy in Linux's hardware monitoring (hwmon): boards, power supplies, some processors and GPUs, and the
//! rails of NVIDIA's Jetson modules. Names and units are those of the kernel's Documentation/hwmon/sysfs-interface.rst.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Averaging, Channel, Metric, Missing, Need, Reach, Readings, Resource, Sensor};

use super::{
    Kind, Places, Unavailable,
    board::{is_tile, reach_of_chip, reaches},
    grace, ina3221,
    text_file::{MICRO, TextFile, sorted, told, word},
};

pub(super) const KIND: Kind = Kind { name: "hwmon", what: "power sensors of boards and power supplies", open };

/// The state of a battery whose power is the computer's.
const DISCHARGING: &str = "Discharging";

/// All sensors of power and energy. Their names tell which of them overlap, as far as anything does.
struct Hwmon {
    channels: Vec<Channel>,
    sensors: Vec<Input>,
    missing: Vec<Missing>,
}

/// The files of a sensor.
pub(super) struct Input {
    file: TextFile,
    /// A file whose number is multiplied in: volts times amperes.
    times: Option<TextFile>,
    /// Watts or joules of 1.
    unit: f64,
    /// A battery's state.
    status: Option<TextFile>,
}

impl Input {
    /// A number of watts or joules, in this unit.
    pub(super) fn of(path: &Path, unit: f64) -> Result<Self, Unavailable> {
        Ok(Self { file: readable(path)?, times: None, unit, status: None })
    }

    /// The product of two numbers.
    pub(super) fn product(path: &Path, times: &Path, unit: f64) -> Result<Self, Unavailable> {
        Ok(Self { times: Some(readable(times)?), ..Self::of(path, unit)? })
    }

    fn value(&mut self) -> Option<f64> {
        let times = self.times.as_mut().map_or(Some(1.0), TextFile::number)?;
        Some(self.file.number()? * times * self.unit)
    }
}

/// A sensor's files in the directory of its chip.
pub(super) struct Found {
    /// The directory's name, such as `hwmon3`.
    pub(super) entry: String,
    pub(super) chip: String,
    /// The beginning of the file's name, such as `power1`.
    pub(super) number: String,
    pub(super) label: String,
    pub(super) metric: Metric,
    pub(super) input: Result<Input, Unavailable>,
    pub(super) timing: Timing,
    pub(super) supply: Supply,
}

/// The facts that a chip tells of the time and the size of a sensor's readings.
#[derive(Clone, Copy, Default)]
pub(super) struct Timing {
    pub(super) update_period: Option<Duration>,
    pub(super) averaging: Averaging,
    pub(super) cap_watts: Option<f64>,
}

/// The role of a chip, from Linux's class of power supplies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// It is none.
    No,
    Yes,
    /// A battery of a mouse or the like.
    OfAnotherDevice,
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let root = places.sys.join("class/hwmon");
    let mut found = Vec::new();
    for entry in sorted(&root).map_err(|error| Unavailable::at(&root, error))? {
        find_sensors(&root.join(&entry), &entry, &mut found);
    }
    ina3221::find_in_iio(&places.sys, &mut found);
    let rails = ina3221::missing(&places.proc, &found);
    let mut hwmon = Hwmon::new(found);
    hwmon.missing.splice(..0, rails);
    if hwmon.sensors.is_empty() {
        let reason = format!("{}: no sensor of power or energy", root.display());
        return Err(match hwmon.missing.into_iter().next() {
            Some(missing) => {
                let reason = format!("{reason} that can be read; {}", missing.why.reason);
                Unavailable { reason, is_there: true, ..missing.why }
            }
            None => Unavailable::new(reason),
        });
    }
    Ok(Box::new(hwmon))
}

/// The way out where a file may not be read.
fn fix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().display();
    format!(
        "`sudo chmod a+r {}` until the next boot, or a udev rule: SUBSYSTEM==\"hwmon\", ACTION==\"add\", RUN+=\"/bin/chmod a+r /sys%p/{name}\"",
        path.display()
    )
}

/// A sensor's file, if it holds a number now.
pub(super) fn readable(path: &Path) -> Result<TextFile, Unavailable> {
    let mut file = TextFile::readable(path, || fix(path))?;
    match file.number() {
        Some(_) => Ok(file),
        None => Err(Unavailable::at(path, "it holds no number now")),
    }
}

/// The metric of the best file of a sensor, if this is that file: `powerN_input`, else `powerN_average`, whose readings tell of the past;
/// none of the two where an energy with the same number and label counts the same.
fn metric(dir: &Path, file: &str) -> Option<Metric> {
    let (sensor, what) = file.split_once('_')?;
    let label = |sensor: &str| word(&dir.join(format!("{sensor}_label")));
    let counts = |number: &str| {
        let energy = format!("energy{number}");
        readable(&dir.join(format!("{energy}_input"))).is_ok() && label(&energy) == label(sensor)
    };
    match (sensor.strip_prefix("power"), what) {
        (None, "input") if sensor.starts_with("energy") => Some(Metric::Energy),
        (Some(number), "average" | "input") if counts(number) => None,
        (Some(_), "input") => Some(Metric::Power),
        (Some(_), "average") if readable(&dir.join(format!("{sensor}_input"))).is_err() => Some(Metric::Power),
        _ => None,
    }
}

/// The content of the files beside a sensor's file tell: `update_interval` and `powerN_average_interval` in ms,
/// `powerN_cap` and `powerN_max` in microwatts.
pub(super) fn timing(dir: &Path, file: &str) -> Timing {
    let milliseconds = |name: &str| Some(Duration::from_secs_f64(told(&dir.join(name))?.min(1e9) / 1e3));
    let (sensor, what) = file.split_once('_').unwrap_or((file, ""));
    let power = format!("power{}", sensor.trim_start_matches(|c: char| !c.is_ascii_digit()));
    let watts = |limit: &str| Some(told(&dir.join(format!("{power}_{limit}")))? * MICRO);
    Timing {
        update_period: milliseconds("update_interval"),
        averaging: match what {
            "average" => {
                milliseconds(&format!("{sensor}_average_interval")).map_or(Averaging::Unknown, Averaging::Over)
            }
            _ => Averaging::None,
        },
        cap_watts: watts("cap").or_else(|| watts("max")),
    }
}

/// Whether a file is the reading of a power or energy. Each device has a directory `power` of its own.
fn is_reading(file: &str) -> bool {
    let rest = file.strip_prefix("power").or_else(|| file.strip_prefix("energy"));
    let is_numbered = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_numbered && (file.ends_with("_input") || file.ends_with("_average"))
}

/// The directory of a chip's files: drivers of the old form, such as ACPI's power meter, have them in the device's own.
fn files_of(dir: &Path) -> PathBuf {
    let has = |dir: &Path| sorted(dir).unwrap_or_default().iter().any(|file| is_reading(file));
    let device = dir.join("device");
    if !has(dir) && has(&device) { device } else { dir.to_owned() }
}

fn find_sensors(hwmon: &Path, entry: &str, found: &mut Vec<Found>) {
    let dir = &files_of(hwmon);
    let name = |dir: &Path| word(&dir.join("name"));
    let chip = name(hwmon).or_else(|| name(dir)).unwrap_or_else(|| entry.to_owned());
    let device = |file: &str| word(&hwmon.join("device").join(file));
    let supply = match device("type") {
        _ if device("scope").as_deref() == Some("Device") => Supply::OfAnotherDevice,
        Some(kind) if ["Battery", "Mains", "USB", "UPS"].contains(&kind.as_str()) => Supply::Yes,
        _ if chip.starts_with("BAT") || chip.contains("battery") => Supply::Yes,
        _ => Supply::No,
    };
    let status = (supply == Supply::Yes).then(|| hwmon.join("device/status"));
    let files = sorted(dir).unwrap_or_default();
    if ina3221::is(&chip) {
        return ina3221::find_rails(dir, entry, &files, found);
    }
    if is_tile(&chip) {
        return;
    }
    for file in &files {
        let Some(metric) = metric(dir, file) else { continue };
        let number = file.split('_').next().unwrap_or_default().to_owned();
        let label = word(&dir.join(format!("{number}_label"))).or_else(|| grace::label(dir, &chip, &number));
        let label = label.unwrap_or_else(|| number.clone());
        let input = input(&dir.join(file), status.as_deref());
        // A power of the moment that cannot be read leaves its place to the average.
        let average = format!("{number}_average");
        let is_left = input.is_err() && file.ends_with("_input") && files.contains(&average);
        if !is_left {
            let (entry, chip, timing) = (entry.to_owned(), chip.clone(), timing(dir, file));
            found.push(Found { entry, chip, number, label, metric, input, timing, supply });
        }
    }
}

/// Opens the file of a sensor, and that of its battery's state.
fn input(path: &Path, status: Option<&Path>) -> Result<Input, Unavailable> {
    const WORD: usize = 32;
    let input = Input::of(path, MICRO)?;
    let mut status = status.and_then(|path: &Path| TextFile::open(path, WORD).ok());
    match status.as_mut().and_then(|status| status.read().ok()).map(str::trim) {
        Some(state) if state != DISCHARGING => {
            Err(Unavailable::new(format!("the battery's state is `{state}`, so its power is not the computer's")))
        }
        _ => Ok(Input { status, ..input }),
    }
}

impl Found {
    /// Its resource, told apart from those of the same names: two power supplies of one make, or two sensors with one label.
    fn resource(&self, all: &[Self]) -> Resource {
        let (mut chip, mut sensor) = (self.chip.clone(), self.label.clone());
        let namesakes = || all.iter().filter(|other| other.chip == self.chip && other.label == self.label);
        if namesakes().any(|other| other.entry != self.entry) {
            chip = format!("{chip}@{}", self.entry);
        }
        if namesakes().any(|other| other.entry == self.entry && other.number != self.number) {
            sensor = format!("{sensor}@{}", self.number);
        }
        Resource::Board { chip, sensor }
    }
}

impl Hwmon {
    fn new(mut found: Vec<Found>) -> Self {
        let mut hwmon = Self { channels: Vec::new(), sensors: Vec::new(), missing: Vec::new() };
        found.sort_by(|a, b| a.entry.cmp(&b.entry));
        let resources: Vec<Resource> = found.iter().map(|sensor| sensor.resource(&found)).collect();
        let mut named = found.into_iter().zip(resources).peekable();
        while let Some(entry) = named.peek().map(|(found, _)| found.entry.clone()) {
            let mut chip = Vec::new();
            while let Some(sensor) = named.next_if(|(found, _)| found.entry == entry) {
                chip.push(sensor);
            }
            hwmon.add_chip(chip);
        }
        ina3221::set_reaches(&mut hwmon.channels);
        grace::set_reaches(&mut hwmon.channels);
        hwmon.doubt_several_computers();
        hwmon
    }

    /// Several sensors that each look like the whole computer may lie inside one another or be apart, and nothing tells: neither they nor
    /// the sensors inside them are added.
    fn doubt_several_computers(&mut self) {
        let computers = self.channels.iter().filter(|channel| channel.reach == Reach::Computer);
        let computers: Vec<Resource> = computers.map(|channel| channel.id.resource.clone()).collect();
        if computers.len() < 2 {
            return;
        }
        let is_inside = |reach: &Reach| matches!(reach, Reach::PartOf(outer) if computers.contains(outer));
        for channel in &mut self.channels {
            if channel.reach == Reach::Computer || is_inside(&channel.reach) {
                channel.reach = Reach::Unknown;
            }
        }
    }

    /// Adds the sensors of one chip that can be read.
    fn add_chip(&mut self, sensors: Vec<(Found, Resource)>) {
        let mut readable = Vec::new();
        for (found, resource) in sensors {
            match found.input {
                _ if found.supply == Supply::OfAnotherDevice => {
                    let why = Unavailable::new("it is the battery of another device");
                    self.missing.push(Missing { resource, why, need: Need::Spare });
                }
                Err(why) => self.missing.push(Missing { resource, why, need: Need::Spare }),
                Ok(input) => readable.push((found.chip, found.supply, found.metric, found.timing, input, resource)),
            }
        }
        let Some((chip, supply, ..)) = readable.first() else { return };
        let resources: Vec<Resource> = readable.iter().map(|(.., resource)| resource.clone()).collect();
        let reaches = reaches(&reach_of_chip(chip, *supply == Supply::Yes), &resources);
        for ((_, _, metric, timing, input, resource), reach) in readable.into_iter().zip(reaches) {
            let Timing { update_period, averaging, cap_watts } = timing;
            self.sensors.push(input);
            self.channels.push(Channel {
                reach,
                update_period,
                averaging,
                cap_watts,
                ..Channel::new(resource, metric)
            });
        }
    }
}

impl Sensor for Hwmon {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        for (channel, input) in self.sensors.iter_mut().enumerate() {
            let state = input.status.as_mut().and_then(|status| status.read().ok());
            if state.is_some_and(|state| state.trim() != DISCHARGING) {
                continue;
            }
            if let Some(value) = input.value() {
                readings.push(channel, value);
            }
        }
    }

    fn missing(&self) -> &[Missing] {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_names_the_file() {
        let fix = fix(Path::new("/sys/class/hwmon/hwmon2/energy1_input"));
        assert!(fix.starts_with("`sudo chmod a+r /sys/class/hwmon/hwmon2/energy1_input`"), "{fix}");
        assert!(fix.ends_with("RUN+=\"/bin/chmod a+r /sys%p/energy1_input\""), "{fix}");
    }
}
