//! The protocol with made-up meters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use irene_sampler::{
    Channel, ChannelId, Mean, MeasureError, Measurement, MeasuringProtocol, Metric, Package, Provenance, Resource,
    Sensor, Sensors, Stamp,
};

use crate::scripted::{WATTS, counter, meter, power, sampler, samples, sensor};

fn constant(channel: Channel, value: f64) -> Box<dyn Sensor> {
    sensor(channel, move |_| Some(value))
}

/// Every run of the closure is a round, after one run of warm-up and one of the probe.
fn round_a_run(rounds: usize) -> MeasuringProtocol {
    MeasuringProtocol {
        warm_up: Duration::ZERO,
        probe: Duration::ZERO,
        round: Duration::ZERO,
        least_rounds: rounds,
        most_rounds: rounds,
        ..MeasuringProtocol::quick()
    }
}

/// Long enough for readings, short enough for a test.
fn work() {
    sleep(Duration::from_millis(30));
}

/// Measures work in which each meter is read some times, however busy the machine is.
fn measure(protocol: &MeasuringProtocol, sensors: impl Into<Sensors>) -> Measurement {
    let sampler = sampler(sensors);
    let run = || {
        work();
        samples(&sampler, 3);
    };
    protocol.measure(&sampler, &never(), run).unwrap()
}

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn latency_is_that_of_one_run() {
    let protocol = MeasuringProtocol { target: 0.0, most_rounds: 3, ..MeasuringProtocol::quick() };
    let measured =
        protocol.measure(&sampler(Sensors::default()), &never(), || sleep(Duration::from_millis(5))).unwrap();
    // A busy machine makes sleeps longer, never shorter.
    assert!((0.005..0.05).contains(&measured.latency.mean), "{:?}", measured.latency);
    assert!(measured.repeats > 1 && measured.repeats <= 40, "{}", measured.repeats);
    assert!(measured.latency.half_width.is_some_and(|half_width| half_width >= 0.0));
    assert_eq!(measured.rounds.len(), 3);
    let mean = measured.rounds.iter().map(|round| round.seconds).sum::<f64>() / 3.0 / f64::from(measured.repeats);
    assert_close(measured.latency.mean, mean);
    assert_eq!(measured.protocol, protocol);
}

#[test]
fn energy_is_power_times_latency_whether_power_is_read_or_energy_counted() {
    for meter in [power(), counter()] {
        let measured = measure(&round_a_run(3), vec![meter]);
        let energy = measured.energy.unwrap();
        assert_close(energy.mean, WATTS * measured.latency.mean);
        assert_eq!(measured.provenance, Some(Provenance::Measured));
        assert_eq!((measured.no_energy, measured.idle_watts), (None, None), "it does not stand by");
        for round in &measured.rounds {
            assert_close(round.joules.unwrap(), WATTS * round.seconds);
            assert!(round.readings.unwrap() >= 2);
        }
        let [figure] = &measured.channels[..] else { unreachable!("{:?}", measured.channels) };
        assert_close(figure.mean, WATTS);
        assert_close(figure.energy.unwrap(), energy.mean);
        assert!(figure.is_total);
    }
}

#[test]
fn a_machine_that_was_busy_while_it_was_probed_gets_rounds_as_long_as_asked() {
    let asked = Duration::from_millis(60);
    let protocol = MeasuringProtocol { least_rounds: 2, most_rounds: 2, round: asked, ..MeasuringProtocol::quick() };
    let mut runs = 0;
    // The warm-up and the probe are slow, all that follows is quick.
    let run = || {
        runs += 1;
        sleep(Duration::from_micros(if runs <= 2 { 40_000 } else { 100 }));
    };
    let measured = protocol.measure(&sampler(vec![power()]), &never(), run).unwrap();
    assert!(measured.rounds.iter().all(|round| 2.0 * round.seconds >= asked.as_secs_f64()), "{:?}", measured.rounds);
    assert!(measured.repeats > 1);
    for joules in [measured.energy.unwrap().mean, measured.channels[0].energy.unwrap()] {
        assert_close(joules, WATTS * measured.latency.mean);
    }
}

#[test]
fn meters_of_parts_add_up_and_what_another_covers_does_not() {
    const PACKAGE: Package = Package { socket: 0, die: None };
    let channel = |resource: Resource, metric| Channel::new(resource, metric);
    let package = sensor(channel(Resource::Package(PACKAGE), Metric::Energy), |stamp: Stamp| Some(WATTS * stamp.time));
    let memory = Channel { provenance: Provenance::Estimated, ..channel(Resource::Dram(PACKAGE), Metric::Power) };
    let sensors = Sensors {
        probes: vec![constant(channel(Resource::Gpu(1), Metric::Power), 90.0)],
        meters: vec![
            package,
            constant(channel(Resource::Gpu(0), Metric::Power), WATTS),
            constant(channel(Resource::Cores(PACKAGE), Metric::Power), 7.0),
            constant(memory, 5.0),
            constant(channel(Resource::Host, Metric::Utilisation), 30.0),
        ],
        ..Sensors::default()
    };
    let measured = measure(&round_a_run(2), sensors);
    assert_close(measured.energy.unwrap().mean, (2.0 * WATTS + 5.0) * measured.latency.mean);
    assert_eq!(measured.provenance, Some(Provenance::Estimated), "as soon as a part of it is");
    let figures: Vec<(String, bool)> =
        measured.channels.iter().map(|figure| (figure.id.to_string(), figure.is_total)).collect();
    let expected = [
        ("gpu1.power", false),
        ("rapl.package-0", true),
        ("gpu0.power", true),
        ("rapl.package-0.core", false),
        ("rapl.package-0.dram", true),
        ("cpu", false),
    ];
    assert_eq!(figures, expected.map(|(name, is_total)| (name.to_owned(), is_total)));
    assert_close(measured.channels[5].mean, 30.0);
    assert_eq!(measured.channels[5].energy, None);
}

#[test]
fn files_have_the_names_and_units_of_channels() {
    let measured = measure(&round_a_run(2), vec![power()]);
    let mut file = serde_json::to_value(&measured).unwrap();
    assert_eq!(serde_json::from_value::<Measurement>(file.clone()).unwrap(), measured);
    let figure = r#"{"name":"gpu0.energy","unit":"joules","mean":50.0,"energy":null,"is_total":true}"#;
    file["channels"] = serde_json::from_str(&format!("[{figure}]")).unwrap();
    let read: Measurement = serde_json::from_value(file).unwrap();
    assert_eq!(read.channels[0].id, ChannelId { resource: Resource::Gpu(0), metric: Metric::Energy });
    assert_eq!(serde_json::to_string(&read.channels[0]).unwrap(), figure);
}

#[test]
fn without_a_meter_there_is_no_energy_and_nothing_to_explain() {
    let load = constant(Channel::new(Resource::Host, Metric::Utilisation), 30.0);
    for sensors in [Vec::new(), vec![load]] {
        let measured = measure(&round_a_run(2), sensors);
        assert_eq!(measured.peak_watts(), None);
        assert_eq!((measured.energy, measured.provenance, measured.no_energy), (None, None, None));
        assert!(measured.latency.mean > 0.0);
        assert!(measured.rounds.iter().all(|round| round.joules.is_none() && round.readings.is_none()));
    }
}

#[test]
fn a_counter_that_is_reset_gives_no_energy_and_the_reason() {
    let mut joules = 0.0;
    // It goes up by 1 J at each reading, and begins again at each fifth.
    let resets = meter("broken", Metric::Energy, move |_| {
        joules = (joules + 1.0) % 5.0;
        joules
    });
    let measured = measure(&round_a_run(2), vec![power(), resets]);
    assert_eq!(measured.energy, None);
    let reason = measured.no_energy.unwrap();
    assert!(reason.starts_with("broken, a round of ") && reason.contains("the counter was reset"), "{reason}");
    let [figure] = &measured.channels[..] else { unreachable!("{:?}", measured.channels) };
    assert_eq!(figure.id.to_string(), "power");
}

#[test]
fn a_meter_too_slow_for_a_round_gives_no_energy_and_the_reason() {
    let mut channel = Channel::new(Resource::Meter("slow".into()), Metric::Power);
    channel.update_period = Some(Duration::from_secs(100));
    let measured = measure(&round_a_run(1), vec![constant(channel, WATTS)]);
    assert_eq!(measured.energy, None);
    let reason = measured.no_energy.unwrap();
    assert!(
        reason.contains("shorter than two updates of the sensor, which has something new every 100.000 s"),
        "{reason}"
    );
}

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
fn a_closure_of_no_time_is_measured() {
    let mut runs = 0_u64;
    let measured = MeasuringProtocol { most_rounds: 3, ..MeasuringProtocol::quick() }
        .measure(&sampler(vec![counter()]), &never(), || runs = std::hint::black_box(runs + 1))
        .unwrap();
    assert!(measured.repeats > 1000 && measured.latency.mean > 0.0 && measured.latency.mean < 1e-4);
    assert!(runs > u64::from(measured.repeats));
    assert!(
        round_a_run(1)
            .measure(&sampler(Sensors::default()), &never(), || {})
            .is_ok_and(|measured| measured.repeats == 1)
    );
}

#[test]
fn means_scale_with_their_unit() {
    let seconds = Mean::of(&[1.0, 2.0, 3.0]).unwrap();
    let milli = seconds.scaled(-1e3);
    assert_close(milli.mean, -2000.0);
    assert_close(milli.half_width.unwrap(), 1e3 * seconds.half_width.unwrap());
    let many: Vec<f64> = (0..100).map(f64::from).collect();
    // s = 29.01 over 100 values, t(99) = 1.984.
    assert!((Mean::of(&many).unwrap().half_width.unwrap() - 1.984 * 2.901).abs() < 0.01);
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

#[test]
fn a_channel_has_the_mean_of_the_rounds_and_the_peak_is_the_greatest_of_them() {
    let rounds = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&rounds);
    // 20 W in the first round, 30 W in the second, 10 W in the third.
    let meter =
        meter("power", Metric::Power, move |_| [1.0, 1.0, 20.0, 30.0, 10.0][theirs.load(Ordering::Relaxed).min(4)]);
    let sampler = sampler(vec![meter]);
    let run = || {
        samples(&sampler, 3);
        rounds.fetch_add(1, Ordering::Relaxed);
    };
    let measured = round_a_run(3).measure(&sampler, &never(), run).unwrap();
    assert_close(measured.peak_watts().unwrap(), 30.0);
    let [figure] = &measured.channels[..] else { unreachable!("{:?}", measured.channels) };
    let watts: Vec<f64> = measured.rounds.iter().map(|round| round.joules.unwrap() / round.seconds).collect();
    assert!(watts.windows(2).all(|pair| pair[0] != pair[1]), "{watts:?}");
    assert_close(figure.mean, watts.iter().sum::<f64>() / 3.0);
    let energy = measured.energy.unwrap().mean;
    assert_close(figure.energy.unwrap(), energy);
}

#[test]
fn the_paper_s_protocol_is_that_of_its_section_4() {
    let paper = MeasuringProtocol::paper();
    let seconds = [paper.probe, paper.round].map(|time| time.as_secs_f64());
    assert_eq!((seconds, paper.least_rounds, paper.target), ([5.0, 20.0], 5, 0.01));
}

#[test]
fn a_channel_that_is_not_read_in_every_round_has_no_mean() {
    let runs = Arc::new(AtomicUsize::new(0));
    let gpu = |number, is_read: fn(usize) -> bool| {
        let theirs = Arc::clone(&runs);
        let channel = Channel::new(Resource::Gpu(number), Metric::Utilisation);
        sensor(channel, move |_| is_read(theirs.load(Ordering::Relaxed)).then_some(30.0))
    };
    // The first round is the third run.
    let sensors = vec![gpu(0, |_| true), gpu(1, |run| run <= 3), gpu(2, |run| run > 3)];
    let sampler = sampler(sensors);
    let run = || {
        runs.fetch_add(1, Ordering::Relaxed);
        samples(&sampler, 3);
    };
    let measured = round_a_run(3).measure(&sampler, &never(), run).unwrap();
    let names: Vec<String> = measured.channels.iter().map(|figure| figure.id.to_string()).collect();
    assert_eq!(names, ["gpu0.util"], "{:?}", measured.channels);
}
