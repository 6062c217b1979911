//! The part of process trees and control groups in a meter's energy, on made-up machines where a busy tick takes a joule.

use irene_sampler::{
    Provenance, Recorder, Sensor, Sensors, Stamp, WindowError,
    sensors::{Idle, Places, ProcessRoot, ProcessTree},
};
use proptest::prelude::*;

use crate::machine::{assert_close, at, channel, open, series, values, window};
use crate::world::{CPU, World, two_seconds, with_memory};

/// A machine whose process 10 is watched.
fn watched() -> World {
    let mut world = World::new();
    world.watch(ProcessRoot::Pid(10), Idle::Shared);
    world
}

mod trees {
    use super::*;

    /// A step a word: `20<10` starts process 20 as a child of 10, `20+100` keeps it busy for 100 ticks, `20.` ends it and its parent waits
    /// for it, `20!` ends it and nobody waits for it, `|` takes a sample.
    fn play(world: &mut World, script: &str) {
        let pid = |text: &str| text.parse().unwrap();
        for step in script.split(' ') {
            if let Some((child, parent)) = step.split_once('<') {
                world.start(pid(child), pid(parent));
            } else if let Some((busy, ticks)) = step.split_once('+') {
                world.run(pid(busy), ticks.parse().unwrap());
            } else if let Some(ended) = step.strip_suffix('.') {
                world.end(pid(ended), true);
            } else if let Some(ended) = step.strip_suffix('!') {
                world.end(pid(ended), false);
            } else {
                world.sample();
            }
        }
    }

    #[test]
    fn each_process_of_the_tree_counts_once_as_an_estimate() {
        for (rule, script, joules) in [
            ("a tree has its share of the busy time", "11<10 12<1 10+200 11+300 12+500 |", 500.0),
            (
                "the parent that waited counts a child, seen or unseen",
                "20<10 20+100 | 20+40 20. 21<10 21+30 21. | |",
                170.0,
            ),
            ("a child that nobody waits for counts by its last reading", "20<10 20+100 | 20+40 20! |", 100.0),
            ("and the next child is whole", "20<10 20+100 | 20+40 20! | 21<10 21+50 21. |", 150.0),
            ("a family that ends at once counts once", "20<10 30<20 20+10 30+100 | 30+7 30. 20. |", 117.0),
            ("an orphan stays in the tree, and so do its children", "20<10 30<20 | 20. 40<30 30+10 40+5 |", 15.0),
            ("a number that is given again is another process", "20<10 20+100 | 20. 20<1 20+900 |", 100.0),
            ("which may be of the tree", "20<10 20+100 | 20. 20<1 20+900 | 20! 20<10 20+30 |", 130.0),
        ] {
            let mut world = watched();
            play(&mut world, script);
            assert!((world.used() - joules).abs() < 1e-6, "{rule}: {} J", world.used());
            assert_eq!(channel(world.recorder(), CPU).provenance, Provenance::Estimated);
        }
    }

    #[test]
    fn the_children_of_a_process_are_counted_without_it() {
        let mut world = World::new();
        world.watch(ProcessRoot::ChildrenOf(10), Idle::Shared);
        play(&mut world, "10+400 20<10 20+100 | 20+11 20. |");
        assert_close(world.used(), 111.0);
        assert_eq!(world.recorder().check(at(9.0)), Ok(()), "a probe is no part of the meter");
    }

    #[test]
    fn a_tree_that_has_ended_gives_no_readings_any_more() {
        let mut world = watched();
        play(&mut world, "20<10 20+100 | 10. 20+10 |");
        assert_close(world.used(), 110.0);
        play(&mut world, "20. |");
        let read = series(world.recorder(), CPU).pushed();
        // Somebody else is number 10 now.
        play(&mut world, "10<1 10+500 | |");
        assert_eq!(series(world.recorder(), CPU).pushed(), read);
        assert_close(world.used(), 110.0);
    }

    /// The complaint of a meter that is this tree at its second sample.
    fn said(world: &World, tree: ProcessTree, change: impl FnOnce()) -> String {
        let mut recorder = Recorder::new(vec![Box::new(tree) as Box<dyn Sensor>], 16);
        recorder.sample_at(at(0.0));
        assert_eq!(recorder.check(at(0.0)), Ok(()));
        change();
        recorder.sample_at(at(1.0));
        assert_eq!(world.second, 0);
        recorder.check(at(1.0)).unwrap_err().to_string()
    }

    #[test]
    fn who_ended_is_said() {
        let ended = "process.cpu-time: process 10 has ended, and so have its descendants";
        let world = World::new();
        let tree = world.tree(ProcessRoot::Pid(10), Idle::Shared).unwrap();
        assert_eq!(said(&world, tree, || std::fs::remove_dir_all(world.machine.path("proc/10")).unwrap()), ended);
        // A process that nobody has waited for yet uses nothing any more.
        let world = World::new();
        let tree = world.tree(ProcessRoot::Pid(10), Idle::Shared).unwrap();
        let stat = std::fs::read_to_string(world.machine.path("proc/10/stat")).unwrap().replace(" S ", " Z ");
        assert_eq!(said(&world, tree, || world.machine.write("proc/10/stat", &stat)), ended);
        let refusal = world.tree(ProcessRoot::Pid(10), Idle::Shared).err().unwrap();
        assert!(refusal.reason.starts_with("there is no process 10 in "), "{refusal}");
    }

    #[test]
    fn many_processes_are_searched_less_often_and_none_is_lost() {
        let mut world = watched();
        // So many take the next search two seconds further.
        for pid in 1000..5000 {
            world.machine.write(&format!("proc/{pid}/stat"), "9 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 9 9\n");
        }
        world.sample();
        world.start(20, 10);
        for _ in 0..11 {
            world.run(20, 10);
            world.sample();
        }
        assert_close(world.used(), 110.0);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Start(u8),
        Run(u8, u64),
        End(u8, bool),
        Sample,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => any::<u8>().prop_map(Event::Start),
            6 => (any::<u8>(), 1u64..20).prop_map(|(pid, ticks)| Event::Run(pid, ticks)),
            2 => (any::<u8>(), prop::bool::weighted(0.7)).prop_map(|(pid, waited)| Event::End(pid, waited)),
            4 => Just(Event::Sample),
        ];
        prop::collection::vec(event, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Nothing counts twice, nothing is taken back, and where everybody is waited for all of it counts.
        #[test]
        fn any_tree_is_counted_once(events in events()) {
            let mut world = watched();
            let (mut tree, mut truth, mut next, mut is_lossless, mut last) = (vec![10], 0, 100, true, 0.0);
            for event in events {
                match event {
                    Event::Start(parent) => {
                        world.start(next, tree[usize::from(parent) % tree.len()]);
                        tree.push(next);
                        next += 1;
                    }
                    Event::Run(pid, ticks) => {
                        world.run(tree[usize::from(pid) % tree.len()], ticks);
                        truth += ticks;
                    }
                    Event::End(pid, is_waited_for) if tree.len() > 1 => {
                        let ended = tree.remove(1 + usize::from(pid) % (tree.len() - 1));
                        let has_children = world.processes.values().any(|process| process.parent == ended);
                        let is_orphan = world.processes[&ended].parent == 1;
                        is_lossless &= is_waited_for && !has_children && !is_orphan;
                        world.end(ended, is_waited_for);
                    }
                    Event::End(..) => {}
                    Event::Sample => world.sample(),
                }
                prop_assert!(world.used() >= last, "{} after {last}", world.used());
                last = world.used();
            }
            world.sample();
            let used = world.used();
            prop_assert!(used <= truth as f64 + 1e-6, "{used} of {truth}");
            prop_assert!(!is_lossless || (used - truth as f64).abs() < 1e-6, "{used} is not {truth}");
        }
    }
}

#[test]
fn idle_processors_and_free_memory_are_shared_or_kept_apart() {
    let run = |world: &mut World| world.run(10, 400);
    let shared = two_seconds(&mut with_memory(), ProcessRoot::Pid(10), Idle::Shared, run);
    // Two fifths of the busy time, and 500 of the 4000 kB in use.
    assert_eq!(shared, [800.0, 125.0]);
    let apart = two_seconds(&mut with_memory(), ProcessRoot::Pid(10), Idle::Apart, run);
    // A quarter of the time is busy, and half of the memory is in use.
    assert_eq!(apart, [200.0, 62.5]);
}

#[test]
fn an_estimate_from_load_is_shared_out_too() {
    let mut world = World::new();
    std::fs::remove_dir_all(world.machine.path("sys")).unwrap();
    let places = Places { tdp_watts: Some(100.0), ..world.machine.places() };
    let total = open("tdp", &places).unwrap().recording().total().clone();
    let tree = ProcessTree::open(&places, ProcessRoot::Pid(10), &total, Idle::Shared).unwrap();
    let sensors = Sensors { probes: vec![Box::new(tree)], ..Sensors::default() };
    world.recorder = Some(Recorder::new(sensors, 16));
    world.sample();
    world.run(10, 250);
    world.sample();
    // A quarter of the processors is busy, and a quarter of that is the process's.
    assert_close(world.used(), 100.0 / 4.0 / 4.0);
}

#[test]
fn what_cannot_be_shared_out_is_said() {
    let world = World::new();
    world.machine.write("meter.csv", "time,watts\n");
    let places = Places { power_log: Some(world.machine.path("meter.csv")), ..world.machine.places() };
    let refusal = |total| ProcessTree::open(&places, ProcessRoot::Pid(10), &total, Idle::Shared).err().unwrap();
    let log = refusal(open("log", &places).unwrap().recording().total().clone()).to_string();
    assert!(log.starts_with("log cannot be shared out: nothing tells which process uses it; rapl, nvml"), "{log}");
    let none = refusal(irene_sampler::Total::default()).reason;
    assert_eq!(none, "there is no meter whose energy could be shared out");
    let unknown = world.tree(ProcessRoot::Pid(4711), Idle::Shared).err().unwrap().to_string();
    assert!(unknown.contains("there is no process 4711 in ") && !unknown.contains('\n'), "{unknown}");
    world.machine.write("proc/12/stat", "12 (cut off");
    assert!(world.tree(ProcessRoot::Pid(12), Idle::Shared).is_err());
}

#[test]
fn a_reset_of_the_counter_is_a_gap_of_the_share() {
    let mut world = watched();
    world.run(10, 500);
    world.sample();
    world.second = 0;
    world.write();
    world.machine.write("proc/stat", "cpu  3000 0 0 9000 0 0 0 0 0 0\n");
    world.recorder.as_mut().unwrap().sample_at(at(2.0));
    let shares = series(world.recorder(), CPU);
    assert_eq!((shares.joules(), shares.gaps()), (Some(500.0), 1));
    assert_eq!(window(world.recorder(), CPU, 0.0, 2.0), Err(WindowError::Broken));
}

#[test]
fn shares_are_read_every_tenth_of_a_second_at_most() {
    let world = World::new();
    let tree = world.tree(ProcessRoot::Pid(10), Idle::Shared).unwrap();
    let mut recorder = Recorder::new(Sensors { probes: vec![Box::new(tree)], ..Sensors::default() }, 64);
    for step in 0..100u32 {
        world.machine.write("proc/stat", format!("cpu  {step} 0 0 0 0 0 0 0 0 0\n"));
        recorder.sample_at(Stamp { time: f64::from(step) / 100.0, wall: 0.0 });
    }
    assert!((9..=10).contains(&values(&recorder, CPU).len()));
}

#[test]
fn what_is_shared_out_is_told_and_memory_is_read_only_where_it_is() {
    let world = World::new();
    std::fs::remove_file(world.machine.path("proc/meminfo")).unwrap();
    let tree = world.tree(ProcessRoot::Pid(10), Idle::Shared).unwrap();
    let [part] = tree.parts() else { unreachable!("{:?}", tree.parts()) };
    assert_eq!((part.method.name(), part.sensors[0].to_string().as_str()), ("cpu-time", "rapl.package-0"));
    let world = with_memory();
    std::fs::remove_file(world.machine.path("proc/meminfo")).unwrap();
    let refusal = world.tree(ProcessRoot::Pid(10), Idle::Shared).err().unwrap().to_string();
    assert!(refusal.contains("proc/meminfo: No such file"), "{refusal}");
}
