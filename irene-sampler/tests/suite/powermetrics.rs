//! The output of Apple's powermetrics in its two formats, made up by the structure of public dumps: property lists with `elapsed_ns`,
//! `timestamp` and a dictionary `processor` with powers in mW, set apart by NULs; text with `*** Sampled system activity (...)`.

use std::io::Write;

use irene_sampler::{
    Provenance, Recorder, WindowError,
    sensors::{Places, Selection, Unavailable},
};

use proptest::prelude::*;

use crate::machine::{Machine, at, channel, joules, open, series, totals, window};

const LOG: &str = "power.plist";

/// The system's time of the machine's time 0, 2023-11-14 22:13:20 UTC, and so many seconds.
fn clock(second: f64) -> String {
    let seconds = 22 * 3600 + 13 * 60 + 20 + second.floor() as i64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A sample that ends at a time.
fn plist(end: f64, seconds: f64, [cpu, gpu, ane]: [f64; 3]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n<key>is_delta</key><true/>\n\
         <key>elapsed_ns</key><integer>{:.0}</integer>\n\
         <key>hw_model</key><string>Mac15,9</string>\n\
         <key>timestamp</key><date>2023-11-14T{}Z</date>\n\
         <key>processor</key>\n<dict>\n<key>clusters</key>\n<array>\n<dict>\n\
         <key>name</key><string>E-Cluster</string>\n<key>idle_ratio</key><real>0.5</real>\n</dict>\n</array>\n\
         <key>ane_power</key><real>{ane}</real>\n<key>cpu_power</key><real>{cpu}</real>\n\
         <key>gpu_power</key>\n<real>{gpu}</real>\n<key>combined_power</key><real>{}</real>\n</dict>\n\
         <key>gpu</key>\n<dict>\n<key>gpu_energy</key><integer>284</integer>\n</dict>\n</dict>\n</plist>\n",
        1e9 * seconds,
        clock(end),
        cpu + gpu + ane
    )
}

fn text(end: f64, seconds: f64, [cpu, gpu, ane]: [f64; 3]) -> String {
    format!(
        "*** Sampled system activity (Tue Nov 14 {} 2023 +0000) ({:.2}ms elapsed) ***\n\n\n\
         **** Processor usage ****\n\nE-Cluster HW active frequency: 1248 MHz\n\
         CPU 0 active residency:  77.43% (600 MHz:   0% 912 MHz:  54%)\n\n\
         CPU Power: {cpu} mW\nGPU Power: {gpu} mW\nANE Power: {ane} mW\nCombined Power (CPU + GPU + ANE): {} mW\n\n\
         **** GPU usage ****\n\nGPU HW active frequency: 338 MHz\nGPU Power: {gpu} mW\n\n\n",
        clock(end),
        1e3 * seconds,
        cpu + gpu + ane
    )
}

type Format = fn(f64, f64, [f64; 3]) -> String;

const FORMATS: [Format; 2] = [plist, text];

fn places(machine: &Machine) -> Places {
    Places { powermetrics_log: Some(machine.path(LOG)), ..machine.places() }
}

fn log(machine: &Machine, text: &str) -> Result<Recorder, Unavailable> {
    machine.write(LOG, text);
    open("powermetrics", &places(machine))
}

/// Samples of half a second are written when they end, and read 50 ms later.
fn run(format: Format, samples: u32, watts: impl Fn(u32) -> [f64; 3]) -> Recorder {
    let machine = Machine::new();
    let mut recorder = log(&machine, "Machine model: Mac14,2\nOS version: 25C56\n\n").unwrap();
    for sample in 1..=samples {
        let end = 0.5 * f64::from(sample);
        machine.append(LOG, &format(end, 0.5, watts(sample).map(|watts| 1e3 * watts)));
        machine.append(LOG, "\0");
        recorder.sample_at(at(end + 0.05));
    }
    recorder
}

#[test]
fn the_mean_of_each_sample_counts_for_its_own_time() {
    for format in FORMATS {
        // 10 W and 3 W in turns, a second each.
        let recorder = run(format, 20, |sample| [if sample % 4 < 2 { 6.0 } else { 2.0 }, 1.0, 0.5]);
        for (name, watts) in [("soc", 5.5), ("soc.cpu", 4.0), ("soc.gpu", 1.0), ("soc.ane", 0.5)] {
            let found = joules(&recorder, name, 1.05, 9.05);
            assert!((found - 8.0 * watts).abs() < 0.01 * 8.0 * watts, "{name}: {found}");
        }
        assert_eq!(totals(&recorder), ["soc"], "the sum covers its parts");
        assert_eq!(channel(&recorder, "soc").provenance, Provenance::Estimated, "Apple calls them estimates");
        assert!((series(&recorder, "soc").update_period().unwrap() - 0.5).abs() < 0.05);
        assert!(matches!(window(&recorder, "soc", 1.0, 1.9), Err(WindowError::TooShort(_) | WindowError::TooFew(_))));
    }
}

#[test]
fn a_mac_whose_clock_is_ahead_is_set_right() {
    let machine = Machine::new();
    machine.write(LOG, "");
    let mut recorder = open("powermetrics", &Places { power_log_ahead: 100.0, ..places(&machine) }).unwrap();
    for second in 1..=6 {
        machine.append(LOG, &plist(f64::from(second) + 100.0, 1.0, [4000.0, 1000.0, 0.0]));
        recorder.sample_at(at(f64::from(second) + 0.1));
    }
    assert!((joules(&recorder, "soc", 1.1, 5.1) - 20.0).abs() < 0.1);
}

#[test]
fn half_a_sample_waits_for_its_other_half() {
    for format in FORMATS {
        let machine = Machine::new();
        let mut recorder = log(&machine, "").unwrap();
        for sample in [1.0, 2.0] {
            let whole = format(sample, 1.0, [4000.0, 1000.0, 0.0]);
            for part in whole.as_bytes().chunks(40) {
                machine.append(LOG, std::str::from_utf8(part).unwrap());
                recorder.sample_at(at(sample + 0.1));
            }
        }
        // The start of the first, and the end of each.
        assert_eq!(series(&recorder, "soc").points().len(), 3);
    }
}

#[test]
fn a_sum_that_is_not_told_is_that_of_the_parts() {
    let machine = Machine::new();
    let mut recorder = log(&machine, "").unwrap();
    for second in 1..=6 {
        let sample = plist(f64::from(second), 1.0, [4000.0, 1000.0, 500.0]).replace("combined_power", "other_power");
        machine.append(LOG, &sample);
        recorder.sample_at(at(f64::from(second) + 0.1));
    }
    assert!((joules(&recorder, "soc", 1.1, 5.1) - 22.0).abs() < 0.1);
}

#[test]
fn samples_that_are_lost_break_the_windows_across_them() {
    for format in FORMATS {
        let machine = Machine::new();
        let mut recorder = log(&machine, "").unwrap();
        for second in (1..=20).filter(|second| !(8..13).contains(second)) {
            machine.append(LOG, &format(f64::from(second), 1.0, [4000.0, 1000.0, 0.0]));
            recorder.sample_at(at(f64::from(second) + 0.1));
        }
        assert_eq!(window(&recorder, "soc", 3.0, 17.0), Err(WindowError::Broken));
        assert!((joules(&recorder, "soc", 1.0, 6.0) - 25.0).abs() < 0.5);
        assert!((joules(&recorder, "soc", 14.0, 19.0) - 25.0).abs() < 0.5);
    }
}

/// A duration that was garbled, or the samples of two programs in one file.
#[test]
fn samples_that_overlap_count_no_time_twice() {
    let machine = Machine::new();
    let mut recorder = log(&machine, "").unwrap();
    for second in 1..=12 {
        let lasted = if second == 6 { 300.0 } else { 1.0 };
        machine.append(LOG, &plist(f64::from(second), lasted, [4000.0, 1000.0, 0.0]));
        recorder.sample_at(at(f64::from(second) + 0.1));
    }
    let total = series(&recorder, "soc").points().next_back().unwrap().1;
    assert!((total - 60.0).abs() < 1.0, "{total} J of 5 W in 12 s");
    assert_eq!(window(&recorder, "soc", 2.0, 10.0), Err(WindowError::Broken));
}

#[test]
fn what_is_no_power_is_left_out() {
    let machine = Machine::new();
    let mut recorder = log(&machine, "").unwrap();
    for (second, power) in ["x", "-5", "nan", "4000"].iter().enumerate() {
        let sample = plist(second as f64 + 1.0, 1.0, [7.0, 1.0, 0.0])
            .replace("<real>7</real>", &format!("<real>{power}</real>"));
        machine.append(LOG, &sample);
        recorder.sample_at(at(second as f64 + 1.1));
    }
    assert_eq!(series(&recorder, "soc.cpu").points().len(), 2, "one sample");
    assert_eq!(series(&recorder, "soc.gpu").points().len(), 5);
}

#[test]
fn the_reason_is_said_where_there_is_no_power() {
    let why = |text: &str| {
        let machine = Machine::new();
        let mut recorder = log(&machine, text).unwrap();
        recorder.sample_at(at(1.0));
        recorder.check(at(1.0)).err().map_or(String::new(), |silent| silent.why)
    };
    assert_eq!(why(""), "the file has no whole sample of powermetrics yet");
    let tasks = "<plist version=\"1.0\">\n<dict>\n<key>elapsed_ns</key><integer>1000000000</integer>\n\
                 <key>timestamp</key><date>2023-11-14T22:13:21Z</date>\n</dict>\n</plist>\n";
    assert!(why(tasks).contains("run powermetrics with `-s cpu_power"), "{}", why(tasks));
    assert_eq!(why(&plist(1.0, 1.0, [1.0; 3])), "");
    assert!(why(&plist(-60.0, 1.0, [1.0; 3])).contains("s old"), "{}", why(&plist(-60.0, 1.0, [1.0; 3])));
}

proptest! {
    /// Samples with bytes changed, in pieces of any size, never count backwards.
    #[test]
    fn noise_does_no_harm(
        is_text in any::<bool>(), changes in prop::collection::vec((0..9000_usize, any::<u8>()), 0..20), piece in 1..900_usize
    ) {
        let format = FORMATS[usize::from(is_text)];
        let sample = |second: u32| format(f64::from(second), 1.0, [4000.0, 1000.0, 500.0]).into_bytes();
        let mut bytes: Vec<u8> = (1..8).flat_map(sample).collect();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let machine = Machine::new();
        let mut recorder = log(&machine, "").unwrap();
        for (step, piece) in bytes.chunks(piece).enumerate() {
            std::fs::OpenOptions::new().append(true).open(machine.path(LOG)).unwrap().write_all(piece).unwrap();
            recorder.sample_at(at(8.0 + step as f64 / 1000.0));
        }
        for place in 0..recorder.recording().channels().len() {
            let points: Vec<(f64, f64)> = recorder.recording().series(place).points().collect();
            prop_assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{points:?}");
        }
        let _ = recorder.check(at(9.0));
    }
}

#[test]
fn it_must_be_named_and_the_advice_says_how_to_write_it() {
    let machine = Machine::new();
    let fix = machine.refusal("powermetrics").fix.unwrap();
    for words in ["sudo powermetrics", "-f plist >> power.plist &", "Places::powermetrics_log"] {
        assert!(fix.contains(words), "{fix}");
    }
    assert!(open("powermetrics", &places(&machine)).unwrap_err().reason.contains("power.plist: No such file"));
    machine.write(LOG, "");
    assert_eq!(Selection::of(&["powermetrics"], &places(&machine)).unwrap().meters, ["powermetrics"]);
}
