//! The sensors of power and energy in Linux's hardware monitoring (hwmon): boards, power supplies, some processors and GPUs.

use std::path::Path;

use crate::{Channel, Metric, Readings, Resource, Sensor};

use super::{
    Kind, Places, Unavailable,
    text_file::{NUMBER, TextFile},
};

pub(super) const KIND: Kind = Kind { name: "hwmon", what: "power sensors of boards and power supplies", open };

/// hwmon counts in microwatts and microjoules.
const MICRO: f64 = 1e-6;

/// All sensors of power and energy. Only the board's maker knows which of them overlap, so each counts.
struct Hwmon {
    channels: Vec<Channel>,
    files: Vec<TextFile>,
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    let root = places.sys.join("class/hwmon");
    let mut hwmon = Hwmon { channels: Vec::new(), files: Vec::new() };
    for chip in sorted(&root).map_err(|error| Unavailable::new(format!("{}: {error}", root.display())))? {
        hwmon.add_chip(&root.join(&chip), &chip);
    }
    if hwmon.files.is_empty() {
        return Err(Unavailable::new(format!("{}: no sensor of power or energy", root.display())));
    }
    Ok(Box::new(hwmon))
}

fn sorted(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn word(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().replace(' ', "-")).filter(|word| !word.is_empty())
}

/// A sensor's file; None if it cannot be read now (a device that sleeps, no permission).
fn readable(path: &Path) -> Option<TextFile> {
    let mut file = TextFile::open(path, NUMBER).ok()?;
    file.number().map(|_| file)
}

/// The best file of the sensor that this one belongs to: energyN_input where the sensor counts energy, else powerN_average where it
/// averages over time, else powerN_input.
fn input(dir: &Path, file: &str) -> Option<(Metric, TextFile)> {
    let (sensor, what) = file.split_once('_')?;
    let has = |file: String| readable(&dir.join(file)).is_some();
    let metric = match (sensor.strip_prefix("power"), what) {
        (None, "input") if sensor.starts_with("energy") => Metric::Energy,
        (Some(number), "average" | "input") if has(format!("energy{number}_input")) => return None,
        (Some(_), "average") => Metric::Power,
        (Some(_), "input") if !has(format!("{sensor}_average")) => Metric::Power,
        _ => return None,
    };
    Some((metric, readable(&dir.join(file))?))
}

impl Hwmon {
    fn add_chip(&mut self, dir: &Path, entry: &str) {
        let chip = word(&dir.join("name")).unwrap_or_else(|| entry.to_owned());
        for name in sorted(dir).unwrap_or_default() {
            let Some((metric, file)) = input(dir, &name) else { continue };
            let sensor = name.split('_').next().unwrap_or_default();
            let label = word(&dir.join(format!("{sensor}_label"))).unwrap_or_else(|| sensor.to_owned());
            let mut resource = Resource::Board { chip: chip.clone(), sensor: label };
            // Two power supplies of one make, or two sensors with one label.
            if self.channels.iter().any(|channel| channel.id.resource == resource) {
                resource = Resource::Board { chip: entry.to_owned(), sensor: sensor.to_owned() };
            }
            self.files.push(file);
            self.channels.push(Channel::new(resource, metric));
        }
    }
}

impl Sensor for Hwmon {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        for (channel, file) in self.files.iter_mut().enumerate() {
            if let Some(number) = file.number() {
                readings.push(channel, number * MICRO);
            }
        }
    }
}
