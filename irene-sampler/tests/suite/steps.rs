//! Steps from reading to reading add up to what the meter counted.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use irene_sampler::{Channel, Metric, Provenance, Recorder, Resource, Sensor, Step, Steps};
use proptest::prelude::*;

use crate::{machine::at, scripted};

/// The next reading of a sensor, where it has one.
type Shown = Arc<Mutex<Option<f64>>>;

fn sensor(resource: Resource, metric: Metric, change: impl FnOnce(&mut Channel)) -> (Box<dyn Sensor>, Shown) {
    let (mut channel, shown) = (Channel::new(resource, metric), Shown::default());
    change(&mut channel);
    let shows = Arc::clone(&shown);
    (scripted::sensor(channel, move |_| shows.lock().unwrap().take()), shown)
}

/// A recording by hand, and its steps.
struct Followed {
    recorder: Recorder,
    shown: Vec<Shown>,
    steps: Steps,
    found: Vec<Step>,
}

impl Followed {
    fn new(sensors: impl IntoIterator<Item = (Box<dyn Sensor>, Shown)>) -> Self {
        let (sensors, shown): (Vec<_>, Vec<_>) = sensors.into_iter().unzip();
        let recorder = Recorder::new(sensors, 64);
        let steps = Steps::new(recorder.recording()).unwrap();
        Self { recorder, shown, steps, found: Vec::new() }
    }

    fn sample(&mut self, time: f64, values: &[Option<f64>]) {
        for (shown, value) in self.shown.iter().zip(values) {
            *shown.lock().unwrap() = *value;
        }
        self.recorder.sample_at(at(time));
        let found = &mut self.found;
        self.steps.advance(self.recorder.recording(), |step| found.push(step));
    }

    fn joules(&self) -> Vec<Option<f64>> {
        self.found.iter().map(|step| step.joules.map(|joules| (joules * 1e6).round() / 1e6)).collect()
    }

    fn ends(&self) -> Vec<f64> {
        self.found.iter().map(|step| (step.to * 1e6).round() / 1e6).collect()
    }
}

fn counter() -> (Box<dyn Sensor>, Shown) {
    sensor(Resource::Gpu(0), Metric::Energy, |channel| channel.limit_watts = 1e4)
}

#[test]
fn a_counter_is_cut_where_it_changes() {
    let mut followed = Followed::new([counter()]);
    // It is renewed every 0.1 s and read every 0.02 s; its value is that of 7 W.
    for i in 0..21 {
        followed.sample(f64::from(i) * 0.02, &[Some(f64::from(i / 5) * 0.7)]);
    }
    assert_eq!(followed.ends(), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!(followed.joules(), [Some(0.7); 4]);
    assert_eq!(followed.found[0].from, 0.0);
    assert_eq!(followed.steps.provenance(), Provenance::Measured);
}

#[test]
fn a_counter_that_stands_still_says_that_nothing_is_used() {
    let mut followed = Followed::new([counter()]);
    for i in 0..100 {
        // It is renewed every 0.1 s; nothing is used from 1 s on, until 5 J at 1.9 s.
        let joules = if i < 50 {
            f64::from(i / 5)
        } else if i < 95 {
            10.0
        } else {
            15.0
        };
        followed.sample(f64::from(i) * 0.02, &[Some(joules)]);
    }
    let during = |from: f64, to: f64| {
        let inside = followed.found.iter().filter(|step| step.from >= from && step.to <= to);
        inside.map(|step| step.joules.unwrap()).sum::<f64>()
    };
    assert!((during(-0.1, 1.05) - 10.0).abs() < 1e-9, "{:?}", followed.found);
    assert_eq!(during(1.05, 1.7), 0.0);
    // The 5 J lie within the last renewal or two, not within the second before them.
    let last = followed.found.last().unwrap();
    assert!((last.joules.unwrap() - 5.0).abs() < 1e-9 && last.from > 1.7, "{last:?}");
}

#[test]
fn power_is_integrated_and_a_gap_is_unknown() {
    let power = sensor(Resource::Gpu(0), Metric::Power, |channel| channel.longest_gap = Duration::from_secs(2));
    let mut followed = Followed::new([power]);
    for (time, watts) in [(0.0, 10.0), (1.0, 30.0), (2.0, 30.0), (5.0, 30.0), (6.0, 10.0)] {
        followed.sample(time, &[Some(watts)]);
    }
    assert_eq!(followed.joules(), [Some(20.0), Some(30.0), None, Some(20.0)]);
    assert_eq!(followed.ends(), [1.0, 2.0, 5.0, 6.0]);
}

#[test]
fn they_begin_with_the_newest_reading() {
    let mut followed = Followed::new([counter()]);
    (0..4).for_each(|second| followed.sample(f64::from(second), &[Some(f64::from(second))]));
    let mut late = Steps::new(followed.recorder.recording()).unwrap();
    followed.sample(4.0, &[Some(9.0)]);
    let mut found = Vec::new();
    late.advance(followed.recorder.recording(), |step| found.push(step));
    assert_eq!(found, [Step { from: 3.0, to: 4.0, joules: Some(6.0) }]);
}

#[test]
fn a_reset_is_unknown() {
    let mut followed = Followed::new([counter()]);
    for (second, joules) in [0.0, 5.0, 10.0, 2.0, 7.0].into_iter().enumerate() {
        followed.sample(second as f64, &[Some(joules)]);
    }
    assert_eq!(followed.joules(), [Some(5.0), Some(5.0), None, Some(5.0)]);
}

#[test]
fn the_slowest_sensor_of_a_total_decides_on_the_cuts() {
    let slow = sensor(Resource::Gpu(1), Metric::Power, |_| ());
    let mut followed = Followed::new([counter(), slow]);
    for i in 0..=12 {
        // 3 W are counted every 0.1 s; 5 W are read every 0.4 s.
        followed.sample(f64::from(i) / 10.0, &[Some(0.3 * f64::from(i)), (i % 4 == 0).then_some(5.0)]);
    }
    assert_eq!(followed.ends(), [0.4, 0.8, 1.2]);
    assert_eq!(followed.joules(), [Some(3.2); 3]);
}

#[test]
fn there_are_none_without_a_meter_and_none_before_each_sensor_has_news() {
    assert!(Steps::new(Recorder::new(Vec::new(), 8).recording()).is_none());
    let mut followed = Followed::new([counter(), sensor(Resource::Gpu(1), Metric::Power, |_| ())]);
    for i in 0..5 {
        followed.sample(f64::from(i), &[Some(f64::from(i)), None]);
    }
    assert_eq!(followed.found, []);
}

proptest! {
    #[test]
    fn they_follow_each_other_and_add_up_to_the_counters(
        readings in prop::collection::vec((0.001..0.5, prop::option::of(0.0..20.0), prop::option::of(0.0..20.0)), 2..200)
    ) {
        let other = sensor(Resource::Gpu(1), Metric::Energy, |channel| channel.limit_watts = 1e6);
        let one = sensor(Resource::Gpu(0), Metric::Energy, |channel| channel.limit_watts = 1e6);
        let mut followed = Followed::new([one, other]);
        let (mut time, mut counted) = (0.0, [0.0, 0.0]);
        let mut at_times = vec![(0.0, counted)];
        followed.sample(0.0, &[Some(0.0), Some(0.0)]);
        for (pause, first, second) in readings {
            time += pause;
            for (total, more) in counted.iter_mut().zip([first, second]) {
                *total += more.unwrap_or(0.0) * pause;
            }
            at_times.push((time, counted));
            followed.sample(time, &counted.map(Some));
        }
        let mut end = 0.0;
        let mut sum = 0.0;
        for step in &followed.found {
            prop_assert_eq!(step.from, end);
            prop_assert!(step.to > step.from && step.joules.unwrap() >= 0.0, "{:?}", step);
            end = step.to;
            sum += step.joules.unwrap();
        }
        // Each counter is between what it showed at that moment and what it showed when it changed next.
        let before = at_times.iter().rev().find(|(time, _)| *time <= end).unwrap().1;
        let next = |place: usize| {
            let mut later = at_times.iter().filter(|(time, counted)| *time >= end && counted[place] > before[place]);
            later.next().map_or(before[place], |(_, counted)| counted[place])
        };
        let (least, most) = (before[0] + before[1], next(0) + next(1));
        prop_assert!(least - 1e-9 <= sum && sum <= most + 1e-9, "{} J, not {} to {}", sum, least, most);
    }
}
