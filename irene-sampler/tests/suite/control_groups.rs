//! The part of control groups of either version in a meter's energy.

use irene_sampler::{
    Recorder, Sensor, WindowError,
    sensors::{Idle, ProcessRoot},
};

use crate::machine::{at, values, window};
use crate::world::{CPU, World, two_seconds, with_memory};

/// Version 2, as Linux lays it out in `cgroup.controllers`, `cpu.stat`, `memory.current` (admin-guide/cgroup-v2).
fn version_2(world: &World, microseconds: u64) {
    let write = |file: &str, text: &str| world.machine.write(&format!("sys/fs/cgroup/{file}"), text);
    write("cgroup.controllers", "cpu memory\n");
    let stat = format!("usage_usec {microseconds}\nuser_usec 1\nsystem_usec 2\n");
    write("a.slice/b.scope/cpu.stat", &stat);
    write("a.slice/b.scope/memory.current", "614400\n");
    write("a.slice/b.scope/memory.stat", "anon 1\ninactive_file 102400\n");
}

/// Version 1: a directory for each controller (admin-guide/cgroup-v1).
fn version_1(world: &World, nanoseconds: u64) {
    let write = |file: &str, text: &str| world.machine.write(&format!("sys/fs/cgroup/{file}"), text);
    write("cpu,cpuacct/docker/4f/cpuacct.usage", &format!("{nanoseconds}\n"));
    write("memory/docker/4f/memory.usage_in_bytes", "614400\n");
    write("memory/docker/4f/memory.stat", "inactive_file 5\ntotal_inactive_file 102400\n");
}

fn watched(write: fn(&World, u64), a_tick: u64, path: &str) -> [f64; 2] {
    let mut world = with_memory();
    write(&world, 12345);
    let path = path.replace("SYS", world.machine.path("sys").to_str().unwrap());
    let mut ticks = 0;
    two_seconds(&mut world, ProcessRoot::Cgroup(path.into()), Idle::Shared, |world| {
        ticks += 100;
        write(world, 12345 + ticks * a_tick);
    })
}

#[test]
fn a_group_of_either_version_has_its_share() {
    // A tenth of the busy time, and 500 of 4000 kB.
    for path in
        ["/a.slice/b.scope", "a.slice/b.scope", "SYS/fs/cgroup/a.slice/b.scope", "/sys/fs/cgroup/a.slice/b.scope/"]
    {
        assert_eq!(watched(version_2, 10_000, path), [200.0, 125.0], "{path}");
    }
    for path in ["/docker/4f", "/sys/fs/cgroup/memory/docker/4f", "SYS/fs/cgroup/cpu,cpuacct/docker/4f"] {
        assert_eq!(watched(version_1, 10_000_000, path), [200.0, 125.0], "{path}");
    }
}

#[test]
fn a_group_that_cannot_be_read_is_said_in_a_line() {
    let world = World::new();
    version_2(&world, 1);
    let refusal = |path: &str| {
        let why = world.tree(ProcessRoot::Cgroup(path.into()), Idle::Shared).err().unwrap().to_string();
        assert!(!why.contains('\n'), "{why}");
        why
    };
    let unknown = refusal("/nobody.slice");
    assert!(unknown.starts_with("the control group /nobody.slice cannot be read: "), "{unknown}");
    assert!(unknown.contains("cpu.stat: No such file") && unknown.contains("`cat /proc/PID/cgroup`"), "{unknown}");
    assert!(refusal("../../../proc").contains("the control group /proc cannot be read"));
    world.machine.write("sys/fs/cgroup/a.slice/cpu.stat", "nr_periods 0\n");
    assert!(refusal("/a.slice").contains("it has no usage_usec"));
}

#[test]
fn a_group_that_goes_is_over() {
    let world = World::new();
    version_2(&world, 1);
    let tree = world.tree(ProcessRoot::Cgroup("/a.slice/b.scope".into()), Idle::Shared).unwrap();
    let mut recorder = Recorder::new(vec![Box::new(tree) as Box<dyn Sensor>], 16);
    recorder.sample_at(at(0.0));
    std::fs::remove_dir_all(world.machine.path("sys/fs/cgroup/a.slice/b.scope")).unwrap();
    for second in 1..4 {
        world.machine.write("proc/stat", format!("cpu  {second} 0 0 0 0 0 0 0 0 0\n"));
        recorder.sample_at(at(f64::from(second)));
    }
    assert_eq!(values(&recorder, CPU).len(), 1);
    let said = recorder.check(at(4.0)).unwrap_err().to_string();
    assert_eq!(said, "process.cpu-time: the control group /a.slice/b.scope is gone");
}

/// The processors' share is known where the memory's is not.
#[test]
fn without_the_memory_controller_the_memory_s_part_is_unknown() {
    let mut world = with_memory();
    version_2(&world, 1);
    std::fs::remove_file(world.machine.path("sys/fs/cgroup/a.slice/b.scope/memory.current")).unwrap();
    let root = ProcessRoot::Cgroup("/a.slice/b.scope".into());
    let [processors, _] = two_seconds(&mut world, root, Idle::Shared, |world| {
        let ticks = 100 * world.second;
        let stat = format!("usage_usec {}\n", 1 + 10_000 * ticks);
        world.machine.write("sys/fs/cgroup/a.slice/b.scope/cpu.stat", stat);
    });
    assert_eq!(processors, 200.0);
    let unknown = window(world.recorder(), "process.resident-memory", 0.0, 2.0);
    assert_eq!(unknown, Err(WindowError::Broken));
}
