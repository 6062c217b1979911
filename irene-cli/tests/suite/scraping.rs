//! `irene sample` for those who read while it runs: Prometheus, lines of JSON, and the part of a process tree.

mod machine;
mod served;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde_json::Value;

use self::{
    machine::{COUNTER, Machine, RANGE},
    served::{PACKAGE, Scrape, Served},
};
use crate::{
    command::{Folder, Says, command, words},
    meters,
};

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn counters_are_exact_over_wraps_and_a_reset_never_makes_them_fall() {
    let machine = Machine::new("scrape");
    let moving = machine.moving();
    let args = ["sample", "--prometheus", "0", "--period", "100", "--pid", "100"];
    let served = Served::start(&mut machine.command(&args));
    drop(moving);
    machine.count(RANGE - 10);
    let start = served.settled();
    for metric in ["irene_total_energy_joules_total", "irene_energy_joules_total"] {
        close(start.get(metric, "rapl").unwrap(), start.joules());
    }
    assert!(start.samples.keys().any(|series| series.contains("in_total=\"true\"")), "{:?}", start.samples);
    close(start.get("irene_memory_ratio", "").unwrap(), 0.75);
    close(start.get("irene_meter_update_seconds", PACKAGE).unwrap(), 0.001);
    close(start.get("irene_gaps_total", PACKAGE).unwrap(), 0.0);

    // It wraps around; the process has half of what is used.
    let process = |scrape: &Scrape| scrape.get("irene_process_energy_joules_total", "pid:100");
    let has_share = |scrape: &Scrape| process(scrape).is_some();
    let before = served.until("no share", has_share);
    machine.count(5);
    machine.tick(100);
    served.until("the wrap", |scrape| scrape.joules() > start.joules() + 14.9);
    let wrapped = served.until("the share", |scrape| process(scrape) > process(&before));
    close(wrapped.joules() - start.joules(), 15.0);
    close(wrapped.get("irene_utilisation_ratio", "").unwrap(), 0.5);
    assert!(wrapped.samples.keys().any(|series| series.contains("method=\"cpu-time\"")));

    // Somebody loads the driver anew: so much cannot have been used.
    machine.count(12);
    served.settled();
    machine.count(0);
    let reset = served.until("the reset", |scrape| scrape.get("irene_gaps_total", PACKAGE).unwrap() > 0.0);
    machine.count(7);
    served.settled();
    let after = served.settled();
    assert!(reset.joules() >= wrapped.joules());
    close(after.joules() - reset.joules(), 7.0);

    let (code, summary) = served.end("-INT");
    assert_eq!(code, Some(130));
    summary.says("the total is that of rapl.package-0").says("of which process 100: ");
}

#[test]
fn a_sensor_that_vanishes_is_absent_and_goes_on_where_it_was() {
    let machine = Machine::new("vanish");
    let moving = machine.moving();
    let served = Served::start(&mut machine.command(&["sample", "--prometheus", "127.0.0.1:0", "--period", "20"]));
    drop(moving);
    machine.count(RANGE - 10);
    let before = served.settled();
    assert_eq!(served.get("/health", "*/*").2, "ok\n");
    fs::write(machine.path(COUNTER), "").unwrap();
    let gone = |scrape: &Scrape| scrape.get("irene_energy_joules_total", PACKAGE).is_none();
    let without = served.until("it is frozen", gone);
    for metric in ["irene_power_watts", "irene_total_energy_joules_total"] {
        assert_eq!(without.get(metric, ""), None, "{metric}");
    }
    assert!(without.get("irene_memory_ratio", "").is_some(), "others go on");
    let (status, _, said) = served.get("/health", "*/*");
    assert_eq!((status, said.as_str()), (503, "no reading of now: rapl.package-0\n"));
    machine.count(RANGE - 4);
    let again = served.until("it stays away", |scrape| !gone(scrape));
    close(again.joules() - before.joules(), 6.0);
    assert_eq!(served.get("/", "*/*").0, 404);
}

#[test]
fn a_counter_that_is_read_seldom_has_a_power() {
    let machine = Machine::new("seldom");
    let _moving = machine.moving();
    let served = Served::start(&mut machine.command(&["sample", "--prometheus", "0", "--period", "1500"]));
    served.until("no power", |scrape| scrape.get("irene_power_watts", PACKAGE).is_some_and(|watts| watts > 0.0));
}

#[test]
fn each_client_gets_the_format_that_it_asks_for() {
    let machine = Machine::new("formats");
    let _moving = machine.moving();
    let served = Served::start(&mut machine.command(&["sample", "--prometheus", "0"]));
    let (_, kind, open) = served.get("/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE irene_energy_joules counter\n"), "{open}");
    let (_, kind, text) = served.get("/metrics", "*/*");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    // Prometheus' own program agrees, where it is installed.
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    if let Ok(mut promtool) = promtool {
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let checked = promtool.wait_with_output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert!(checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The one line of a refusal.
fn refused(code: i32, command: &mut Command) -> String {
    let said = meters::refused(code, command);
    if code == 1 {
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    said
}

#[test]
fn what_cannot_be_is_said_in_a_line() {
    let machine = Machine::new("refusals");
    let _moving = machine.moving();
    for address in [":9477", "example.org:80", "99999"] {
        refused(2, &mut machine.command(&["sample", "--prometheus", address])).says("an address in full");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(1, &mut machine.command(&["sample", "--prometheus", &address]))
        .says(&format!("cannot listen on {address}: Address already in use"));

    let sample = |more: &[&str]| machine.command(&[&["sample", "--duration", "1"], more].concat());
    refused(1, &mut sample(&["--pid", "4711"])).says("there is no process 4711 in ");
    refused(1, &mut sample(&["--cgroup", "/nobody.slice"])).says("the control group /nobody.slice cannot be read: ");
    refused(1, &mut sample(&["--pid", "100", "--meter", "none"]))
        .says("there is no meter whose energy could be shared out");
    refused(2, &mut sample(&["--pid", "100", "--cgroup", "/a"])).says("cannot be used with");
    refused(2, &mut sample(&["--every", "1"])).says("--format json");
    refused(2, &mut sample(&["--idle", "apart"])).says("--idle apart works only with --pid, --cgroup or a command");
    for command in [&["sample", "--duration", "1"][..], &["doctor"]] {
        refused(2, &mut machine.command(&[command, &["--log-ahead", "3"]].concat()))
            .says("--log-ahead works only with --meter log:FILE");
    }
    refused(2, &mut machine.command(&["doctor", "--watch", "1", "--self-check", "4"])).says("cannot be used with");
    refused(2, &mut sample(&["--format", "json", "--every", "0"])).says("expected seconds above 0");
}

#[test]
fn a_process_that_ends_meanwhile_ends_its_count() {
    let machine = Machine::new("ends");
    let moving = machine.moving();
    let args = ["sample", "--prometheus", "0", "--period", "20", "--pid", "100", "--format", "json"];
    let served = Served::start(&mut machine.command(&args));
    let has_share = |scrape: &Scrape| scrape.get("irene_process_energy_joules_total", "pid:100").is_some();
    served.until("no share", has_share);
    fs::remove_dir_all(machine.path("proc/100")).unwrap();
    served.until("it is frozen", |scrape| !has_share(scrape));
    drop(moving);
    let (code, lines) = served.end("-INT");
    assert_eq!(code, Some(130));
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((last["summary"].as_bool(), last["process"].as_str()), (Some(true), Some("pid:100")));
    assert!(last["process_j"].as_f64().is_some(), "what it used until then is kept: {last}");
}

#[test]
fn lines_of_json_add_up_to_the_summary() {
    let machine = Machine::new("json");
    let _moving = machine.moving();
    let args =
        ["sample", "--format", "json", "--period", "20", "--pid", "100", "--", "sh", "-c", "echo to stderr; sleep 2"];
    let output = machine.command(&args).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "to stderr\n", "a command's output is not among the lines");
    let out = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, lines) = lines.split_last().unwrap();
    assert!(lines.len() > 3, "{out}");
    for pair in lines.windows(2) {
        for field in ["unix_time_s", "elapsed_s", "total_j"] {
            assert!(pair[0][field].as_f64().unwrap() <= pair[1][field].as_f64().unwrap(), "{field}: {pair:?}");
        }
    }
    let first = &lines[0];
    assert_eq!((first["schema_version"].as_u64(), first["mem_percent"].as_f64()), (Some(1), Some(75.0)));
    let offset = |line: &Value| line["rapl_package_0_j"].as_f64().unwrap() - line["total_j"].as_f64().unwrap();
    assert!(
        lines.iter().all(|line| (offset(line) - offset(first)).abs() < 1e-9),
        "the total begins at the start: {out}"
    );
    assert_eq!((summary["summary"].as_bool(), summary["meter"].as_str()), (Some(true), Some("rapl")));
    assert_eq!((summary["provenance"].as_str(), &summary["taken"][0]), (Some("measured"), &"rapl.package-0".into()));
    let used = |line: &Value| line["total_j"].as_f64().unwrap();
    assert!(used(summary) > 0.0 && used(summary) <= used(lines.last().unwrap()) + 1.0, "{out}");
    assert!(summary["process_j"].as_f64().unwrap() <= used(summary), "a part is no more than the whole: {out}");

    // Fewer lines, and a reader that has seen enough.
    let mut command = machine.command(&["sample", "--format", "json", "--every", "0.2", "--period", "20"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"schema_version\":1,\"unix_time_s\":"), "{line}");
    drop(stdout);
    assert!(child.wait().unwrap().success(), "as `| head -1` does");
}

#[test]
fn the_summary_says_what_a_command_used() {
    let burn = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
    let output = command(&["sample", "--tdp-watts", "50", "--meter", "tdp", "--", "sh", "-c", burn]).output().unwrap();
    let summary = words(&String::from_utf8(output.stdout).unwrap());
    let part = summary.split(&format!("of which sh -c {burn}: ")).nth(1).unwrap_or_else(|| unreachable!("{summary}"));
    let (joules, rest) = part.split_once(" J (").unwrap();
    assert!(joules.parse::<f64>().unwrap() > 0.0, "{part}");
    assert!(rest.starts_with("cpu-time; estimated, with its share of what is idle)"), "{part}");

    let machine = Machine::new("idle");
    let _moving = machine.moving();
    let apart = ["sample", "--duration", "1", "--pid", "100", "--idle", "apart"];
    let summary = String::from_utf8(machine.command(&apart).output().unwrap().stdout).unwrap();
    assert!(summary.contains("of which process 100: ") && summary.contains("what is idle kept apart"), "{summary}");
}

#[test]
fn why_a_command_s_part_is_not_told_is_said_where_there_is_a_meter() {
    let folder = Folder::new("outlet");
    let log = format!("log:{}", folder.write("meter.csv", "time,watts\n"));
    let output = command(&["sample", "--meter", &log, "--", "true"]).output().unwrap();
    String::from_utf8(output.stderr)
        .unwrap()
        .says("the command's part of the energy is not told: log cannot be shared out");
}

#[test]
fn without_a_meter_it_says_what_would_help() {
    let folder = Folder::new("nothing");
    let run = |args: &[&str]| {
        let mut command = command(args);
        command.env("IRENE_SYS", folder.0.join("sys")).env("IRENE_NVML_LIBRARY", "/nothing.so");
        let output = command.output().unwrap();
        assert!(output.status.success());
        [output.stdout, output.stderr].map(|bytes| words(&String::from_utf8(bytes).unwrap()))
    };
    let helps =
        "tdp not available: the processor's thermal design power is not known what would help: give it in watts";
    let [summary, _] = run(&["sample", "--duration", "1"]);
    assert!(summary.contains("no meter, so no energy") && summary.contains(helps), "{summary}");
    let [lines, told] = run(&["sample", "--duration", "1", "--format", "json"]);
    assert!(told.contains("no meter, so no energy") && told.contains(helps), "{told}");
    assert!(!lines.contains("total_j"), "unknown is absent: {lines}");
    let [summary, _] = run(&["sample", "--duration", "1", "--meter", "none"]);
    assert!(!summary.contains("what would help"), "none is wanted: {summary}");
}
