//! The part of this process in the energy of the machine, by its load.

use irene_sampler::{Provenance, WindowError};

use super::{memory, ticks};
use crate::machine::{Machine, assert_close, channel, each_second, joules, window};

const PACKAGE: &str = "sys/class/powercap/intel-rapl:0";
const MEMORY: &str = "sys/class/powercap/intel-rapl:0/intel-rapl:0:0";

/// Ticks of the process in user and system time. Its name is hard to parse.
fn process(machine: &Machine, ticks: u64) {
    let text = format!("7 (a) (1 2 3 b) S 1 7 7 0 -1 4194304 9 8 7 6 {} {} 0 0 20 0 1\n", ticks / 2, ticks - ticks / 2);
    machine.write("proc/self/stat", text);
}

fn used(machine: &Machine, package_joules: u64, memory_joules: u64) {
    machine.write(&format!("{PACKAGE}/energy_uj"), format!("{package_joules}000000\n"));
    machine.write(&format!("{MEMORY}/energy_uj"), format!("{memory_joules}000000\n"));
}

fn machine() -> Machine {
    let machine = Machine::new();
    machine.write(&format!("{PACKAGE}/name"), "package-0\n");
    machine.write(&format!("{MEMORY}/name"), "dram\n");
    used(&machine, 5, 5);
    ticks(&machine, 1000, 1000);
    memory(&machine, 8000, 4000);
    process(&machine, 10);
    machine.write("proc/self/status", "Name:\tx\nVmHWM:\t 9999 kB\nVmRSS:\t 1000 kB\n");
    machine
}

#[test]
fn it_is_the_process_s_share_times_the_overhead_of_data_centres() {
    let machine = machine();
    let recorder = each_second(machine.open("impact-tracker").unwrap(), 0..4, |second| {
        ticks(&machine, 1000 + 100 * second, 1000 + 300 * second);
        process(&machine, 10 + 50 * second);
        used(&machine, 5 + 100 * second, 5 + 10 * second);
    });
    assert_eq!(channel(&recorder, "impact-tracker").provenance, Provenance::Estimated);
    // Half of the busy time of 100 W, a quarter of the used memory's 10 W.
    assert_close(joules(&recorder, "impact-tracker", 0.0, 3.0), 3.0 * 1.58 * (50.0 + 2.5));
}

#[test]
fn samples_between_ticks_lose_no_energy() {
    let machine = machine();
    let recorder = each_second(machine.open("impact-tracker").unwrap(), 0..9_u64, |step| {
        let ticked = step / 2;
        ticks(&machine, 1000 + 10 * ticked, 1000);
        // The process's own ticks may show before the machine's.
        process(&machine, 10 + 5 * step.div_ceil(2));
        used(&machine, 5 + step, 5);
    });
    let found = joules(&recorder, "impact-tracker", 0.0, 8.0);
    assert!((found - 1.58 * 4.0).abs() <= 1.58, "{found} J: half of 8 J, but for a tick's part");
}

#[test]
fn without_memory_s_share_there_is_no_figure() {
    let machine = machine();
    let recorder = each_second(machine.open("impact-tracker").unwrap(), 0..6, |second| {
        ticks(&machine, 1000 + 100 * second, 1000);
        process(&machine, 10 + 50 * second);
        used(&machine, 5 + 100 * second, 5 + 10 * second);
        if second == 3 {
            machine.write("proc/self/status", "Name:\tx\n");
        }
    });
    assert!(window(&recorder, "impact-tracker", 0.0, 2.0).is_ok());
    assert_eq!(window(&recorder, "impact-tracker", 1.0, 5.0), Err(WindowError::Broken));
}

#[test]
fn it_needs_energy_counters() {
    let machine = Machine::new();
    ticks(&machine, 1, 1);
    assert!(machine.refusal("impact-tracker").fix.is_some_and(|fix| fix.contains("modprobe")));
}

/// Joules of three seconds in which the process has half of the busy time, by counters of packages and platforms: their zones, their
/// names, and joules at the start and in each second.
fn three_seconds(zones: &[(&str, f64, f64)]) -> f64 {
    let machine = machine();
    std::fs::remove_dir_all(machine.path("sys/class/powercap")).unwrap();
    let count = |second: f64| {
        for (place, (name, start, watts)) in zones.iter().enumerate() {
            let zone = format!("sys/class/powercap/intel-rapl:{place}");
            machine.write(&format!("{zone}/name"), name);
            machine.write(&format!("{zone}/energy_uj"), format!("{:.0}\n", 1e6 * (start + watts * second)));
        }
    };
    count(0.0);
    let recorder = each_second(machine.open("impact-tracker").unwrap(), 0..4_u64, |second| {
        ticks(&machine, 1000 + 100 * second, 1000);
        process(&machine, 10 + 50 * second);
        count(second as f64);
    });
    joules(&recorder, "impact-tracker", 0.0, 3.0) / (1.58 * 3.0 / 2.0)
}

#[test]
fn packages_are_shared_out_and_a_platform_where_there_is_none() {
    assert_close(three_seconds(&[("package-0", 5.0, 60.0), ("psys", 5.0, 90.0)]), 60.0);
    assert_close(three_seconds(&[("psys", 5.0, 90.0)]), 90.0);
}

#[test]
fn dies_that_show_one_counter_are_shared_out_once() {
    let dies = |name: &str, apart: f64| three_seconds(&[("package-0-die-0", 5.0, 60.0), (name, 5.0 + apart, 60.0)]);
    assert_close(dies("package-0-die-1", 0.5), 60.0);
    assert_close(dies("package-0-die-1", -0.5), 60.0);
    assert_close(dies("package-0-die-1", 1.0), 120.0);
    assert_close(dies("package-1-die-1", 0.5), 120.0);
    assert_close(three_seconds(&[("package-0", 5.0, 60.0), ("package-1", 5.0, 60.0)]), 120.0);
}
