//! The INA3221 chips that watch the rails of NVIDIA's Jetson modules: volts times amperes.
//!
//! Linux shows them in hwmon (Documentation/hwmon/ina3221.rst: `in1_input` to `in3_input` in mV, `curr1_input` to `curr3_input` in mA,
//! `inN_label`), NVIDIA's kernels up to JetPack 4 as devices of iio (`rail_name_0`, `in_power0_input` in mW). The labels are those of the
//! kernel's device trees (tegra234-p3701.dtsi, tegra234-p3767.dtsi) and of NVIDIA's Jetson Linux Developer Guide.

use std::path::Path;

use crate::{Channel, Metric, Missing, Need, Reach, Resource};

use super::{
    Unavailable,
    hwmon::{Found, Input, Supply, Timing, timing},
    text_file::{MICRO, sorted, word},
};

/// The chip's name in resources, also where NVIDIA's driver calls it `ina3221x`.
const CHIP: &str = "ina3221";

const MILLI: f64 = 1e-3;

/// A chip has three channels. Others show sums of shunt voltages and currents.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=3;

/// The rails through which all of a module's power comes, by generation: Xavier NX, TX1, TX2, Orin NX and Nano; Nano; AGX Orin; AGX
/// Xavier, whose SYS5V is everything beside the other five.
const INPUTS: [&[&str]; 4] = [
    &["VDD_IN"],
    &["POM_5V_IN"],
    &["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"],
    &["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"],
];

/// Rails behind an input of a module. The memory's rail of the AGX Orin shows 5 V: it is taken to hang on the input of 5 V, so that
/// nothing counts twice.
const INNER: [(&str, &str); 12] = [
    ("VDD_CPU_GPU_CV", "VDD_IN"),
    ("VDD_SOC", "VDD_IN"),
    ("VDD_GPU", "VDD_IN"),
    ("VDD_CPU", "VDD_IN"),
    ("VDD_SYS_GPU", "VDD_IN"),
    ("VDD_SYS_SOC", "VDD_IN"),
    ("VDD_SYS_CPU", "VDD_IN"),
    ("VDD_SYS_DDR", "VDD_IN"),
    ("VDD_SYS_SRAM", "VDD_IN"),
    ("POM_5V_GPU", "POM_5V_IN"),
    ("POM_5V_CPU", "POM_5V_IN"),
    ("VDDQ_VDD2_1V8AO", "VIN_SYS_5V0"),
];

/// The input of the board that carries a TX1 or TX2, with the module and all else on it.
const CARRIER: &str = "VDD_MUX";

pub(super) fn is(chip: &str) -> bool {
    chip.starts_with(CHIP)
}

/// Whether nothing is connected to a channel.
fn is_open(label: &str) -> bool {
    label == "NC" || label.starts_with("NC_")
}

/// The channels of a chip in hwmon.
pub(super) fn find_rails(dir: &Path, entry: &str, files: &[String], found: &mut Vec<Found>) {
    for channel in CHANNELS {
        let [volts, amperes] = [format!("in{channel}_input"), format!("curr{channel}_input")];
        let is_off = std::fs::read_to_string(dir.join(format!("in{channel}_enable"))).is_ok_and(|on| on.trim() == "0");
        let label = word(&dir.join(format!("in{channel}_label"))).unwrap_or_else(|| format!("channel{channel}"));
        if is_off || is_open(&label) || !files.contains(&volts) {
            continue;
        }
        // Millivolts times milliamperes.
        let input = Input::product(&dir.join(volts), &dir.join(amperes), MICRO);
        let Timing { update_period, .. } = timing(dir, "");
        found.push(rail(entry, channel, label, input, Timing { update_period, ..Timing::default() }));
    }
}

/// The channels of the chips in iio.
pub(super) fn find_in_iio(sys: &Path, found: &mut Vec<Found>) {
    let root = sys.join("bus/iio/devices");
    for entry in sorted(&root).unwrap_or_default() {
        let dir = root.join(&entry);
        if !word(&dir.join("name")).is_some_and(|name| is(&name)) {
            continue;
        }
        for channel in CHANNELS {
            let number = channel - 1;
            let Some(label) = word(&dir.join(format!("rail_name_{number}"))).filter(|label| !is_open(label)) else {
                continue;
            };
            let input = Input::of(&dir.join(format!("in_power{number}_input")), MILLI);
            found.push(rail(&entry, channel, label, input, Timing::default()));
        }
    }
}

/// The rails of a Jetson module whose chips Linux does not show.
pub(super) fn missing(proc: &Path, found: &[Found]) -> Option<Missing> {
    const JETSON: &[u8] = b"nvidia,tegra";
    let compatible = std::fs::read(proc.join("device-tree/compatible")).ok()?;
    let is_jetson = compatible.windows(JETSON.len()).any(|words| words == JETSON);
    (is_jetson && !found.iter().any(|found| is(&found.chip))).then(|| Missing {
        resource: Resource::Board { chip: CHIP.to_owned(), sensor: INPUTS[0][0].to_owned() },
        why: Unavailable::new("this is a Jetson module, and Linux shows none of its rails")
            .fixed_by("`sudo modprobe ina3221` loads the driver of their chip"),
        need: Need::Spare,
    })
}

fn rail(entry: &str, channel: u32, label: String, input: Result<Input, Unavailable>, timing: Timing) -> Found {
    Found {
        entry: entry.to_owned(),
        chip: CHIP.to_owned(),
        number: format!("in{channel}"),
        label,
        metric: Metric::Power,
        input,
        timing,
        supply: Supply::No,
    }
}

/// Sets how much of the computer each rail sees, by the labels of all chips. An input of a module counts only beside the others: some of
/// them are not the module.
pub(super) fn set_reaches(channels: &mut [Channel]) {
    let label = |channel: &Channel| match &channel.id.resource {
        Resource::Board { chip, sensor } if is(chip) => Some(sensor.clone()),
        _ => None,
    };
    let labels: Vec<Option<String>> = channels.iter().map(label).collect();
    let has = |wanted: &str| labels.iter().flatten().any(|label| label == wanted);
    let inputs = INPUTS.into_iter().find(|inputs| inputs.iter().all(|input| has(input))).unwrap_or_default();
    let resource = |wanted: &str| {
        let place = labels.iter().position(|label| label.as_deref() == Some(wanted))?;
        Some(channels[place].id.resource.clone())
    };
    let reach = |label: &str| {
        let outer = INNER.iter().find(|(inner, outer)| *inner == label && inputs.contains(outer));
        match outer.and_then(|(_, outer)| resource(outer)) {
            _ if label == CARRIER => Reach::Computer,
            _ if inputs.contains(&label) => Reach::Module,
            Some(outer) => Reach::PartOf(outer),
            None => Reach::Unknown,
        }
    };
    let reaches: Vec<Option<Reach>> = labels.iter().map(|label| Some(reach(label.as_deref()?))).collect();
    for (channel, reach) in channels.iter_mut().zip(reaches) {
        channel.reach = reach.unwrap_or_else(|| channel.reach.clone());
    }
}
