//! `irene bench` as a person uses it, on a scripted server whose energy is a processor's.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use irene_scripted_server::{Fault, Misdeed, Script, ScriptedServer};
use serde_json::Value;

use crate::{
    command::{Folder, Says, command, good, refused, said},
    meters::text,
};

/// Short windows of a small grid.
const SHORT: [&str; 10] =
    ["--seconds", "0.6", "--warm-up", "0", "--stand-by", "0.5", "--period", "10", "--timeout", "5"];

fn bench(server: &ScriptedServer, folder: &Folder, args: &[&str]) -> std::process::Command {
    let mut command = command(&["bench", &server.url(), "-o", &folder.path("sheet.csv")]);
    command.args(SHORT).args(args).env("IRENE_SYS", folder.0.join("sys")).env("IRENE_NVML_LIBRARY", "/nothing.so");
    command
}

fn sheet(folder: &Folder) -> String {
    fs::read_to_string(folder.0.join("sheet.csv")).unwrap_or_default()
}

/// Waits until something is so.
fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_grid_is_measured_cut_off_resumed_and_calibrated_on() {
    let folder = Folder::new("bench");
    let faults = vec![Fault::every(40, 40, Misdeed::Status(500))];
    let script = Script { model: "gpt2".into(), faults, ..Script::default() };
    let server = ScriptedServer::start(script, &folder.0.join("sys")).unwrap();
    let split = folder.path("parts.json");
    let grid =
        ["--prompt", "32,200", "--generate", "8,24", "--concurrency", "1,4", "--device", "t4", "--engine", "vllm-0.11"];
    let args = [&grid[..], &["--split", &split]].concat();

    // Ctrl-C after the first settings.
    let mut child = bench(&server, &folder, &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| sheet(&folder).lines().count() >= 3);
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(complaint.contains("idle power is") && complaint.contains("`--resume -o "), "{complaint}");
    let before = sheet(&folder);
    let count = before.lines().count();
    assert!(before.ends_with('\n') && (3..9).contains(&count), "{before}");

    // A loss of power leaves half a line.
    fs::write(folder.0.join("sheet.csv"), format!("{before}gpt2,t4,vll")).unwrap();
    let Output { status, stdout, stderr } =
        bench(&server, &folder, &[&args[..], &["--resume"]].concat()).output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    let after = sheet(&folder);
    assert!(after.starts_with(&before) && after.lines().count() == 9, "{after}");
    assert!(text(&stdout).contains("a generated token") && text(&stderr).contains(&format!("1 of {}", 9 - count)));
    // However narrow the terminal is, it says how well the parts fit.
    assert!(text(&stdout).contains("\n4 at once: the parts miss no setting by more than "), "{}", text(&stdout));
    assert!(after.lines().skip(1).all(|line| line.starts_with("gpt2,t4,vllm-0.11,,")), "{after}");

    let parts: Value = serde_json::from_str(&fs::read_to_string(&split).unwrap()).unwrap();
    for part in parts["split"].as_array().unwrap() {
        for (name, truth) in [("prompt_token_j", 1e-3), ("generated_token_j", 0.02)] {
            let found = part[name].as_f64().unwrap();
            assert!((found / truth - 1.0).abs() < 0.15, "{name}: {found} in {part}");
        }
    }
    // Nothing is measured twice.
    let again = bench(&server, &folder, &[&args[..], &["--resume"]].concat()).output().unwrap();
    assert!(again.status.success() && text(&again.stderr).contains("has every setting already"));
    assert_eq!(sheet(&folder), after);
    let other = bench(&server, &folder, &["--resume", "--device", "l4"]).output().unwrap();
    assert!(text(&other.stderr).contains("line 2: `device` is `t4` there and `l4` now"), "{}", text(&other.stderr));

    let predictor = folder.path("mine.safetensors");
    said(&["calibrate", "--requests", &folder.path("sheet.csv"), "-o", &predictor])
        .says("calibrated on 8 measured requests of t4");
    let predicted = good(&["predict", &folder.path("sheet.csv"), "--predictor", &predictor]);
    assert_eq!(predicted.lines().count(), 9);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_at_once_while_the_server_is_silent() {
    let folder = Folder::new("bench-silent");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = silent.local_addr().unwrap().to_string();
    let mut child = command(&["bench", &url, "--meter", "none", "-o", &folder.path("sheet.csv")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut question, _) = silent.accept().unwrap();
    assert!(question.read(&mut [0; 1]).unwrap() > 0);
    let start = Instant::now();
    // Not SIGINT, which a shell in the background has its commands ignore.
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "it waited for the server");
}

#[test]
fn settings_that_fail_are_named_and_the_others_measured() {
    let folder = Folder::new("bench-failing");
    let faults = vec![Fault::every(1, 60, Misdeed::Status(503))];
    let server = ScriptedServer::start(Script { faults, ..Script::default() }, &folder.0.join("sys")).unwrap();
    let grid = ["--prompt", "16", "--generate", "4", "--concurrency", "1,2", "--requests", "30", "--failures", "0.2"];
    let Output { status, stderr, .. } = bench(&server, &folder, &grid).output().unwrap();
    assert_eq!(status.code(), Some(1));
    let complaint = text(&stderr);
    // The command says before the load what `irene calibrate` will ask for.
    let lacking = "is no model that irene knows (name it by --model), --device is not given, --engine is not given";
    let (before, after) = complaint.split_once(lacking).unwrap();
    assert!(!before.contains(" at once") && after.contains(" at once"), "{complaint}");
    assert!(
        complaint.contains("1 at once: no figures")
            || complaint.contains("2 at once: ") && complaint.contains("status 503"),
        "{complaint}"
    );
    assert!(complaint.trim_end().ends_with("error: 1 of 2 settings without figures"), "{complaint}");
    assert_eq!(sheet(&folder).lines().count(), 2);
    // Two settings of one length are not parted.
    sheet(&folder).says("not_steady");
}

#[test]
fn idling_is_left_out_where_its_power_is_known_and_nothing_is_said_of_it_without_a_meter() {
    let folder = Folder::new("bench-idle");
    let server = ScriptedServer::start(Script::default(), &folder.0.join("sys")).unwrap();
    let (url, output) = (server.url(), folder.path("sheet.csv"));
    let one = ["--prompt", "16", "--generate", "4", "--concurrency", "1", "--subtract-idle"];
    let of = |more: &[&str]| {
        let mut command = command(&[&["bench", &url, "-o", &output], &one[..], more].concat());
        command.env("IRENE_SYS", folder.0.join("sys")).env("IRENE_NVML_LIBRARY", "/nothing.so");
        command.output().unwrap()
    };
    let none = of(&["--stand-by", "0"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("leave --stand-by 0 out"), "{}", text(&none.stderr));
    // No reading but one at most comes in that time.
    let short = of(&["--stand-by", "0.01", "--period", "500"]);
    assert_eq!((short.status.code(), sheet(&folder).lines().count()), (Some(1), 0));
    assert!(text(&short.stderr).contains("error: --subtract-idle needs the idle power"), "{}", text(&short.stderr));
    let unmetered = ["--meter", "none", "--seconds", "0.3", "--warm-up", "0"];
    assert!(of(&unmetered).status.success());
    let resumed = of(&[&unmetered[..], &["--resume"]].concat());
    assert!(text(&resumed.stderr).contains("has every setting already"), "{}", text(&resumed.stderr));
}

/// Estimates by two powers are two meters, whose rows nothing else tells apart.
#[test]
fn a_sheet_goes_on_with_the_thermal_design_power_that_it_began_with() {
    let folder = Folder::new("bench-tdp");
    let server = ScriptedServer::start(Script::default(), &folder.0.join("sys")).unwrap();
    let of = |watts: &str, prompts: &str| {
        let args =
            ["--meter", "tdp", "--tdp-watts", watts, "--prompt", prompts, "--generate", "8", "--concurrency", "1"];
        bench(&server, &folder, &[&args[..], &["--resume"]].concat()).output().unwrap()
    };
    let first = of("65", "32");
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(sheet(&folder).contains(",tdp 65 W,"), "{}", sheet(&folder));
    let other = of("650", "32,200");
    let refusal = "line 2: `meter` is `tdp 65 W` there and `tdp 650 W` now: choose another file";
    assert!(!other.status.success() && text(&other.stderr).contains(refusal), "{}", text(&other.stderr));
    assert_eq!(sheet(&folder).lines().count(), 2);
}

#[test]
fn what_cannot_be_measured_is_refused_in_one_line() {
    let folder = Folder::new("bench-refused");
    let output = folder.path("sheet.csv");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap().to_string();
    drop(listener);
    for (args, words) in [
        (vec!["https://127.0.0.1:1"], "https is not spoken"),
        (vec![&*free], "is the server running"),
        (vec![&*free, "--device", "h100-smx"], "h100-s"),
        (vec![&*free, "--engine", "vlllm"], "vllm"),
        (vec![&*free, "--key-variable", "IRENE_NO_SUCH_KEY"], "IRENE_NO_SUCH_KEY"),
        (vec![&*free, "--api", "grpc"], "there are completions"),
    ] {
        refused(1, &[&["bench", "-o", &output, "--meter", "none"], &args[..]].concat()).says(words);
    }
    let server = ScriptedServer::start(Script::default(), &folder.0.join("sys")).unwrap();
    let url = server.url();
    let args = ["bench", &url, "-o", &output, "--meter", "none"];
    refused(2, &[&args[..], &["--api", "embeddings", "--generate", "4"]].concat()).says("leave --generate out");
    folder.write("sheet.csv", "something else\n");
    refused(1, &args).says("--resume goes on with it");
    refused(1, &[&args[..], &["--resume"]].concat()).says("line 1: its columns");
    assert_eq!(sheet(&folder), "something else\n");
}
