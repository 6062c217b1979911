//! The text of `ipmitool dcmi power reading` as a log, in the form in which ipmitool's lib/ipmi_dcmi.c and public dumps have it.

use std::io::Write;

use irene_sampler::{
    Recorder,
    sensors::{Places, Selection, Unavailable},
};
use proptest::prelude::*;

use crate::machine::{Machine, assert_close, at, joules, open, series, totals, values};

const LOG: &str = "ipmi.log";

/// Seconds of the machine's own time as the controller prints them: its time 0 is 2023-11-14 22:13:20 UTC.
fn clock(second: u32, zone_hours: u32) -> String {
    let seconds = 22 * 3600 + 13 * 60 + 20 + second;
    let hour = seconds / 3600 - zone_hours;
    format!("{hour:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

fn record(watts: u32, timestamp: &str, state: &str) -> String {
    format!(
        "\n    Instantaneous power reading:                   {watts} Watts\n    \
         Minimum during sampling period:                132 Watts\n    \
         Maximum during sampling period:                384 Watts\n    \
         Average power reading over sample period:      204 Watts\n    \
         IPMI timestamp:                           {timestamp}\n    \
         Sampling period:                          01987338 Seconds.\n    \
         Power reading state is:                   {state}\n\n"
    )
}

fn reading(watts: u32, second: u32) -> String {
    record(watts, &format!("11/14/2023 {} UTC", clock(second, 0)), "activated")
}

fn places(machine: &Machine) -> Places {
    Places { ipmi_log: Some(machine.path(LOG)), ..machine.places() }
}

fn log(machine: &Machine, text: &str) -> Result<Recorder, Unavailable> {
    machine.write(LOG, text);
    open("ipmi", &places(machine))
}

/// Why a log has no reading of now.
fn why(text: &str) -> String {
    let machine = Machine::new();
    let mut recorder = log(&machine, text).unwrap();
    recorder.sample_at(at(0.0));
    recorder.check(at(0.0)).err().map_or(String::new(), |silent| silent.why)
}

#[test]
fn the_reading_of_the_moment_counts_and_no_statistic_does() {
    let machine = Machine::new();
    let mut recorder = log(&machine, "").unwrap();
    for second in 0..8 {
        machine.append(LOG, &reading(240 + second, second));
        recorder.sample_at(at(f64::from(second) + 0.4));
    }
    assert_eq!(values(&recorder, "ipmi"), [240.0, 241.0, 242.0, 243.0, 244.0, 245.0, 246.0, 247.0]);
    assert!((joules(&recorder, "ipmi", 1.0, 5.0) - 4.0 * 243.0).abs() < 1e-3);
    assert_close(series(&recorder, "ipmi").update_period().unwrap().round(), 1.0);
    assert_eq!(totals(&recorder), ["ipmi"]);
    assert_eq!(recorder.check(at(8.0)), Ok(()));
}

#[test]
fn half_a_record_waits_for_its_other_half() {
    let machine = Machine::new();
    let mut recorder = log(&machine, "").unwrap();
    let whole = reading(240, 0);
    let end = whole.trim_end().len() + 1;
    for part in whole.as_bytes()[..end].chunks(17) {
        assert_eq!(values(&recorder, "ipmi"), [0.0; 0]);
        machine.append(LOG, std::str::from_utf8(part).unwrap());
        recorder.sample_at(at(0.5));
    }
    assert_eq!(values(&recorder, "ipmi"), [240.0]);
    // A loop that was stopped in the middle of a record, and started again.
    machine.append(LOG, &reading(999, 3)[..90]);
    machine.append(LOG, &reading(241, 5));
    recorder.sample_at(at(6.0));
    assert_eq!(values(&recorder, "ipmi"), [240.0, 241.0]);
}

#[test]
fn a_clock_in_its_own_zone_is_set_by_the_newest_record() {
    for zone in [0, 5] {
        for form in ["Tue Nov 14 {} 2023", "11/14/2023 {} EST", "11/14/23 {}"] {
            let machine = Machine::new();
            let at_second = |second| record(240, &form.replace("{}", &clock(second, zone)), "activated");
            let older: String = (0..4).map(at_second).collect();
            let mut recorder = log(&machine, &older).unwrap();
            recorder.sample_at(at(4.0));
            let times: Vec<f64> = series(&recorder, "ipmi").points().map(|(time, _)| time).collect();
            let expected = [0.0, 1.0, 2.0, 3.0];
            assert!(
                times.len() == 4 && times.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3),
                "{form}: {times:?}"
            );
        }
    }
}

#[test]
fn its_zone_is_told_by_a_record_of_now_and_not_by_an_old_one() {
    let machine = Machine::new();
    let at_second = |second| record(240, &format!("Tue Nov 14 {} 2023", clock(second, 5)), "activated");
    let mut recorder = log(&machine, &at_second(0)).unwrap();
    // In a time zone beside its own it is of six minutes later.
    recorder.sample_at(at(540.0));
    machine.append(LOG, &at_second(541));
    recorder.sample_at(at(541.5));
    assert_eq!(recorder.check(at(541.5)), Ok(()));
    let (newest, _) = series(&recorder, "ipmi").points().next_back().unwrap();
    assert!((newest - 541.0).abs() < 1e-3, "{newest}");
}

#[test]
fn a_controller_that_does_not_measure_says_so() {
    let off = record(235, "Thu Jan  1 00:00:00 1970", "deactivated");
    assert!(why(&off).contains("does not measure power"), "{}", why(&off));
    let unset = record(235, "01/01/1970 00:00:12 UTC", "activated");
    assert!(why(&unset).contains("clock is not set; `sudo ipmitool sel time set now`"), "{}", why(&unset));
    assert!(why("").contains("no whole record"));
    let refused = "DCMI request failed because: Invalid command (c1)\n";
    assert!(why(refused).contains("does not tell power by DCMI"), "{}", why(refused));
    assert!(why(&record(235, "Unspecified", "activated")).contains("no power, or no time"));
    let old = record(235, "11/14/2023 21:13:20 UTC", "activated");
    assert!(why(&old).contains("the newest is 3600 s old"), "{}", why(&old));
}

#[test]
fn other_units_and_numbers_are_no_reading() {
    let good = reading(240, 0);
    for (from, to) in
        [("240 Watts", "240 BTU"), ("240 Watts", "Watts"), ("240 Watts", "N/A"), ("240 Watts", "-4 Watts")]
    {
        let machine = Machine::new();
        let mut recorder = log(&machine, &good.replace(from, to)).unwrap();
        recorder.sample_at(at(1.0));
        assert_eq!(values(&recorder, "ipmi"), [0.0; 0], "{to}");
    }
}

proptest! {
    /// Bytes of any kind, and records with bytes changed, in pieces of any size.
    #[test]
    fn noise_does_no_harm(
        noise in prop::collection::vec(any::<u8>(), 0..300), changes in prop::collection::vec((0..4000_usize, any::<u8>()), 0..20),
        piece in 1..700_usize
    ) {
        let mut bytes: Vec<u8> = (0..8).flat_map(|second| reading(240, second).into_bytes()).collect();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        bytes.splice(100..100, noise);
        let machine = Machine::new();
        let mut recorder = log(&machine, "").unwrap();
        for (step, piece) in bytes.chunks(piece).enumerate() {
            std::fs::OpenOptions::new().append(true).open(machine.path(LOG)).unwrap().write_all(piece).unwrap();
            recorder.sample_at(at(8.0 + step as f64 / 1000.0));
        }
        prop_assert!(values(&recorder, "ipmi").iter().all(|watts| *watts >= 0.0));
        let _ = recorder.check(at(9.0));
    }
}

#[test]
fn the_log_is_the_meter_where_it_is_named_and_the_advice_says_how_to_write_it() {
    let machine = Machine::new();
    let refusal = machine.refusal("ipmi");
    let fix = refusal.fix.unwrap();
    for words in ["ipmitool dcmi power reading", ">> ipmi.log &", "modprobe ipmi_devintf", "Places::ipmi_log"] {
        assert!(fix.contains(words), "{fix}");
    }
    assert!(open("ipmi", &places(&machine)).unwrap_err().reason.contains("ipmi.log: No such file"));
    machine.write(LOG, reading(240, 0));
    machine.write("proc/stat", "cpu  10 0 10 100 0 0 0 0 0 0\n");
    assert_eq!(Selection::automatic(&places(&machine)).meters, ["ipmi"]);
    assert!(Selection::automatic(&machine.places()).meters.is_empty());
}
