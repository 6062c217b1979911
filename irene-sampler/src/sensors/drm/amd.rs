//! AMD's cards (amdgpu). Files and units: the kernel's Documentation/gpu/amdgpu/thermal.rst and drivers/gpu/drm/amd/pm/amdgpu_pm.c.

use std::path::Path;

use crate::{Averaging, Channel, Metric, Need, Resource};

use super::{Cards, Reader, channel, gpu_metrics, gpu_metrics::MetricsFile, hwmon};
use crate::sensors::{
    Unavailable,
    hwmon::readable,
    text_file::{MICRO, NUMBER, TextFile},
};

/// PCI devices of the MI200 series, whose tables of revision 1.3 count energy in units of 15.259 microjoules (ROCm's SMI library).
const MI200: [&str; 4] = ["0x7408", "0x740c", "0x740f", "0x7410"];

/// The MI300A, a processor with a GPU, whose tables are those of a card.
const MI300A: &str = "0x74a0";

/// The limits of power in hwmon; the first is the one in force.
const LIMITS: [&str; 2] = ["power1_cap", "power1_cap_max"];

/// Hertz in a megahertz.
const MEGA: f64 = 1e-6;

/// A list of clocks is shorter.
const CLOCKS: usize = 1024;

pub(super) fn add(device: &Path, number: u32, cards: &mut Cards) {
    let file = |name: &str| TextFile::open(&device.join(name), NUMBER);
    let hwmon = hwmon(device);
    let hwmon = hwmon.as_deref();
    cards.add_gauge(number, Metric::Utilisation, file("gpu_busy_percent").map(|file| Reader::Number(file, 1.0)));
    let memory = file("mem_info_vram_used").and_then(|used| Ok(Reader::Share(used, file("mem_info_vram_total")?)));
    cards.add_gauge(number, Metric::Memory, memory);
    for (metric, frequency, list) in
        [(Metric::CoreClock, "freq1_input", "pp_dpm_sclk"), (Metric::MemoryClock, "freq2_input", "pp_dpm_mclk")]
    {
        let megahertz = hwmon.and_then(|hwmon| TextFile::open(&hwmon.join(frequency), NUMBER).ok());
        let reader = match megahertz.and_then(|file| Reader::Number(file, MEGA).if_it_reads()) {
            Some(reader) => Ok(reader),
            None => TextFile::open(&device.join(list), CLOCKS).map(Reader::Clocks),
        };
        cards.add_gauge(number, metric, reader);
    }
    add_energy(device, hwmon, number, cards);
}

/// Power by hwmon, whose unit is the same for all cards, else by the table; energy by the table.
fn add_energy(device: &Path, hwmon: Option<&Path>, number: u32, cards: &mut Cards) {
    let id = std::fs::read_to_string(device.join("device")).unwrap_or_default();
    let is_mi200 = MI200.contains(&id.trim());
    let table = || MetricsFile::open(&device.join("gpu_metrics"), is_mi200);
    let is_apu = id.trim() == MI300A || has_processor(&mut table().ok(), hwmon);
    let resource = || if is_apu { Resource::Apu(number) } else { Resource::Card(number) };
    let of_table = table().ok().and_then(|mut table| table.read());
    let joules = of_table.and_then(|metrics| metrics.joules);
    let watts = of_table.and_then(|metrics| metrics.watts);
    if is_mi200 && joules.unwrap_or(0.0) == 0.0 && watts.unwrap_or(0.0) == 0.0 {
        let why =
            "it tells neither power nor energy: the second die of a module, which the sensors of the first one include";
        return cards.lacks(number, Unavailable::new(why), Need::Spare);
    }
    if let (Some(_), Ok(table)) = (joules, table()) {
        cards.add(channel(resource(), Metric::Energy, hwmon, &LIMITS), Reader::Joules(table));
    }
    match (power_of_hwmon(hwmon), of_table.filter(|metrics| metrics.watts.is_some()), table()) {
        (Ok((file, averaging)), ..) => {
            let channel = channel(resource(), Metric::Power, hwmon, &LIMITS);
            cards.add(Channel { averaging, ..channel }, Reader::Number(file, MICRO));
        }
        (Err(_), Some(metrics), Ok(table)) => {
            let averaging = if metrics.is_moment { Averaging::None } else { Averaging::Unknown };
            let channel = channel(resource(), Metric::Power, hwmon, &LIMITS);
            cards.add(Channel { averaging, ..channel }, Reader::Watts(table));
        }
        (Err(why), ..) if joules.is_none() => {
            cards.lacks(number, why, if is_apu { Need::Spare } else { Need::Part });
        }
        _ => {}
    }
}

/// Whether a card is a processor too: by its table, or by the voltage of the processor's part, which no other card shows.
fn has_processor(table: &mut Option<MetricsFile>, hwmon: Option<&Path>) -> bool {
    let label = hwmon.and_then(|hwmon| std::fs::read_to_string(hwmon.join("in1_label")).ok());
    let by_table = table.as_mut().and_then(MetricsFile::bytes).is_some_and(gpu_metrics::is_apu);
    by_table || label.is_some_and(|label| label.trim() == "vddnb")
}

/// The file of the power: of the moment where the card has it, else its average over a time that the driver does not tell.
fn power_of_hwmon(hwmon: Option<&Path>) -> Result<(TextFile, Averaging), Unavailable> {
    let Some(hwmon) = hwmon else {
        return Err(
            Unavailable::new("amdgpu shows no sensor of its power").fixed_by("a newer kernel may know the card")
        );
    };
    let moment = readable(&hwmon.join("power1_input")).map(|file| (file, Averaging::None));
    moment.or_else(|_| readable(&hwmon.join("power1_average")).map(|file| (file, Averaging::Unknown)))
}
