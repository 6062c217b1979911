//! The `irene` binary as a person uses it: what it prints, what it refuses and how, and that nothing is half-written.

use std::path::Path;

use irene_tree::{Quantity, jsonl};
use serde_json::Value;

use crate::command::{Folder, Says, good, json, refused, training_data};

#[test]
fn the_readme_shows_what_its_first_command_prints() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, from_command) = readme.split_once("cargo run --release -p irene-cli -- ").unwrap();
    let args: Vec<&str> = from_command.lines().next().unwrap().split(' ').collect();
    let (_, from_block) = from_command.split_once("```text\n").unwrap();
    let (block, _) = from_block.split_once("```").unwrap();
    let printed = good(&args);
    let shown: Vec<&str> = block.lines().filter(|line| !line.is_empty() && *line != "...").collect();
    assert!(shown.len() > 10, "{block}");
    for line in shown {
        assert!(printed.lines().any(|printed| printed == line), "`{line}` is not printed:\n{printed}");
    }
}

#[test]
fn the_main_job_prints_the_tree_the_bottlenecks_and_the_cost() {
    let text = good(&["predict", "bert-base-uncased", "--batch-size", "8", "--seq-len", "128"]);
    assert!(
        text.starts_with("bert-base-uncased, batch 8, sequence 128, on gtx-1080-ti (predicted)\n11.7 J a run"),
        "{text}"
    );
    // A request is one sequence of the batch.
    assert!(text.contains("11.7 J a run, 1.46 J a request, 11.4 mJ a token"), "{text}");
    assert!(text.contains("│  └─ 0-11 BertLayer x12") && text.contains("where it goes"), "{text}");
    text.says("90% interval 1").says("latency 34.4").says("mean power 339");
    assert!(text.contains("a million requests: 0.405 kWh") && text.contains("a million runs: 3.238"), "{text}");
    assert!(text.contains("at 0.1319 USD/kWh"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours outside a terminal");
    assert!(!text.contains("CO2e"), "emissions without a grid intensity");
    let folder = Folder::new("main");
    let file = folder.path("bert.txt");
    good(&["predict", "bert-base-uncased", "--batch-size", "8", "--seq-len", "128", "-o", &file]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    let unfolded = good(&["predict", "bert-base-uncased", "-b", "8", "-s", "128", "--unfold"]);
    assert!(unfolded.contains("│  │  │  ├─ self BertSelfAttention") && !unfolded.contains("x12"), "{unfolded}");
    // 12 layers of 16 nodes, 1 encoder, 5 embeddings, 3 of the pooler, the root: every node has its line.
    let nodes = jsonl::parse_tree(
        good(&["trace", "bert-base-uncased", "-b", "8", "-s", "128", "--format", "json"]).as_bytes(),
        "trace",
        1,
    );
    assert_eq!(unfolded.lines().filter(|line| line.contains("─ ")).count(), nodes.unwrap().nodes().len() - 1);
}

#[test]
fn depth_top_price_and_grid_are_honoured() {
    let args = ["predict", "gpt2", "-b", "1", "-s", "1024", "--depth", "1", "--top", "2", "--price-per-kwh", "1"];
    let text = good(&[&args[..], &["--grid-intensity", "500"]].concat());
    assert!(!text.contains("attn"), "{text}");
    assert!(text.contains("extrapolated: outside the range"), "{text}");
    let table: Vec<_> = text.lines().skip_while(|line| !line.starts_with("where it goes")).collect();
    assert_eq!(table.iter().position(|line| line.is_empty()), Some(3), "{text}");
    let cost = text.lines().find(|line| line.starts_with("a million runs: ")).unwrap();
    let number = |after: &str| -> f64 {
        let rest = &cost[cost.find(after).unwrap() + after.len()..];
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(number("a million runs: "), number("kWh, "));
    assert!((number("USD, ") - number("kWh, ") / 2.0).abs() < 1e-3, "{cost}");
    assert!(text.ends_with("\nat 1 USD/kWh and 500 g CO2e/kWh\n"), "{text}");
    let in_poland = good(&[&args[..], &["--grid-intensity", "poland"]].concat());
    let of_poland = "\nat 1 USD/kWh and 662 g CO2e/kWh (Poland, 2023: Ember, as Statista cites it)\n";
    assert!(in_poland.ends_with(of_poland), "{in_poland}");
    let usual = good(&["predict", "gpt2", "-b", "1", "-s", "64", "--depth", "0"]);
    assert!(usual.ends_with("\nat 0.1319 USD/kWh (US average in IrEne's paper)\n"), "{usual}");
    refused(2, &[&args[..], &["--grid-intensity", "Pland"]].concat()).says("did you mean `Poland`?");
}

#[test]
fn json_and_csv_carry_every_node() {
    let json = good(&["predict", "gpt2", "-b", "8", "-s", "64", "--format", "json", "--grid-intensity", "100"]);
    let tree = jsonl::parse_tree(json.as_bytes(), "stdout", 1).unwrap();
    assert!(tree.nodes().iter().all(|node| node.get(Quantity::PredictedEnergy).is_some()));
    assert_eq!(tree.extra["predictor"]["provenance"], "predicted");
    assert!(tree.extra["predictor"]["trained_on"]["training_data"].as_str().unwrap().starts_with("192 trees"));
    let cost = &tree.extra["cost_per_million_runs"];
    let kwh = tree.root().get(Quantity::PredictedEnergy).unwrap() / 3.6;
    assert!((cost["energy_kwh"].as_f64().unwrap() - kwh).abs() < 1e-9);
    assert!((cost["emissions_g_co2e"].as_f64().unwrap() - 100.0 * kwh).abs() < 1e-6);
    let of_requests = &tree.extra["cost_per_million_requests"];
    assert!((of_requests["energy_kwh"].as_f64().unwrap() - kwh / 8.0).abs() < 1e-9);
    assert_eq!(tree.extra["schema_version"], 1);

    let csv = good(&["predict", "gpt2", "-b", "8", "-s", "64", "--format", "csv"]);
    assert!(csv.starts_with("scope,instance_type,level,num_parameters,flops (MFLOP),"), "{csv}");
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns));
    assert_eq!(csv.lines().count(), tree.nodes().len() + 1);
}

#[test]
fn a_trace_comes_in_five_formats() {
    let trace = |format| good(&["trace", "distilgpt2", "-b", "2", "-s", "16", "--format", format]);
    trace("text").says("root GPT2Model");
    assert!(trace("dot").starts_with("digraph tree {") && trace("dot").contains("0-5\\nBlock x6"));
    assert!(trace("csv").starts_with("scope,instance_type,level,num_parameters,"));
    trace("folded").says("root;0;attn;c_attn ");
    assert!(jsonl::parse_tree(trace("json").as_bytes(), "stdout", 1).unwrap().find("root.0.attn.pow").is_none());
    let math = good(&["trace", "distilgpt2", "-b", "2", "-s", "16", "--math", "--format", "json"]);
    assert!(jsonl::parse_tree(math.as_bytes(), "stdout", 1).unwrap().find("root.0.mlp.pow").is_some());
}

#[test]
fn lists_name_models() {
    let models = good(&["models"]);
    assert!(models.contains("google/bert_uncased_L-12_H-768_A-12"), "{models}");
    assert!(models.contains("model_type may be bert") && models.contains("flexibert"), "{models}");
    good(&["completions", "bash"]).says("irene");
}

#[test]
fn a_report_is_one_file_that_points_nowhere() {
    let folder = Folder::new("report");
    let file = folder.path("gpt2.html");
    good(&["report", "gpt2", "-b", "1", "-s", "32", "-o", &file]);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("predicted_energy") && page.trim_end().ends_with("</html>"), "{}", page.len());
    assert!(!page.contains("=\"/assets/") && !page.contains("src=\""));
    let of_requests = ["--device", "h100-sxm", "--prompt", "64", "--generate", "8", "--concurrency", "4"];
    let other = folder.path("llama.html");
    good(&[&["report", "Llama-3.1-8B", "-o", &other], &of_requests[..]].concat());
    assert!(std::fs::read_to_string(&other).unwrap().contains("\"basis\":\"data_sheet\""));
    let error = refused(1, &["report", "gpt2", "-b", "1", "-s", "5000", "-o", &folder.path("none.html")]);
    assert!(error.contains("1024") && !std::path::Path::new(&folder.path("none.html")).exists(), "{error}");
    // A setting of the page is told as the command's flag.
    refused(1, &[&["report", "Llama-3.1-8B", "-o", &other, "--tensor-parallel", "3"], &of_requests[..]].concat())
        .says("--tensor-parallel 3");
}

#[test]
fn wrong_usage_is_2_and_says_what_is_missing() {
    refused(2, &["predict", "gpt2"]).says("give --batch-size and --seq-len");
    refused(2, &["predict", "gpt2", "-b", "0", "-s", "1"]).says("at least 1");
    for beyond in ["2000000000", "99999999999999999999999"] {
        refused(2, &["predict", "gpt2", "-b", "1", "-s", beyond]).says("at most 1000000000");
    }
    refused(2, &["predict", "x.jsonl", "-b", "1", "-s", "1"])
        .says("--batch-size works only with a model; trees have their sizes");
    refused(2, &["predict", "gpt2", "-b", "1", "-s", "1", "--price-per-kwh", "-1"]).says("at least 0");
    refused(2, &["train", "x.jsonl", "-o", "y", "--method", "specs", "--seed", "3"])
        .says("work only with --method irene");
    refused(2, &["predict", "gpt2", "-b", "1", "-s", "1", "--device", "a", "--predictor", "b"])
        .says("cannot be used with");
}

#[test]
fn flags_without_effect_are_refused() {
    refused(2, &["predict", "x.jsonl", "--math", "-o", "y"]).says("--math works only with a model");
    let csv = ["predict", "gpt2", "-b", "1", "-s", "1", "--format", "csv"];
    refused(2, &[&csv[..], &["--top", "3"]].concat()).says("--top works only with --format text");
    refused(2, &[&csv[..], &["--grid-intensity", "3"]].concat())
        .says("--grid-intensity works only with --format text and json");
    let served = ["predict", "gpt2", "--device", "l4", "--sequences", "1", "--prompt", "8"];
    let refused_of = |more: &[&str]| refused(2, &[&served[..], more].concat());
    refused_of(&["--format", "json", "--depth", "2"]).says("--depth works only with --format text");
    refused_of(&["--format", "csv", "--grid-intensity", "3"]).says("only with --format text and json");
    let sheet = ["predict", "requests.csv", "--device", "l4"];
    for flag in [["--top", "3"], ["--price-per-kwh", "0.2"]] {
        refused(2, &[&sheet[..], &flag].concat()).says("works only with models and trees; a sheet has rows");
    }
}

#[test]
fn an_origin_that_no_browser_sends_is_refused() {
    for wrong in ["https://a.example/", "https://A.example", "a.example", "https://", ""] {
        refused(2, &["serve", "--allow-origin", wrong]).says("expected * or an origin without a path");
    }
}

#[test]
fn a_sheet_says_its_degrees_itself_and_flags_fill_in_the_others() {
    let folder = Folder::new("degrees");
    let sheet = "model,concurrency,prompt,generated,tensor_parallel,data_parallel\n\
        Llama-3.1-8B,8,300,100,1,\n\
        Llama-3.1-8B,8,300,100,,\n\
        Llama-3.1-8B,8,300,100,4,1\n";
    let two = ["--device", "h100-sxm", "--tensor-parallel", "2", "--data-parallel", "2"];
    let written = good(&[&["predict", &folder.write("requests.csv", sheet)][..], &two].concat());
    let rows = irene_requests::RequestReader::new("written", written.as_bytes()).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    for (row, [tensor, data]) in rows.iter().zip([[1, 2], [2, 2], [4, 1]]) {
        // The written sheet names all that the figures are of.
        assert_eq!((row.parallel.tensor, row.parallel.data, row.device.as_deref()), (tensor, data, Some("h100-sxm")));
        let [tensor, data] = [tensor, data].map(|degree: usize| degree.to_string());
        let service = ["--device", "h100-sxm", "--concurrency", "8", "--prompt", "300", "--generate", "100"];
        let degrees = ["--tensor-parallel", &tensor, "--data-parallel", &data, "--format", "json"];
        let alone = good(&[&["predict", "Llama-3.1-8B"][..], &service, &degrees].concat());
        let alone: Value = serde_json::from_str(&alone).unwrap();
        assert_eq!(alone["forecast"]["energy_per_request_j"].as_f64(), row.figures.energy_per_request_j);
    }
}

#[test]
fn bad_names_sizes_and_devices_are_named() {
    refused(1, &["trace", "gtp2", "-b", "1", "-s", "1"]).says("did you mean `gpt2`");
    refused(1, &["predict", "bert-base-uncased", "-b", "1", "-s", "600"])
        .says("sequence length 600 is longer than the model's 512 positions");
    refused(1, &["predict", "gpt2", "-b", "1", "-s", "1", "--device", "h10-sxm"])
        .says("unknown device `h10-sxm`, did you mean `h100-sxm`");
    refused(1, &["explain", "gpt2", "root", "-b", "1", "-s", "1", "--device", "h10-sxm"])
        .says("`h10-sxm` is unknown, did you mean `h100-sxm`");
    let folder = Folder::new("trees-on-a-sheet");
    refused(1, &["explain", &training_data(&folder), "root", "--device", "h100"])
        .says("h100-sxm has a data sheet, which answers for models");
    refused(1, &["explain", "bert-base-uncased", "root.encodr.0", "-b", "1", "-s", "8"])
        .says("no node `root.encodr.0`, did you mean `root.encoder.0`");
    refused(1, &["import", "irene-csv", "/nowhere", "-o", "x.jsonl"]).says("No such file");
}

/// The same trees as another program may write them: children in another order, ids by position.
fn reordered(trees: &str) -> String {
    fn reverse(node: &mut Value, count: &mut usize) {
        node["id"] = Value::from(count.to_string());
        *count += 1;
        let children = node["child_nodes_obj"].as_array_mut().unwrap();
        children.reverse();
        children.iter_mut().for_each(|child| reverse(child, count));
    }
    let mut count = 0;
    let reorder = |line: &str| {
        let mut tree: Value = serde_json::from_str(line).unwrap();
        reverse(&mut tree["frontend_tree"], &mut count);
        format!("{tree}\n")
    };
    trees.lines().map(reorder).collect()
}

#[test]
fn nodes_are_matched_by_what_they_are_and_not_by_their_number() {
    let folder = Folder::new("order");
    let data = training_data(&folder);
    let other = folder.write("other.jsonl", &reordered(&std::fs::read_to_string(&data).unwrap()));
    let (model, predicted) = (folder.path("model"), folder.path("predicted.jsonl"));
    good(&["train", &data, "--method", "specs", "-o", &model]);
    good(&["predict", &data, "--predictor", &model, "-o", &predicted]);
    let mean = |truth: &str| -> f64 {
        let json = json(&["evaluate", truth, &predicted]);
        json["by_level"]["ml"]["mean"].as_f64().unwrap()
    };
    assert!((mean(&data) - mean(&other)).abs() < 1e-9, "{} {}", mean(&data), mean(&other));
}

#[test]
fn bad_trees_and_predictors_are_named_by_line_scope_or_field() {
    let folder = Folder::new("bad");
    let data = training_data(&folder);
    let lines = std::fs::read_to_string(&data).unwrap();
    let refuse = |name: &str, from: &str, to: &str| {
        assert!(lines.contains(from), "{from}");
        let file = folder.write(name, &lines.replacen(from, to, 1));
        refused(1, &["train", &file, "--method", "specs", "-o", &folder.path("model")])
    };
    refuse("nan.jsonl", "\"cpu\":50.0", "\"cpu\":NaN").says("nan.jsonl, line 1, column ").says("cpu`: expected value");
    refuse("negative.jsonl", "\"cpu\":50.0", "\"cpu\":-50.0").says("cpu must be finite and not negative, found -50");
    refuse("leaf.jsonl", "\"type\":\"ml\"", "\"type\":\"module\"").says("a leaf must be a primitive");
    refuse("energy.jsonl", "\"ground_truth_energy\":", "\"ground_truth_energy\":0,\"was\":")
        .says("ground_truth_energy must be above 0, found 0");

    let model = folder.path("model.safetensors");
    good(&["train", &data, "--method", "irene", "-o", &model]);
    let strange = folder.write("strange.jsonl", &lines.replace("\"Softmax\"", "\"Sparsemax\""));
    refused(1, &["predict", &strange, "--predictor", &model])
        .says("softmax`: this predictor never saw the operation Sparsemax; it knows conv1d");
    let complaint = refused(1, &["predict", "gpt2", "-b", "1", "-s", "8", "--predictor", &model]);
    assert!(complaint.contains("(method irene) needs features these nodes lack"), "{complaint}");
    assert!(complaint.contains("feature `cpu` is missing"), "{complaint}");

    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(folder.path("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    refused(1, &["predict", &data, "--predictor", &folder.path("cut.safetensors")])
        .says("cut.safetensors: ends after ");
    refused(1, &["predict", &folder.write("empty.jsonl", "\n")]).says("empty.jsonl: no trees");
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_importer_writes_the_public_layout_as_trees() {
    for (device, count) in [("device_1", 166), ("device_2", 192)] {
        let dir = irene_tree::irene_csv::device_dir_from_env(device)
            .unwrap_or_else(|| panic!("IRENE_DATA does not lead to IrEne's {device}"));
        let folder = Folder::new(&format!("import-{device}"));
        let out = folder.path("trees.jsonl");
        good(&["import", "irene-csv", dir.to_str().unwrap(), "-o", &out]);
        let trees = jsonl::read_trees(Path::new(&out)).unwrap();
        assert_eq!(trees.len(), count);
        assert!(trees.iter().flat_map(irene_tree::Tree::nodes).all(|node| node.get(Quantity::NumParameters).is_some()));
    }
}

/// Words are tokens.
#[cfg(feature = "text")]
const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"post_processor":null,"decoder":null,
    "truncation":null,"padding":null,"pre_tokenizer":{"type":"Whitespace"},
    "model":{"type":"WordLevel","vocab":{"[UNK]":0,"the":1,"cat":2,"sat":3},"unk_token":"[UNK]"}}"#;

#[cfg(feature = "text")]
#[test]
fn texts_are_predicted_at_the_size_their_tokens_have() {
    let folder = Folder::new("texts");
    folder.write("config.json", &std::fs::read_to_string(crate::command::fixture("gpt2/config.json")).unwrap());
    folder.write("tokenizer.json", TOKENIZER);
    let model = folder.path("");
    let texts = folder.write("texts.txt", "the cat sat\n\nthe cat\n");
    let of = |args: &[&str]| good(&[&["predict", &model, "--format", "csv", "--math"], args].concat());
    let two = of(&["--text", "the cat sat", "--text", "the cat"]);
    assert_eq!(two, of(&["--text-file", &texts]));
    assert_eq!(of(&["--text", "the cat sat"]), of(&["-b", "1", "-s", "3"]));
    // Padding is masked, which is one more operation in each layer.
    assert!(two.lines().count() > of(&["-b", "2", "-s", "3"]).lines().count());
    let lent = good(&["predict", "gpt2", "--tokenizer", &model, "--text", "the cat sat"]);
    assert!(lent.starts_with("gpt2, batch 1, sequence 3"), "{lent}");

    refused(1, &["predict", "gpt2", "--text", "the"]).says("--text needs the model's tokenizer.json");
    refused(2, &["predict", &model]).says("give --batch-size and --seq-len, or --text");
    refused(2, &["predict", &model, "-b", "1", "--text", "the"]).says("cannot be used with");
}

#[test]
fn a_cache_that_cannot_be_read_is_named() {
    let folder = Folder::new("cache");
    let file = folder.write("file", "");
    let output = crate::command::command(&["predict", "someone/model", "-b", "1", "-s", "1"])
        .env("HF_HUB_CACHE", &file)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("file/models--someone--model/refs/main: Not a directory"), "{complaint}");
}
