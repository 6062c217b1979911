//! The load of processors and memory.

use irene_sampler::{WindowError, sensors::Places};

use super::{memory, ticks};
use crate::machine::{Machine, assert_close, at, each_second, open, series, totals, values, window};

#[test]
fn it_is_the_share_of_ticks_that_were_not_idle() {
    let machine = Machine::new();
    ticks(&machine, 1000, 9000);
    memory(&machine, 8000, 2000);
    let load = [(1000, 9000), (1025, 9075), (1125, 9075), (1125, 9175)];
    let recorder = each_second(machine.open("utilisation").unwrap(), load, |(busy, idle)| ticks(&machine, busy, idle));
    assert_eq!(values(&recorder, "cpu"), [25.0, 100.0, 0.0], "the first sample has nothing to compare with");
    assert_eq!(values(&recorder, "mem"), [75.0; 4]);
    let cpu = window(&recorder, "cpu", 0.5, 2.5).unwrap();
    assert_eq!((cpu.mean, cpu.min, cpu.max, cpu.std), (62.5, 25.0, 100.0, 37.5));
    assert_eq!((cpu.energy, cpu.readings), (None, 2));
    assert!(totals(&recorder).is_empty());
}

#[test]
fn a_sample_between_two_ticks_waits_for_the_next() {
    let machine = Machine::new();
    ticks(&machine, 100, 100);
    let busy = [100, 100, 100, 110];
    let recorder = each_second(machine.open("utilisation").unwrap(), busy, |busy| ticks(&machine, busy, 100));
    assert_eq!(series(&recorder, "cpu").points().collect::<Vec<_>>(), [(3.0, 100.0)]);
}

#[test]
fn samples_closer_than_ten_ticks_read_nothing() {
    let machine = Machine::new();
    ticks(&machine, 0, 1);
    let mut recorder = machine.open("utilisation").unwrap();
    for sample in 0..100u32 {
        ticks(&machine, u64::from(sample), 1 + u64::from(sample));
        recorder.sample_at(at(f64::from(sample) / 100.0));
    }
    let points: Vec<_> = series(&recorder, "cpu").points().collect();
    assert!((8..=10).contains(&points.len()), "{points:?}");
    assert!(points.iter().all(|(_, share)| *share > 40.0), "{points:?}");
}

#[test]
fn ticks_that_go_back_begin_anew() {
    let machine = Machine::new();
    ticks(&machine, 1000, 1000);
    let busy = [1000, 10, 20];
    let recorder = each_second(machine.open("utilisation").unwrap(), busy, |busy| ticks(&machine, busy, 10 * busy));
    assert_eq!(values(&recorder, "cpu").len(), 1);
    assert_close(values(&recorder, "cpu")[0], 100.0 / 11.0);
}

#[test]
fn a_missing_value_is_absent() {
    let machine = Machine::new();
    ticks(&machine, 1, 1);
    machine.write("proc/meminfo", "MemTotal:  8000 kB\n");
    let busy = [10, 11, 12, 13];
    let mut recorder = each_second(machine.open("utilisation").unwrap(), busy, |busy| ticks(&machine, busy, busy));
    assert_eq!(values(&recorder, "cpu"), [50.0; 3]);
    assert_eq!(values(&recorder, "mem"), [0.0; 0]);
    assert_eq!(window(&recorder, "mem", 0.0, 3.0), Err(WindowError::TooFew(0)));
    machine.write("proc/stat", "cpu  1 x\n");
    recorder.sample_at(at(4.0));
    assert_eq!(values(&recorder, "cpu").len(), 3);
}

#[test]
fn a_stat_without_the_times_is_refused() {
    let machine = Machine::new();
    let missing = machine.refusal("utilisation").to_string();
    assert!(missing.contains("proc/stat: No such file"), "{missing}");
    for text in ["", "intr 1 2 3\n", "cpu  1 2 3\n", "cpu0 1 2 3 4 5\n"] {
        machine.write("proc/stat", text);
        let refusal = machine.refusal("utilisation").to_string();
        assert!(refusal.contains("no line of the times of all processors"), "{text:?}: {refusal}");
    }
}

#[test]
fn this_machine_has_it() {
    let mut recorder = open("utilisation", &Places::here()).unwrap();
    recorder.sample_at(at(0.0));
    assert!((0.0..=100.0).contains(&values(&recorder, "mem")[0]));
}
