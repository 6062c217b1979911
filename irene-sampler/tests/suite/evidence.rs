//! Readings show enough before a sensor is not believed.

use std::time::Duration;

use irene_sampler::{Channel, Metric, Package, Reach, Recorder, Resource, Sensor};

use crate::{machine::at, scripted::sensor};

/// The names of the sensors that are believed, by readings of so many tenths of a second.
fn believed(tenths: u32, sensors: Vec<Box<dyn Sensor>>) -> Vec<String> {
    let mut recorder = Recorder::new(sensors, 128);
    (0..=tenths).for_each(|tenth| recorder.sample_at(at(f64::from(tenth) / 10.0)));
    recorder.recording().judged().names()
}

/// A counter that goes up by these watts from a reading on.
fn counter(channel: Channel, start: f64, watts: f64) -> Box<dyn Sensor> {
    sensor(channel, move |stamp| Some(start + watts * stamp.time))
}

fn energy(resource: Resource) -> Channel {
    Channel::new(resource, Metric::Energy)
}

const PACKAGE: Resource = Resource::Package(Package { socket: 0, die: None });

#[test]
fn a_counter_stands_still_after_a_second_and_ten_of_its_periods_or_after_three_seconds() {
    for (period_ms, tenths) in [(Some(50), 10), (Some(100), 10), (Some(200), 20), (None, 30)] {
        let update_period = period_ms.map(Duration::from_millis);
        let sensors = || {
            let still = Channel { update_period, ..energy(Resource::Gpu(0)) };
            vec![counter(still, 7.0, 0.0), sensor(Channel::new(Resource::Gpu(0), Metric::Power), |_| Some(5.0))]
        };
        assert_eq!(believed(tenths - 1, sensors()), ["gpu0.energy"], "{period_ms:?}");
        assert_eq!(believed(tenths, sensors()), ["gpu0.power"], "{period_ms:?}");
    }
}

#[test]
fn a_whole_may_be_below_its_parts_by_what_moments_and_means_make_of_it() {
    let platform =
        |watts: f64| vec![counter(energy(PACKAGE), 0.0, 60.0), counter(energy(Resource::Platform(0)), 0.0, watts)];
    assert_eq!(believed(30, platform(0.91 * 60.0)), ["rapl.psys"]);
    assert_eq!(believed(30, platform(0.89 * 60.0)), ["rapl.package-0"]);
    assert_eq!(believed(5, platform(2.0)), ["rapl.package-0"]);
    assert_eq!(believed(4, platform(2.0)), ["rapl.psys"], "too short a time to tell");
    let board = |watts: f64| {
        let resource = Resource::Board { chip: "power_meter".into(), sensor: "power1".into() };
        let channel = Channel { reach: Reach::Computer, ..Channel::new(resource, Metric::Power) };
        vec![counter(energy(PACKAGE), 0.0, 60.0), sensor(channel, move |_| Some(watts))]
    };
    assert_eq!(believed(30, board(0.51 * 60.0)), ["hwmon.power_meter.power1"]);
    assert_eq!(believed(30, board(0.49 * 60.0)), ["rapl.package-0"]);
}

#[test]
fn a_whole_is_compared_with_each_part_once() {
    let cores = Resource::Cores(Package { socket: 0, die: None });
    let twice = Channel::new(PACKAGE, Metric::Power);
    // The package by two sensors, and its cores.
    let parts = vec![
        counter(energy(PACKAGE), 0.0, 60.0),
        sensor(twice, |_| Some(60.0)),
        counter(energy(cores), 0.0, 50.0),
        counter(energy(Resource::Platform(0)), 0.0, 70.0),
    ];
    assert_eq!(believed(30, parts), ["rapl.psys"]);
    let two = vec![
        counter(energy(PACKAGE), 0.0, 60.0),
        counter(energy(Resource::Package(Package { socket: 1, die: None })), 0.0, 30.0),
        counter(energy(Resource::Platform(0)), 0.0, 70.0),
    ];
    assert_eq!(believed(30, two), ["rapl.package-0", "rapl.package-1"]);
}

#[test]
fn one_of_several_modules_is_not_compared_with_the_gpus_of_all() {
    let module = |(number, watts): (usize, f64)| {
        let resource = Resource::Board { chip: "power_meter".into(), sensor: format!("module-{number}") };
        let channel = Channel { reach: Reach::Module, ..Channel::new(resource, Metric::Power) };
        sensor(channel, move |_| Some(watts))
    };
    let gpu =
        |(number, watts): (u32, f64)| sensor(Channel::new(Resource::Gpu(number), Metric::Power), move |_| Some(watts));
    let modules = [200.0, 200.0, 200.0, 820.0].into_iter().enumerate().map(module);
    let gpus = (0..).zip([80.0, 80.0, 80.0, 700.0]).map(gpu);
    let expected = [0, 1, 2, 3].map(|number| format!("hwmon.power_meter.module-{number}"));
    assert_eq!(believed(30, modules.chain(gpus).collect()), expected);
}

#[test]
fn dies_show_one_counter_if_they_are_apart_by_no_more_than_a_moment() {
    let die = |socket: u32, die: u32| Package { socket, die: Some(die) };
    let first = || counter(energy(Resource::Package(die(0, 0))), 500.0, 120.0);
    let second = |start: f64, watts: f64| counter(energy(Resource::Package(die(0, 1))), start, watts);
    // A tenth of a second has 12 J.
    for (start, watts, are_one) in [
        (511.0, 120.0, true),
        (489.0, 120.0, true),
        (513.0, 120.0, false),
        (487.0, 120.0, false),
        // They meet at the end, and counted 9 J and 15 J more or less.
        (509.0, 117.0, true),
        (515.0, 115.0, false),
        (491.0, 123.0, true),
        (485.0, 125.0, false),
    ] {
        let found = believed(30, vec![first(), second(start, watts)]);
        assert_eq!(found.len() == 1, are_one, "{watts} W from {start} J: {found:?}");
    }
    let other_socket = counter(energy(Resource::Package(die(1, 1))), 500.0, 120.0);
    assert_eq!(believed(30, vec![first(), other_socket]).len(), 2, "a socket of its own");
    let still = |number| counter(energy(Resource::Package(die(0, number))), 500.0, 0.0);
    assert_eq!(believed(30, vec![still(0), still(1)]).len(), 2, "what does not move shows nothing");
    let memories = [0, 1].map(|number| counter(energy(Resource::Dram(die(0, number))), 500.0, 120.0));
    assert_eq!(believed(30, memories.into()), ["rapl.package-0-die-0.dram"]);
    let three = [0, 1, 2].map(|number| counter(energy(Resource::Package(die(0, number))), 500.0, 120.0));
    assert_eq!(believed(30, three.into()), ["rapl.package-0-die-0"]);
}

#[test]
fn dies_show_one_counter_on_both_sides_of_its_end() {
    let die = |number: u32, start: f64| {
        let package = Package { socket: 0, die: Some(number) };
        let channel = Channel { wraps_at: Some(1000.0), limit_watts: 300.0, ..energy(Resource::Package(package)) };
        sensor(channel, move |stamp| Some((start + 120.0 * stamp.time) % 1000.0))
    };
    // The last readings are 995 J and 3 J.
    assert_eq!(believed(30, vec![die(0, 635.0), die(1, 643.0)]).len(), 1);
    assert_eq!(believed(30, vec![die(0, 635.0), die(1, 655.0)]).len(), 2);
}
