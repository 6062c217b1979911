//! How long rounds are, when they end, and the pauses between them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use irene_sampler::{Channel, MeasureError, Measurement, MeasuringProtocol, Metric, Resource, Stamp};

use super::{assert_close, constant, measure, never, round_a_run, work};
use crate::scripted::{WATTS, meter, power, sampler, samples};

#[test]
fn a_round_is_stretched_to_what_its_meter_needs() {
    let mut channel = Channel::new(Resource::Meter("slow".into()), Metric::Power);
    channel.update_period = Some(Duration::from_millis(60));
    let measured = measure(&round_a_run(1), vec![constant(channel, WATTS)]);
    assert!(measured.energy.is_some(), "{:?}", measured.no_energy);
    assert!(measured.rounds.iter().all(|round| round.seconds >= 0.12), "{:?}", measured.rounds);
}

/// Before it is known how often a meter has something new, rounds rest on readings that are too old.
#[test]
fn a_measurement_begins_again_when_its_meter_turns_out_to_be_slow() {
    // Rounds have an energy by the power that is polled, and none by the counter.
    for metric in [Metric::Power, Metric::Energy] {
        let slow = meter("slow", metric, |stamp| (stamp.time / 0.06).floor());
        let measured = measure(&round_a_run(12), vec![slow]);
        assert!(measured.energy.is_some() && measured.restarts > 0, "{metric:?}: {measured:?}");
        assert_eq!(measured.rounds.len(), 12);
        // Two updates, as far as a busy machine sees them; the work alone takes 0.03 s.
        assert!(measured.rounds.iter().all(|round| round.seconds > 0.08), "{metric:?}: {:?}", measured.rounds);
    }
}

#[test]
fn a_closure_that_fails_ends_it() {
    for fails_at in 1..6 {
        let mut runs = 0;
        let failed = round_a_run(5).try_measure(&sampler(vec![power()]), &never(), || {
            runs += 1;
            if runs == fails_at { Err("out of memory") } else { Ok(()) }
        });
        assert_eq!(failed, Err(MeasureError::Run("out of memory")));
        assert_eq!(runs, fails_at);
    }
}

#[test]
fn when_told_to_stop_it_gives_the_rounds_that_are_over() {
    let stopped_in_run = |last: usize| {
        let (stop, mut runs) = (AtomicBool::new(false), 0);
        let measured = round_a_run(9).measure(&sampler(vec![power()]), &stop, || {
            work();
            runs += 1;
            if runs == last {
                stop.store(true, Ordering::Relaxed);
            }
        });
        (measured, runs)
    };
    for last in 1..=3 {
        assert_eq!(stopped_in_run(last), (Err(MeasureError::Stopped), last), "and nothing is run on");
    }
    let measured = stopped_in_run(5).0.unwrap();
    assert_eq!(measured.rounds.len(), 2, "the runs of a warm-up, a probe, and two rounds");
    assert!(measured.energy.is_some() && !measured.reached_target);
}

#[test]
fn rounds_end_when_the_target_is_reached_or_at_the_most() {
    let wide = MeasuringProtocol { target: 1e9, least_rounds: 2, most_rounds: 9, ..round_a_run(0) };
    let measured = measure(&wide, vec![power()]);
    assert_eq!((measured.rounds.len(), measured.reached_target), (2, true));
    let narrow = MeasuringProtocol { target: 1e-12, ..wide };
    let measured = measure(&narrow, vec![power()]);
    assert_eq!((measured.rounds.len(), measured.reached_target), (9, false));
    let single = MeasuringProtocol { most_rounds: 0, ..narrow };
    let measured = measure(&single, vec![power()]);
    assert_eq!((measured.rounds.len(), measured.reached_target), (1, false), "one round has no interval");
    assert_eq!(measured.latency.half_width, None);
}

/// A machine that draws `hot_watts` from the third run on, which comes after stand-by; it cools down between runs, or does not.
fn heated(hot_watts: f64, cools: bool) -> Measurement {
    let hot = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&hot);
    let meter = meter("power", Metric::Power, move |_| if theirs.load(Ordering::Relaxed) { hot_watts } else { 10.0 });
    let pauses = Duration::from_millis(60);
    let protocol = MeasuringProtocol { stand_by: pauses, cool_down: pauses, ..round_a_run(2) };
    let runs = AtomicUsize::new(0);
    let run = || {
        hot.store(runs.fetch_add(1, Ordering::Relaxed) >= 2, Ordering::Relaxed);
        work();
        if cools {
            hot.store(false, Ordering::Relaxed);
        }
    };
    protocol.measure(&sampler(vec![meter]), &never(), run).unwrap()
}

#[test]
fn power_that_does_not_come_down_between_rounds_is_said() {
    let cool = heated(100.0, true);
    assert_close(cool.idle_watts.unwrap(), 10.0);
    assert!(cool.settled);
    let hot = heated(100.0, false);
    assert_close(hot.idle_watts.unwrap(), 10.0);
    assert!(!hot.settled);
    assert_eq!(hot.rounds.len(), 2, "measured all the same");
    assert!(heated(10.5, false).settled, "within the tolerance of 10%");
}

#[test]
fn idle_power_is_read_when_the_device_has_cooled_down() {
    let milliseconds = Duration::from_millis;
    let ended = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&ended);
    // It stays hot for a while after each run, longer than idle power is read for.
    let is_hot = move |stamp: Stamp| stamp.time < 1e-3 * theirs.load(Ordering::Relaxed) as f64 + 0.15;
    let sampler = sampler(vec![meter("power", Metric::Power, move |stamp| if is_hot(stamp) { 100.0 } else { 10.0 })]);
    let protocol = MeasuringProtocol { stand_by: milliseconds(60), cool_down: milliseconds(400), ..round_a_run(1) };
    let run = || {
        work();
        ended.store((1e3 * sampler.clock().now()) as u64, Ordering::Relaxed);
    };
    let measured = protocol.measure(&sampler, &never(), run).unwrap();
    assert!(measured.idle_watts.unwrap() < 50.0, "{:?}", measured.idle_watts);
}

#[test]
fn rounds_may_be_added_one_at_a_time_with_other_work_between() {
    let (sampler, stop, mut runs) = (sampler(vec![power()]), never(), 0);
    let protocol = MeasuringProtocol { target: 1e9, ..round_a_run(2) };
    let mut run = || -> Result<(), &str> {
        runs += 1;
        samples(&sampler, 3);
        Ok(())
    };
    let first = protocol.try_round(&sampler, &stop, None, &mut run).unwrap();
    assert_eq!((first.rounds.len(), first.reached_target, protocol.is_enough(&first)), (1, false, false));
    let second = protocol.try_round(&sampler, &stop, Some(first.clone()), &mut run).unwrap();
    assert_eq!((second.rounds.len(), second.reached_target, protocol.is_enough(&second)), (2, true, true));
    assert_eq!(second.rounds[0], first.rounds[0]);
    assert_close(second.peak_watts().unwrap(), WATTS);
    assert!(!MeasuringProtocol { target: 0.0, ..protocol.clone() }.is_enough(&second));
    let failed = protocol.try_round(&sampler, &stop, Some(second), || Err("gone"));
    assert_eq!(failed, Err(MeasureError::Run("gone")));
    assert_eq!(runs, 5, "a warm-up, a probe and a round; then a warm-up and a round");
}
