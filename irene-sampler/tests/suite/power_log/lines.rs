//! The lines of a log: columns, units, times.

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

/// Times as nvidia-smi prints them with `--query-gpu=timestamp,power.draw --format=csv`, and times of other forms.
#[test]
fn times_of_every_form_are_read() {
    let at_noon = |text: &str| {
        let (_machine, mut recorder) = logged(text);
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
    let (_machine, mut recorder) = logged(lines);
    recorder.sample_at(Stamp { time: 0.0, wall: NOON + 1.0 });
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
