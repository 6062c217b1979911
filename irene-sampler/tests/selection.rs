//! The choice of the meter, by machine.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod machine;

use irene_sampler::{
    Recorder,
    sensors::{Places, Selection},
};
use machine::{Machine, at, totals, values};

/// A machine without GPUs and meters.
fn bare() -> Machine {
    let machine = Machine::new();
    machine.write("proc/stat", "cpu  10 0 10 100 0 0 0 0 0 0\n");
    machine.write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
    machine
}

fn add_rapl(machine: &Machine, zone: &str) {
    machine.write("sys/class/powercap/intel-rapl:0/name", zone);
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "1\n");
}

fn add_hwmon(machine: &Machine) {
    machine.write("sys/class/hwmon/hwmon0/power1_input", "50000000\n");
}

fn places(machine: &Machine) -> Places {
    Places { nvml_library: Some(machine.path("no-such-library.so")), ..machine.places() }
}

#[test]
fn the_best_meter_is_taken() {
    let machine = bare();
    let automatic = |places: &Places| Selection::automatic(places).meters;
    let tdp = Places { tdp_watts: Some(65.0), ..places(&machine) };
    assert_eq!(automatic(&places(&machine)), [""; 0]);
    assert_eq!(automatic(&tdp), ["tdp"]);
    add_hwmon(&machine);
    assert_eq!(automatic(&tdp), ["hwmon"]);
    add_rapl(&machine, "package-0\n");
    assert_eq!(automatic(&tdp), ["rapl"]);
    machine.write("meter.csv", "time,watts\n");
    assert_eq!(automatic(&Places { power_log: Some(machine.path("meter.csv")), ..tdp }), ["log"]);
}

#[test]
fn a_sensor_without_energy_leaves_the_meter_to_the_next() {
    let machine = bare();
    add_rapl(&machine, "core\n");
    add_hwmon(&machine);
    assert_eq!(Selection::automatic(&places(&machine)).meters, ["hwmon"], "the core is part of no package");
    let refusal = Selection::of(&["utilisation"], &places(&machine)).err().unwrap();
    assert_eq!(refusal.to_string(), "utilisation: reads no energy");
}

#[test]
fn meters_that_overlap_count_once() {
    let machine = bare();
    add_rapl(&machine, "package-0\n");
    machine.write("meter.csv", "time,watts\n");
    let places = Places { power_log: Some(machine.path("meter.csv")), tdp_watts: Some(65.0), ..places(&machine) };
    let total = |meters: &[&str]| totals(&Recorder::new(Selection::of(meters, &places).unwrap().sensors, 8));
    assert_eq!(total(&["rapl", "log"]), ["log"], "the package is behind the meter at the wall");
    assert_eq!(total(&["tdp", "rapl"]), ["rapl.package-0"], "an estimate gives way to a counter");
    add_hwmon(&machine);
    let refusal = Selection::of(&["rapl", "hwmon"], &places).err().unwrap().to_string();
    assert!(refusal.contains("rapl.package-0 and hwmon.hwmon0.power1 may overlap"), "{refusal}");
    assert!(refusal.ends_with("; name one of the two meters alone"), "{refusal}");
    assert_eq!(total(&["rapl", "hwmon", "log"]), ["log"], "what both are part of is clear");
}

#[test]
fn probes_are_read_beside_the_meter_and_are_no_part_of_it() {
    let machine = bare();
    add_hwmon(&machine);
    let selection = Selection::of(&["hwmon"], &places(&machine)).unwrap();
    let mut recorder = Recorder::new(selection.sensors, 8);
    recorder.sample_at(at(0.0));
    assert_eq!(totals(&recorder), ["hwmon.hwmon0.power1"]);
    assert_eq!(values(&recorder, "mem"), [75.0]);
}

#[test]
fn a_meter_that_is_asked_for_and_cannot_be_had_is_refused_by_name() {
    let machine = bare();
    let refusal = |name: &str| Selection::of(&[name], &places(&machine)).err().unwrap().to_string();
    assert!(refusal("rapl").starts_with("rapl: "), "{}", refusal("rapl"));
    assert!(refusal("tdp").contains("--tdp-watts"));
    let unknown = refusal("wattmeter");
    assert!(unknown.contains("`wattmeter` is no meter") && unknown.contains("rapl"), "{unknown}");
}
