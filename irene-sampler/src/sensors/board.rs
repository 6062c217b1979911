//! How much of the computer the sensors of a chip see, by the names that Linux's drivers give to chips and sensors.

use crate::{Reach, Resource};

/// Chips that measure the whole computer: ACPI's power meter and the management controllers of servers (`aem1` and `aem2` by the driver
/// ibmaem).
const COMPUTERS: [&str; 3] = ["power_meter", "aem", "ibmpex"];

/// How the names of power supplies begin: PMBus supplies of servers and their like.
const SUPPLIES: [&str; 10] = ["dps", "pfe", "cffps", "ipsps", "ym2151", "yh5151", "bpa_rs", "fsg032", "acbel", "crps"];

const PROCESSORS: [&str; 4] = ["amd_energy", "zenergy", "fam15h_power", "zenpower"];

const GPUS: [&str; 5] = ["amdgpu", "radeon", "nouveau", "xe", "i915"];

/// Whether a chip counts a tile of a GPU, which the chip of the whole GPU includes
/// (Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon).
pub(super) fn is_tile(chip: &str) -> bool {
    chip.starts_with("i915_gt")
}

/// The reach of a chip as a whole.
pub(super) fn reach_of_chip(chip: &str, is_supply: bool) -> Reach {
    let is_like = |names: &[&str]| names.iter().any(|name| chip.starts_with(name));
    if is_like(&COMPUTERS) {
        Reach::Computer
    } else if is_supply || chip.contains("psu") || is_like(&SUPPLIES) {
        Reach::Supply
    } else if PROCESSORS.contains(&chip) {
        Reach::Processor
    } else if GPUS.contains(&chip) {
        Reach::Gpu
    } else {
        Reach::Unknown
    }
}

/// How much of its chip a sensor sees, by its label: the least is the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The whole computer.
    Computer,
    /// Power that goes in.
    Input,
    /// The sum of the others.
    Sum,
    /// Power that comes out.
    Output,
    /// A rail, a core, or unknown.
    Other,
}

fn rank(label: &str) -> Rank {
    let label = label.to_lowercase();
    let is_word = |words: &[&str]| {
        let mut parts = label.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
        parts.any(|word| words.contains(&word))
    };
    if is_word(&["system"]) {
        Rank::Computer
    } else if is_word(&["pin", "input", "vin", "in"]) {
        Rank::Input
    } else if is_word(&["total", "card", "socket", "esocket", "package"]) {
        Rank::Sum
    } else if is_word(&["pout", "output", "out"]) {
        Rank::Output
    } else {
        Rank::Other
    }
}

/// The reach of each sensor of a chip, by what the chip measures and the sensors' names.
pub(super) fn reaches(chip: &Reach, sensors: &[Resource]) -> Vec<Reach> {
    let label = |resource: &Resource| match resource {
        Resource::Board { sensor, .. } => rank(sensor),
        _ => Rank::Other,
    };
    let ranks: Vec<Rank> = sensors.iter().map(label).collect();
    let best = ranks.iter().copied().min().unwrap_or(Rank::Other);
    let chip = if best == Rank::Computer { &Reach::Computer } else { chip };
    // A GPU's and a whole computer's sensors are several views of the same watts.
    let has_one = matches!(chip, Reach::Computer | Reach::Gpu);
    let first = ranks.iter().position(|&rank| rank == best).unwrap_or(0);
    let reach = |place: usize| match chip {
        _ if place == first => chip.clone(),
        _ if has_one || ranks[place] != best => Reach::PartOf(sensors[first].clone()),
        // Unlabelled sensors of a supply may be anything.
        Reach::Supply if best == Rank::Other => Reach::Unknown,
        _ => chip.clone(),
    };
    let mut reaches: Vec<Reach> = (0..sensors.len()).map(reach).collect();
    if reaches.contains(&Reach::Unknown)
        && let Some(first) = reaches.get_mut(first)
    {
        *first = Reach::Unknown;
    }
    reaches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reaches of a chip's sensors, as words.
    fn shown(chip: &str, sensors: &[&str]) -> Vec<String> {
        let board = |sensor: &&str| Resource::Board { chip: chip.into(), sensor: (*sensor).into() };
        let sensors: Vec<Resource> = sensors.iter().map(board).collect();
        let word = |reach: Reach| match reach {
            Reach::PartOf(outer) => format!("in {}", outer.to_string().rsplit_once('.').unwrap().1),
            reach => format!("{reach:?}"),
        };
        reaches(&reach_of_chip(chip, false), &sensors).into_iter().map(word).collect()
    }

    #[test]
    fn a_total_covers_its_rails_and_an_input_its_output() {
        assert_eq!(shown("corsairpsu", &["power-total", "power-+12v"]), ["Supply", "in power-total"]);
        assert_eq!(shown("dps650ab", &["pin", "pout1", "pout2"]), ["Supply", "in pin", "in pin"]);
        assert_eq!(shown("dps650ab", &["pout1", "pout2"]), ["Supply", "Supply"]);
        assert_eq!(shown("amd_energy", &["Ecore000", "Ecore001", "Esocket0", "Esocket1"])[2..], ["Processor"; 2]);
        assert_eq!(shown("amd_energy", &["Ecore000", "Esocket0"])[0], "in Esocket0");
        assert_eq!(shown("amdgpu", &["slowPPT", "fastPPT"]), ["Gpu", "in slowPPT"]);
        assert_eq!(shown("xe", &["pkg", "card"]), ["in card", "Gpu"]);
        assert_eq!(shown("ibmpowernv", &["Proc", "System", "Mem"]), ["in System", "Computer", "in System"]);
    }

    #[test]
    fn what_the_names_do_not_tell_is_unknown() {
        assert_eq!(shown("ina3221", &["power1", "power2"]), ["Unknown", "Unknown"]);
        assert_eq!(shown("corsairpsu", &["power1", "power2"]), ["Unknown", "Unknown"]);
        assert_eq!(shown("ltc2978", &["pin", "pout1"]), ["Unknown", "in pin"]);
    }

    #[test]
    fn a_label_s_words_tell_how_much_it_sees() {
        let ranked = [
            (Rank::Computer, "System System-Power system2"),
            (Rank::Input, "pin pin1 Vin power-input in1 AC-in"),
            (Rank::Sum, "total Total-Power card socket0 Esocket12 CPU-package"),
            (Rank::Output, "pout1 output pout power-out2"),
            (Rank::Other, "power1 VDD pins inner totals +12v 12"),
        ];
        for (expected, labels) in ranked {
            assert!(labels.split(' ').all(|label| rank(label) == expected), "{labels}");
        }
    }

    #[test]
    fn a_chip_s_name_tells_what_it_measures() {
        for (chip, reach) in [
            ("power_meter", Reach::Computer),
            ("aem2", Reach::Computer),
            ("corsairpsu", Reach::Supply),
            ("cffps1", Reach::Supply),
            ("zenpower", Reach::Processor),
            ("amdgpu", Reach::Gpu),
            ("i915_gt0", Reach::Unknown),
            ("zenpower2", Reach::Unknown),
            ("nct6775", Reach::Unknown),
        ] {
            assert_eq!(reach_of_chip(chip, false), reach, "{chip}");
        }
        assert_eq!(reach_of_chip("BAT0", true), Reach::Supply);
        assert_eq!(["i915_gt0", "i915", "xe"].map(is_tile), [true, false, false]);
    }
}
