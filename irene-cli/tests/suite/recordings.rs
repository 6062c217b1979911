//! `irene sample`: what is told of a recording, and that it ends in order, whatever ends it.
#![cfg(unix)]

use std::{
    fs::OpenOptions,
    io::Write,
    process::{Command, Output},
    time::Duration,
};

use crate::{
    command::{Folder, Says},
    meters::{Running, append, good, irene, line, now, refused, repeat, text},
};

#[cfg(target_os = "linux")]
#[test]
fn a_command_is_sampled_to_its_end() {
    let folder = Folder::new("sample");
    let csv = folder.path("readings.csv");
    let args = ["sample", "--period", "5", "--tdp-watts", "50", "-o", &csv, "--", "sleep", "3"];
    good(&mut irene(&args)).says("tdp:").says("(estimated)");
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.starts_with("unix_time_s,channel,unit,value\n"), "{csv}");
    // Some 600 on an idle machine; a busy one gave four readings in 400 ms.
    assert!(csv.lines().filter(|line| line.contains(",tdp,J,")).count() > 2, "{csv}");

    good(&mut irene(&["sample", "--period", "5", "--meter", "none", "--", "sleep", "0.2"]))
        .says("no meter, so no energy");
    // It ends as the command did, with no word of its own.
    assert_eq!(refused(1, &mut irene(&["sample", "--meter", "none", "--", "false"])), "");
    assert_eq!(refused(7, &mut irene(&["sample", "--meter", "none", "--", "sh", "-c", "exit 7"])), "");
    assert_eq!(refused(137, &mut irene(&["sample", "--meter", "none", "--", "sh", "-c", "kill -9 $$"])), "");
    refused(127, &mut irene(&["sample", "--", "no-such-program"])).says("cannot run no-such-program");
    refused(126, &mut irene(&["sample", "--", "/"])).says("cannot run /");
    // A command that outlasts its time is ended, which is no failure of its.
    good(&mut irene(&["sample", "--duration", "1", "--meter", "none", "--", "sleep", "30"]));
    refused(2, &mut irene(&["sample"])).says("give --duration SECONDS, or a command");
    for command in [&["sample", "--duration", "1"][..], &["doctor", "--watch", "1"]] {
        refused(1, irene(command).args(["--meter", "watt"])).says("`watt` is no meter");
    }
}

/// The line that covers a command's end comes after it.
#[test]
fn the_log_of_a_slow_meter_is_waited_for() {
    let folder = Folder::new("log");
    folder.write("meter.csv", "time,volts,amperes\n");
    let log = folder.path("meter.csv");
    let meter = append(&log, |now| format!("{now},230,0.5"));
    std::thread::sleep(Duration::from_millis(300));
    let meter_arg = format!("log:{log}");
    good(&mut irene(&["sample", "--period", "20", "--meter", &meter_arg, "--", "sleep", "0.5"]))
        .says("115 W")
        .says("J (measured)");
    drop(meter);

    // A log that stopped an hour ago.
    folder.write("old.csv", &format!("time,watts\n{},115\n", now() - 3600.0));
    let mut old = irene(&["sample", "--meter", &format!("log:{}", folder.path("old.csv")), "--", "sleep", "0.1"]);
    let Output { status, stdout, stderr } = old.output().unwrap();
    assert!(status.success() && text(&stdout).contains("log: no figure"), "{}", text(&stdout));
    assert!(text(&stderr).contains("no line of the log is of now: the newest is 36"), "{}", text(&stderr));
}

/// The command says which sensors are taken, which are not, and why.
#[test]
fn sensors_that_overlap_are_taken_once() {
    let folder = Folder::new("overlap");
    let hwmon = |file: &str, text: &str| folder.write(&format!("sys/class/hwmon/{file}"), text);
    hwmon("hwmon3/name", "corsairpsu\n");
    for (number, label, microwatts) in [(1, "power total", "174000000"), (2, "power +12v", "134000000")] {
        hwmon(&format!("hwmon3/power{number}_label"), label);
        hwmon(&format!("hwmon3/power{number}_input"), microwatts);
    }
    let sampled = |args: &[&str]| {
        let mut command = irene(&[&["sample", "--period", "10"], args, &["--", "sleep", "0.3"]].concat());
        command.env("IRENE_SYS", folder.0.join("sys")).env("IRENE_NVML_LIBRARY", folder.0.join("none.so"));
        command
    };
    let all = good(&mut sampled(&[]));
    assert!(all.contains("the total is that of hwmon.corsairpsu.power-total\n"), "{all}");
    assert!(all.contains("hwmon.corsairpsu.power-+12v is left out: part of hwmon.corsairpsu.power-total\n"), "{all}");
    assert!(line(&all, "hwmon:").ends_with(" J (measured)"), "{all}");
    assert!(line(&all, "hwmon.corsairpsu.power-total ").contains("174 W"), "{all}");
    good(&mut sampled(&["--meter", "hwmon:corsairpsu/power +12v"]))
        .says("the total is that of hwmon.corsairpsu.power-+12v\n");
    refused(1, &mut sampled(&["--meter", "hwmon:corsairpsu/power"]))
        .says("there are hwmon:corsairpsu/power-+12v, hwmon:corsairpsu/power-total");
}

#[test]
fn two_logs_of_a_kind_are_no_meter() {
    refused(2, &mut irene(&["sample", "--duration", "1", "--meter", "log:a.csv,log:b.csv"]))
        .says("--meter takes one log of a kind, and there are 2 of log:");
}

#[test]
fn ctrl_c_ends_a_recording_with_130() {
    let child = irene(&["sample", "--meter", "none", "--duration", "60"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" recorded"), "what was read is shown");
}

/// A service manager asks by SIGTERM alone: the command is asked to end in turn, and no reading is lost.
#[test]
fn a_request_to_end_keeps_what_was_read_and_ends_the_command() {
    let folder = Folder::new("terminated");
    let (readings, ended) = (folder.path("readings.csv"), folder.path("ended"));
    let script = format!("trap 'touch {ended}; exit 0' TERM; while true; do sleep 0.1; done");
    let mut child = irene(&["sample", "--meter", "none", "-o", &readings, "--", "sh", "-c", &script])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(std::path::Path::new(&ended).exists(), "the command ended in order");
    let lines = std::fs::read_to_string(&readings).unwrap();
    assert!(lines.lines().count() > 2, "{lines}");
}

/// A disk may be full by then; the summary is shown all the same.
#[cfg(target_os = "linux")]
#[test]
fn the_summary_is_shown_where_readings_cannot_be_written() {
    let ended = irene(&["sample", "--meter", "none", "--duration", "1", "-o", "/dev/full"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("cannot write /dev/full"), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains(" recorded"), "{}", text(&ended.stdout));
}

/// The reader of a pipe may have gone; the file is written all the same.
#[test]
fn readings_are_kept_where_nobody_reads_what_is_printed() {
    let folder = Folder::new("broken-pipe");
    let readings = folder.path("readings.csv");
    let mut child = irene(&["sample", "--meter", "none", "--format", "json", "--duration", "2", "-o", &readings])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(std::fs::read_to_string(&readings).unwrap().lines().count() > 2);
}

const LINES_PER_SECOND: f64 = 200.0;

/// The log of a meter that shows 200 W every 5 ms, and writes its lines some at a time.
fn fast_meter(log: &str) -> Running {
    let mut file = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let (start, mut written) = (now(), 0.0);
    repeat(Duration::from_millis(100), move |_| {
        let mut lines = String::new();
        while start + written / LINES_PER_SECOND <= now() {
            lines += &format!("{:.4},200\n", start + written / LINES_PER_SECOND);
            written += 1.0;
        }
        file.write_all(lines.as_bytes()).unwrap();
    })
}

/// A log has a period of its own, however seldom it is looked at.
#[test]
fn every_line_of_a_log_is_kept_and_the_energy_is_that_of_the_time() {
    let folder = Folder::new("fast-log");
    let (log, readings) = (folder.path("meter.csv"), folder.path("readings.csv"));
    let _meter = fast_meter(&log);
    std::thread::sleep(Duration::from_millis(500));
    let meter = format!("log:{log}");
    let args = ["sample", "--meter", &meter, "--period", "1000", "--duration", "3", "-o", &readings];
    let ended = irene(&args).output().unwrap();
    let summary = text(&ended.stdout);
    assert!(ended.status.success() && !summary.contains("figures of channels are of the last"), "{summary}");
    let number = |before: &str, after: &str| -> f64 {
        let end = summary.find(after).unwrap_or_else(|| unreachable!("no {after} in {summary}"));
        let start = summary[..end].rfind(before).map_or(0, |start| start + before.len());
        summary[start..end].parse().unwrap_or_else(|_| unreachable!("{summary}"))
    };
    let (seconds, joules) = (number("\n", " s recorded"), number("\nlog: ", " J (measured)"));
    assert!((joules - 200.0 * seconds).abs() < 4.0, "{summary}");
    let lines = std::fs::read_to_string(&readings).unwrap().lines().filter(|line| line.contains(",log,W,")).count();
    assert!(lines as f64 >= LINES_PER_SECOND * seconds - 1.0, "{lines} lines");
}

#[test]
fn a_log_whose_clock_is_ahead_has_no_energy() {
    let folder = Folder::new("ahead");
    let lines: String = (-5..50).map(|second| format!("{:.3},200\n", now() + f64::from(second))).collect();
    let meter = format!("log:{}", folder.write("meter.csv", &lines));
    let ended = irene(&["sample", "--meter", &meter, "--duration", "1"]).output().unwrap();
    let (summary, told) = (text(&ended.stdout), text(&ended.stderr));
    assert!(told.contains("the meter has no reading of now: log: "), "{told}");
    assert!(summary.contains("log: no figure: log: no line of the log is of now: the newest is"), "{summary}");
    assert!(!summary.contains("measured"), "{summary}");
}
