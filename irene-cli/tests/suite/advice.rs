//! `irene whatif`, `irene suggest` and `irene plan`.

use serde_json::Value;

use crate::command::{Folder, Says, command, fed, good, irene, json, refused, said, training_data, words};

const SERVICE: [&str; 8] = ["--device", "h100-sxm", "--prompt", "512", "--generate", "256", "--concurrency", "32"];

#[test]
fn half_the_layers_of_bert_are_compared_without_further_flags() {
    let args = ["whatif", "bert-base-uncased", "--set", "num_hidden_layers=6"];
    let text = words(&good(&args));
    for words in ["num_hidden_layers 12 → 6", "energy of a request", "feed-forward", "can be told apart", "gtx-1080-ti"]
    {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    said(&args).says("taken for granted: --batch-size 8 --seq-len 128");
    let ratio = json(&args)["energy"]["ratio"].as_f64().unwrap();
    assert!((0.4..0.6).contains(&ratio), "{ratio}");
}

#[test]
fn a_comparison_in_json_and_csv_is_that_of_the_predictions() {
    let args = [&["whatif", "Llama-3.1-8B"][..], &SERVICE, &["--set", "weights=int4;concurrency=8"]].concat();
    let found = json(&args);
    let predicted = |more: &[&str]| {
        let args = [&["predict", "Llama-3.1-8B", "--device", "h100-sxm", "--prompt", "512", "--generate", "256"], more]
            .concat();
        json(&args)["forecast"]["energy_per_token_j"].as_f64().unwrap()
    };
    let [a, b] = [predicted(&["--concurrency", "32"]), predicted(&["--concurrency", "8", "--weights", "int4"])];
    let close =
        |found: &Value, truth: f64| assert!((found.as_f64().unwrap() / truth - 1.0).abs() < 1e-9, "{found} {truth}");
    close(&found["energy"]["a_j"], a);
    close(&found["energy"]["b_j"], b);
    assert_eq!((found["schema_version"].as_u64(), found["energy"]["by"].as_str()), (Some(1), Some("token")));
    let changes: Vec<_> =
        found["changes"].as_array().unwrap().iter().map(|change| change["effect"].as_str().unwrap()).collect();
    assert_eq!(changes, ["less", "more"]);
    let csv = good(&[&args[..], &["--format", "csv"]].concat());
    assert!(csv.starts_with("part,by,a_j,b_j,difference_j\nwhole,token,"), "{csv}");
}

#[test]
fn wrong_changes_are_told_in_a_line() {
    let of = |set: &str| refused(1, &["whatif", "gpt2", "-b", "1", "-s", "8", "--set", set]);
    of("num_hiden_layers=6").says("did you mean `num_hidden_layers`?");
    of("n_head=5").says("n_head");
    of("layers").says("NAME=VALUE");
    of("kernels=fast").says("eager");
    refused(2, &["whatif", "gpt2"]);
    refused(2, &["whatif", "gpt2", "-b", "1,2", "-s", "8", "--set", "n_layer=6"]).says("one value");
    refused(2, &["explain", "gpt2", "root", "-b", "1", "-s", "1", "--past", "10", "--device", "l4"])
        .says("--past belongs to measured machines");
    refused(2, &["explain", "gpt2", "root", "-b", "1", "-s", "8", "--device", "l4,t4"])
        .says("--device names one device here; `irene predict` takes several");
    refused(1, &[&["whatif", "Llama-3.1-405B", "--set", "weights=int8"][..], &SERVICE].concat()).says("does not fit");
}

#[test]
fn a_measured_machine_has_its_own_meter() {
    let bert = ["bert-base-uncased", "-b", "8", "-s", "128"];
    for (command, meter) in
        [("whatif", ["--meter", "gpu"]), ("whatif", ["--meter", "wall"]), ("suggest", ["--host-power", "90"])]
    {
        let set: &[&str] = if command == "whatif" { &["--set", "num_hidden_layers=6"] } else { &[] };
        let args = [&[command][..], &bert, &meter, set].concat();
        let said = refused(2, &args);
        let expected = format!("{} works only with a data sheet: the energy of gtx-1080-ti is that", meter[0]);
        assert!(said.contains(&expected), "{said}");
        good(&[&args[..], &["--device", "l4"]].concat());
    }
}

#[test]
fn bounds_on_tokens_belong_to_what_is_generated() {
    let suggest = ["suggest", "bert-base-uncased", "-b", "8", "-s", "128"];
    for command in [&suggest[..], &["plan", "gpt2", "--prompt", "64", "--rate", "1"]] {
        for flag in ["--max-ttft", "--max-itl"] {
            refused(2, &[command, &[flag, "1"]].concat())
                .says(&format!("{flag} works only with --generate; --max-latency"));
        }
    }
}

#[test]
fn a_model_of_ones_own_is_asked_about() {
    let folder = Folder::new("advice");
    let config = r#"{"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu"}"#;
    let path = folder.write("config.json", config);
    let args = ["whatif", &path, "-b", "2", "-s", "64", "--set", "num_hidden_layers=2", "--format", "json"];
    let from_file: Value = serde_json::from_str(&good(&args)).unwrap();
    let fed = fed(&["whatif", "-", "-b", "2", "-s", "64", "--set", "num_hidden_layers=2", "--format", "json"], config);
    let from_input: Value = serde_json::from_slice(&fed.stdout).unwrap();
    assert_eq!(from_file["energy"]["ratio"], from_input["energy"]["ratio"]);
}

#[test]
fn the_predictor_of_the_configuration_file_answers_as_the_flag_does() {
    let folder = Folder::new("advice-settings");
    let mine = folder.path("mine.safetensors");
    good(&["calibrate", "--device", "gtx-1080-ti", &training_data(&folder), "--name", "made up", "-o", &mine]);
    let file = folder.write("config.toml", &format!("predictor = {mine:?}\n"));
    for args in [&["whatif", "gpt2", "--set", "n_layer=6"][..], &["suggest", "gpt2"]] {
        let args = [args, &["--format", "json"]].concat();
        let by_flag = good(&[&args[..], &["--predictor", &mine]].concat());
        assert!(by_flag.contains("gpt2 on made up"), "{by_flag}");
        let by_settings = command(&args).env("IRENE_CONFIG", &file).output().unwrap();
        assert_eq!(String::from_utf8(by_settings.stdout).unwrap(), by_flag, "{args:?}");
    }
}

#[test]
fn suggestions_are_ranked_with_their_price() {
    let args = [&["suggest", "Llama-3.1-8B"][..], &SERVICE].concat();
    let text = good(&args);
    for words in ["Weights in int4 instead of bf16", "Limit each GPU", "left out", "why", "assumed"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let titles = text.lines().find(|line| line.starts_with("what to do")).unwrap();
    for title in ["saves", "90% interval", "time", "memory"] {
        assert!(titles.contains(title), "no `{title}` in 80 columns: {titles}");
    }
    assert_eq!(text.matches("(another model)").count(), 3, "two smaller models and fewer layers: {text}");
    let found = json(&args);
    let saved: Vec<f64> =
        found["suggestions"].as_array().unwrap().iter().map(|one| one["saved_share"].as_f64().unwrap()).collect();
    assert!(saved.len() >= 10 && saved.is_sorted_by(|x, y| x >= y), "{saved:?}");
    let csv = good(&[&args[..], &["--format", "csv"]].concat());
    assert_eq!(csv.lines().count(), saved.len() + 1);
    let bounded = json(&[&args[..], &["--max-itl", "0.01"]].concat());
    assert!(
        bounded["left_out"].as_array().unwrap().iter().any(|one| one["reason"].as_str().unwrap().contains("more than"))
    );
}

#[test]
fn a_plan_has_its_best_ways_first_and_equals_predictions() {
    let args = ["plan", "Llama-3.1-8B", "--prompt", "512", "--generate", "256", "--rate", "5", "--max-ttft", "0.5"];
    let text = good(&args);
    for words in
        ["ways were tried", "least energy", "least time", "least money", "  first  ", "left out", "IrEne's paper"]
    {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let found = json(&[&args[..], &["--device", "h100-sxm,l4", "--gpu-hour-price", "h100-sxm=2.5,l4=0.7"]].concat());
    let plans = found["plans"].as_array().unwrap();
    assert!(plans.len() > 3 && plans[0]["is_on_front"].as_bool() == Some(true), "{found}");
    for row in plans.iter().take(5) {
        let degree = |name: &str| row["parallel"][name].to_string();
        let (tensor, pipeline, data) = (degree("tensor"), degree("pipeline"), degree("data"));
        let predicted = json(&[
            "predict",
            "Llama-3.1-8B",
            "--prompt",
            "512",
            "--generate",
            "256",
            "--rate",
            "5",
            "--device",
            row["device"].as_str().unwrap(),
            "--weights",
            row["weights"].as_str().unwrap(),
            "--tensor-parallel",
            &tensor,
            "--pipeline-parallel",
            &pipeline,
            "--data-parallel",
            &data,
        ]);
        let predicted = predicted["forecast"]["energy_per_token_j"].as_f64().unwrap();
        assert!((row["energy_per_token_j"].as_f64().unwrap() / predicted - 1.0).abs() < 1e-9, "{row}");
        assert!(row["usd_per_million_tokens"].as_f64().unwrap() > 0.0 && row["ttft_s"].as_f64().unwrap() <= 0.5);
    }
    let csv = good(&[&args[..], &["--device", "l4", "--format", "csv"]].concat());
    assert!(csv.starts_with("front,device,gpus,parallel,weights,running,energy_per_token_j (J)"), "{csv}");
}

#[test]
fn ways_of_a_plan_are_told_apart_and_run_as_many_at_once_as_predicted() {
    let service = ["Llama-3.1-8B", "--prompt", "512", "--generate", "256", "--rate", "20"];
    let plan = [&["plan"], &service[..], &["--device", "l4", "--weights", "fp8", "--top", "40"]].concat();
    let output = command(&plan).env("COLUMNS", "200").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nl4, weights in f8_e4m3\n"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains(" tp2 pp2 dp2 ")).collect();
    assert_eq!(rows.len(), 1, "{text}");
    let spread = ["--tensor-parallel", "2", "--pipeline-parallel", "2", "--data-parallel", "2"];
    let asked = ["--device", "l4", "--weights", "fp8"];
    let predicted = json(&[&["predict"], &service[..], &asked, &spread].concat());
    let running = predicted["forecast"]["running"].as_f64().unwrap();
    let running = format!("  {}  ", irene_tree::render::in_unit(running, ""));
    assert!(rows[0].contains(&running), "no `{running}` in {}", rows[0]);
    let narrow = good(&plan);
    for words in ["8 tp2 pp2 dp2 ", "least time: 8 x l4 (tp2 dp4) with weights in f8_e4m3"] {
        assert!(narrow.contains(words), "no `{words}` in {narrow}");
    }
}

#[test]
fn a_plan_that_cannot_be_says_why() {
    let args = ["plan", "Llama-3.1-8B", "--prompt", "512", "--generate", "256", "--rate", "5"];
    refused(1, &[&args[..], &["--device", "h100-smx"]].concat()).says("h100-sxm");
    refused(1, &[&args[..], &["--gpu-hour-price", "l4"]].concat()).says("NAME=USD");
    refused(2, &[&args[..], &["--max-gpus", "65"]].concat()).says("--max-gpus").says("at most 64");
    refused(2, &[&args[..], &["--price-per-kwh", "0.3", "--gpu-hour-price", "public"]].concat())
        .says("cannot be used with");
    refused(2, &[&args[..], &["--top", "3", "--format", "csv"]].concat()).says("--top works only with --format text");
    let free = json(&[&args[..], &["--device", "h100-sxm", "--price-per-kwh", "0"]].concat());
    assert_eq!(free["plans"][0]["usd_per_million_tokens"].as_f64(), Some(0.0));
}

#[test]
fn a_plan_that_finds_no_way_ends_with_1_and_names_each_reason_once() {
    let ends = |args: &[&str]| {
        let output = irene(&[&["plan"], args].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.ends_with(b"error: no way keeps up\n"), "{output:?}");
        words(&String::from_utf8(output.stdout).unwrap())
    };
    let llama = ["Llama-3.1-8B", "--prompt", "512", "--generate", "256", "--rate", "5"];
    let few = ends(&[&llama[..], &["--device", "l4", "--max-itl", "0.000001"]].concat());
    few.says("0 keep up with at most 8 GPUs (--max-gpus)").says("more than");
    let long = ends(&["gpt2", "--prompt", "2000", "--generate", "4", "--rate", "1"]);
    assert_eq!(long.matches("longer than the model's 1024 positions").count(), 1, "{long}");
    assert!(long.contains(" devices: gpt2: sequence length 2000 is longer"), "{long}");
}
