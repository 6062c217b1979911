//! `irene profile` as a person uses it, on this machine and on made-up ones.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use irene_tree::{Quantity, jsonl};

use crate::{
    command::{Folder, Says, fixture},
    meters::{append, good, irene, now, package, refused, text},
};

/// Rounds as short as they can be.
fn profile(output: &str, more: &[&str]) -> Command {
    let model = fixture("bert");
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
    refused(2, &mut profile(&folder.path("data.csv"), &["-b", "1", "-s", "8"]))
        .says("not CSV; name a file that ends in .jsonl");
    refused(1, &mut profile(&output, &["-b", "1", "-s", "8"])).says("exists; --resume adds to it");
    refused(1, &mut profile(&output, &["-b", "1,3", "-s", "8", "--resume", "--level", "ml"]))
        .says("at 1x8 by other settings");
    good(&mut profile(&output, &["-b", "1", "-s", "8", "--resume"]));
    good(&mut profile(&output, &["-b", "3,3", "-s", "8", "--resume", "--level", "ml"]));
    let more = jsonl::read_trees(Path::new(&output)).unwrap();
    assert_eq!(more[..2], trees[..], "what was there is not measured again");
    assert_eq!(more.len(), 3);
    assert_eq!(more[2].root().get(Quantity::Latency), None, "only the levels that were asked for");
}

#[test]
fn steps_of_training_are_measured_learned_from_and_predicted() {
    let folder = Folder::new("profile-training");
    let (output, model) = (folder.path("steps.jsonl"), fixture("bert"));
    let _counting = package(&folder, 40.0);
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
            let [seconds, joules] = [Quantity::Latency, Quantity::GroundTruthEnergy].map(|of| node.get(of).unwrap());
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
    let steps = folder.write("phases.jsonl", &trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect::<String>());
    good(&mut irene(&["crossvalidate", &steps, "--method", "specs", "--protocol", "leave-size-out"]))
        .says("4x16")
        .says("average");
    let predictor = folder.path("steps.safetensors");
    good(&mut irene(&["train", &steps, "--method", "specs", "-o", &predictor]));
    good(&mut irene(&["explain", &steps, "root.backward", "--predictor", &predictor])).says("Backward");
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
    good(&mut irene(&["predict", &steps, "--predictor", &predictor, "--format", "text"])).says("training by adamw");

    let headless =
        irene(&["profile", &model, "-b", "3", "-s", "8", "--train", "-o", &folder.path("other.jsonl")]).output();
    text(&headless.unwrap().stderr).says("no weights for the head lm; --random-weights SEED");
    refused(2, &mut measure(&["-b", "3", "-s", "8", "--train", "--kernels", "fused", "--resume"]))
        .says("fused kernels have no gradients");
    refused(1, &mut measure(&["-b", "3", "-s", "8", "--train", "--checkpoint", "layer", "--resume"]))
        .says("only `none` runs");
    refused(1, &mut measure(&["-b", "3", "-s", "8", "--train", "--past", "4", "--resume"]))
        .says("trains on whole sequences");
    assert_eq!(jsonl::read_trees(Path::new(&output)).unwrap(), more);
}

#[cfg(unix)]
#[test]
fn what_was_measured_before_ctrl_c_is_kept() {
    let folder = Folder::new("interrupt");
    let output = folder.path("data.jsonl");
    let journal = output.clone() + ".journal";
    let model = fixture("bert");
    let start = |more: &[&str]| {
        let mut command = irene(&["profile", &model, "-b", "1", "-s", "8", "--meter", "none", "-o", &output]);
        command.args(["--quick", "--round", "0.1", "--rounds", "2", "--most-rounds", "2"]).args(more);
        command
    };
    let child = start(&[]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = || std::fs::read_to_string(&journal).unwrap_or_default();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while lines().lines().count() < 3 && std::time::Instant::now() < deadline {
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
    refused(1, &mut start(&[])).says("--resume goes on from it");
    good(&mut start(&["--resume"]));
    let trees = jsonl::read_trees(Path::new(&output)).unwrap();
    assert!(trees[0].nodes().iter().all(|node| node.extra.as_ref().unwrap()["measurement"]["rounds"] == 2));
    assert!(!Path::new(&journal).exists());
}

/// One short round of the root.
fn one_round(meter: &str, output: &str) -> Command {
    let model = fixture("bert");
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
    let reason = "the meter has no reading of now, so nothing would have an energy: log: no line of the log is of now";
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
    let mut command = irene(&["profile", &fixture("bert"), "-b", "1", "-s", "4", "--meter", "auto", "-o", &output]);
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
    let said = refused(2, irene(&["profile", &fixture("bert"), "-b", "1", "-s", "4", "-o", &output]).args(rounds));
    assert!(said.contains("--rounds 3 is more than --most-rounds 2") && folder.files().is_empty(), "{said}");
}
