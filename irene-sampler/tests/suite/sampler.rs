//! The sampler's thread.

use std::{sync::Arc, thread::sleep, time::Duration};

use irene_sampler::{Channel, Metric, Readings, Recorder, Resource, Sampler, SamplerOptions, Sensor, Series, Stamp};

use crate::scripted::{WATTS, counter, meter, power, sampler, sensor};

#[test]
fn sensors_slower_than_the_period_leave_time_to_look_and_to_stop() {
    let slow = meter("slow", Metric::Power, |_| {
        sleep(Duration::from_millis(5));
        WATTS
    });
    let sampler = sampler(vec![slow]);
    assert!(sampler.wait_past(0.0, Duration::from_secs(20)));
    for _ in 0..20 {
        sampler.look(|recording| assert!(recording.series(0).pushed() >= 1));
    }
    assert!(sampler.stop().series(0).pushed() >= 1);
}

#[test]
fn a_sensor_s_time_is_not_the_next_one_s() {
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let theirs = Arc::clone(&times);
    let slow = meter("slow", Metric::Power, |_| {
        sleep(Duration::from_millis(5));
        WATTS
    });
    let next = meter("next", Metric::Power, move |stamp| {
        theirs.lock().unwrap().push(stamp.time);
        WATTS
    });
    let sampler = sampler(vec![slow, next]);
    assert!(sampler.wait_past(0.0, Duration::from_secs(20)));
    let recording = sampler.stop();
    let first = |place: usize| recording.series(place).points().next().unwrap().0;
    assert!(first(1) - first(0) >= 0.005, "{} after {}", first(1), first(0));
    assert_eq!(first(1), times.lock().unwrap()[0]);
}

/// A sensor of one channel that has readings for others too.
struct Astray([Channel; 1]);

impl Sensor for Astray {
    fn channels(&self) -> &[Channel] {
        &self.0
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let wall = readings.stamp().wall;
        readings.push(0, 1.0);
        readings.push(1, 2.0);
        readings.push_at_wall(usize::MAX, wall, 3.0);
    }
}

#[test]
fn a_reading_of_a_channel_that_a_sensor_does_not_have_reaches_no_other_sensor() {
    let astray =
        || -> Box<dyn Sensor> { Box::new(Astray([Channel::new(Resource::Meter("astray".into()), Metric::Power)])) };
    let mut recorder = Recorder::new(vec![astray(), power(), astray()], 8);
    recorder.sample_at(Stamp { time: 1.0, wall: 1.0 });
    let newest = [0, 1, 2].map(|place| recorder.recording().series(place).points().next_back());
    assert_eq!(newest, [Some((1.0, 1.0)), Some((1.0, WATTS)), Some((1.0, 1.0))]);
}

#[test]
fn samples_come_at_the_period_and_are_the_clock_s() {
    let sampler = sampler(vec![counter()]);
    let start = sampler.clock().now();
    assert!(sampler.wait_past(start + 0.2, Duration::from_secs(20)));
    let end = sampler.clock().now();
    let recording = sampler.stop();
    let points: Vec<(f64, f64)> = recording.series(0).points().collect();
    assert!(points.len() >= 10 && points.len() as f64 <= end / 0.001 + 2.0, "{} in {end} s", points.len());
    assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(points.iter().all(|&(time, joules)| time >= 0.0
        && time <= end + 1.0
        && (joules - WATTS * (time - points[0].0)).abs() < 1e-9));
}

#[test]
fn one_that_is_dropped_stops_at_once_even_in_the_middle_of_a_long_period() {
    let options = SamplerOptions { period: Duration::from_secs(10), capacity: 8 };
    let sampler = Sampler::start(vec![power()], options).unwrap();
    let clock = sampler.clock();
    assert!(!sampler.wait_past(clock.now() + 1e6, Duration::from_millis(1)), "it did not come");
    drop(sampler);
    assert!(clock.now() < 8.0);
}

#[test]
fn samples_at_the_longest_period_leave_no_gap_though_each_comes_a_little_late() {
    let options = SamplerOptions { period: Duration::from_secs(10), capacity: 8 };
    let sampler = Sampler::start(vec![power()], options).unwrap();
    let mut series = Series::new(&sampler.look(|recording| recording.channels()[0].clone()), 8);
    [0.0, 10.002, 20.001, 30.003].into_iter().for_each(|time| series.push(time, WATTS));
    assert_eq!(series.gaps(), 0);
    let [counted, window] = [series.joules(), series.window(0.0, 30.003).unwrap().energy].map(Option::unwrap);
    assert!((counted - WATTS * 30.003).abs() < 1e-9 && (window - counted).abs() < 1e-9, "{counted} J, {window} J");
    series.push(60.0, WATTS);
    assert_eq!(series.gaps(), 1, "two that are lacking do");
}

#[test]
fn the_default_is_the_paper_s_period() {
    assert_eq!(SamplerOptions::default().period, Duration::from_millis(170));
}

#[test]
fn a_meter_that_is_silent_is_named_before_hours_are_measured() {
    let silent = sensor(Channel::new(Resource::Meter("silent".into()), Metric::Power), |_| None);
    assert_eq!(sampler(vec![power(), counter()]).wait_until_read(), Ok(()));
    let sampler = sampler(vec![power(), silent]);
    assert_eq!(sampler.wait_until_read().unwrap_err().to_string(), "silent: it gives no reading");
    assert!((3.0..20.0).contains(&sampler.clock().now()), "a log may be written late");
}

/// A log is written late.
#[test]
fn readings_that_are_still_to_come_are_waited_for_but_not_for_ever() {
    let silent = sensor(Channel::new(Resource::Meter("silent".into()), Metric::Power), |_| None);
    let sampler = sampler(vec![silent]);
    let start = sampler.clock().now();
    sampler.wait_until_covered(0.0, start);
    assert!((3.0..20.0).contains(&(sampler.clock().now() - start)));
}
