//! The protocol with made-up meters.

mod rounds;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use irene_sampler::{
    Channel, ChannelId, Mean, Measurement, MeasuringProtocol, Metric, Package, Provenance, Resource, Sensor, Sensors,
    Stamp,
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
