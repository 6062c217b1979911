//! Sampling allocates nothing after its start.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod machine;

use irene_sampler::{
    Clock, Recorder,
    sensors::{Places, kind},
};
use machine::{Machine, at};

#[test]
fn samples_in_a_full_ring_allocate_nothing() {
    let machine = Machine::new();
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "123456789\n");
    machine.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    machine.write("sys/class/hwmon/hwmon0/power1_input", "50000000\n");
    machine.write("meter.csv", "time,watts\n");
    machine.write("sys/class/drm/card0/device/vendor", "0x1002\n");
    machine.write("sys/class/drm/card0/device/pp_dpm_sclk", "0: 500Mhz\n1: 2000Mhz *\n");
    let mut table = vec![0; 288];
    table[..4].copy_from_slice(&[0x20, 0x01, 1, 4]);
    machine.write("sys/class/drm/card0/device/gpu_metrics", table);
    machine.write("sys/class/hwmon/hwmon1/name", "ina3221\n");
    machine.write("sys/class/hwmon/hwmon1/in1_input", "5000\n");
    machine.write("sys/class/hwmon/hwmon1/curr1_input", "1400\n");
    // The processors' times are those of this machine, so that they increase.
    let places = Places {
        proc: "/proc".into(),
        tdp_watts: Some(65.0),
        power_log: Some(machine.path("meter.csv")),
        ..machine.places()
    };
    let names = ["utilisation", "rapl", "tdp", "hwmon", "drm", "log", "impact-tracker"];
    let sensors = names.map(|name| (kind(name).unwrap().open)(&places).unwrap());
    let mut recorder = Recorder::new(Vec::from(sensors), 4);
    let clock = Clock::new();
    let sample = |recorder: &mut Recorder| recorder.sample_at(at(clock.now()));
    let lines = |seconds: std::ops::Range<u32>| -> String {
        seconds.map(|second| format!("{},50\n", machine::EPOCH + f64::from(second) / 10.0)).collect()
    };
    machine.append("meter.csv", &lines(0..100));
    // The processors tick in their own time.
    let is_full = |recorder: &Recorder| {
        let mut places = 0..recorder.recording().channels().len();
        places.all(|place| recorder.recording().series(place).pushed() > 8)
    };
    while !is_full(&recorder) && clock.now() < 60.0 {
        sample(&mut recorder);
    }
    assert!(is_full(&recorder), "{recorder:?}");
    machine.append("meter.csv", &lines(100..200));
    let count = allocation_counter::measure(|| (0..1000).for_each(|_| sample(&mut recorder)));
    assert_eq!(count.count_total, 0);
    let log = recorder.recording().channels().iter().position(|channel| channel.id.to_string() == "log").unwrap();
    assert_eq!(recorder.recording().series(log).pushed(), 200, "read while it was counted");
}

#[test]
fn logs_of_other_programs_allocate_nothing() {
    let machine = Machine::new();
    let record = "    Instantaneous power reading:   240 Watts\n    IPMI timestamp:  11/14/2023 22:13:20 UTC\n    \
                  Sampling period:   00000001 Seconds.\n    Power reading state is:   activated\n";
    let sample = "\0<?xml version=\"1.0\"?>\n<plist version=\"1.0\">\n<dict>\n<key>elapsed_ns</key><integer>1000000000</integer>\n\
                  <key>timestamp</key><date>2023-11-14T22:13:20Z</date>\n<key>cpu_power</key><real>10.5</real>\n</dict>\n</plist>\n";
    machine.write("ipmi.log", record);
    machine.write("power.plist", sample);
    let (ipmi_log, powermetrics_log) = (Some(machine.path("ipmi.log")), Some(machine.path("power.plist")));
    let places = Places { ipmi_log, powermetrics_log, ..machine.places() };
    let sensors = ["ipmi", "powermetrics"].map(|name| (kind(name).unwrap().open)(&places).unwrap());
    let mut recorder = Recorder::new(Vec::from(sensors), 4);
    for (log, text) in [("ipmi.log", record), ("power.plist", sample)] {
        machine.append(log, &text.repeat(200));
    }
    let count = allocation_counter::measure(|| (0..10).for_each(|second| recorder.sample_at(at(f64::from(second)))));
    assert_eq!(count.count_total, 0);
    assert!(recorder.recording().series(0).pushed() > 0 && recorder.recording().series(2).pushed() > 0);
}

#[test]
fn counters_that_break_all_the_time_allocate_nothing() {
    let machine = Machine::new();
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "0\n");
    machine.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "1\n");
    let mut recorder = Recorder::new(vec![(kind("rapl").unwrap().open)(&machine.places()).unwrap()], 16);
    let count = allocation_counter::measure(|| (0..1000).for_each(|i| recorder.sample_at(at(f64::from(i)))));
    assert_eq!(count.count_total, 0);
}
