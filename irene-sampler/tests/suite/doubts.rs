//! The self-check of sensors, on made-up readings.

use std::time::Duration;

use irene_sampler::{
    Averaging, Channel, Doubt, Metric, Package, Reach, Recorder, Recording, Resource, Sensor, Sensors, SocPart, Stamp,
};

use crate::scripted;

fn sensor(channel: Channel, reading: impl Fn(f64) -> f64 + Send + 'static) -> Box<dyn Sensor> {
    scripted::sensor(channel, move |stamp| Some(reading(stamp.time)))
}

const PACKAGE: Resource = Resource::Package(Package { socket: 0, die: None });

/// Ten seconds, read every 50 ms: rest up to the fifth, then work.
fn record(sensors: Vec<Box<dyn Sensor>>) -> Recording {
    let mut recorder = Recorder::new(Sensors { probes: sensors, ..Sensors::default() }, 1024);
    for sample in 0..=200 {
        let time = 0.05 * f64::from(sample);
        recorder.sample_at(Stamp { time, wall: time });
    }
    recorder.recording().clone()
}

/// The doubts over all the time, and those under load.
fn doubts(sensors: Vec<Box<dyn Sensor>>) -> Vec<String> {
    let recording = record(sensors);
    let mut doubts = recording.doubts(0.0, 10.0);
    doubts.extend(recording.doubts_of_load((0.0, 5.0), (5.0, 10.0)));
    doubts.iter().map(ToString::to_string).collect()
}

/// 20 W at rest and 60 W at work.
fn watts(time: f64) -> f64 {
    if time < 5.0 { 20.0 } else { 60.0 }
}

fn joules(time: f64) -> f64 {
    100.0 + 20.0 * time + 40.0 * (time - 5.0).max(0.0)
}

fn load() -> Box<dyn Sensor> {
    sensor(Channel::new(Resource::Host, Metric::Utilisation), |time| if time < 5.0 { 3.0 } else { 99.0 })
}

#[test]
fn sensors_that_agree_are_not_doubted() {
    let capped = Channel { cap_watts: Some(65.0), ..Channel::new(PACKAGE, Metric::Energy) };
    let lagging =
        Channel { averaging: Averaging::Over(Duration::from_secs(1)), ..Channel::new(Resource::Gpu(0), Metric::Power) };
    let found = doubts(vec![
        load(),
        sensor(capped, joules),
        sensor(Channel::new(Resource::Meter("wall".into()), Metric::Power), |time| 1.2 * watts(time) + 70.0),
        sensor(Channel::new(Resource::Gpu(0), Metric::Energy), joules),
        // A second behind.
        sensor(lagging, |time| watts(time - 1.0)),
    ]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_counter_and_the_power_of_its_device_must_agree() {
    let gpu = |metric| Channel::new(Resource::Gpu(0), metric);
    let found = doubts(vec![sensor(gpu(Metric::Energy), joules), sensor(gpu(Metric::Power), |time| 1.3 * watts(time))]);
    let [doubt] = &found[..] else { unreachable!("{found:?}") };
    assert!(doubt.starts_with("gpu0: the counter says 400.0 J and the power sums up to 5"), "{doubt}");
    assert!(doubt.ends_with("one of the two is wrong, and only another meter tells which"), "{doubt}");
}

#[test]
fn what_runs_does_not_draw_nothing() {
    let found = doubts(vec![
        sensor(Channel::new(PACKAGE, Metric::Energy), |_| 5.0),
        sensor(Channel::new(Resource::Card(1), Metric::Power), |_| 0.0),
        // A rail may be off.
        sensor(Channel::new(Resource::Board { chip: "x".into(), sensor: "rail".into() }, Metric::Power), |_| 0.0),
    ]);
    assert!(found.iter().any(|doubt| doubt.starts_with("rapl.package-0 reads 0 W for 10.0 s")), "{found:?}");
    assert!(found.iter().any(|doubt| doubt.starts_with("card1.power reads 0 W for 10.0 s")), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

/// Milliwatts taken for watts, for one.
#[test]
fn more_than_the_device_s_own_limit_is_doubted() {
    let channel = Channel { cap_watts: Some(30.0), ..Channel::new(Resource::Card(0), Metric::Power) };
    let found = doubts(vec![sensor(channel, watts)]);
    let [doubt] = &found[..] else { unreachable!("{found:?}") };
    let expected =
        "on average, and the device's own limit is 30.0 W: it counts in another unit, or more than the device";
    assert!(doubt.starts_with("card0.power reads 4") && doubt.ends_with(expected), "{doubt}");
}

#[test]
fn a_whole_is_not_less_than_its_parts() {
    let recording = record(vec![
        sensor(Channel::new(Resource::Meter("wall".into()), Metric::Power), |time| watts(time) + 5.0),
        sensor(Channel::new(PACKAGE, Metric::Energy), joules),
        sensor(Channel::new(Resource::Cores(Package { socket: 0, die: None }), Metric::Energy), |time| {
            0.5 * joules(time)
        }),
        sensor(Channel::new(Resource::Gpu(0), Metric::Power), |_| 30.0),
    ]);
    let doubts = recording.doubts(0.0, 10.0);
    let [Doubt::BelowItsParts { id, watts, parts, parts_watts }] = &doubts[..] else { unreachable!("{doubts:?}") };
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    assert_eq!((id.to_string().as_str(), parts), ("wall", vec!["rapl.package-0".to_owned(), "gpu0.power".to_owned()]));
    assert!((watts - 45.0).abs() < 0.5 && (parts_watts - 70.0).abs() < 0.5, "the cores are in the package");
}

#[test]
fn a_processor_s_sensor_must_see_its_load() {
    let steady = |time| 100.0 + 20.0 * time;
    let computer = Channel {
        reach: Reach::Computer,
        ..Channel::new(Resource::Board { chip: "power_meter".into(), sensor: "power1".into() }, Metric::Power)
    };
    let found = doubts(vec![load(), sensor(Channel::new(PACKAGE, Metric::Energy), steady), sensor(computer, |_| 90.0)]);
    assert_eq!(found.len(), 2, "{found:?}");
    let expected =
        "rapl.package-0 reads 20.0 W at rest and 20.0 W with all processors at work: it does not see them, or too late";
    assert!(found[0].starts_with(expected), "{found:?}");
    assert!(found[1].starts_with("hwmon.power_meter.power1 reads 90.0 W at rest and 90.0 W"), "{found:?}");
}

#[test]
fn a_machine_that_was_busy_before_the_load_says_nothing() {
    let busy = sensor(Channel::new(Resource::Host, Metric::Utilisation), |_| 97.0);
    let found = doubts(vec![busy, sensor(Channel::new(PACKAGE, Metric::Energy), |time| 20.0 * time)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("the processors were 97% busy before the load and 97% under it"), "{found:?}");
}

/// The kinds of doubts, with the sensors.
fn kinds(doubts: &[Doubt]) -> Vec<String> {
    let kind = |doubt: &Doubt| format!("{doubt:?}").split(' ').next().unwrap_or_default().to_owned();
    doubts.iter().map(|doubt| doubt.id().map_or(kind(doubt), |id| format!("{} {id}", kind(doubt)))).collect()
}

#[test]
fn a_counter_and_a_power_may_differ_by_a_tenth() {
    for (share, differ) in [(1.11, false), (1.12, true), (0.91, false), (0.89, true)] {
        let gpu = |metric| Channel::new(Resource::Gpu(0), metric);
        let steady = sensor(gpu(Metric::Energy), |time| 20.0 * time);
        let recording = record(vec![steady, sensor(gpu(Metric::Power), move |_| 20.0 * share)]);
        assert_eq!(!recording.doubts(0.0, 10.0).is_empty(), differ, "{share}");
    }
}

/// The power is 20 W and then 60 W, so that each second of delay makes 40 J.
#[test]
fn a_power_may_differ_by_its_delay_too() {
    let second = Averaging::Over(Duration::from_secs(1));
    for (averaging, period_s, more, differ) in [
        (Averaging::None, None, 4.0, false),
        (Averaging::None, None, 5.0, true),
        (second, None, 8.0, false),
        (second, None, 10.0, true),
        (Averaging::Unknown, None, 8.0, false),
        (Averaging::Unknown, None, 10.0, true),
        (Averaging::None, Some(2), 13.0, false),
        (Averaging::None, Some(2), 15.0, true),
        (second, Some(2), 13.0, false),
    ] {
        let update_period = period_s.map(Duration::from_secs);
        let power = Channel { averaging, update_period, ..Channel::new(Resource::Gpu(0), Metric::Power) };
        let counter = sensor(Channel::new(Resource::Gpu(0), Metric::Energy), joules);
        let recording = record(vec![counter, sensor(power, move |time| watts(time) + more)]);
        assert_eq!(!recording.doubts(0.0, 10.0).is_empty(), differ, "{averaging:?}, {period_s:?}, {more} W more");
    }
}

#[test]
fn a_limit_may_be_exceeded_by_a_quarter_and_a_whole_may_read_a_tenth_less_than_its_parts() {
    for (cap_watts, is_above) in [(32.1, false), (31.9, true)] {
        let capped = Channel { cap_watts: Some(cap_watts), ..Channel::new(PACKAGE, Metric::Energy) };
        let found = kinds(&record(vec![sensor(capped, joules)]).doubts(0.0, 10.0));
        assert_eq!(found == ["AboveLimit rapl.package-0"], is_above, "{cap_watts} W: {found:?}");
    }
    for (share, is_below) in [(0.91, false), (0.89, true)] {
        let wall = sensor(Channel::new(Resource::Meter("wall".into()), Metric::Power), move |_| share * 60.0);
        let cards = [0, 1].map(|card| sensor(Channel::new(Resource::Gpu(card), Metric::Power), |_| 30.0));
        let found = kinds(&record([wall].into_iter().chain(cards).collect()).doubts(0.0, 10.0));
        assert_eq!(found == ["BelowItsParts wall"], is_below, "{share}: {found:?}");
    }
}

fn board(reach: Reach) -> Channel {
    Channel { reach, ..Channel::new(Resource::Board { chip: "chip".into(), sensor: "power1".into() }, Metric::Power) }
}

fn power(resource: Resource) -> Channel {
    Channel::new(resource, Metric::Power)
}

#[test]
fn a_hundredth_of_a_watt_is_something_and_less_is_nothing_where_something_runs() {
    let runs = [
        power(Resource::Meter("wall".into())),
        power(PACKAGE),
        power(Resource::Apu(0)),
        power(Resource::Gpu(0)),
        power(Resource::Card(0)),
        power(Resource::Soc(SocPart::All)),
        board(Reach::Computer),
        board(Reach::Processor),
    ];
    let may_rest = [
        power(Resource::Cores(Package { socket: 0, die: None })),
        power(Resource::Soc(SocPart::Gpu)),
        board(Reach::Supply),
        board(Reach::Gpu),
    ];
    let nothing = |channel: &Channel, watts: f64| {
        !record(vec![sensor(channel.clone(), move |_| watts)]).doubts(0.0, 10.0).is_empty()
    };
    for channel in runs {
        assert_eq!([0.0, 0.009, 0.01].map(|watts| nothing(&channel, watts)), [true, true, false], "{}", channel.id);
    }
    assert!(may_rest.iter().all(|channel| !nothing(channel, 0.0)));
}

#[test]
fn processors_at_work_draw_a_tenth_more_and_a_computer_no_less() {
    let blind = |channel: &Channel, share: f64| {
        let work = sensor(channel.clone(), move |time| if time < 5.0 { 20.0 } else { 20.0 * share });
        !record(vec![load(), work]).doubts_of_load((0.0, 4.9), (5.0, 10.0)).is_empty()
    };
    for processor in [
        power(PACKAGE),
        power(Resource::Cores(Package { socket: 0, die: None })),
        power(Resource::Apu(0)),
        board(Reach::Processor),
    ] {
        assert_eq!([1.09, 1.11].map(|share| blind(&processor, share)), [true, false], "{}", processor.id);
    }
    let wall = power(Resource::Meter("wall".into()));
    for computer in [wall, power(Resource::Platform(0)), board(Reach::Computer), board(Reach::Module)] {
        assert_eq!([0.99, 1.01].map(|share| blind(&computer, share)), [true, false], "{}", computer.id);
    }
    for other in [power(Resource::Gpu(0)), power(Resource::Platform(1)), board(Reach::Supply)] {
        assert!(!blind(&other, 0.9), "{}", other.id);
    }
}

#[test]
fn a_load_makes_the_processors_a_third_busier_and_its_first_half_second_is_not_judged() {
    let under = |percent: f64, watts_at_first: f64| {
        let busy = sensor(
            Channel::new(Resource::Host, Metric::Utilisation),
            move |time| {
                if time < 5.0 { 10.0 } else { percent }
            },
        );
        let package = sensor(power(PACKAGE), move |time| match time {
            ..5.0 => 20.0,
            ..5.5 => watts_at_first,
            _ => 22.1,
        });
        kinds(&record(vec![busy, package]).doubts_of_load((0.0, 4.9), (5.0, 10.0)))
    };
    assert_eq!(under(39.0, 22.1), ["NoRest"]);
    assert_eq!(under(40.0, 22.1), [""; 0]);
    assert_eq!(under(40.0, 20.0), [""; 0]);
}
