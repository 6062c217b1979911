//! The choice of the meter, by machine.

use irene_sampler::{
    Recorder,
    sensors::{Places, Selection},
};

use crate::machine::{Counting, Machine, at, totals, values};

/// A machine without GPUs and meters.
fn bare() -> Machine {
    let machine = Machine::new();
    machine.write("proc/stat", "cpu  10 0 10 100 0 0 0 0 0 0\n");
    machine.write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
    machine
}

/// A counter that runs.
fn add_rapl(machine: &Machine, zone: &str) -> Counting {
    const ZONE: &str = "sys/class/powercap/intel-rapl:0";
    machine.write(&format!("{ZONE}/name"), zone);
    machine.write(&format!("{ZONE}/energy_uj"), "1000000000\n");
    machine.count_up(&format!("{ZONE}/energy_uj"), 50.0)
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
    let _counting = add_rapl(&machine, "package-0\n");
    assert_eq!(automatic(&tdp), ["rapl"]);
    machine.write("meter.csv", "time,watts\n");
    assert_eq!(automatic(&Places { power_log: Some(machine.path("meter.csv")), ..tdp }), ["log"]);
}

#[test]
fn a_sensor_without_energy_leaves_the_meter_to_the_next() {
    let machine = bare();
    let _counting = add_rapl(&machine, "core\n");
    add_hwmon(&machine);
    assert_eq!(Selection::automatic(&places(&machine)).meters, ["hwmon"], "the core is part of no package");
    let refusal = Selection::of(&["utilisation"], &places(&machine)).err().unwrap();
    assert_eq!(refusal.to_string(), "utilisation: reads no energy");
}

#[test]
fn meters_that_overlap_count_once() {
    let machine = bare();
    let _counting = add_rapl(&machine, "package-0\n");
    machine.write("meter.csv", "time,watts\n");
    machine.write("ipmi.log", "");
    let [power_log, ipmi_log] = ["meter.csv", "ipmi.log"].map(|log| Some(machine.path(log)));
    let places = Places { power_log, ipmi_log, tdp_watts: Some(65.0), ..places(&machine) };
    let total = |meters: &[&str]| totals(&Recorder::new(Selection::of(meters, &places).unwrap().sensors, 8));
    assert_eq!(total(&["rapl", "log"]), ["log"], "the package is behind the meter at the wall");
    assert_eq!(total(&["log", "ipmi"]), ["log"], "so is what the management controller measures");
    assert_eq!(total(&["tdp", "rapl"]), ["rapl.package-0"], "an estimate gives way to a counter");
    assert_eq!(Selection::of(&["log", "rapl"], &places).unwrap().meters, ["rapl", "log"], "in the order of the kinds");
    add_hwmon(&machine);
    let refusal = Selection::of(&["rapl", "hwmon"], &places).err().unwrap().to_string();
    assert!(refusal.contains("rapl.package-0 and hwmon.hwmon0.power1 may overlap"), "{refusal}");
    assert!(refusal.contains("; name one of the two meters alone"), "{refusal}");
    assert_eq!(total(&["rapl", "hwmon:hwmon0/power1"]), ["rapl.package-0", "hwmon.hwmon0.power1"], "the user knows");
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
    assert!(refusal("tdp").contains("Places::tdp_watts"));
    assert_eq!(refusal("rapl:package-0")[..6], *"rapl: ");
    assert!(refusal("tdp:65").contains("`tdp:65` is no meter"));
    let unknown = refusal("wattmeter");
    assert!(unknown.contains("`wattmeter` is no meter") && unknown.contains("rapl"), "{unknown}");
}

#[test]
fn a_counter_that_stands_still_leaves_the_meter_to_the_next() {
    let machine = bare();
    drop(add_rapl(&machine, "package-0\n"));
    add_hwmon(&machine);
    let selection = Selection::automatic(&places(&machine));
    assert_eq!(selection.meters, ["hwmon"]);
    let (kind, why) = &selection.passed_over[0];
    assert_eq!(*kind, "rapl");
    assert!(why.reason.starts_with("rapl.package-0 stands still: the same reading for 1."), "{why}");
    let refusal = Selection::of(&["rapl"], &places(&machine)).err().unwrap().to_string();
    assert!(refusal.starts_with("rapl: rapl.package-0 stands still"), "{refusal}");
}

#[test]
fn a_meter_that_is_there_and_cannot_be_read_is_said_beside_the_one_that_is_taken() {
    let machine = bare();
    assert!(Selection::automatic(&places(&machine)).passed_over.is_empty(), "there is none");
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    // It cannot be read by anyone: the one who runs the tests may be root.
    std::fs::create_dir(machine.path("sys/class/powercap/intel-rapl:0/energy_uj")).unwrap();
    add_hwmon(&machine);
    let selection = Selection::automatic(&places(&machine));
    assert_eq!(selection.meters, ["hwmon"]);
    let [(kind, why)] = &selection.passed_over[..] else { unreachable!("{:?}", selection.passed_over) };
    assert_eq!(*kind, "rapl");
    assert!(why.reason.contains("intel-rapl:0/energy_uj: "), "{why}");
}

#[test]
fn a_platform_that_cannot_be_right_leaves_the_meter_to_its_package() {
    let machine = bare();
    let _package = add_rapl(&machine, "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:1/name", "psys\n");
    machine.write("sys/class/powercap/intel-rapl:1/energy_uj", "1000000000\n");
    let names = || Selection::automatic(&places(&machine)).sensors.total().names();
    assert_eq!(names(), ["rapl.package-0"], "it stands still");
    let _platform = machine.count_up("sys/class/powercap/intel-rapl:1/energy_uj", 2.0);
    assert_eq!(names(), ["rapl.package-0"], "it reads less than its package");
}

#[test]
fn a_name_that_is_none_of_the_sensors_comes_with_those_there_are() {
    let machine = bare();
    add_hwmon(&machine);
    machine.write("sys/class/hwmon/hwmon1/name", "corsairpsu\n");
    machine.write("sys/class/hwmon/hwmon1/power1_label", "power total\n");
    machine.write("sys/class/hwmon/hwmon1/power1_input", "174000000\n");
    let refusal = Selection::of(&["hwmon:corsairpsu/total"], &places(&machine)).err().unwrap().to_string();
    let expected = "`hwmon:corsairpsu/total` is no sensor of energy or power; there are hwmon:corsairpsu/power-total, hwmon:hwmon0/power1";
    assert_eq!(refusal, expected);
    let named = Selection::of(&["hwmon:corsairpsu/power total"], &places(&machine)).unwrap();
    assert_eq!(named.sensors.total().names(), ["hwmon.corsairpsu.power-total"]);
}
