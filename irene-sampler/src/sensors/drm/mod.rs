//! GPUs of AMD and Intel, through the files of Linux's graphics drivers (DRM): utilisation, memory, clock, power and energy.

mod amd;
mod gpu_metrics;
mod intel;

use std::path::{Path, PathBuf};

use gpu_metrics::MetricsFile;

use crate::{Channel, Metric, Missing, Need, Readings, Resource, Sensor, channel::power_bound};

use super::{
    Kind, Places, Unavailable,
    board::is_tile,
    text_file::{MICRO, TextFile, sorted, told, word},
};

pub(super) const KIND: Kind =
    Kind { name: "drm", what: "GPUs of AMD and Intel: utilisation, memory, clocks, power and energy", open };

/// All cards that tell anything.
#[derive(Default)]
struct Cards {
    channels: Vec<Channel>,
    readers: Vec<Reader>,
    missing: Vec<Missing>,
}

/// The files of a channel.
enum Reader {
    /// A number in this unit.
    Number(TextFile, f64),
    /// The first number is this share of the second one, in percent.
    Share(TextFile, TextFile),
    /// A list of clocks, of which a star marks the one that is set: `1: 1200Mhz *`.
    Clocks(TextFile),
    /// Joules of AMD's table.
    Joules(MetricsFile),
    /// Watts of AMD's table.
    Watts(MetricsFile),
}

fn open(places: &Places) -> Result<Box<dyn Sensor>, Unavailable> {
    const FIX: &str = "if there is one, load its driver: `sudo modprobe amdgpu`, `xe` or `i915`";
    let root = places.sys.join("class/drm");
    let entries = sorted(&root).map_err(|error| Unavailable::at(&root, error).fixed_by(FIX));
    let mut cards = Cards::default();
    for entry in entries? {
        // `card0-HDMI-A-1` is a connector of `card0`.
        let Some(number) = entry.strip_prefix("card").and_then(|number| number.parse().ok()) else { continue };
        let device = root.join(&entry).join("device");
        match std::fs::read_to_string(device.join("vendor")).unwrap_or_default().trim() {
            "0x1002" => amd::add(&device, number, &mut cards),
            "0x8086" => intel::add(&root.join(&entry), number, &mut cards),
            _ => {}
        }
    }
    match cards.missing.first() {
        _ if !cards.channels.is_empty() => Ok(Box::new(cards)),
        Some(missing) => Err(Unavailable { is_there: true, ..missing.why.clone() }),
        None => Err(Unavailable::at(&root, "no GPU of AMD or Intel that tells anything").fixed_by(FIX)),
    }
}

impl Cards {
    fn add(&mut self, channel: Channel, reader: Reader) {
        self.channels.push(channel);
        self.readers.push(reader);
    }

    /// Adds a figure whose file can be read; one that cannot is absent.
    fn add_gauge(&mut self, number: u32, metric: Metric, reader: std::io::Result<Reader>) {
        if let Some(reader) = reader.ok().and_then(Reader::if_it_reads) {
            self.add(Channel::new(Resource::Card(number), metric), reader);
        }
    }

    fn lacks(&mut self, number: u32, why: Unavailable, need: Need) {
        self.missing.push(Missing { resource: Resource::Card(number), why, need });
    }
}

/// A channel of power or energy, with the limits that the card's hwmon tells.
fn channel(resource: Resource, metric: Metric, hwmon: Option<&Path>, limits: &[&str]) -> Channel {
    let watts = |name: &&str| Some(told(&hwmon?.join(name))? * MICRO);
    let mut channel = Channel::new(resource, metric);
    channel.limit_watts = power_bound(limits.iter().filter_map(watts));
    channel.cap_watts = limits.first().and_then(watts);
    channel
}

/// The directory of the card's own sensors. i915 has others for the tiles of a card (`i915_gt0`).
fn hwmon(device: &Path) -> Option<PathBuf> {
    let root = device.join("hwmon");
    let dirs = sorted(&root).ok()?.into_iter().filter(|entry| entry.starts_with("hwmon")).map(|entry| root.join(entry));
    dirs.into_iter().find(|dir| !word(&dir.join("name")).is_some_and(|name| is_tile(&name)))
}

impl Reader {
    fn if_it_reads(mut self) -> Option<Self> {
        self.value().is_some().then_some(self)
    }

    fn value(&mut self) -> Option<f64> {
        match self {
            Self::Number(file, unit) => Some(file.number()? * *unit),
            Self::Share(part, whole) => {
                let (part, whole) = (part.number()?, whole.number()?);
                (whole > 0.0).then(|| 100.0 * (part / whole).clamp(0.0, 1.0))
            }
            Self::Clocks(file) => selected_clock(file.read().ok()?),
            Self::Joules(table) => table.read()?.joules,
            Self::Watts(table) => table.read()?.watts,
        }
    }
}

/// Megahertz of the marked line of `pp_dpm_sclk`.
fn selected_clock(text: &str) -> Option<f64> {
    let line = text.lines().map(str::trim_end).find_map(|line| line.strip_suffix('*'))?;
    let clock = line.split_once(':')?.1.trim();
    let digits = clock.trim_end_matches(char::is_alphabetic);
    clock[digits.len()..].eq_ignore_ascii_case("mhz").then(|| digits.trim().parse().ok())?
}

impl Sensor for Cards {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        for (channel, reader) in self.readers.iter_mut().enumerate() {
            let Some(value) = reader.value() else { continue };
            match reader {
                // The table says when the firmware wrote it.
                Reader::Joules(table) => {
                    if table.is_new() {
                        readings.push_new(channel, value);
                    }
                }
                _ => readings.push(channel, value),
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
    fn the_clock_that_is_set_is_the_marked_one() {
        assert_eq!(selected_clock("0: 500Mhz \n1: 2124Mhz *\n2: 2250Mhz \n"), Some(2124.0));
        assert_eq!(selected_clock("S: 19Mhz *\n0: 500Mhz\n"), Some(19.0), "deep sleep");
        for text in ["", "0: 500Mhz\n", "0: *\n", "*\n"] {
            assert_eq!(selected_clock(text), None, "{text}");
        }
    }
}
