//! Designs that are measured on this machine.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::*;
use crate::command::{Says, irene};

/// One layer of one width: a design is measured in some 10 ms.
fn space(folder: &Folder) -> String {
    let text = include_str!("../../../../irene-explore/spaces/small.yaml");
    let text = text.replace("[1, 2, 3, 4]", "[1]").replace("[32, 64, 96, 128]", "[32]");
    folder.write("space.yaml", &text)
}

/// Rounds as short as they can be.
fn args<'a>(space: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let head = ["explore", "profile", "--space", space, "-o", output, "-b", "2", "-s", "8", "--tdp-watts", "50"];
    let short = ["--quick", "--round", "0.03", "--rounds", "2", "--most-rounds", "2", "--period", "2"];
    let size = if more.contains(&"-s") { [&head[..8], &head[10..]].concat() } else { head.to_vec() };
    [&size, &short[..], more].concat()
}

fn read(path: &str) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(path).unwrap())
}

#[test]
fn parts_of_a_campaign_are_merged_and_learned_from() {
    let folder = Folder::new("explore-shards");
    let (space, whole) = (space(&folder), folder.path("whole.jsonl"));
    let mut merged = String::new();
    for shard in ["1/2", "0/2"] {
        let part = folder.path(&shard.replace('/', "-of-"));
        good(&args(&space, &part, &["--samples", "5", "--shard", shard]));
        merged += &std::fs::read_to_string(part).unwrap();
    }
    let merged = folder.write("merged.jsonl", &merged);
    good(&args(&space, &whole, &["--samples", "5"]));
    let designs = |path: &str| {
        let mut designs: Vec<(u64, Value)> = read(path)
            .into_iter()
            .map(|record| (record["order"].as_u64().unwrap(), record["model_dict"].clone()))
            .collect();
        designs.sort_by_key(|(order, _)| *order);
        designs
    };
    assert_eq!(designs(&merged), designs(&whole));
    for record in read(&whole) {
        assert!(record["latency_s"].as_f64().unwrap() > 0.0, "{record}");
        assert!(record["latency_half_width_s"].is_f64(), "{record}");
        assert_eq!((&record["batch_size"], &record["seq_len"]), (&json!(2), &json!(8)));
        // A busy machine may leave too few readings in rounds this short; the record says so.
        if cfg!(target_os = "linux") && record["no_energy"].is_null() {
            assert!(record["energy_J"].is_f64() && record["peak_power_W"].as_f64().unwrap() <= 50.1, "{record}");
            assert_eq!(record["energy_provenance"], "estimated");
        }
    }
    // Designs that the parts measured are not measured again.
    good(&args(&space, &merged, &["--samples", "5", "--resume"]));
    assert_eq!(read(&merged).len(), 5);
    let surrogates = folder.path("surrogates.json");
    good(&["explore", "fit", &merged, "--space", &space, "--measure", "latency", "-o", &surrogates]);
    good(&["explore", "predict", &surrogates, &merged]).says("merged, learned from 5 records");
}

#[test]
fn designs_are_trained_learned_from_and_searched_under_a_bound_on_training() {
    let folder = Folder::new("explore-train");
    let space = space(&folder);
    let train = ["--train", "--optimizer", "sgd", "--head", "classification", "--samples", "6"];
    let mut merged = String::new();
    for shard in ["0/2", "1/2"] {
        let part = folder.path(&shard.replace('/', "-of-"));
        good(&args(&space, &part, &[&train[..], &["--shard", shard]].concat()));
        merged += &std::fs::read_to_string(part).unwrap();
    }
    let merged = folder.write("merged.jsonl", &merged);
    good(&args(&space, &merged, &[&train[..], &["--resume"]].concat()));
    let records = read(&merged);
    assert_eq!(records.len(), 6);
    for record in &records {
        let step = record["training_latency_s"].as_f64().unwrap();
        assert!(step > record["latency_s"].as_f64().unwrap(), "{record}");
        assert!(record["training_latency_half_width_s"].is_f64(), "{record}");
        assert_eq!(record["measuring"]["training"]["optimizer"], "sgd");
    }
    // A campaign without training, or with another, is another one.
    let refuse = |more: &[&str]| refused(1, &args(&space, &merged, more));
    refuse(&["--samples", "6", "--resume"]).says("its `training` is {");
    refuse(&["--samples", "6", "--resume", "--train", "--head", "classification"]).says("its `training` is");
    refused(2, &args(&space, &merged, &["--samples", "6", "--optimizer", "sgd"])).says("--train");
    // The usual head is the same campaign, whether or not it is asked for.
    let usual = folder.path("usual.jsonl");
    good(&args(&space, &usual, &["--train", "--samples", "1"]));
    good(&args(&space, &usual, &["--train", "--head", "lm", "--samples", "1", "--resume"]));
    assert_eq!(read(&usual).len(), 1);

    let (surrogates, seconds) = (folder.path("surrogates.json"), "latency,training_latency");
    good(&["explore", "fit", &merged, "--space", &space, "--measure", seconds, "-o", &surrogates]);
    good(&["explore", "predict", &surrogates, &merged]).says("a sequence, training of a step");
    // No design takes an hour a step, and all take more than a nanosecond.
    let search = ["explore", "search", &surrogates, "--objective", "latency", "--budget", "200", "--constraint"];
    good(&[&search[..], &["training_latency <= 3600 s"]].concat()).says("100%");
    refused(1, &[&search[..], &["training_latency <= 1e-9 s"]].concat()).says("training_latency");
}

#[test]
fn an_active_campaign_that_is_killed_goes_on_and_measures_nothing_twice() {
    let folder = Folder::new("explore-active");
    let (space, output) = (space(&folder), folder.path("data.jsonl"));
    let active = ["--active", "--samples", "5", "--initial", "3"];
    let command = args(&space, &output, &active);
    let mut child = Command::new(env!("CARGO_BIN_EXE_irene")).args(&command).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    let lines = || std::fs::read_to_string(&output).map_or(0, |text| text.lines().count());
    while lines() < 2 && child.try_wait().unwrap().is_none() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    let before = std::fs::read_to_string(&output).unwrap();
    assert!(before.ends_with('\n') && before.lines().count() >= 2);
    if before.lines().count() < 5 {
        refused(1, &command).says("--resume adds to it");
    }
    let resumed = args(&space, &output, &[&active[..], &["--resume"]].concat());
    good(&resumed);
    let after = std::fs::read_to_string(&output).unwrap();
    assert!(after.starts_with(&before));
    let records = json_lines(&after);
    let orders: Vec<u64> = records.iter().map(|record| record["order"].as_u64().unwrap()).collect();
    assert_eq!(orders, [0, 1, 2, 3, 4]);
    let hashes: std::collections::HashSet<_> = records.iter().map(|record| record["hash"].to_string()).collect();
    assert_eq!(hashes.len(), 5);
    good(&resumed);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), after);
    // More samples go on with it.
    let larger = ["--active", "--samples", "6", "--initial", "3", "--resume"];
    good(&args(&space, &output, &larger));
    assert_eq!(read(&output).len(), 6);
    // Also without saying again how many came first, which a third of it would not be.
    good(&args(&space, &output, &["--active", "--samples", "10", "--resume"]));
    assert_eq!(read(&output).len(), 10);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_whole_file() {
    let folder = Folder::new("explore-ctrl-c");
    let (space, output) = (space(&folder), folder.path("data.jsonl"));
    // A first design that takes an hour.
    let mut command = args(&space, &output, &["--samples", "2"]);
    let round = command.iter().position(|arg| *arg == "--round").unwrap() + 1;
    let short = std::mem::replace(&mut command[round], "3600");
    let child = Command::new(env!("CARGO_BIN_EXE_irene")).args(&command).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while !std::path::Path::new(&output).exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(2));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{complaint}");
    assert!(complaint.contains("stopped; what was measured is kept, and `--resume -o"), "{complaint}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "");
    command[round] = short;
    good(&command);
    let measured = std::fs::read_to_string(&output).unwrap();
    let first = measured.lines().next().unwrap();
    // Cut off in the middle of a line, it goes on too.
    std::fs::write(&output, format!("{first}\n{}", &first[..first.len() / 2])).unwrap();
    good(&[&command[..], &["--resume"]].concat());
    assert_eq!(read(&output).len(), 2);
}

#[test]
fn files_of_another_campaign_and_hostile_options_are_refused() {
    let folder = Folder::new("explore-refused");
    let (space, output) = (space(&folder), folder.path("data.jsonl"));
    good(&args(&space, &output, &["--samples", "1"]));
    let before = std::fs::read_to_string(&output).unwrap();
    let refuse = |code, more: &[&str]| refused(code, &args(&space, &output, &[&["--resume"], more].concat()));
    refuse(1, &["--samples", "1", "--seed", "1"]).says("its `seed` is 0, this one's 1");
    refuse(1, &["--samples", "1", "-s", "9"]).says("its length is 8, here it is 9");
    refuse(1, &["--active", "--samples", "4"]).says("`active_after`");
    refused(1, &args("small", &output, &["--samples", "1", "--resume"])).says("its `space` is");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), before);

    refuse(2, &[]).says("--samples");
    refuse(2, &["--active"]).says("--samples");
    refuse(2, &["--samples", "2", "--shard", "2/2"]).says("there is no part 2 of 2");
    refuse(2, &["--samples", "2", "--shard", "half"]).says("expected i/n");
    refuse(2, &["--active", "--samples", "3", "--shard", "0/2"]).says("cannot be used with");
    refuse(1, &["--active", "--samples", "3", "--initial", "2"]).says("at least 3 designs");
    let long = folder.path("long.jsonl");
    // It is found when the meter has been named.
    let output = irene(&args(&space, &long, &["--samples", "1", "-s", "600"]));
    let too_long = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(too_long.contains("longer than the model's 514 positions"), "{too_long}");
}
