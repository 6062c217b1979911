//! Power and energy sensors of Linux's hardware monitoring: boards, power supplies, some processors and GPUs.

use std::path::Path;

use crate::{Channel, Counter, Readings, Source, Unit};

use super::{
    Kind, Places, Unavailable,
    text_file::{NUMBER, TextFile},
};

pub(super) const KIND: Kind = Kind { name: "hwmon", what: "power sensors of boards and power supplies", open };

/// hwmon gives microwatts and microjoules.
const MICRO: f64 = 1e-6;

struct Sensor {
    file: TextFile,
    /// Of sensors that count energy.
    counter: Option<Counter>,
}

/// All sensors of power. Which of them overlap only the board's maker knows, so that each counts; but where one sensor gives both
/// energy and power, only energy does.
struct Hwmon {
    channels: Vec<Channel>,
    sensors: Vec<Sensor>,
}

fn open(places: &Places) -> Result<Box<dyn Source>, Unavailable> {
    let root = places.sys.join("class/hwmon");
    let mut hwmon = Hwmon { channels: Vec::new(), sensors: Vec::new() };
    for chip in sorted(&root).map_err(|error| Unavailable::new(format!("{}: {error}", root.display())))? {
        hwmon.add_chip(&root.join(&chip), &chip);
    }
    if hwmon.sensors.is_empty() {
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

/// A sensor's file. One that cannot be read now (a device that sleeps, no permission) is none.
fn readable(path: &Path) -> Option<TextFile> {
    let mut file = TextFile::open(path, NUMBER).ok()?;
    file.number().map(|_| file)
}

impl Hwmon {
    fn add_chip(&mut self, dir: &Path, entry: &str) {
        let chip = word(&dir.join("name")).unwrap_or_else(|| entry.to_owned());
        let files = sorted(dir).unwrap_or_default();
        for file in &files {
            // powerN_average where the sensor averages over time, else powerN_input; or energyN_input.
            let Some((sensor, kind)) = file.split_once('_') else { continue };
            let readable = |file: String| readable(&dir.join(file));
            let unit = match kind {
                "average" if sensor.starts_with("power") => Unit::Watts,
                "input" if sensor.starts_with("power") && readable(format!("{sensor}_average")).is_none() => {
                    Unit::Watts
                }
                "input" if sensor.starts_with("energy") => Unit::Joules,
                _ => continue,
            };
            let Some(text) = readable(file.clone()) else { continue };
            let label = word(&dir.join(format!("{sensor}_label"))).unwrap_or_else(|| sensor.to_owned());
            let mut name = format!("hwmon.{chip}.{label}");
            // Two power supplies of one make, or power and energy with one label.
            if self.channels.iter().any(|channel| channel.name == name) {
                name = format!("hwmon.{entry}.{sensor}");
            }
            let mut channel = Channel::energy(name, unit);
            let number = sensor.strip_prefix("power");
            channel.is_total = number.is_none_or(|number| readable(format!("energy{number}_input")).is_none());
            let counter = (unit == Unit::Joules).then(|| Counter::of(&channel, None));
            self.sensors.push(Sensor { file: text, counter });
            self.channels.push(channel);
        }
    }
}

impl Source for Hwmon {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        for (channel, sensor) in self.sensors.iter_mut().enumerate() {
            match (sensor.file.number(), &mut sensor.counter) {
                (Some(energy), Some(counter)) => readings.count(channel, counter, energy * MICRO),
                (Some(power), None) => readings.push(channel, power * MICRO),
                (None, _) => {}
            }
        }
    }
}
