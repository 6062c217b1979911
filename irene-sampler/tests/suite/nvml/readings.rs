//! The readings of a card, and when there are none.

use irene_sampler::{Averaging, Findings, Metric, Resource, Total};

use super::*;

#[test]
fn scripted_values_come_back_exactly() {
    scripted(CARD, |library| {
        let sampler = start(library);
        let from = settle(&sampler);
        for step in 1..=6 {
            std::thread::sleep(Duration::from_millis(40));
            write_script(&CARD.replace("7000000", &format!("{}", 7_000_000 + 750 * step)));
        }
        let to = settle(&sampler);
        let recording = sampler.stop();
        assert_eq!(energy(&recording, "gpu0.energy", [from, to]), Ok(4.5));
        for (name, expected) in
            [("util", 37.0), ("mem", 25.0), ("sm_clock", 1410.0), ("mem_clock", 1215.0), ("power", 150.0)]
        {
            let channel = number(recording.channels(), &format!("gpu0.{name}"));
            let window = recording.window(channel, from, to).unwrap();
            assert_eq!([window.min, window.max], [expected; 2], "{name}");
            assert!((window.mean / expected - 1.0).abs() < 1e-12, "{name}");
        }
        let [total] = recording.totals() else { unreachable!("{:?}", recording.totals()) };
        let Channel { id, limit_watts, cap_watts, .. } = &recording.channels()[*total];
        assert_eq!((id.resource.clone(), id.metric), (Resource::Gpu(0), Metric::Energy));
        assert_eq!((*limit_watts, *cap_watts), (1200.0, Some(250.0)));
    });
}

#[test]
fn a_counter_that_is_renewed_seldom_counts() {
    scripted(CARD, |library| {
        let mut recorder = recorder(library);
        for sample in 0..100 {
            // Every 100 ms, as some drivers do. One sample of 5 ms then sees 30 J, which is 6000 W on a card of 300 W.
            if sample % 20 == 10 {
                write_script(&CARD.replace("7000000", &format!("{}", 7_000_000 + 30_000 * (1 + sample / 20))));
            }
            sample_at(&mut recorder, 0.005 * f64::from(sample));
        }
        assert_eq!(energy(recorder.recording(), "gpu0.energy", [0.0, 0.495]), Ok(150.0));
    });
}

#[test]
fn a_card_without_an_energy_counter_integrates_power() {
    let old = CARD.replace("7000000", "error 3");
    scripted(&old, |library| {
        let sensor = open(&places(library.clone())).unwrap();
        assert_eq!(names(&*sensor), ["gpu0.util", "gpu0.mem", "gpu0.sm_clock", "gpu0.mem_clock", "gpu0.power"]);
        assert_eq!(Total::of(sensor.channels(), 0, &Findings::default(), &[]).taken(), [4]);
        let sampler = start(library);
        let from = settle(&sampler);
        std::thread::sleep(Duration::from_millis(220));
        let to = settle(&sampler);
        let joules = energy(&sampler.stop(), "gpu0.power", [from, to]).unwrap();
        assert!((joules / (150.0 * (to - from)) - 1.0).abs() < 1e-9, "{joules}");
    });
}

/// nvml.h, at nvmlDeviceGetPowerUsage: a mean over a second on Ampere and later but for GA100; fields 185 and 186 tell the mean and the
/// moment.
#[test]
fn a_mean_of_a_second_is_known_by_the_chip_and_the_moment_is_preferred() {
    scripted(CARD, |library| {
        let averaging = |lines: &str| {
            write_script(&format!("{CARD}{lines}"));
            let sensor = open(&places(library.clone())).unwrap();
            sensor.channels()[number(sensor.channels(), "gpu0.power")].averaging
        };
        assert_eq!(averaging("gpu0.compute_capability = 8.6\n"), Averaging::Over(Duration::from_secs(1)));
        assert_eq!(averaging("gpu0.compute_capability = 9.0\n"), Averaging::Over(Duration::from_secs(1)));
        assert_eq!(averaging("gpu0.compute_capability = 8.0\n"), Averaging::None, "GA100");
        assert_eq!(averaging("gpu0.compute_capability = 7.0\n"), Averaging::None);
        assert_eq!(averaging(""), Averaging::Unknown, "a driver that does not tell the chip");
        let both = "gpu0.compute_capability = 9.0\ngpu0.power_instant_mw = 170000\n";
        assert_eq!(averaging(both), Averaging::None);
        let mut recorder = recorder(library.clone());
        sample_at(&mut recorder, 0.0);
        assert_eq!(points(recorder.recording(), "gpu0.power"), [170.0]);
    });
}

#[test]
fn a_mean_of_a_second_has_no_energy_of_less_than_two() {
    let old = CARD.replace("7000000", "error 3") + "gpu0.compute_capability = 8.6\n";
    scripted(&old, |library| {
        let mut recorder = recorder(library);
        (0..60).for_each(|sample| sample_at(&mut recorder, 0.05 * f64::from(sample)));
        assert_eq!(energy(recorder.recording(), "gpu0.power", [0.0, 1.5]), Err(WindowError::Averaged(1.0)));
        assert_eq!(energy(recorder.recording(), "gpu0.power", [0.0, 2.0]).map(f64::round), Ok(300.0));
        let (seconds, id) = recorder.recording().shortest_window().unwrap();
        assert_eq!((seconds, id.to_string().as_str()), (2.0, "gpu0.power"));
    });
}

#[test]
fn a_lost_card_leaves_its_readings_out() {
    scripted(CARD, |library| {
        let mut recorder = recorder(library);
        let mut until = |script: &str, times: std::ops::Range<u32>| {
            write_script(script);
            times.for_each(|time| sample_at(&mut recorder, f64::from(time)));
            recorder.recording().clone()
        };
        until(CARD, 0..5);
        let lost = until(&format!("gpu0 = error 15\n{CARD}"), 5..20);
        assert_eq!(points(&lost, "gpu0.power"), [150.0; 5]);
        assert_eq!(points(&lost, "gpu0.util"), [37.0; 5], "never zero");
        assert_eq!(energy(&lost, "gpu0.power", [0.0, 4.0]), Ok(600.0));
        for name in ["gpu0.power", "gpu0.energy"] {
            assert_eq!(energy(&lost, name, [0.0, 10.0]), Err(WindowError::NotCovered), "{name}");
        }
        // It comes back after a reset and counts from zero. Its energy meanwhile is unknown.
        let back = until(&CARD.replace("7000000", "1000"), 20..25);
        assert_eq!(energy(&back, "gpu0.power", [0.0, 22.0]), Err(WindowError::Gap(16.0)));
        assert_eq!(energy(&back, "gpu0.energy", [0.0, 22.0]), Err(WindowError::Broken));
    });
}

#[test]
fn impossible_power_is_no_reading() {
    scripted(CARD, |library| {
        let mut recorder = recorder(library);
        for (time, milliwatts) in [(0.0, "1200000"), (1.0, "1200001"), (2.0, "4294967295")] {
            write_script(&CARD.replace("150000", milliwatts));
            sample_at(&mut recorder, time);
        }
        assert_eq!(points(recorder.recording(), "gpu0.power"), [1200.0]);
    });
}

#[test]
fn sampling_allocates_nothing() {
    scripted(CARD, |library| {
        let mut recorder = recorder(library);
        for (time, script) in [(0.0, CARD), (1.0, "gpu0 = error 15"), (2.0, "count = 1\ngpu0.power_mw = error 999")] {
            write_script(script);
            let allocated = allocation_counter::measure(|| sample_at(&mut recorder, time));
            assert_eq!(allocated.count_total, 0, "{script}");
        }
    });
}
