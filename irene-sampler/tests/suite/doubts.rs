//! The self-check of sensors, on made-up readings.

use std::time::Duration;

use irene_sampler::{
    Averaging, Channel, Doubt, Metric, Package, Reach, Readings, Recorder, Recording, Resource, Sensor, Sensors, Stamp,
};

/// A sensor whose reading follows from the time, seconds.
struct Scripted {
    channel: Channel,
    reading: fn(f64) -> f64,
}

impl Sensor for Scripted {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.channel)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let value = (self.reading)(readings.stamp().time);
        readings.push(0, value);
    }
}

fn sensor(channel: Channel, reading: fn(f64) -> f64) -> Box<dyn Sensor> {
    Box::new(Scripted { channel, reading })
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

/// What is doubted over all the time, and under load.
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
    let steady: fn(f64) -> f64 = |time| 100.0 + 20.0 * time;
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
