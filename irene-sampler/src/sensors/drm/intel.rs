//! Intel's cards (i915, xe). Files and units: the kernel's Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and
//! sysfs-driver-intel-xe-hwmon: microjoules of the card (`energy1_input`), of the package alone (`energy2_input`), microwatts of
//! limits, of which 0 stands for none.
//!
//! The driver adds up a register of 32 bits whenever it is read, into one of 64 bits that does not wrap. Graphics inside a processor
//! have no such files: the processor's package counts them.

use std::path::Path;

use crate::{Metric, Need, Resource};

use super::{Cards, Reader, channel, hwmon};
use crate::sensors::{
    Unavailable,
    hwmon::readable,
    text_file::{MICRO, NUMBER, TextFile, word},
};

/// The limits of power; the first is the one in force.
const LIMITS: [&str; 5] = ["power1_max", "power1_rated_max", "power1_cap", "power2_max", "power2_rated_max"];

/// The clock of the first engine in MHz: i915's below the card, xe's below its device.
const CLOCKS: [&str; 3] = ["gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz", "device/tile0/gt0/freq0/act_freq"];

pub(super) fn add(card: &Path, number: u32, cards: &mut Cards) {
    let clock = CLOCKS.into_iter().find_map(|name| TextFile::open(&card.join(name), NUMBER).ok());
    if let Some(clock) = clock {
        cards.add_gauge(number, Metric::CoreClock, Ok(Reader::Number(clock, 1.0)));
    }
    let Some(hwmon) = hwmon(&card.join("device")) else { return };
    let has = |name: &str| hwmon.join(name).exists();
    if !has("energy1_input") && !has("energy2_input") {
        return;
    }
    let whole = readable(&hwmon.join("energy1_input"));
    let is_package =
        |number: &str| word(&hwmon.join(format!("energy{number}_label"))).is_some_and(|label| label == "pkg");
    let (file, is_part) = match whole {
        Ok(file) => (Ok(file), is_package("1")),
        Err(why) if !has("energy2_input") => (Err(why), false),
        Err(_) => (readable(&hwmon.join("energy2_input")), true),
    };
    match file {
        Ok(file) => {
            let channel = channel(Resource::Card(number), Metric::Energy, Some(&hwmon), &LIMITS);
            cards.add(channel, Reader::Number(file, MICRO));
            if is_part {
                let why = format!("card{number} counts its package alone, without memory and board");
                cards.lacks(number, Unavailable::new(why), Need::Part);
            }
        }
        Err(why) => cards.lacks(number, why, Need::Part),
    }
}
