//! Memory as /proc and control groups tell it.

use irene_sampler::{available_memory, peak_memory, sensors::Places};

use crate::machine::Machine;

const MIB: u64 = 1024 * 1024;

fn places(machine: &Machine) -> Places {
    Places { proc: machine.path("proc"), sys: machine.path("sys"), ..Places::here() }
}

#[test]
fn the_lesser_of_machine_and_control_group_is_available() {
    let machine = Machine::new();
    let available = || available_memory(&places(&machine));
    assert_eq!(available(), None, "nothing is known");
    machine.write("proc/meminfo", "MemTotal: 8192 kB\nMemAvailable: 4096 kB\n");
    assert_eq!(available(), Some(4 * MIB));

    machine.write("proc/self/cgroup", "0::/user.slice/a.scope\n");
    let group = |file: &str, text: &str| machine.write(&format!("sys/fs/cgroup/user.slice/a.scope/{file}"), text);
    group("memory.max", "max\n");
    group("memory.current", "2097152\n");
    assert_eq!(available(), Some(4 * MIB), "the group has no limit");
    group("memory.max", "3145728\n");
    assert_eq!(available(), Some(MIB));
    group("memory.stat", "anon 1\ninactive_file 1048576\n");
    assert_eq!(available(), Some(2 * MIB), "pages of files make room");
    group("memory.current", "9999999\n");
    assert_eq!(available(), Some(0));
}

#[test]
fn the_peak_is_the_processs_own() {
    let machine = Machine::new();
    assert_eq!(peak_memory(&places(&machine)), None);
    machine.write("proc/self/status", "VmPeak: 9 kB\nVmHWM:\t    3072 kB\nVmRSS: 1 kB\n");
    assert_eq!(peak_memory(&places(&machine)), Some(3 * MIB));
}
