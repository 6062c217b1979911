//! Logs of external meters: their lines, and how they grow.

use irene_sampler::{
    Recorder, Stamp, WindowError,
    sensors::{Places, Unavailable},
};

use crate::machine::{EPOCH, Machine, assert_close, at, joules, open, series, values, window};

const LOG: &str = "meter.csv";

/// The log as it is read at its own time.
fn read(text: impl AsRef<[u8]>, ahead: f64) -> Recorder {
    let machine = Machine::new();
    machine.write(LOG, text);
    let mut recorder = tail(&machine, ahead).unwrap();
    recorder.sample_at(Stamp { time: 0.0, wall: 0.0 });
    recorder
}

/// Time and power of the readings of a log.
fn points(text: impl AsRef<[u8]>) -> Vec<(f64, f64)> {
    series(&read(text, 0.0), "log").points().collect()
}

/// The log as it grows.
fn tail(machine: &Machine, power_log_ahead: f64) -> Result<Recorder, Unavailable> {
    open("log", &Places { power_log: Some(machine.path(LOG)), power_log_ahead, ..machine.places() })
}

/// A line of time and watts at a machine's own time.
fn line(time: f64, watts: f64) -> String {
    format!("{:.3},{watts}\n", EPOCH + time)
}

mod lines {
    use super::*;

    #[test]
    fn columns_are_known_by_their_names() {
        for header in [
            "time,watts",
            "timestamp,power",
            "Timestamp,Power (W)",
            "unix_time,W",
            "\"time\",\"watts\"",
            "epoch , power_w",
            "time,watts,volts",
            "# a remark\n\ntime,watts",
        ] {
            assert_eq!(points(format!("{header}\n10,50,1\n11,51,1\n")), [(10.0, 50.0), (11.0, 51.0)], "{header}");
        }
        for header in ["timestamp,voltage,current", "time,V,I", "time_s,Vrms,Irms", "unix,volts,amps", "time,v1,a1"] {
            assert_eq!(points(format!("{header}\n10,100,0.5\n")), [(10.0, 50.0)], "{header}");
        }
        assert_eq!(points("watts,note,time\n50,on,10\n"), [(10.0, 50.0)]);
        assert_eq!(points("time,power_factor,watts\n10,0.9,50\n"), [(10.0, 50.0)], "real power is what it is");
    }

    #[test]
    fn apparent_power_counts_with_its_power_factor_alone() {
        for lines in [
            "time,voltage,current,power_factor\n10,100,0.5,0.9",
            "time,VA,PF\n10,50,0.9",
            "time,Apparent Power (VA),Power Factor\n10,50,-0.9",
            "time;power (kVA);cos phi\n10;0,05;0,9",
            "time,apparent_power,pf (%)\n10,50,90",
        ] {
            let found = points(format!("{lines}\n"));
            assert!(matches!(found[..], [(10.0, watts)] if (watts - 45.0).abs() < 1e-9), "{lines}: {found:?}");
        }
        assert_eq!(points("time,VA,PF\n10,50,9\n"), [], "no share");
        for header in ["time,VA", "time,apparent power", "time,power (VA)"] {
            let machine = Machine::new();
            machine.write(LOG, format!("{header}\n10,50\n"));
            let refusal = tail(&machine, 0.0).unwrap_err().to_string();
            assert!(refusal.contains("apparent power (VA) alone"), "{header}: {refusal}");
        }
    }

    #[test]
    fn separators_quotes_and_units_are_read() {
        for text in [
            "time;watts\n10;50.5\n",
            "time\twatts\n10\t50.5\n",
            "time watts\n10  50.5\n",
            "10 50.5\n",
            "10;50,5\n",
            "time;power\n10;50,5 W\n",
            "\"time\",\"power\"\n\"10\",\"50.5\"\n",
            "\"a, b\",time,\"power\"\n\"x, y\",10,\"50.5\"\n",
            "time,power (mW)\n10,50500\n",
            "time,power [kW]\n10,0.0505\n",
            "time,power\n10,50500 mW\n",
            "time_ms,watts\n10000,50.5\n",
            "\u{feff}time,watts\n10,50.5\n",
        ] {
            assert_eq!(points(text), [(10.0, 50.5)], "{text}");
        }
        assert_eq!(points("time,power\n10,50 VA\n11,50 A\n12,[N/A]\n13,50 W\n"), [(13.0, 50.0)], "a unit has to fit");
    }

    /// What nvidia-smi prints with `--query-gpu=timestamp,power.draw --format=csv`, and other forms of times.
    #[test]
    fn times_of_every_form_are_read() {
        const NOON: f64 = 1_795_867_200.0; // 2026-11-28 12:00:00 UTC
        let at_noon = |text: &str| {
            let machine = Machine::new();
            machine.write(LOG, text);
            let mut recorder = tail(&machine, 0.0).unwrap();
            recorder.sample_at(Stamp { time: 0.0, wall: NOON + 1.0 });
            let found: Vec<(f64, f64)> = series(&recorder, "log").points().collect();
            assert!(matches!(found[..], [(time, 35.5)] if (time + 1.0).abs() < 1e-3), "{text}: {found:?}");
        };
        for time in [
            "1795867200",
            "1795867200000",
            "1795867200000000",
            "1795867200000000000",
            "1.795867200e9",
            "2026-11-28T12:00:00Z",
            "2026-11-28 12:00:00.000 UTC",
            "2026-11-28T14:00:00+02:00",
            "2026-11-28T06:30:00.000-0530",
            "2026-11-28T13:00:00 +01",
            "2026-11-28T12:00Z",
            // The zone is not told; it is the one in which the log is of now.
            "2026/11/28 12:00:00.000",
            "2026-11-28 14:00:00",
        ] {
            at_noon(&format!("{time},35.5\n"));
            at_noon(&format!("timestamp;power\n\"{time}\";35,5\n"));
        }
        at_noon("timestamp, power.draw [W]\n2026/11/28 13:00:00.000, 35.50 W\n");
        at_noon("timestamp, index, power.draw [W]\n2026/11/28 13:00:00.000, 0, 35.50 W\n");
        at_noon("date,time,watts\n2026-11-28,12:00:00,35.5\n");
        at_noon("time;power\n\"2026-11-28T12:00:00,000\";35,5\n");
    }

    #[test]
    fn the_newest_line_tells_the_time_zone() {
        let lines: String = (0..4).map(|hour| format!("2026-11-28 {:02}:00:00,35.5\n", 9 + hour)).collect();
        let machine = Machine::new();
        machine.write(LOG, lines);
        let mut recorder = tail(&machine, 0.0).unwrap();
        recorder.sample_at(Stamp { time: 0.0, wall: 1_795_867_201.0 });
        let newest = series(&recorder, "log").points().next_back().unwrap().0;
        assert!((newest + 1.0).abs() < 1e-3, "{newest}");
    }

    #[test]
    fn lines_of_two_devices_are_no_reading_of_a_meter() {
        let text = "timestamp, index, power.draw [W]\n10, 0, 30 W\n10, 1, 60 W\n11, 0, 30 W\n11, 1, 60 W\n";
        assert_eq!(points(text), [(10.0, 30.0)], "no more than the one before the second device was seen");
    }

    #[test]
    fn columns_of_other_things_are_not_taken_for_power() {
        for header in [
            "time,Wh",
            "time,power_factor",
            "time,reactive power",
            "time,power.limit [W]",
            "time,voltage",
            "id,temperature",
        ] {
            let machine = Machine::new();
            machine.write(LOG, format!("{header}\n10,50\n"));
            let refusal = tail(&machine, 0.0).unwrap_err().to_string();
            assert!(refusal.contains("does not name time and watts"), "{header}: {refusal}");
        }
    }

    #[test]
    fn without_a_header_two_columns_are_power_and_three_are_the_emonpi_s_volts_and_amperes() {
        assert_eq!(points("10,50\n11.5,51\r\n"), [(10.0, 50.0), (11.5, 51.0)]);
        assert_eq!(points("10, 120.5, 0.5\n11, 120, 1\n"), [(10.0, 60.25), (11.0, 120.0)]);
    }

    #[test]
    fn energy_is_volts_times_amperes_times_time() {
        let lines: String = (0..20).map(|i| format!("{},120,{}\n", f64::from(i) * 0.17, f64::from(i) * 0.01)).collect();
        let log = read(lines, 0.0);
        // 1.2 W more with each reading: the mean over the readings 5 to 15 is that of the tenth.
        let window = window(&log, "log", 0.17 * 5.0, 0.17 * 15.0).unwrap();
        assert_close(window.energy.unwrap(), 12.0 * 1.7);
        assert_close(window.mean, 12.0);
    }

    #[test]
    fn lines_that_are_no_readings_are_left_out() {
        let text = "10,50\n11,x\n12\n\n# meter restarted\n13,nan\n14,inf\n,\n15,55\n16,57,\u{fffd}\n";
        assert_eq!(points(text), [(10.0, 50.0), (15.0, 55.0), (16.0, 57.0)]);
        assert_eq!(points("10,50\n9,50\n10,50\n11,-4\n12,1e9\n13,50\n"), [(10.0, 50.0), (13.0, 50.0)]);
        for text in ["", "time,watts\n", "hello\n", "1,2,3,4\n", "10,50"] {
            assert_eq!(points(text), [], "{text}");
        }
    }

    #[test]
    fn half_a_last_line_is_not_taken() {
        assert_eq!(points("10,50\n11,50\n12,5"), [(10.0, 50.0), (11.0, 50.0)]);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm() {
        assert_eq!(points(b"10,50\n\xff\xfe,\x00\n11,50\n"), [(10.0, 50.0), (11.0, 50.0)]);
    }

    #[test]
    fn a_meter_s_clock_that_is_ahead_is_set_right() {
        let log = read("10,50\n11,50\n12,50\n", 2.5);
        assert_eq!(series(&log, "log").points().next(), Some((7.5, 50.0)));
        assert_close(joules(&log, "log", 7.5, 9.5), 100.0);
        assert!(window(&log, "log", 8.0, 10.0).is_err());
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let lines: String = (0..60).filter(|i| !(20..35).contains(i)).map(|i| format!("{i},50\n")).collect();
        let log = read(lines, 0.0);
        let series = series(&log, "log");
        assert_eq!(series.window(10.0, 50.0), Err(WindowError::Gap(16.0)));
        assert_eq!(series.window(22.0, 30.0), Err(WindowError::Gap(16.0)));
        assert_close(series.window(0.0, 19.0).unwrap().energy.unwrap(), 950.0);
        assert_close(series.window(35.0, 59.0).unwrap().energy.unwrap(), 1200.0);
    }
}

mod growing {
    use super::*;

    #[test]
    fn new_lines_are_taken_as_they_come() {
        let machine = Machine::new();
        machine.write(LOG, "time,watts\n");
        let mut recorder = tail(&machine, 0.0).unwrap();
        for second in 0..10 {
            let second = f64::from(second);
            // The meter writes a moment after it has measured.
            recorder.sample_at(at(second + 0.1));
            machine.append(LOG, &line(second, 40.0));
        }
        assert_eq!(values(&recorder, "log"), [40.0; 9]);
        let first = series(&recorder, "log").points().next().unwrap().0;
        assert!(first.abs() < 1e-6, "{first}: by the clock of the recording");
        assert!((joules(&recorder, "log", 1.0, 7.0) - 240.0).abs() < 1e-4);
        assert_eq!(window(&recorder, "log", 5.0, 9.5), Err(WindowError::NotCovered), "not written yet");
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let machine = Machine::new();
        machine.write(LOG, "");
        let mut recorder = tail(&machine, 0.0).unwrap();
        let whole = line(0.0, 53.25);
        for (sample, part) in whole.as_bytes().chunks(3).enumerate() {
            recorder.sample_at(at(1.0 + sample as f64));
            assert_eq!(values(&recorder, "log"), [0.0; 0]);
            machine.append(LOG, std::str::from_utf8(part).unwrap());
        }
        recorder.sample_at(at(30.0));
        assert_eq!(values(&recorder, "log"), [53.25]);
    }

    #[test]
    fn half_a_header_waits_for_its_other_half() {
        let machine = Machine::new();
        machine.write(LOG, "time,volts,am");
        let mut recorder = tail(&machine, 0.0).unwrap();
        machine.append(LOG, &format!("peres\n{EPOCH},100,0.5\n"));
        recorder.sample_at(at(1.0));
        assert_eq!(values(&recorder, "log"), [50.0]);
    }

    #[test]
    fn older_lines_cover_the_start() {
        let machine = Machine::new();
        let before: String = (0..3).map(|second| line(f64::from(second) - 3.0, 40.0)).collect();
        machine.write(LOG, format!("time,watts\n{before}"));
        let mut recorder = tail(&machine, 0.0).unwrap();
        machine.append(LOG, &line(0.5, 40.0));
        machine.append(LOG, &line(1.5, 40.0));
        machine.append(LOG, &line(2.5, 40.0));
        recorder.sample_at(at(3.0));
        assert!((joules(&recorder, "log", 0.0, 2.5) - 100.0).abs() < 1e-4);
        assert_eq!(window(&recorder, "log", 0.0, 1.5), Err(WindowError::TooShort(1.0)), "less than two lines' time");
    }

    #[test]
    fn the_header_and_the_end_of_a_long_log_are_read() {
        let machine = Machine::new();
        let old: String = (0..5000).map(|i| format!("1,2,40,{}\n", EPOCH - 5000.0 + f64::from(i))).collect();
        machine.write(LOG, format!("# from a meter\nvolts,amps,watts,time\n{old}"));
        let mut recorder = tail(&machine, 0.0).unwrap();
        machine.append(LOG, &format!("1,2,50,{EPOCH}\n"));
        recorder.sample_at(at(1.0));
        let found = values(&recorder, "log");
        assert!(found.len() > 100 && found.len() < 1000, "{}", found.len());
        assert!(found[..found.len() - 1].iter().all(|&watts| watts == 40.0));
        assert_eq!(found.last(), Some(&50.0));
    }

    #[test]
    fn a_clock_that_is_ahead_is_set_right() {
        let machine = Machine::new();
        machine.write(LOG, line(100.0, 40.0) + &line(101.0, 40.0) + &line(102.0, 40.0));
        let mut recorder = tail(&machine, 100.0).unwrap();
        recorder.sample_at(at(3.0));
        let times: Vec<f64> = series(&recorder, "log").points().map(|(time, _)| time).collect();
        assert!(
            times.iter().zip([0.0, 1.0, 2.0]).all(|(found, expected): (&f64, f64)| (found - expected).abs() < 1e-3)
        );
    }

    #[test]
    fn a_file_that_was_emptied_is_read_from_its_start() {
        let machine = Machine::new();
        machine.write(LOG, "time,watts\n");
        let mut recorder = tail(&machine, 0.0).unwrap();
        (0..4).for_each(|second| machine.append(LOG, &line(f64::from(second), 40.0)));
        machine.append(LOG, "170000");
        recorder.sample_at(at(4.0));
        machine.write(LOG, "");
        recorder.sample_at(at(5.0));
        machine.append(LOG, &line(5.5, 50.0));
        machine.append(LOG, &line(6.0, 50.0));
        recorder.sample_at(at(6.5));
        assert_eq!(values(&recorder, "log"), [40.0, 40.0, 40.0, 40.0, 50.0, 50.0]);
    }

    /// As logrotate does; whoever writes may go on with the old file for a while.
    #[cfg(unix)]
    #[test]
    fn a_log_that_is_renamed_goes_on_in_the_file_that_takes_its_name() {
        let machine = Machine::new();
        machine.write(LOG, "time,watts\n");
        let mut recorder = tail(&machine, 0.0).unwrap();
        (0..3).for_each(|second| machine.append(LOG, &line(f64::from(second), 40.0)));
        recorder.sample_at(at(3.0));
        machine.append(LOG, &line(3.0, 41.0));
        std::fs::rename(machine.path(LOG), machine.path("meter.csv.1")).unwrap();
        recorder.sample_at(at(4.0));
        machine.write(LOG, "");
        machine.append("meter.csv.1", &line(4.0, 42.0));
        recorder.sample_at(at(5.0));
        machine.append("meter.csv.1", &line(5.0, 43.0));
        machine.append(LOG, &format!("time,watts\n{}", line(6.0, 50.0)));
        recorder.sample_at(at(6.5));
        machine.append(LOG, &line(7.0, 51.0));
        recorder.sample_at(at(7.5));
        assert_eq!(values(&recorder, "log"), [40.0, 40.0, 40.0, 41.0, 42.0, 43.0, 50.0, 51.0]);
    }

    #[test]
    fn noise_without_an_end_does_not_stop_it() {
        let machine = Machine::new();
        machine.write(LOG, line(0.0, 40.0));
        let mut recorder = tail(&machine, 0.0).unwrap();
        machine.append(LOG, &"x".repeat(100_000));
        recorder.sample_at(at(1.0));
        machine.append(LOG, &format!("\n{}", line(1.0, 41.0)));
        recorder.sample_at(at(2.0));
        assert_eq!(values(&recorder, "log"), [40.0, 41.0]);
    }

    #[test]
    fn it_must_be_named_and_be_there() {
        let machine = Machine::new();
        assert!(machine.refusal("log").fix.unwrap().contains("--meter log:FILE"));
        assert!(tail(&machine, 0.0).unwrap_err().reason.contains("meter.csv: No such file"));
    }
}

/// Hours of measuring must not end without a single reading of now.
mod now {
    use super::*;

    /// Why a log has no reading of now, if it has none.
    fn why(text: impl AsRef<[u8]>) -> String {
        let machine = Machine::new();
        machine.write(LOG, text);
        let mut recorder = tail(&machine, 0.0).unwrap();
        recorder.sample_at(at(0.0));
        recorder.check(at(0.0)).err().map_or(String::new(), |silent| silent.to_string())
    }

    #[test]
    fn a_log_that_is_of_now_is_read() {
        assert_eq!(why(line(0.0, 50.0)), "");
        assert_eq!(why(line(-8.0, 50.0)), "", "a slow meter");
        assert_eq!(why(format!("{:.0},50\n", 1e3 * EPOCH)), "", "thousandths of a second");
    }

    #[test]
    fn a_meter_that_writes_seldom_is_of_now_until_two_lines_are_lacking() {
        let machine = Machine::new();
        machine.write(LOG, (0..10).map(|i| line(15.0 * f64::from(i) - 135.0, 50.0)).collect::<String>());
        let mut recorder = tail(&machine, 0.0).unwrap();
        recorder.sample_at(at(12.0));
        assert_eq!(recorder.check(at(12.0)), Ok(()));
        assert_eq!((joules(&recorder, "log", -120.0, 0.0) - 6000.0).round(), 0.0);
        let why = recorder.check(at(31.0)).unwrap_err().why;
        assert!(why.contains("the newest is 31 s old"), "{why}");
    }

    #[test]
    fn the_reason_is_said_where_there_is_no_reading_of_now() {
        assert_eq!(
            why(line(-3600.0, 50.0)),
            "log: no line of the log is of now: the newest is 3600 s old; is the meter writing? --log-ahead -3600 if its clock is behind"
        );
        assert_eq!(
            why(line(7200.0, 50.0)),
            "log: no line of the log is of now: the newest is 7200 s in the future; --log-ahead 7200 if its clock is ahead"
        );
        for (text, reason) in [
            (
                "time,watts\n12.5,50\n",
                "no line of the log is of now: its times, the newest 12.5 s, do not count from 1970",
            ),
            ("time,watts\nyesterday,50\n", "no line of the log is a reading; the first is `yesterday,50`"),
            ("time,watts\n", "the log has no whole line yet; is the meter writing?"),
        ] {
            assert_eq!(why(text), format!("log: {reason}"));
        }
        let two = format!("time,index,watts\n{EPOCH},0,50\n{EPOCH},1,60\n");
        assert_eq!(why(two), "log: the log's lines are about several devices; write the log of one");
    }

    #[test]
    fn the_time_zone_is_told_by_a_line_of_now_and_not_by_an_old_one() {
        const NOON: f64 = 1_795_867_200.0; // 2026-11-28 12:00:00 UTC
        let machine = Machine::new();
        machine.write(LOG, "time,watts\n2026-11-28 13:51:00,50\n");
        let mut recorder = tail(&machine, 0.0).unwrap();
        // It is nine minutes old, and in a time zone beside its own it is of six minutes later.
        recorder.sample_at(Stamp { time: 0.0, wall: NOON + 7200.0 });
        assert!(recorder.check(Stamp { time: 0.0, wall: NOON + 7200.0 }).is_err());
        machine.append(LOG, "2026-11-28 14:00:09,60\n");
        let now = Stamp { time: 10.0, wall: NOON + 7210.0 };
        recorder.sample_at(now);
        assert_eq!(recorder.check(now), Ok(()));
        let (newest, watts) = series(&recorder, "log").points().next_back().unwrap();
        assert!((newest - 9.0).abs() < 1e-3 && watts == 60.0, "{watts} W at {newest} s");
    }

    #[test]
    fn a_header_of_other_things_that_comes_late_is_said() {
        let machine = Machine::new();
        machine.write(LOG, "");
        let mut recorder = tail(&machine, 0.0).unwrap();
        machine.append(LOG, &format!("time,VA\n{EPOCH},50\n"));
        recorder.sample_at(at(0.0));
        assert_eq!(values(&recorder, "log"), [0.0; 0]);
        assert!(recorder.check(at(0.0)).unwrap_err().why.contains("apparent power (VA) alone"));
    }
}
