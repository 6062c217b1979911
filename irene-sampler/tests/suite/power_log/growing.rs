//! How a log grows.

use super::*;

#[test]
fn new_lines_are_taken_as_they_come() {
    let (machine, mut recorder) = logged("time,watts\n");
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
    let (machine, mut recorder) = logged("");
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
    let (machine, mut recorder) = logged("time,volts,am");
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
fn a_file_that_was_emptied_is_read_from_its_start() {
    let (machine, mut recorder) = logged("time,watts\n");
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
    let (machine, mut recorder) = logged("time,watts\n");
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
    let (machine, mut recorder) = logged(line(0.0, 40.0));
    machine.append(LOG, &"x".repeat(100_000));
    recorder.sample_at(at(1.0));
    machine.append(LOG, &format!("\n{}", line(1.0, 41.0)));
    recorder.sample_at(at(2.0));
    assert_eq!(values(&recorder, "log"), [40.0, 41.0]);
}

#[test]
fn it_must_be_named_and_be_there() {
    let machine = Machine::new();
    assert!(machine.refusal("log").fix.unwrap().contains("Places::power_log"));
    assert!(tail(&machine, 0.0).unwrap_err().reason.contains("meter.csv: No such file"));
}
