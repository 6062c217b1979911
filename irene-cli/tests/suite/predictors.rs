//! Training, explaining and carrying over predictors from the command line.

use std::path::Path;

use irene_tree::{Quantity, jsonl};
use serde_json::Value;

use crate::command::{Folder, good, irene, refused, training_data};

#[test]
fn training_predicting_and_evaluating_go_through_files() {
    let folder = Folder::new("files");
    let data = training_data(&folder);
    for (method, extra) in [
        ("irene", &["--strategy", "stepwise", "--seed", "7"][..]),
        ("measured", &[]),
        ("primitives", &[]),
        ("specs", &[]),
    ] {
        let (model, predicted) = (folder.path("model.safetensors"), folder.path("predicted.jsonl"));
        let train = ["train", &data, "-o", &model, "--method", method];
        good(&[&train[..], extra].concat());
        good(&["predict", &data, "--predictor", &model, "-o", &predicted]);
        let text = good(&["evaluate", &data, &predicted]);
        assert!(text.contains("share of nodes with at most this error"), "{text}");
        let json: Value = serde_json::from_str(&good(&["evaluate", &data, &predicted, "--format", "json"])).unwrap();
        assert_eq!(json["by_level"]["model"]["nodes"], 4);
        assert!(json["by_level"]["ml"]["cdf"][0]["share"].is_number());

        let cross = ["crossvalidate", &data, "--method", method, "--format", "json"];
        let json: Value = serde_json::from_str(&good(&[&cross[..], extra].concat())).unwrap();
        assert_eq!(json["folds"][0]["left_out"], "distilgpt2");
        for level in ["ml", "module", "model"] {
            let mean = (json["folds"][0][level].as_f64().unwrap() + json["folds"][1][level].as_f64().unwrap()) / 2.0;
            assert!((json["average"][level].as_f64().unwrap() - mean).abs() < 1e-9);
        }
        assert!(json["by_instance_type"]["Softmax"].is_number());
    }
}

#[test]
fn a_node_is_explained_by_terms_that_add_up() {
    let text = good(&["explain", "bert-base-uncased", "root.encoder.0.attention.self", "-b", "8", "-s", "128"]);
    assert!(
        text.starts_with("root.encoder.0.attention.self (BertSelfAttention)\nof bert-base-uncased, batch 8"),
        "{text}"
    );
    assert!(text.contains("90% interval") && text.contains("query") && text.contains("mJ/node"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("sum ") && line.ends_with("100.0%")).count(), 2, "{text}");
    let args = ["explain", "bert-base-uncased", "root.encoder.0", "-b", "8", "-s", "128", "--format", "json"];
    let json: Value = serde_json::from_str(&good(&args)).unwrap();
    let [low, energy, high] = ["_low", "", "_high"].map(|end| json[format!("predicted_energy{end}")].as_f64().unwrap());
    assert!(low < energy && energy < high && json["marks"] == serde_json::json!([]), "{json}");
    let far = good(&["explain", "gpt2", "root.0.mlp.c_fc", "-b", "1", "-s", "1024"]);
    assert!(far.contains("outside the training data: seq_len by a factor of 4.00"), "{far}");
    assert!(far.contains("MFLOP") && far.contains("/MiB"), "{far}");
    // By a data sheet too.
    for scope in ["root.encoder.0.attention.self.query", "root.encoder.0"] {
        let text = good(&["explain", "bert-base-uncased", scope, "-b", "8", "-s", "128", "--device", "l4"]);
        let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(", on l4: ") && said.contains("(estimated from its data sheet)"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("sum ")).count(), 2, "{text}");
        let words = ["power while it runs", "FLOPs", "bytes moved", "launch"];
        assert!(!scope.ends_with("query") || words.iter().all(|word| text.contains(word)), "{text}");
    }
    let error = refused(1, &["explain", "gpt2", "root.mlp", "-b", "1", "-s", "8"]);
    assert!(error.contains("gpt2 1x8 has no node `root.mlp`, did you mean `root.0.mlp`"), "{error}");
}

#[test]
fn a_shipped_profile_is_carried_over_to_the_machine_of_a_few_trees() {
    let folder = Folder::new("calibrate");
    let data = training_data(&folder);
    let (mine, predicted) = (folder.path("mine.safetensors"), folder.path("predicted.jsonl"));
    let error = |args: &[&str]| -> f64 {
        good(&[&["predict", &data, "-o", &predicted], args].concat());
        let json: Value = serde_json::from_str(&good(&["evaluate", &data, &predicted, "--format", "json"])).unwrap();
        json["by_level"]["model"]["mean"].as_f64().unwrap()
    };
    let shipped = error(&[]);
    good(&["calibrate", "--device", "gtx-1080-ti", &data, "--name", "made up", "-o", &mine]);
    let carried = error(&["--predictor", &mine]);
    assert!(carried < 0.2 * shipped && carried < 5.0, "{shipped} {carried}");
    let paper = folder.path("paper.safetensors");
    good(&["train", &data, "--method", "irene", "--strategy", "predicted-sum", "-o", &paper]);
    let error = refused(1, &["calibrate", "--predictor", &paper, &data, "-o", &mine]);
    assert!(error.contains("has nothing to carry over to another machine; train one there"), "{error}");
    // Measured trees are explained by what was measured of them.
    let text = good(&["explain", &data, "root", "-b", "16", "-s", "32", "--method", "measured"]);
    assert!(text.contains("batch 16") && text.contains("gpu_energy") && text.contains("latency"), "{text}");
    assert!(refused(1, &["explain", &data, "root", "-b", "3"]).contains("no tree of this size"));
    let error = refused(2, &["explain", &data, "root", "--concurrency", "3"]);
    assert!(error.contains("--concurrency works only with a model; trees say how they ran"), "{error}");
    // Nothing was measured of a model that is asked for by name.
    let error = refused(2, &["explain", "gpt2", "root", "-b", "1", "-s", "8", "--method", "measured"]);
    assert!(error.contains("--method works only with trees"), "{error}");
}

#[test]
fn what_is_generated_has_the_head_that_makes_the_tokens() {
    let args = ["--sequences", "1", "--prompt", "16", "--generate", "4"];
    for command in [&["predict", "gpt2"][..], &["trace", "gpt2"]] {
        let args = [command, &args[..]].concat();
        assert_eq!(good(&args), good(&[&args[..], &["--head", "lm"]].concat()));
        let said = refused(2, &[&args[..], &["--head", "none"]].concat());
        assert!(said.contains("--head works only with single passes"), "{said}");
    }
}

#[test]
fn an_energy_that_is_no_number_is_refused() {
    let folder = Folder::new("infinite");
    let data = training_data(&folder);
    let model = folder.path("model");
    good(&["train", &data, "--method", "irene", "--features", "specs", "--strategy", "predicted-sum", "-o", &model]);
    let mut tree = jsonl::read_trees(Path::new(&data)).unwrap().remove(0);
    for node in tree.nodes_mut() {
        node.set(Quantity::Flops, 1.7e308);
    }
    let huge = folder.write("huge.jsonl", &(jsonl::to_json(&tree) + "\n"));
    let complaint = refused(1, &["predict", &huge, "--predictor", &model, "-o", &folder.path("out")]);
    assert!(complaint.contains("its prediction is not finite"), "{complaint}");
    assert!(!folder.files().contains(&"out".to_owned()));
}

#[test]
fn trees_in_other_units_or_of_another_meter_are_told_before_they_are_learned_from() {
    let folder = Folder::new("unlike");
    let data = training_data(&folder);
    let model = folder.path("model.safetensors");
    let told = |data: &str| {
        let said = irene(&["train", data, "--method", "specs", "-o", &model]);
        assert!(said.status.success());
        String::from_utf8(said.stderr).unwrap()
    };
    assert!(!told(&data).contains("check its units") && !told(&data).contains("trees of several"));
    let mut trees = jsonl::read_trees(Path::new(&data)).unwrap();
    for (tree, meter) in trees.iter_mut().zip(["wall", "nvml", "wall", "wall"]) {
        let watts = if meter == "nvml" { 15.0 } else { 65.0 };
        let measuring = serde_json::json!({"meters": [meter], "tdp_watts": watts, "device": "cuda"});
        tree.extra.insert("measuring".into(), measuring);
    }
    for node in trees[2].nodes_mut() {
        node.set(Quantity::GroundTruthEnergy, 1e3 * node.get(Quantity::GroundTruthEnergy).unwrap());
    }
    let lines: String = trees.iter().map(|tree| jsonl::to_json(tree) + "\n").collect();
    let told = told(&folder.write("mixed.jsonl", &lines));
    assert!(told.contains("gpt2 8x32: the power of ") && told.contains("check its units"), "{told}");
    assert!(told.contains(r#"trees of several `measuring.meters` (["nvml"], ["wall"])"#), "{told}");
    assert!(told.contains("trees of several `measuring.tdp_watts` (15.0, 65.0)"), "{told}");
}

#[test]
fn trees_of_one_model_or_of_one_size_are_told_of_calibrating() {
    let folder = Folder::new("one-model");
    let data = training_data(&folder);
    let lines = std::fs::read_to_string(&data).unwrap();
    let model = folder.path("model.safetensors");
    let told = |kept: &str| {
        let lines: String = lines.lines().filter(|line| line.contains(kept)).map(|line| format!("{line}\n")).collect();
        let part = folder.write("part.jsonl", &lines);
        String::from_utf8(irene(&["train", &part, "--method", "specs", "-o", &model]).stderr).unwrap()
    };
    let one_model = told("\"model_name\":\"gpt2\"");
    assert!(one_model.contains("all trees are of one model; to predict others, `irene calibrate`"), "{one_model}");
    let one_size = told("\"batch_size\":8,");
    assert!(
        one_size.contains("all trees are of one size, 8x32;") && one_size.contains("`irene calibrate`"),
        "{one_size}"
    );
    assert!(!told("\"model_name\"").contains("calibrate"));
}

#[test]
fn a_server_is_not_given_two_predictors_of_one_name() {
    let folder = Folder::new("one-name");
    let data = training_data(&folder);
    let [one, other] = ["one", "other"].map(|dir| {
        std::fs::create_dir(folder.0.join(dir)).unwrap();
        folder.path(&format!("{dir}/lab.safetensors"))
    });
    good(&["train", &data, "--method", "specs", "-o", &one]);
    std::fs::copy(&one, &other).unwrap();
    let complaint = refused(2, &["serve", "--port", "0", "--predictor", &one, "--predictor", &other]);
    assert!(complaint.contains("another --predictor is called `lab` too"), "{complaint}");
}

#[test]
fn names_that_are_not_known_are_refused_where_every_row_has_its_own_and_so_is_no_change() {
    let folder = Folder::new("names");
    let sheet = folder.write(
        "sheet.csv",
        "model,device,engine,concurrency,prompt,generated,latency_s\ngpt2,l4,vllm-0.11,1,8,4,0.1\n",
    );
    good(&["predict", &sheet]);
    for flag in ["--device", "--engine"] {
        assert!(refused(1, &["predict", &sheet, flag, "nonsense"]).contains("nonsense"));
    }
    let out = folder.path("mine.safetensors");
    let calibrate = ["calibrate", "--requests", &sheet, "--engine", "nonsense", "-o", &out];
    assert!(refused(1, &calibrate).contains("nonsense"));
    assert!(refused(2, &["whatif", "gpt2", "--set", ""]).contains("--set is empty"));
}
