//! RAPL on made-up machines.

use irene_sampler::{Metric, Package, Recorder, Resource, WindowError, sensors::Selection};

use crate::machine::{Machine, assert_close, channel, each_second, joules, names, totals, window};

const ROOT: &str = "sys/class/powercap";

/// Intel's packages count to here, microjoules.
const RANGE: u64 = 262_143_328_850;

fn add_zone(machine: &Machine, zone: &str, name: &str, range: Option<u64>) {
    machine.write(&format!("{ROOT}/{zone}/name"), format!("{name}\n"));
    count(machine, zone, 0.0);
    if let Some(range) = range {
        machine.write(&format!("{ROOT}/{zone}/max_energy_range_uj"), format!("{range}\n"));
    }
}

fn count(machine: &Machine, zone: &str, joules: f64) {
    machine.write(&format!("{ROOT}/{zone}/energy_uj"), format!("{:.0}\n", joules * 1e6));
}

/// A package alone.
fn package(range: Option<u64>) -> Machine {
    let machine = Machine::new();
    add_zone(&machine, "intel-rapl:0", "package-0", range);
    machine
}

/// A sample each second, where the counter of the first package shows these joules.
fn recorded(machine: &Machine, joules: impl IntoIterator<Item = f64>) -> Recorder {
    each_second(machine.open("rapl").unwrap(), joules, |joules| count(machine, "intel-rapl:0", joules))
}

#[test]
fn the_energy_of_a_window_is_what_the_counters_went_up_by() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:0/intel-rapl:0:0", "core", Some(RANGE));
    add_zone(&machine, "intel-rapl:0/intel-rapl:0:1", "dram", Some(RANGE));
    // Linux lists the inner zones beside the outer ones too.
    add_zone(&machine, "intel-rapl:0:0", "core", Some(RANGE));
    let recorder = each_second(machine.open("rapl").unwrap(), 0..5, |second| {
        count(&machine, "intel-rapl:0", 1000.0 + 50.0 * f64::from(second));
        count(&machine, "intel-rapl:0/intel-rapl:0:0", 30.0 * f64::from(second));
        count(&machine, "intel-rapl:0/intel-rapl:0:1", 5.0 * f64::from(second));
    });
    let names = names(recorder.recording().channels());
    assert_eq!(names, ["rapl.package-0", "rapl.package-0.core", "rapl.package-0.dram"]);
    assert_eq!(totals(&recorder), ["rapl.package-0", "rapl.package-0.dram"], "the cores are in the package");
    let id = &channel(&recorder, "rapl.package-0").id;
    assert_eq!(id.resource, Resource::Package(Package { socket: 0, die: None }));
    assert_eq!(id.metric, Metric::Energy);
    let package = window(&recorder, "rapl.package-0", 0.5, 3.5).unwrap();
    assert_close(package.energy.unwrap(), 150.0);
    assert_close(package.mean, 50.0);
    assert_eq!(package.readings, 3);
    assert_close(joules(&recorder, "rapl.package-0.core", 1.0, 4.0), 90.0);
    assert_close(joules(&recorder, "rapl.package-0.dram", 0.0, 4.0), 20.0);
}

#[test]
fn a_counter_that_wraps_around_counts_on() {
    let machine = package(Some(RANGE));
    let energies = [0.0, 30.0, 60.0, 90.0].map(|energy| (262_100.0 + energy) % (RANGE as f64 / 1e6));
    let recorder = recorded(&machine, energies);
    assert!((joules(&recorder, "rapl.package-0", 0.0, 3.0) - 90.0).abs() < 1e-4);
}

#[test]
fn a_reset_breaks_the_windows_that_it_lies_in_and_no_others() {
    let machine = package(Some(RANGE));
    let recorder = recorded(&machine, [100_000.0, 100_050.0, 100_100.0, 3.0, 53.0, 103.0]);
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 2.0), 100.0);
    assert_eq!(window(&recorder, "rapl.package-0", 0.0, 5.0), Err(WindowError::Broken));
    assert_eq!(window(&recorder, "rapl.package-0", 2.5, 5.0), Err(WindowError::Broken));
    assert_close(joules(&recorder, "rapl.package-0", 3.0, 5.0), 100.0);
}

#[test]
fn without_a_range_a_step_back_is_a_break_and_the_rest_counts() {
    let machine = package(None);
    let recorder = recorded(&machine, [10.0, 20.0, 30.0, 1.0, 11.0, 21.0]);
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 2.0), 20.0);
    assert_eq!(window(&recorder, "rapl.package-0", 0.0, 4.0), Err(WindowError::Broken));
    assert_close(joules(&recorder, "rapl.package-0", 3.0, 5.0), 20.0);
}

#[test]
fn a_range_of_no_use_is_as_none() {
    let machine = package(None);
    machine.write(&format!("{ROOT}/intel-rapl:0/max_energy_range_uj"), "0\n");
    let recorder = recorded(&machine, [0.0, 10.0, 20.0, 30.0]);
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 3.0), 30.0);
}

#[test]
fn more_than_a_package_can_draw_is_a_break() {
    let machine = package(Some(RANGE));
    machine.write(&format!("{ROOT}/intel-rapl:0/constraint_0_max_power_uw"), "15000000\n");
    let recorder = recorded(&machine, [0.0, 40.0, 80.0, 1080.0]);
    assert_close(channel(&recorder, "rapl.package-0").limit_watts, 500.0);
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 2.0), 80.0);
    assert_eq!(window(&recorder, "rapl.package-0", 0.0, 3.0), Err(WindowError::Broken));
}

/// Makers let parts of 4.5 to 15 W draw 49 to 78 W (linux-surface's report 221, sbc-bench's 63).
#[test]
fn power_far_above_the_nominal_one_is_real() {
    let machine = package(Some(RANGE));
    let limits = [("0_max", 15), ("1_max", 0), ("0_limit", 25), ("1_limit", 200)];
    for (constraint, watts) in limits {
        let (number, which) = constraint.split_once('_').unwrap();
        let name = if which == "max" { "max_power_uw" } else { "power_limit_uw" };
        machine.write(&format!("{ROOT}/intel-rapl:0/constraint_{number}_{name}"), format!("{watts}000000\n"));
    }
    let recorder = recorded(&machine, [0.0, 64.0, 128.0, 192.0]);
    let package = channel(&recorder, "rapl.package-0");
    assert_eq!((package.limit_watts.round(), package.cap_watts.map(f64::round)), (800.0, Some(25.0)));
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 3.0), 192.0);
}

/// AMD's packages of several dies show one counter for each die (codecarbon's reports 1274 and 1379).
#[test]
fn dies_that_show_one_counter_are_one_meter() {
    let machine = Machine::new();
    for die in 0..3 {
        add_zone(&machine, &format!("intel-rapl:{die}"), &format!("package-0-die-{die}"), Some(65_532_610_987));
    }
    let recorder = each_second(machine.open("rapl").unwrap(), [0.0, 120.0, 240.0, 360.0], |joules| {
        count(&machine, "intel-rapl:0", 1000.0 + joules);
        // The counter went on a little until the second file was read.
        count(&machine, "intel-rapl:1", 1000.5 + joules);
        // This die counts for itself.
        count(&machine, "intel-rapl:2", 7000.0 + joules);
    });
    let (recording, total) = (recorder.recording(), recorder.recording().judged());
    assert_eq!(total.names(), ["rapl.package-0-die-0", "rapl.package-0-die-2"]);
    assert_close(total.window(recording, 0.0, 3.0).unwrap().unwrap().joules, 720.0);
    let expected = "rapl.package-0-die-1 is left out: shows the counter of rapl.package-0-die-0 again";
    assert_eq!(total.remarks(), [expected]);
}

/// Boards that do not feed the counter exist (cpu-energy-meter's report 16).
#[test]
fn a_platform_below_its_package_is_not_believed() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:0/intel-rapl:0:0", "core", Some(RANGE));
    add_zone(&machine, "intel-rapl:1", "psys", Some(RANGE));
    let record = |platform_watts: f64| {
        each_second(machine.open("rapl").unwrap(), [0.0, 1.0, 2.0, 3.0], |second| {
            count(&machine, "intel-rapl:0", 60.0 * second);
            count(&machine, "intel-rapl:0/intel-rapl:0:0", 50.0 * second);
            count(&machine, "intel-rapl:1", platform_watts * second);
        })
    };
    let (below, above) = (record(2.0), record(75.0));
    let total = below.recording().judged();
    assert_eq!(total.names(), ["rapl.package-0"]);
    assert_close(total.window(below.recording(), 0.0, 3.0).unwrap().unwrap().joules, 180.0);
    let expected = "rapl.psys is left out: reads 2.0 W, which cannot be: rapl.package-0 inside it reads 60.0 W";
    assert_eq!(total.remarks(), [expected]);
    assert_eq!(above.recording().judged().names(), ["rapl.psys"]);
}

#[test]
fn a_platform_that_stands_still_hides_no_package() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:1", "psys", Some(RANGE));
    let recorder = recorded(&machine, [0.0, 10.0, 20.0, 30.0]);
    let total = recorder.recording().judged();
    assert_eq!(total.names(), ["rapl.package-0"]);
    assert_close(total.window(recorder.recording(), 0.0, 3.0).unwrap().unwrap().joules, 30.0);
    assert_eq!(total.remarks(), ["rapl.psys is left out: stands still: the same reading for 3.0 s"]);
}

/// Half of the machine is not the machine.
#[test]
fn a_package_that_stands_still_beside_another_leaves_no_total() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:1", "package-1", Some(RANGE));
    let recorder = recorded(&machine, [0.0, 10.0, 20.0, 30.0]);
    let total = recorder.recording().judged();
    assert_eq!(total.names(), ["rapl.package-0", "rapl.package-1"]);
    let error = total.window(recorder.recording(), 0.0, 3.0).unwrap_err();
    assert_eq!(error.to_string(), "rapl.package-1: it holds 0 readings, which is too few");
}

#[test]
fn an_unreadable_part_is_left_out_and_an_unreadable_package_is_a_loss() {
    let machine = package(Some(RANGE));
    let unreadable = |zone: &str, name: &str| {
        machine.write(&format!("{ROOT}/{zone}/name"), format!("{name}\n"));
        // Root can read every file, but not a directory.
        std::fs::create_dir_all(machine.path(&format!("{ROOT}/{zone}/energy_uj"))).unwrap();
    };
    unreadable("intel-rapl:0/intel-rapl:0:0", "core");
    unreadable("intel-rapl:1", "psys");
    let recorder = machine.open("rapl").unwrap();
    let total = recorder.recording().total();
    assert_eq!((total.names(), total.lacks()), (vec!["rapl.package-0".into()], vec![]));
    let missing: Vec<String> = total.missing().iter().map(|missing| missing.resource.to_string()).collect();
    assert_eq!(missing, ["rapl.package-0.core", "rapl.psys"]);
    assert!(total.missing()[0].why.reason.contains("intel-rapl:0:0/energy_uj: Is a directory"));

    // The memory is no part of the package, so that there is no total without it.
    unreadable("intel-rapl:0/intel-rapl:0:1", "dram");
    let _counting = machine.count_up(&format!("{ROOT}/intel-rapl:0/energy_uj"), 50.0);
    let places = machine.places();
    let refusal = Selection::of(&["rapl"], &places).err().unwrap().to_string();
    assert!(refusal.starts_with("rapl: ") && refusal.contains("intel-rapl:0:1/energy_uj"), "{refusal}");
    let named = Selection::of(&["rapl:package-0"], &places).unwrap();
    assert_eq!(named.sensors.total().names(), ["rapl.package-0"]);
}

#[test]
fn the_platform_is_the_total_where_it_is_counted() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:0/intel-rapl:0:0", "dram", Some(RANGE));
    add_zone(&machine, "intel-rapl:1", "psys", Some(RANGE));
    // The counter of a second socket's platform stands still.
    add_zone(&machine, "intel-rapl:2", "psys-1", Some(RANGE));
    let recorder = machine.open("rapl").unwrap();
    assert_eq!(totals(&recorder), ["rapl.psys"]);
    assert_eq!(recorder.recording().channels().len(), 4);
}

#[test]
fn a_package_that_two_drivers_list_counts_once_and_keeps_its_memory() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:0/intel-rapl:0:0", "dram", Some(RANGE));
    add_zone(&machine, "intel-rapl-mmio:0", "package-0", Some(RANGE));
    let recorder = recorded(&machine, [0.0, 10.0, 20.0, 30.0]);
    assert_eq!(totals(&recorder), ["rapl.package-0", "rapl.package-0.dram"]);
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 3.0), 30.0);
}

#[test]
fn sockets_and_their_dies_are_packages() {
    let machine = package(Some(RANGE));
    add_zone(&machine, "intel-rapl:1", "package-1", Some(RANGE));
    add_zone(&machine, "intel-rapl:1/intel-rapl:1:0", "dram", Some(RANGE));
    add_zone(&machine, "intel-rapl:2", "package-2-die-1", Some(RANGE));
    add_zone(&machine, "intel-rapl:2/intel-rapl:2:0", "core", Some(RANGE));
    let recorder = machine.open("rapl").unwrap();
    let expected = ["rapl.package-0", "rapl.package-1", "rapl.package-1.dram", "rapl.package-2-die-1"];
    assert_eq!(totals(&recorder), expected);
}

#[test]
fn a_counter_that_cannot_be_read_is_named() {
    let machine = package(Some(RANGE));
    let energy = machine.path(&format!("{ROOT}/intel-rapl:0/energy_uj"));
    std::fs::remove_file(&energy).unwrap();
    let gone = machine.refusal("rapl").to_string();
    assert!(gone.contains("intel-rapl:0/energy_uj: No such file"), "{gone}");
    // Root can read every file, but not a directory.
    std::fs::create_dir(&energy).unwrap();
    let refusal = machine.refusal("rapl").to_string();
    assert!(refusal.contains("intel-rapl:0/energy_uj: Is a directory"), "{refusal}");
}

#[test]
fn a_machine_without_counters_says_what_it_would_take() {
    let machine = Machine::new();
    let none = machine.refusal("rapl");
    assert!(none.reason.contains("no such directory") && none.fix.unwrap().contains("modprobe"));
    std::fs::create_dir_all(machine.path(ROOT)).unwrap();
    assert!(machine.refusal("rapl").reason.contains("no RAPL domains"));
}

#[test]
fn a_counter_that_falls_silent_gives_no_energy() {
    let machine = package(Some(RANGE));
    let readings = ["0", "10000000", "20000000", "not a number", "not a number", "not a number"];
    let recorder = each_second(machine.open("rapl").unwrap(), readings, |reading| {
        machine.write(&format!("{ROOT}/intel-rapl:0/energy_uj"), format!("{reading}\n"));
    });
    assert_close(joules(&recorder, "rapl.package-0", 0.0, 2.0), 20.0);
    assert_eq!(window(&recorder, "rapl.package-0", 0.0, 4.0), Err(WindowError::NotCovered));
}
