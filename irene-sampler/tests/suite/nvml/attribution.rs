//! The parts that processes have in the energy of cards.

use crate::machine::{Machine, assert_close, at, joules, window};
use irene_sampler::{
    Sensors,
    sensors::{Idle, ProcessRoot, ProcessTree},
};

use super::*;

/// The processors' power, watts.
const PROCESSORS: f64 = 10.0;

/// A machine on which this process makes all the load.
fn machine(library: PathBuf) -> (Machine, Places) {
    let machine = Machine::new();
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 4000 kB\n");
    machine.write("proc/self/status", "VmRSS: 1000 kB\n");
    machine.write(&format!("proc/{}/stat", std::process::id()), "");
    machine.write("proc/4242/stat", "");
    load(&machine, 0.0);
    let places = Places { nvml_library: Some(library), ..machine.places() };
    (machine, places)
}

fn load(machine: &Machine, time: f64) {
    let microjoules = (1e6 * PROCESSORS * time) as u64;
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", format!("{microjoules}\n"));
    let ticks = 100 + (100.0 * time) as u64;
    machine.write("proc/stat", format!("cpu  {ticks} 0 0 {ticks} 0 0 0 0 0 0\n"));
    machine.write("proc/self/stat", format!("7 (x) S 1 7 7 0 -1 4194304 9 8 7 6 {ticks} 0 0 0 20 0 1\n"));
}

/// A card at 200 W, with processes that use it.
fn card(time: f64, processes: &str) -> String {
    let [energy, now] = [200e3 * time, 1e6 * (1.0 + time)].map(|number| number as u64);
    format!(
        "count = 1\ngpu0.energy_mj = {energy}\ngpu0.power_mw = 200000\ngpu0.enforced_limit_mw = 300000\n\
         gpu0.processes = {processes}\ngpu0.processes_us = {now}\n"
    )
}

fn sample_at(machine: &Machine, recorder: &mut Recorder, time: f64, script: &str) {
    write_script(script);
    load(machine, time);
    recorder.sample_at(at(time));
}

#[test]
fn a_process_has_its_share_of_a_card() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
        let own = std::process::id();
        let mut sample = |time, processes: &str| sample_at(&machine, &mut recorder, time, &card(time, processes));
        sample(0.0, "");
        sample(0.5, &format!("{own}:30 4242:10"));
        sample(1.0, &format!("{own}:60 4242:20"));
        sample(2.0, "4242:50");
        sample(3.0, "");
        // It has three quarters of the first second, another process all of the next one, and nobody the last.
        assert_close(joules(&recorder, "impact-tracker", 0.0, 1.0), 1.58 * (PROCESSORS + 0.75 * 200.0));
        assert_close(joules(&recorder, "impact-tracker", 1.0, 3.0), 2.0 * 1.58 * PROCESSORS);
    });
}

#[test]
fn power_stands_in_for_a_counter_that_is_missing_or_was_never_fed() {
    scripted(&card(0.0, ""), |library| {
        let own = format!("{}:80", std::process::id());
        for counter in ["gpu0.none = 0", "gpu0.energy_mj = 0"] {
            let without = |time, processes: &str| {
                let script = card(time, processes);
                let lines = script.lines().map(|line| if line.contains("energy_mj") { counter } else { line });
                lines.collect::<Vec<_>>().join("\n")
            };
            let (machine, places) = machine(library.clone());
            write_script(&without(0.0, ""));
            let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
            for time in [0.0, 0.5, 1.0] {
                sample_at(&machine, &mut recorder, time, &without(time, &own));
            }
            assert_close(joules(&recorder, "impact-tracker", 0.0, 1.0), 1.58 * (PROCESSORS + 200.0));
        }
    });
}

/// In a container the driver numbers processes otherwise than this system.
#[test]
fn an_unknown_share_is_not_zero() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
        sample_at(&machine, &mut recorder, 0.0, &card(0.0, ""));
        sample_at(&machine, &mut recorder, 1.0, &card(1.0, "77:40"));
        assert_eq!(window(&recorder, "impact-tracker", 0.0, 1.0), Err(WindowError::Broken));
    });
}

/// Some processes, by the sensors of the whole machine.
fn tree_of(root: ProcessRoot, places: &Places, idle: Idle) -> Result<ProcessTree, Unavailable> {
    let open = |name: &str| (sensors::kind(name).unwrap().open)(places).unwrap();
    let total = Recorder::new(vec![open("rapl"), open("nvml")], 2).recording().total().clone();
    ProcessTree::open(places, root, &total, idle)
}

/// A tree of process 10 and its child 11. Process 10 makes half of the load.
fn tree(places: &Places, idle: Idle) -> Result<ProcessTree, Unavailable> {
    tree_of(ProcessRoot::Pid(10), places, idle)
}

fn family(machine: &Machine, time: f64) {
    for (pid, parent, ticks) in [(10, 1, (50.0 * time) as u64), (11, 10, 0)] {
        let text = format!("{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 9 9\n");
        machine.write(&format!("proc/{pid}/stat"), text);
    }
}

/// Joules by processor time and by multiprocessors in a second.
fn a_second(machine: &Machine, tree: ProcessTree, processes: &str) -> [Option<f64>; 2] {
    let mut recorder = Recorder::new(Sensors { probes: vec![Box::new(tree)], ..Sensors::default() }, 16);
    for time in [0.0, 1.0] {
        family(machine, time);
        sample_at(machine, &mut recorder, time, &card(time, if time > 0.0 { processes } else { "" }));
    }
    ["process.cpu-time", "process.sm-time"].map(|name| known(&recorder, name))
}

/// Joules of a channel, if it is there and no part of them is unknown.
fn known(recorder: &Recorder, name: &str) -> Option<f64> {
    let place = recorder.recording().channels().iter().position(|channel| channel.id.to_string() == name)?;
    let series = recorder.recording().series(place);
    series.joules().filter(|_| series.gaps() == 0)
}

#[test]
fn a_tree_has_its_share_of_a_card_without_an_overhead() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        family(&machine, 0.0);
        let shared = |idle, processes: &str| {
            load(&machine, 0.0);
            write_script(&card(0.0, ""));
            a_second(&machine, tree(&places, idle).unwrap(), processes)
        };
        let used = "10:30 11:15 4242:15";
        assert_eq!(shared(Idle::Shared, used), [Some(PROCESSORS / 2.0), Some(0.75 * 200.0)]);
        // Two fifths of the time the card does nothing, and half of the time the processors.
        assert_eq!(shared(Idle::Apart, used), [Some(PROCESSORS / 4.0), Some(0.45 * 200.0)]);
        assert_eq!(shared(Idle::Shared, "4242:15")[1], Some(0.0));
        assert_eq!(shared(Idle::Shared, "77:40")[1], None, "a number that this system does not know");
    });
}

#[test]
fn a_group_has_the_share_of_its_processes_and_of_those_in_groups_inside_it() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        machine.write("sys/fs/cgroup/cgroup.controllers", "cpu\n");
        machine.write("sys/fs/cgroup/a/cpu.stat", "usage_usec 0\n");
        machine.write("sys/fs/cgroup/a/cgroup.procs", "10\n");
        machine.write("sys/fs/cgroup/a/b/c/cgroup.procs", "9\n11\n");
        let group = tree_of(ProcessRoot::Cgroup("/a".into()), &places, Idle::Shared).unwrap();
        assert_eq!(a_second(&machine, group, "10:30 11:15 4242:15"), [Some(0.0), Some(0.75 * 200.0)]);
    });
}

/// The driver tells of the last second or so.
#[test]
fn a_process_that_ended_has_its_share_for_two_seconds() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        family(&machine, 0.0);
        let tree = tree(&places, Idle::Shared).unwrap();
        let mut recorder = Recorder::new(Sensors { probes: vec![Box::new(tree)], ..Sensors::default() }, 16);
        let mut joules_at = |time: f64| {
            sample_at(&machine, &mut recorder, time, &card(time, "11:30 4242:10"));
            known(&recorder, "process.sm-time")
        };
        assert_eq!(joules_at(0.0), Some(0.0));
        std::fs::remove_dir_all(machine.path("proc/11")).unwrap();
        assert_eq!([1.0, 3.0].map(&mut joules_at), [Some(150.0), Some(450.0)]);
        assert_eq!(joules_at(4.0), None, "it may be anybody's number by now");
    });
}

#[test]
fn processors_are_shared_out_where_cards_cannot_be() {
    scripted(CARD, |library| {
        let (machine, places) = machine(library);
        family(&machine, 0.0);
        let tree = tree(&places, Idle::Shared).unwrap();
        let [(id, why)] = tree.not_shared() else { unreachable!("{:?}", tree.not_shared()) };
        assert_eq!(id.to_string(), "gpu0.energy");
        assert!(why.contains("GPU 0, shares of processes"), "{why}");
        assert_eq!(a_second(&machine, tree, ""), [Some(PROCESSORS / 2.0), None]);
    });
}

#[test]
fn a_card_that_tells_no_shares_is_said() {
    scripted(CARD, |library| {
        let (_machine, places) = machine(library);
        let unavailable = crate::machine::open("impact-tracker", &places).unwrap_err().to_string();
        assert!(unavailable.contains("GPU 0, shares of processes"), "{unavailable}");
    });
}

#[test]
fn a_share_holds_for_two_seconds_until_the_driver_renews_it() {
    scripted(&card(0.0, ""), |library| {
        let (machine, places) = machine(library);
        let mut recorder = crate::machine::open("impact-tracker", &places).unwrap();
        let own = format!("{}:80", std::process::id());
        for (time, processes) in [(0.0, ""), (1.0, own.as_str()), (2.0, ""), (3.0, ""), (4.0, "")] {
            sample_at(&machine, &mut recorder, time, &card(time, processes));
        }
        assert_close(joules(&recorder, "impact-tracker", 0.0, 3.0), 3.0 * 1.58 * (PROCESSORS + 200.0));
        assert_close(joules(&recorder, "impact-tracker", 2.0, 4.0), 1.58 * (2.0 * PROCESSORS + 200.0));
    });
}
