//! Hours of measuring must not end without a single reading of now.

use super::*;

/// Why a log has no reading of now, if it has none.
fn why(text: impl AsRef<[u8]>) -> String {
    let (_machine, mut recorder) = logged(text);
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
    let (_machine, mut recorder) = logged((0..10).map(|i| line(15.0 * f64::from(i) - 135.0, 50.0)).collect::<String>());
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
        "log: no line of the log is of now: the newest is 3600 s old; is the meter writing? Places::power_log_ahead -3600 if its clock is behind"
    );
    assert_eq!(
        why(line(7200.0, 50.0)),
        "log: no line of the log is of now: the newest is 7200 s in the future; Places::power_log_ahead 7200 if its clock is ahead"
    );
    for (text, reason) in [
        ("time,watts\n12.5,50\n", "no line of the log is of now: its times, the newest 12.5 s, do not count from 1970"),
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
    let (machine, mut recorder) = logged("time,watts\n2026-11-28 13:51:00,50\n");
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
    let (machine, mut recorder) = logged("");
    machine.append(LOG, &format!("time,VA\n{EPOCH},50\n"));
    recorder.sample_at(at(0.0));
    assert_eq!(values(&recorder, "log"), [0.0; 0]);
    assert!(recorder.check(at(0.0)).unwrap_err().why.contains("apparent power (VA) alone"));
}
