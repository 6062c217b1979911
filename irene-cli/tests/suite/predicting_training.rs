//! `irene predict --train`.

use serde_json::Value;

use crate::command::{self, Says, good, refused};

const STEP: [&str; 9] =
    ["predict", "bert-base-uncased", "--train", "-b", "32", "-s", "128", "--device", "a100-sxm-80gb"];

fn with(more: &[&str]) -> String {
    good(&[&STEP[..], more].concat())
}

fn json(more: &[&str]) -> Value {
    command::json(&[&STEP[..], more].concat())
}

fn refusal(code: i32, more: &[&str]) -> String {
    refused(code, &[&STEP[..], more].concat())
}

#[test]
fn a_step_is_told_by_phases_with_its_memory_and_its_run() {
    let text = with(&["--dtype", "bf16", "--depth", "1", "--steps", "1e5", "--grid-intensity", "400"]);
    for expected in [
        "time of a step",
        "energy of a step",
        "mean power",
        "phase ",
        "\nforward ",
        "\nbackward ",
        "\noptimizer ",
        "tokens a second",
        "% of the peak",
        "6 N D: ",
        "memory of the device: weights",
        "their copies in 32 bits",
        "100 k steps, 410 M tokens",
        "GPU-hours",
        " Wh (",
        " CO2e",
    ] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
    assert!(!text.contains("allreduce"), "{text}");
}

#[test]
fn a_run_of_twice_the_steps_takes_twice_as_much() {
    let run = |steps: &str| json(&["--steps", steps])["forecast"]["run"].clone();
    let (once, twice) = (run("1000"), run("2000"));
    for field in ["time_s", "energy_kwh", "gpu_hours", "tokens", "flops", "rule_flops", "price_usd"] {
        let ratio = twice[field].as_f64().unwrap() / once[field].as_f64().unwrap();
        assert!((ratio - 2.0).abs() < 1e-12, "{field}: {ratio}");
    }
    let by_tokens = json(&["--tokens", "4.096e6"])["forecast"]["run"].clone();
    assert_eq!((by_tokens["steps"].as_f64(), &by_tokens["energy_kwh"]), (Some(1000.0), &once["energy_kwh"]));
}

#[test]
fn the_data_have_every_figure() {
    let copies = ["--data-parallel", "8", "--accumulate", "4", "--dtype", "bf16", "--checkpoint", "layer"];
    let tree = json(&copies);
    let forecast = &tree["forecast"];
    for field in [
        "energy_per_step_j",
        "energy_per_step_j_low",
        "step_s_high",
        "power_w",
        "tokens_per_s",
        "mfu",
        "flops_per_step",
        "model_flops_per_step",
        "rule_flops_per_step",
        "parameters",
    ] {
        assert!(forecast[field].as_f64().is_some_and(|figure| figure > 0.0), "{field} in {forecast}");
    }
    assert_eq!(forecast["tokens_per_step"].as_f64(), Some(4.0 * 32.0 * 128.0));
    let phases: f64 = ["forward", "backward", "allreduce", "optimizer"]
        .iter()
        .map(|phase| forecast["phases"][phase]["energy_j"].as_f64().unwrap())
        .sum();
    assert!((phases / forecast["energy_per_step_j"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    let memory = &forecast["memory_bytes"];
    assert_eq!(memory["buckets"].as_f64(), memory["gradients"].as_f64());
    let marks: Vec<&str> = forecast["marks"].as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect();
    assert_eq!(marks, ["overlap", "interval"]);
    assert_eq!(tree["frontend_tree"]["instance_type"], "TrainingStep");
}

#[test]
fn the_machine_the_limit_and_a_data_sheet_of_ones_own_count() {
    let energy = |more: &[&str]| json(more)["forecast"]["energy_per_step_j"].as_f64().unwrap();
    let alone = energy(&[]);
    assert!(energy(&["--host-power", "500"]) > 1.05 * alone);
    let limited = json(&["--power-limit", "200"])["forecast"].clone();
    assert_eq!(limited["power_limit_w"].as_f64(), Some(200.0));
    assert!(limited["power_w"].as_f64().unwrap() <= 200.0 + 1e-9, "{limited}");
    let folder = crate::command::Folder::new("train-spec");
    let text = "name = \"mine\"\ntitle = \"Mine\"\nvendor = \"other\"\narchitecture = \"new\"\nclass = \"datacenter\"\nyear = 2026
peaks = { bf16 = 500 }\nbandwidth_gb_s = 2000\nmemory_gib = 64\ntdp_w = 400\n";
    let file = folder.write("mine.toml", text);
    let step = ["predict", "gpt2", "--train", "-b", "4", "-s", "64", "--device-spec", &file, "--format", "json"];
    let own: Value = serde_json::from_str(&good(&step)).unwrap();
    assert_eq!(own["forecast"]["device"], "mine");
    assert_eq!(own["forecast"]["marks"][0], "format_fallback");
    // The sheet says nothing of multiprocessors, nor of arithmetic without units for matrices.
    assert!(own["forecast"]["energy_per_step_j"].as_f64().is_some_and(|joules| joules > 0.0), "{own}");
}

#[test]
fn several_settings_are_rows() {
    let several = ["--device", "a100-sxm-80gb,h100-sxm", "--dtype", "bf16", "--steps", "100"];
    let base = ["predict", "bert-base-uncased", "distilbert-base-uncased", "--train", "-b", "8,16", "-s", "64"];
    let csv = good(&[&base[..], &several, &["--format", "csv"]].concat());
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 2 * 2);
    assert!(
        lines[0].starts_with("model_name,device,precision,training,batch_size,seq_len,step_s (s),energy_of_step (J)")
    );
    assert!(lines[1].starts_with("bert-base-uncased,a100-sxm-80gb,bf16,training by adamw,8,64,"), "{}", lines[1]);
    let text = good(&[&base[..], &several].concat());
    let heading =
        "bf16, training by adamw, sequence 64\nestimated from its data sheet\nenergy is that of the device alone;";
    assert!(text.starts_with(heading) && text.contains("\n\nmodel "), "{text}");
    let json = command::json(&[&base[..], &several].concat());
    assert_eq!(json["settings"].as_array().map(Vec::len), Some(8));
}

#[test]
fn what_cannot_go_together_is_refused_with_one_line() {
    for (code, flags, expected) in [
        (2, &["--generate", "10"][..], "--generate works only with requests"),
        (2, &["--past", "10"], "--past works only with requests"),
        (2, &["--rate", "2"], "--rate"),
        (2, &["--cache", "f16"], "--cache works only with requests"),
        (2, &["--engine", "vllm"], "vllm-0.11 is for inference"),
        (2, &["--method", "measured"], "--method works only with a measured profile"),
        (2, &["--steps", "10", "--tokens", "10"], "--tokens"),
        (2, &["--steps", "0.5"], "expected a whole number of at least 1"),
        (2, &["--optimizer", "lion"], "expected one of sgd, sgd-momentum, adamw, adafactor"),
    ] {
        refusal(code, flags).says(expected);
    }
    refused(2, &["predict", "bert-base-uncased", "--train", "-b", "32", "-s", "128"]).says("give --device NAME");
    refused(2, &["predict", "bert-base-uncased", "-b", "32", "-s", "128", "--steps", "10"]).says("--train");
    let concurrency =
        refused(2, &["predict", "gpt2", "--train", "-s", "128", "--device", "h100-sxm", "--concurrency", "4"]);
    assert!(concurrency.contains("--concurrency works only with requests"), "{concurrency}");
}

#[test]
fn a_step_that_does_not_fit_says_what_would() {
    let said = refused(
        1,
        &["predict", "Llama-3.1-8B", "--train", "-b", "4", "-s", "2048", "--device", "h100-sxm", "--dtype", "bf16"],
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    for expected in
        ["does not fit h100-sxm in training: a step needs", "GiB too little", "--lora-rank 16", "--tensor-parallel "]
    {
        assert!(said.contains(expected), "no {expected} in {said}");
    }
    let way =
        ["predict", "Llama-3.1-8B", "--train", "-b", "4", "-s", "2048", "--device", "h100-sxm", "--dtype", "bf16"];
    good(&[&way[..], &["--lora-rank", "16", "--checkpoint", "layer", "--depth", "1"]].concat());
}
