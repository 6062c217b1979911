//! Windows of readings: what they give, and when they are refused.

mod properties;

use std::time::Duration;

use irene_sampler::{Averaging, Channel, Findings, Metric, Resource, Series, Total, WindowError};

use crate::machine::assert_close;

const LIMIT_WATTS: f64 = 100.0;

fn watts() -> Channel {
    Channel { limit_watts: LIMIT_WATTS, ..Channel::new(Resource::Gpu(0), Metric::Power) }
}

fn counter() -> Channel {
    Channel { limit_watts: LIMIT_WATTS, ..Channel::new(Resource::Gpu(0), Metric::Energy) }
}

fn series(channel: &Channel, points: impl IntoIterator<Item = (f64, f64)>) -> Series {
    let mut series = Series::new(channel, 4096);
    points.into_iter().for_each(|(time, value)| series.push(time, value));
    series
}

/// A reading of 50 W each second.
fn steady(channel: &Channel) -> Series {
    let reading = |second: i32| match channel.id.metric {
        Metric::Energy => 50.0 * f64::from(second),
        _ => 50.0,
    };
    series(channel, (0..=10).map(|second| (f64::from(second), reading(second))))
}

#[test]
fn a_window_between_readings_has_its_part_of_the_energy() {
    for channel in [watts(), counter()] {
        let window = steady(&channel).window(2.25, 7.75).unwrap();
        assert_close(window.energy.unwrap(), 275.0);
        assert_eq!((window.mean, window.std, window.min, window.max), (50.0, 0.0, 50.0, 50.0));
        assert_eq!(window.readings, 5);
    }
}

#[test]
fn a_window_that_the_readings_do_not_reach_is_refused() {
    for channel in [watts(), counter()] {
        let series = steady(&channel);
        for (from, to) in
            [(-1.0, 5.0), (5.0, 10.1), (11.0, 12.0), (5.0, 5.0), (6.0, 5.0), (f64::NAN, 5.0), (5.0, f64::NAN)]
        {
            assert_eq!(series.window(from, to), Err(WindowError::NotCovered), "{from} to {to}");
        }
        assert_eq!(Series::new(&channel, 8).window(0.0, 1.0), Err(WindowError::NotCovered));
    }
}

#[test]
fn a_window_with_too_few_readings_is_refused() {
    for channel in [watts(), counter()] {
        let series = steady(&channel);
        assert_eq!(series.window(2.1, 2.9), Err(WindowError::TooFew(0)));
        assert_eq!(series.window(2.1, 3.9), Err(WindowError::TooFew(1)));
        assert_eq!(WindowError::TooFew(1).to_string(), "it holds 1 reading, which is too few");
        assert!(series.window(2.1, 4.9).is_ok());
    }
    let idle = series(&counter(), (0..9).map(|second| (f64::from(second), 7.0)));
    assert_eq!(idle.window(1.0, 8.0), Err(WindowError::TooFew(0)), "a counter that stands still may be dead");
    assert_eq!(
        steady(&Channel::new(Resource::Host, Metric::Utilisation)).window(2.1, 2.9),
        Err(WindowError::TooFew(0))
    );
}

#[test]
fn a_window_shorter_than_two_updates_is_refused() {
    let told = Channel { update_period: Some(Duration::from_secs(3)), ..watts() };
    assert_eq!(steady(&told).window(2.0, 7.9), Err(WindowError::TooShort(3.0)));
    assert!(steady(&told).window(2.0, 8.0).is_ok());
    assert_eq!(steady(&told).shortest_window(), 6.0);
    assert_eq!(steady(&watts()).shortest_window(), 0.0, "nobody tells, and the power never changes");
}

#[test]
fn a_period_that_nobody_tells_is_learned_from_the_readings() {
    // Read every 10 ms, renewed every 200 ms.
    let polled = |channel: &Channel, updates: i32| {
        series(channel, (0..20 * updates).map(|i| (f64::from(i) / 100.0, 5.0 + f64::from(i / 20))))
    };
    let few = polled(&watts(), 4);
    assert!(few.window(0.1, 0.3).is_ok(), "too little was seen to say how long a window must be");
    let many = polled(&watts(), 12);
    assert!((many.update_period().unwrap() - 0.2).abs() < 1e-9);
    let Err(WindowError::TooShort(period)) = many.window(1.1, 1.4) else { unreachable!("{:?}", many.window(1.1, 1.4)) };
    assert!((period - 0.2).abs() < 1e-9);
    assert!(many.window(1.1, 1.5).is_ok());
    // A maker's bound that is wide gives way to what is seen.
    let told = Channel { update_period: Some(Duration::from_secs(1)), ..watts() };
    assert!((polled(&told, 12).update_period().unwrap() - 0.2).abs() < 1e-9);
    // A sampler that comes late does not make the sensor slower.
    let told = Channel { update_period: Some(Duration::from_millis(1)), ..counter() };
    assert_eq!(steady(&told).update_period(), Some(0.001));
}

#[test]
fn the_power_of_the_moment_is_preferred_to_a_mean_and_a_counter_to_both() {
    let mean = Channel { averaging: Averaging::Over(Duration::from_secs(1)), ..watts() };
    let unknown = Channel { averaging: Averaging::Unknown, ..watts() };
    let taken = |channels: &[Channel]| Total::of(channels, 0, &Findings::default(), &[]).taken().to_vec();
    assert_eq!(taken(&[unknown.clone(), mean.clone(), watts()]), [2]);
    assert_eq!(taken(&[unknown.clone(), mean.clone()]), [1]);
    assert_eq!(taken(&[unknown, mean, watts(), counter()]), [3]);
}

#[test]
fn a_window_older_than_the_ring_is_not_covered() {
    let mut series = Series::new(&watts(), 4);
    (0..10).for_each(|second| series.push(f64::from(second), 50.0));
    assert_eq!((series.points().len(), series.pushed()), (4, 10));
    assert_eq!(series.window(5.0, 9.0), Err(WindowError::NotCovered));
    assert_close(series.window(6.0, 9.0).unwrap().energy.unwrap(), 150.0);
    let mut gauge = Series::new(&Channel::new(Resource::Host, Metric::Utilisation), 4);
    (0..10).for_each(|second| gauge.push(f64::from(second), 50.0));
    assert_eq!(gauge.window(5.9, 9.0), Err(WindowError::NotCovered));
    assert_eq!(gauge.window(6.0, 9.0).unwrap().readings, 4);
}

#[test]
fn breaks_are_not_forgotten_while_their_readings_are_kept() {
    let mut series = Series::new(&counter(), 4096);
    for second in 0..1000 {
        // It is reset every ten seconds.
        series.push(f64::from(second), 10.0 * f64::from((second + 1) % 10));
    }
    // The ninth of every ten seconds is unknown.
    for start in 0..995 {
        let is_known = (start..start + 5).all(|second| second % 10 != 8);
        let window = series.window(f64::from(start), f64::from(start + 5));
        assert!(if is_known { window.is_ok() || start < 400 } else { window.is_err() }, "{start}: {window:?}");
    }
    assert_eq!(series.window(0.0, 999.0), Err(WindowError::NotCovered), "too many breaks to remember");
    assert_eq!(series.window(400.0, 999.0), Err(WindowError::Broken));
    assert_close(series.window(990.0, 998.0).unwrap().energy.unwrap(), 80.0);
}

#[test]
fn the_observed_period_is_that_of_changes() {
    let slow = series(&watts(), (0..100).map(|i| (f64::from(i) * 0.1, f64::from(i / 5))));
    assert!((slow.observed_period().unwrap() - 0.5).abs() < 1e-9);
    assert_eq!(series(&watts(), [(0.0, 1.0), (1.0, 1.0)]).observed_period(), None);
}

#[test]
fn the_observed_resolution_is_the_least_step() {
    let readings = [5.0, 9.0, 9.0, 8.5, 12.0].into_iter().enumerate().map(|(i, value)| (i as f64, value));
    assert_eq!(series(&watts(), readings).observed_resolution(), Some(0.5));
    assert_eq!(series(&watts(), [(0.0, 1.0), (1.0, 1.0)]).observed_resolution(), None);
}

/// 10 W, and 30 W for 0.2 s. The sensor counts every 0.05 s and is read every 0.01 s: two readings differ by 0 W or 150 W.
#[test]
fn a_counter_s_peak_is_that_of_its_power_and_not_of_its_steps() {
    let joules = |time: f64| 10.0 * time + 20.0 * (time - 1.0).clamp(0.0, 0.2);
    let reading = |i: u32| (f64::from(i) / 100.0, joules(f64::from(i / 5) / 20.0));
    let window = series(&Channel { limit_watts: 1e4, ..counter() }, (0..=300).map(reading)).window(0.5, 2.5).unwrap();
    assert_close(window.peak.unwrap(), 30.0);
    assert!(window.max > 100.0);
    let powers = [(0.0, 5.0), (1.0, 8.0), (2.0, 6.0), (3.0, 7.0)];
    assert_eq!(series(&watts(), powers).window(0.5, 2.5).unwrap().peak, Some(8.0));
    // A tenth of a second is long enough.
    let burst = [(0.0, 0.0), (1.0, 1.0), (1.1, 11.0), (1.3, 11.5), (2.0, 12.0)];
    assert_close(
        series(&Channel { limit_watts: 1e4, ..counter() }, burst).window(0.0, 2.0).unwrap().peak.unwrap(),
        100.0,
    );
    // The time in which the counter stands still counts.
    let steps = [(0.0, 0.0), (1.0, 1.0), (2.0, 1.0), (3.0, 4.0)];
    assert_close(series(&counter(), steps).window(0.0, 3.0).unwrap().peak.unwrap(), 1.5);
}

#[test]
fn joules_go_on_when_readings_are_dropped() {
    let mut ring = Series::new(&counter(), 4);
    let mut power = Series::new(&watts(), 4);
    assert_eq!((ring.joules(), power.joules()), (None, None), "unknown is not zero");
    for second in 0..1000 {
        ring.push(f64::from(second), f64::from(7 + 50 * second));
        power.push(f64::from(second), 50.0);
    }
    assert_eq!(ring.points().len(), 4);
    assert_eq!((ring.joules(), ring.gaps()), (Some(49_950.0), 0));
    assert_eq!((power.joules(), power.gaps()), (Some(49_950.0), 0));
}

#[test]
fn joules_up_to_a_time_are_those_between_its_readings() {
    let counter = series(&counter(), [(0.0, 7.0), (1.0, 57.0), (2.0, 107.0)]);
    assert_eq!([0.0, 0.5, 2.0].map(|time| counter.joules_at(time)), [Some(0.0), Some(25.0), Some(100.0)]);
    assert_eq!([-0.1, 2.1].map(|time| counter.joules_at(time)), [None; 2], "no reading is there");
    // From 2 s to 30 s nobody knows.
    let power = series(&watts(), [(0.0, 10.0), (2.0, 10.0), (30.0, 10.0), (32.0, 10.0)]);
    let found = [1.0, 2.0, 16.0, 31.0, 32.0].map(|time| power.joules_at(time).unwrap());
    assert_eq!(found, [10.0, 20.0, 20.0, 30.0, 40.0]);
    assert_eq!(Series::new(&watts(), 4).joules_at(0.0), None);
}

#[test]
fn what_is_unknown_is_counted_as_a_gap_and_not_as_energy() {
    let channel = Channel { wraps_at: Some(1000.0), ..counter() };
    // It wraps around, is reset, and goes on.
    let readings = [(0.0, 900.0), (1.0, 980.0), (2.0, 40.0), (3.0, 90.0), (4.0, 0.0), (5.0, 10.0)];
    let wrapped = series(&channel, readings);
    assert_eq!((wrapped.joules(), wrapped.gaps()), (Some(200.0), 1));
    let silent = series(&watts(), [(0.0, 10.0), (1.0, 10.0), (61.0, 10.0), (62.0, 10.0)]);
    assert_eq!((silent.joules(), silent.gaps()), (Some(20.0), 1));
}
