//! `irene doctor`, `sample` and `profile` as a person uses them, on this machine and on made-up ones.

use std::{
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::command::Folder;

pub(crate) fn irene(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irene"));
    command.args(args);
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    text(&stdout)
}

/// The one line of a refusal.
fn refused(code: i32, command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(code), "{}", text(&stderr));
    text(&stderr)
}

/// The line that begins so.
fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(beginning)).unwrap_or_else(|| unreachable!("no {beginning} in {text}"))
}

/// Something that goes on beside a command until it is dropped.
struct Running(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(JoinHandle::join);
    }
}

/// Does something over and over, with the seconds since the start.
fn repeat(pause: Duration, mut step: impl FnMut(f64) + Send + 'static) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        while !theirs.load(Ordering::Relaxed) {
            step(start.elapsed().as_secs_f64());
            std::thread::sleep(pause);
        }
    });
    Running(stop, Some(thread))
}

/// Counts a file of microjoules up in real time.
fn count_up(folder: &Folder, file: &str, watts: f64) -> Running {
    let path = folder.0.join(file);
    repeat(Duration::from_millis(1), move |seconds| {
        // The number keeps its length, so that no reader sees a part of it.
        let number = format!("{:.0}\n", 1e9 + 1e6 * watts * seconds);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, number.as_bytes()).unwrap();
    })
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn the_doctor_names_what_there_is_and_what_would_help() {
    let folder = Folder::new("doctor");
    folder.write("proc/stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
    folder.write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
    folder.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    folder.write("sys/class/powercap/intel-rapl:0/energy_uj", "5000000\n");
    folder.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
    folder.write("sys/class/powercap/intel-rapl:1/name", "psys\n");
    folder.write("sys/class/powercap/intel-rapl:1/energy_uj", "0\n");
    let shown = |command: &mut Command| {
        good(command.env("IRENE_PROC", folder.0.join("proc")).env("IRENE_SYS", folder.0.join("sys")))
    };
    let counting = count_up(&folder, "sys/class/powercap/intel-rapl:0/energy_uj", 10.0);
    let found = shown(&mut irene(&["doctor", "--watch", "1"]));
    drop(counting);
    assert!(line(&found, "rapl.package-0 ").ends_with("measured"), "{found}");
    assert!(line(&found, "rapl.psys ").ends_with("left out"), "{found}");
    assert!(found.contains("rapl.psys is left out: stands still: the same reading"), "{found}");
    assert!(found.contains("75.00 %"), "{found}");
    let words: Vec<&str> = found.split_whitespace().collect();
    let words = words.join(" ");
    assert!(words.contains("hwmon not available: "), "{found}");
    assert!(words.contains("what would help: give it in watts, from its data sheet, by --tdp-watts"), "{found}");
    assert!(found.contains("the meter would be: rapl"), "{found}");
    // A counter that stands still has neither period nor resolution, and these are not zero.
    assert!(line(&found, "rapl.psys ").contains("not seen"), "{found}");
    assert!(found.lines().take_while(|line| !line.is_empty()).all(|line| line.chars().count() <= 80), "{found}");

    let still = shown(&mut irene(&["doctor", "--watch", "1"]));
    assert!(still.contains("rapl is not used: rapl.psys stands still"), "{still}");
    assert!(still.contains("no meter: energies will be absent"), "{still}");

    std::fs::remove_dir_all(folder.0.join("sys")).unwrap();
    assert!(shown(&mut irene(&["doctor", "--watch", "1"])).contains("no meter: energies will be absent"));
    let estimated = shown(&mut irene(&["doctor", "--watch", "1", "--tdp-watts", "65"]));
    assert!(estimated.contains("the meter would be: tdp"), "{estimated}");
    let json = shown(&mut irene(&["doctor", "--watch", "1", "--tdp-watts", "65", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["meters"][0], &json["schema_version"]), (&"tdp".into(), &1.into()));
    let mem = json["sensors"].as_array().unwrap().iter().find(|sensor| sensor["sensor"] == "mem").unwrap();
    assert_eq!((&mem["now"], &mem["now_unit"], mem.get("resolution")), (&75.into(), &"%".into(), None));
    assert!(json["unavailable"].as_array().unwrap().iter().any(|sensor| sensor["name"] == "hwmon"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_doctor_shows_cards_rails_and_logs_of_other_programs() {
    let folder = Folder::new("doctor-cards");
    let card = "sys/class/drm/card1/device";
    folder.write("proc/stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
    folder.write(&format!("{card}/vendor"), "0x1002\n");
    folder.write(&format!("{card}/hwmon/hwmon4/power1_average"), "180000000\n");
    folder.write(&format!("{card}/hwmon/hwmon4/power1_cap"), "100000000\n");
    let doctor = |more: &[&str]| {
        let mut command = irene(&[&["doctor", "--watch", "1"], more].concat());
        good(command.env("IRENE_PROC", folder.0.join("proc")).env("IRENE_SYS", folder.0.join("sys")))
    };
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = doctor(&[]);
    assert!(words(line(&found, "card1.power ")).ends_with("mean of unknown time measured"), "{found}");
    assert!(found.contains("the meter would be: drm"), "{found}");
    // Power of 180 W where the card keeps to 100 W.
    assert!(
        words(&found).contains("doubtful: card1.power reads 180.0 W on average, and the device's own limit is 100.0 W"),
        "{found}"
    );
    assert!(
        words(&found)
            .contains("powermetrics not available: no file of powermetrics was named what would help: on a Mac")
    );
    assert!(
        words(&found).contains("ipmi not available: no log of ipmitool was named what would help: append readings")
    );

    folder.write("ipmi.log", "    Instantaneous power reading:  240 Watts\n    Power reading state is:  deactivated\n");
    let log = format!("ipmi:{}", folder.0.join("ipmi.log").display());
    let named = doctor(&["--meter", &log]);
    assert!(named.contains("the meter would be: ipmi"), "{named}");
    assert!(words(&named).contains("ipmi: the management controller says that it does not measure power"), "{named}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_is_sampled_to_its_end() {
    let folder = Folder::new("sample");
    let csv = folder.path("readings.csv");
    let args = ["sample", "--period", "5", "--tdp-watts", "50", "-o", &csv, "--", "sleep", "3"];
    let summary = good(&mut irene(&args));
    assert!(summary.contains("tdp:") && summary.contains("(estimated)"), "{summary}");
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.starts_with("unix_time_s,channel,unit,value\n"), "{csv}");
    // Some 600 on an idle machine; a busy one gave four readings in 400 ms.
    assert!(csv.lines().filter(|line| line.contains(",tdp,J,")).count() > 2, "{csv}");

    let unmetered = good(&mut irene(&["sample", "--period", "5", "--meter", "none", "--", "sleep", "0.2"]));
    assert!(unmetered.contains("no meter, so no energy"), "{unmetered}");
    // It ends as the command did, with no word of its own.
    assert_eq!(refused(1, &mut irene(&["sample", "--meter", "none", "--", "false"])), "");
    assert_eq!(refused(7, &mut irene(&["sample", "--meter", "none", "--", "sh", "-c", "exit 7"])), "");
    assert_eq!(refused(137, &mut irene(&["sample", "--meter", "none", "--", "sh", "-c", "kill -9 $$"])), "");
    assert!(refused(127, &mut irene(&["sample", "--", "no-such-program"])).contains("cannot run no-such-program"));
    assert!(refused(126, &mut irene(&["sample", "--", "/"])).contains("cannot run /"));
    // A command that outlasts its time is ended, which is no failure of its.
    good(&mut irene(&["sample", "--duration", "1", "--meter", "none", "--", "sleep", "30"]));
    assert!(refused(2, &mut irene(&["sample"])).contains("give --duration SECONDS, or a command"));
    for command in [&["sample", "--duration", "1"][..], &["doctor", "--watch", "1"]] {
        let said = refused(1, irene(command).args(["--meter", "watt"]));
        assert!(said.contains("`watt` is no meter"), "{command:?}: {said}");
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
    let summary = good(&mut irene(&["sample", "--period", "20", "--meter", &meter_arg, "--", "sleep", "0.5"]));
    assert!(summary.contains("115 W") && summary.contains("J (measured)"), "{summary}");
    drop(meter);

    // A log that stopped an hour ago.
    folder.write("old.csv", &format!("time,watts\n{},115\n", now() - 3600.0));
    let mut old = irene(&["sample", "--meter", &format!("log:{}", folder.path("old.csv")), "--", "sleep", "0.1"]);
    let Output { status, stdout, stderr } = old.output().unwrap();
    assert!(status.success() && text(&stdout).contains("log: no figure"), "{}", text(&stdout));
    assert!(text(&stderr).contains("no line of the log is of now: the newest is 36"), "{}", text(&stderr));
}

/// A meter that writes a line every 100 ms.
fn append(log: &str, line: impl Fn(f64) -> String + Send + 'static) -> Running {
    let log = log.to_owned();
    repeat(Duration::from_millis(100), move |_| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        std::io::Write::write_all(&mut file, format!("{}\n", line(now())).as_bytes()).unwrap();
    })
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
    assert!(all.contains("hwmon.corsairpsu.power-total is taken\n"), "{all}");
    assert!(all.contains("hwmon.corsairpsu.power-+12v is left out: part of hwmon.corsairpsu.power-total\n"), "{all}");
    assert!(line(&all, "hwmon:").ends_with(" J (measured)"), "{all}");
    assert!(line(&all, "hwmon.corsairpsu.power-total ").contains("174 W"), "{all}");
    let one = good(&mut sampled(&["--meter", "hwmon:corsairpsu/power +12v"]));
    assert!(one.contains("hwmon.corsairpsu.power-+12v is taken\n"), "{one}");
    let none = refused(1, &mut sampled(&["--meter", "hwmon:corsairpsu/power"]));
    assert!(none.contains("there are hwmon:corsairpsu/power-+12v, hwmon:corsairpsu/power-total"), "{none}");
}

#[test]
fn two_logs_of_a_kind_are_no_meter() {
    let two = refused(2, &mut irene(&["sample", "--duration", "1", "--meter", "log:a.csv,log:b.csv"]));
    assert!(two.contains("--meter takes one log of a kind, and there are 2 of log:"), "{two}");
}

#[cfg(feature = "candle")]
mod profile {
    use std::{path::Path, process::Stdio};

    use irene_tree::{Quantity, jsonl};

    use super::*;

    fn model() -> String {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../irene-models/tests/fixtures/bert").display().to_string()
    }

    /// Rounds as short as they can be.
    fn profile(output: &str, more: &[&str]) -> Command {
        let model = model();
        let short = ["--quick", "--round", "0.03", "--rounds", "1", "--most-rounds", "1", "--period", "2"];
        irene(&[&["profile", &model, "--tdp-watts", "50", "-o", output], &short[..], more].concat())
    }

    #[test]
    fn every_node_is_measured_and_the_trees_can_be_trained_on() {
        let folder = Folder::new("profile");
        let output = folder.path("data.jsonl");
        good(&mut profile(&output, &["-b", "1,2", "-s", "8"]));
        let trees = jsonl::read_trees(Path::new(&output)).unwrap();
        assert_eq!(trees.iter().map(|tree| (tree.size.sequences, tree.size.new)).collect::<Vec<_>>(), [(1, 8), (2, 8)]);
        for node in trees.iter().flat_map(irene_tree::Tree::nodes) {
            let scope = node.scope();
            assert!(node.get(Quantity::Latency).is_some_and(|seconds| seconds > 0.0), "{scope}");
            let basis = &node.extra.as_ref().unwrap()["measurement"];
            assert_eq!(basis["rounds"], 1, "{scope}");
            // Without a GPU there is no figure of one, not a 0.
            assert_eq!(node.get(Quantity::Gpu), None, "{scope}");
            match node.get(Quantity::GroundTruthEnergy) {
                Some(joules) => {
                    assert!(joules > 0.0 && basis["energy_provenance"] == "estimated", "{scope}");
                }
                None => assert!(basis["no_energy"].is_string(), "{scope}: {basis}"),
            }
        }
        assert!(trees[0].nodes().iter().any(|node| node.extra.as_ref().unwrap()["measurement"]["is_shared"] == true));
        assert_eq!(trees[0].extra["measuring"]["meters"][0], "tdp");
        assert!(!Path::new(&(output.clone() + ".journal")).exists());

        let (whole, cut) = (std::fs::read(&output).unwrap(), folder.path("cut.jsonl"));
        std::fs::write(&cut, &whole[..whole.len() - 200]).unwrap();
        good(&mut profile(&cut, &["-b", "1,2", "-s", "8", "--resume"]));
        let mended = jsonl::read_trees(Path::new(&cut)).unwrap();
        assert_eq!((&mended[..1], mended.len()), (&trees[..1], 2));
        let sheet = refused(2, &mut profile(&folder.path("data.csv"), &["-b", "1", "-s", "8"]));
        assert!(sheet.contains("not CSV; name a file that ends in .jsonl"), "{sheet}");
        let again = refused(1, &mut profile(&output, &["-b", "1", "-s", "8"]));
        assert!(again.contains("exists; --resume adds to it"), "{again}");
        let other = refused(1, &mut profile(&output, &["-b", "1,3", "-s", "8", "--resume", "--level", "ml"]));
        assert!(other.contains("at 1x8 by other settings"), "{other}");
        good(&mut profile(&output, &["-b", "1", "-s", "8", "--resume"]));
        good(&mut profile(&output, &["-b", "3,3", "-s", "8", "--resume", "--level", "ml"]));
        let more = jsonl::read_trees(Path::new(&output)).unwrap();
        assert_eq!(more[..2], trees[..], "what was there is not measured again");
        assert_eq!(more.len(), 3);
        assert_eq!(more[2].root().get(Quantity::Latency), None, "only the levels that were asked for");
    }

    /// A processor package of 40 W, as the kernel's powercap shows it (Documentation/power/powercap/powercap.rst).
    fn package(folder: &Folder) -> Running {
        folder.write("proc/stat", "cpu  10 0 10 80 0 0 0 0 0 0\n");
        folder.write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
        folder.write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000000\n");
        folder.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n");
        count_up(folder, "sys/class/powercap/intel-rapl:0/energy_uj", 40.0)
    }

    #[test]
    fn steps_of_training_are_measured_learned_from_and_predicted() {
        let folder = Folder::new("profile-training");
        let (output, model) = (folder.path("steps.jsonl"), model());
        let _counting = package(&folder);
        let measure = |more: &[&str]| {
            let protocol = ["--quick", "--round", "0.05", "--rounds", "2", "--most-rounds", "2", "--period", "5"];
            let head = ["profile", &model, "--random-weights", "1", "--meter", "rapl", "-o", &output];
            let mut command = irene(&[&head[..], &protocol[..], more].concat());
            command.env("IRENE_PROC", folder.0.join("proc")).env("IRENE_SYS", folder.0.join("sys"));
            command
        };
        good(&mut measure(&["-b", "1,2,4", "-s", "8,16", "--train", "--level", "model"]));
        let trees = jsonl::read_trees(Path::new(&output)).unwrap();
        assert_eq!(trees.len(), 6);
        for tree in &trees {
            assert_eq!(tree.root().instance_type(), "TrainingStep");
            assert_eq!(tree.extra["measuring"]["training"]["optimizer"], "adamw");
            for scope in ["root", "root.forward", "root.backward", "root.optimizer"] {
                let node = tree.node(tree.find(scope).unwrap());
                let [seconds, joules] =
                    [Quantity::Latency, Quantity::GroundTruthEnergy].map(|of| node.get(of).unwrap());
                assert!((20.0..80.0).contains(&(joules / seconds)), "{scope}: {} W", joules / seconds);
                assert_eq!(node.extra.as_ref().unwrap()["measurement"]["energy_provenance"], "measured");
            }
        }
        // Another optimizer is another step, and what is there stays.
        good(&mut measure(&["-b", "1", "-s", "8", "--train", "--level", "model", "--resume"]));
        let sgd = ["-b", "1", "-s", "8", "--train", "--optimizer", "sgd", "--level", "module,ml", "--resume"];
        good(&mut measure(&sgd));
        let more = jsonl::read_trees(Path::new(&output)).unwrap();
        assert_eq!((&more[..6], more.len()), (&trees[..], 7));
        assert!(
            more[6].find("root.forward.bert.pooler").is_none_or(|id| more[6].node(id).get(Quantity::Latency).is_some())
        );

        // Phases are learned as wholes, and predicted at sizes that were left out.
        let steps =
            folder.write("phases.jsonl", &trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect::<String>());
        let left_out =
            good(&mut irene(&["crossvalidate", &steps, "--method", "specs", "--protocol", "leave-size-out"]));
        assert!(left_out.contains("4x16") && left_out.contains("average"), "{left_out}");
        let predictor = folder.path("steps.safetensors");
        good(&mut irene(&["train", &steps, "--method", "specs", "-o", &predictor]));
        let explained = good(&mut irene(&["explain", &steps, "root.backward", "--predictor", &predictor]));
        assert!(explained.contains("Backward"), "{explained}");
        for method in ["measured", "primitives"] {
            let told = refused(1, &mut irene(&["train", &steps, "--method", method, "-o", &folder.path("none")]));
            assert!(told.contains("never measured alone") && told.contains("use --method specs"), "{told}");
        }

        // Steps are shown as steps.
        let one = folder.write("one.jsonl", &(jsonl::to_json(&trees[0]) + "\n"));
        let step = good(&mut irene(&["predict", &one, "--predictor", &predictor]));
        for told in ["training by adamw", " a step, ", "a million steps: "] {
            assert!(step.contains(told) && !step.contains("request"), "{told}: {step}");
        }
        let rows = good(&mut irene(&["predict", &steps, "--predictor", &predictor, "--format", "text"]));
        assert!(rows.contains("training by adamw"), "{rows}");

        let headless =
            irene(&["profile", &model, "-b", "3", "-s", "8", "--train", "-o", &folder.path("other.jsonl")]).output();
        let headless = text(&headless.unwrap().stderr);
        assert!(headless.contains("no weights for the head lm; --random-weights SEED"), "{headless}");
        let fused = refused(2, &mut measure(&["-b", "3", "-s", "8", "--train", "--kernels", "fused", "--resume"]));
        assert!(fused.contains("fused kernels have no gradients"), "{fused}");
        let kept = refused(1, &mut measure(&["-b", "3", "-s", "8", "--train", "--checkpoint", "layer", "--resume"]));
        assert!(kept.contains("only `none` runs"), "{kept}");
        let cached = refused(1, &mut measure(&["-b", "3", "-s", "8", "--train", "--past", "4", "--resume"]));
        assert!(cached.contains("trains on whole sequences"), "{cached}");
        assert_eq!(jsonl::read_trees(Path::new(&output)).unwrap(), more);
    }

    #[cfg(unix)]
    #[test]
    fn what_was_measured_before_ctrl_c_is_kept() {
        let folder = Folder::new("interrupt");
        let output = folder.path("data.jsonl");
        let journal = output.clone() + ".journal";
        let model = model();
        let start = |more: &[&str]| {
            let mut command = irene(&["profile", &model, "-b", "1", "-s", "8", "--meter", "none", "-o", &output]);
            command.args(["--quick", "--round", "0.1", "--rounds", "2", "--most-rounds", "2"]).args(more);
            command
        };
        let child = start(&[]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = || std::fs::read_to_string(&journal).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines().lines().count() < 3 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130));
        assert!(text(&ended.stderr).contains("what was measured is kept"), "{}", text(&ended.stderr));
        assert!(!Path::new(&output).exists(), "no half tree");

        let kept: Vec<f64> = lines()
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|entry| entry["measured"]["rounds"][0]["seconds"].as_f64())
            .collect();
        assert!(kept.len() >= 3);
        let anew = refused(1, &mut start(&[]));
        assert!(anew.contains("--resume goes on from it"), "{anew}");
        good(&mut start(&["--resume"]));
        let trees = jsonl::read_trees(Path::new(&output)).unwrap();
        assert!(trees[0].nodes().iter().all(|node| node.extra.as_ref().unwrap()["measurement"]["rounds"] == 2));
        assert!(!Path::new(&journal).exists());
    }

    /// One short round of the root.
    fn one_round(meter: &str, output: &str) -> Command {
        let model = model();
        let mut command = irene(&["profile", &model, "-b", "1", "-s", "4", "--meter", meter, "-o", output]);
        command.args(["--quick", "--round", "0.3", "--rounds", "1", "--most-rounds", "1", "--level", "model"]);
        command
    }

    #[test]
    fn a_meter_without_a_reading_of_now_is_refused_before_hours_of_measuring() {
        let folder = Folder::new("no-reading");
        let output = folder.path("data.jsonl");
        folder.write("old.csv", &format!("{:.0},100\n", 1e3 * (now() - 86_400.0)));
        let old = refused(1, &mut one_round(&format!("log:{}", folder.path("old.csv")), &output));
        let reason =
            "the meter has no reading of now, so nothing would have an energy: log: no line of the log is of now";
        assert!(old.contains(reason), "{old}");
        assert!(!Path::new(&output).exists());

        // Thousandths of a second are read.
        let log = folder.path("ms.csv");
        let _meter = append(&log, |now| format!("{:.0},100", 1e3 * now));
        std::thread::sleep(Duration::from_millis(300));
        good(&mut one_round(&format!("log:{log}"), &output));
        let tree = &jsonl::read_trees(Path::new(&output)).unwrap()[0];
        assert!(tree.root().get(Quantity::GroundTruthEnergy).is_some_and(|joules| joules > 0.0));
        assert_eq!(tree.extra["measuring"]["sensors"][0], "log");
    }

    #[test]
    fn a_profile_without_an_energy_does_not_end_well() {
        let folder = Folder::new("no-energy");
        let (output, log) = (folder.path("data.jsonl"), folder.path("meter.csv"));
        // It stops as soon as the profile has begun.
        folder.write("meter.csv", &format!("{},100\n", now()));
        let Output { status, stderr, .. } = one_round(&format!("log:{log}"), &output).output().unwrap();
        assert_eq!(status.code(), Some(1), "{}", text(&stderr));
        let said = text(&stderr);
        assert!(said.contains("error: no node has an energy: log, a round of"), "{said}");
        assert!(said.contains("the readings do not cover it") && said.contains("has latencies alone"), "{said}");
        let tree = &jsonl::read_trees(Path::new(&output)).unwrap()[0];
        assert!(tree.root().get(Quantity::Latency).is_some(), "what was measured is kept");
    }

    #[test]
    fn no_meter_is_said_and_leaves_energies_out() {
        let folder = Folder::new("unmetered");
        let output = folder.path("data.jsonl");
        let short = ["--quick", "--round", "0.01", "--rounds", "1", "--most-rounds", "1", "--level", "model"];
        let mut command = irene(&["profile", &model(), "-b", "1", "-s", "4", "--meter", "auto", "-o", &output]);
        let Output { status, stderr, .. } = command
            .args(short)
            .env("IRENE_SYS", folder.0.join("nothing"))
            .env("IRENE_NVML_LIBRARY", folder.0.join("nothing.so"))
            .output()
            .unwrap();
        assert!(status.success());
        assert!(text(&stderr).contains("energies are absent"), "{}", text(&stderr));
        let tree = &jsonl::read_trees(Path::new(&output)).unwrap()[0];
        assert_eq!(tree.root().get(Quantity::GroundTruthEnergy), None);
        assert!(tree.root().get(Quantity::Latency).is_some());
    }

    #[test]
    fn more_rounds_than_the_most_are_refused_before_anything_is_measured() {
        let folder = Folder::new("rounds");
        let output = folder.path("data.jsonl");
        let rounds = ["--quick", "--round", "0.01", "--rounds", "3", "--most-rounds", "2"];
        let said = refused(2, irene(&["profile", &model(), "-b", "1", "-s", "4", "-o", &output]).args(rounds));
        assert!(said.contains("--rounds 3 is more than --most-rounds 2") && folder.files().is_empty(), "{said}");
    }
}
