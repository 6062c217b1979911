//! Training, explaining and carrying over predictors from the command line.

use std::path::Path;

use irene_tree::{Quantity, Tree, jsonl};
use serde_json::Value;

use crate::command::{Folder, Says, good, json, refused, said, training_data, training_data_at, words};

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
        good(&["evaluate", &data, &predicted]).says("share of nodes with at most this error");
        let json = json(&["evaluate", &data, &predicted]);
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
    // The scores and the context of the attention.
    text.says("\nmatmul 8x12x128x128 ").says("\nmatmul 8x12x128x64 ");
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
        words(&text).says(", on l4: ").says("(estimated from its data sheet)").says("; the tree is of 8 requests");
        assert_eq!(text.lines().filter(|line| line.starts_with("sum ")).count(), 2, "{text}");
        let said = ["power while it runs", "FLOPs", "bytes moved", "launch"];
        assert!(!scope.ends_with("query") || said.iter().all(|said| text.contains(said)), "{text}");
    }
    // Equal layers are one line, as in the tree.
    words(&good(&["explain", "bert-base-uncased", "root.encoder", "-b", "8", "-s", "128"])).says(" 0-11 12 nodes ");
    let arriving = ["explain", "Llama-3.1-8B", "root", "--prompt", "64", "--generate", "8", "--rate", "30"];
    let found: Value = serde_json::from_str(&good(&[&arriving[..], &["--format", "json"]].concat())).unwrap();
    let requests = (10.0 * found["requests"].as_f64().unwrap()).round() / 10.0;
    words(&good(&arriving))
        .says(&format!("with vllm-0.11; the tree is of {requests} request"))
        .says("; 30 a second arrive");
    assert_eq!(found["engine"], "vllm-0.11");
    refused(1, &["explain", "gpt2", "root.mlp", "-b", "1", "-s", "8"])
        .says("gpt2 1x8 has no node `root.mlp`, did you mean `root.0.mlp`")
        .says("`irene predict` with --depth shows them");
}

#[test]
fn the_second_node_of_a_name_is_explained_by_its_id() {
    let scope = "root.encoder.0.attention.self.matmul";
    let setting = ["-b", "8", "-s", "256", "--device", "h100-sxm", "--kernels", "eager"];
    let of = |name: &'static str| [&["explain", "bert-base-uncased", name][..], &setting].concat();
    let (first, second) = (json(&of(scope)), json(&of("bert-base-uncased/8/256/25")));
    assert_eq!(second["scope"], scope);
    assert_ne!(first["predicted_energy"], second["predicted_energy"]);
    said(&of(scope)).says("the first of 2 nodes of this name is explained");
}

#[test]
fn a_shipped_profile_is_carried_over_to_the_machine_of_a_few_trees() {
    let folder = Folder::new("calibrate");
    let data = training_data(&folder);
    let (mine, predicted) = (folder.path("mine.safetensors"), folder.path("predicted.jsonl"));
    let error = |args: &[&str]| -> f64 {
        good(&[&["predict", &data, "-o", &predicted], args].concat());
        let json = json(&["evaluate", &data, &predicted]);
        json["by_level"]["model"]["mean"].as_f64().unwrap()
    };
    let shipped = error(&[]);
    good(&["calibrate", "--device", "gtx-1080-ti", &data, "--name", "made up", "-o", &mine]);
    let carried = error(&["--predictor", &mine]);
    assert!(carried < 0.2 * shipped && carried < 5.0, "{shipped} {carried}");
    let paper = folder.path("paper.safetensors");
    good(&["train", &data, "--method", "irene", "--strategy", "predicted-sum", "-o", &paper]);
    refused(1, &["calibrate", "--predictor", &paper, &data, "-o", &mine])
        .says("has nothing to carry over to another machine; train one there");
    // Measured trees are explained by what was measured of them.
    good(&["explain", &data, "root", "-b", "16", "-s", "32", "--method", "measured"])
        .says("batch 16")
        .says("gpu_energy")
        .says("latency");
    // The first tree of the size may not have the node.
    good(&["explain", &data, "root.11", "-b", "16", "-s", "32", "--method", "measured"]).says("of gpt2, batch 16");
    refused(1, &["explain", &data, "root", "-b", "3"]).says("no tree of this size");
    refused(2, &["explain", &data, "root", "--concurrency", "3"])
        .says("--concurrency works only with a model; trees say how they ran");
    // Nothing was measured of a model that is asked for by name.
    refused(2, &["explain", "gpt2", "root", "-b", "1", "-s", "8", "--method", "measured"])
        .says("--method works only with trees");
}

#[test]
fn what_is_generated_has_the_head_that_makes_the_tokens() {
    let args = ["--sequences", "1", "--prompt", "16", "--generate", "4"];
    for command in [&["predict", "gpt2"][..], &["trace", "gpt2"]] {
        let args = [command, &args[..]].concat();
        assert_eq!(good(&args), good(&[&args[..], &["--head", "lm"]].concat()));
        refused(2, &[&args[..], &["--head", "none"]].concat()).says("--head works only with single passes");
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
    refused(1, &["predict", &huge, "--predictor", &model, "-o", &folder.path("out")])
        .says("its prediction is not finite");
    assert!(!folder.files().contains(&"out".to_owned()));
}

#[test]
fn trees_in_other_units_or_of_another_meter_are_told_before_they_are_learned_from() {
    let folder = Folder::new("unlike");
    let data = training_data(&folder);
    let model = folder.path("model.safetensors");
    let told = |data: &str| said(&["train", data, "--method", "specs", "-o", &model]);
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
    let part = |kept: &str| {
        let lines: String = lines.lines().filter(|line| line.contains(kept)).map(|line| format!("{line}\n")).collect();
        folder.write("part.jsonl", &lines)
    };
    let told = |data: &str| said(&["train", data, "--method", "specs", "-o", &model]);
    let one_model = told(&part("\"model_name\":\"gpt2\""));
    one_model.says("all trees are of one model; to predict others, `irene calibrate`").says("no interval: ");
    let one_size = part("\"batch_size\":8,");
    let refused = refused(1, &["train", &one_size, "--method", "specs", "-o", &model]);
    refused.says("all trees are of one size, 8x32;").says("`irene calibrate`");
    // Two sizes leave none to leave out.
    let all = told(&part("\"model_name\""));
    all.says("no interval: ");
    assert!(!all.contains("one model"), "{all}");
    let few = training_data_at(&folder, &["4", "8", "16", "32"]);
    let few = told(&few);
    few.says("8 models at a size are few: intervals are wide");
    assert!(!few.contains("no interval"), "{few}");
}

#[test]
fn measurements_of_one_size_from_two_sessions_are_learned_from_and_judged() {
    let folder = Folder::new("two-sessions");
    let data = training_data(&folder);
    let mut second = jsonl::read_trees(Path::new(&data)).unwrap();
    for node in second.iter_mut().flat_map(Tree::nodes_mut) {
        node.set(Quantity::GroundTruthEnergy, 1.03 * node.get(Quantity::GroundTruthEnergy).unwrap());
    }
    let second: String = second.iter().map(|tree| jsonl::to_json(tree) + "\n").collect();
    let both = folder.write("both.jsonl", &(std::fs::read_to_string(&data).unwrap() + &second));
    let (model, predicted) = (folder.path("model.safetensors"), folder.path("predicted.jsonl"));
    good(&["calibrate", &both, "-o", &model]);
    good(&["crossvalidate", &both, "--method", "specs", "--protocol", "k-fold"]);
    good(&["train", &both, "--method", "specs", "-o", &model]);
    good(&["predict", &data, "--predictor", &model, "-o", &predicted]);
    let judged = json(&["evaluate", &both, &predicted]);
    assert_eq!(judged["by_level"]["model"]["nodes"], 8);
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
    refused(2, &["serve", "--port", "0", "--predictor", &one, "--predictor", &other])
        .says("another --predictor is called `lab` too");
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
        refused(1, &["predict", &sheet, flag, "nonsense"]).says("nonsense");
    }
    let out = folder.path("mine.safetensors");
    let calibrate = ["calibrate", "--requests", &sheet, "--engine", "nonsense", "-o", &out];
    refused(1, &calibrate).says("nonsense");
    refused(2, &["whatif", "gpt2", "--set", ""]).says("--set is empty");
}
