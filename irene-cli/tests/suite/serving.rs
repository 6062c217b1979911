//! `irene predict` of requests on devices that are known by their data sheets.

use crate::command::{Folder, Says, command, good, irene, json, refused, words};

const LLAMA: [&str; 6] = ["predict", "Llama-3.1-8B", "--prompt", "512", "--generate", "256"];

pub(crate) fn of<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&LLAMA[..], more].concat()
}

#[test]
fn a_request_gets_the_answer_that_a_person_wants_first() {
    let text = good(&of(&["--device", "h100-sxm", "--concurrency", "64", "--depth", "2", "--grid-intensity", "400"]));
    for words in [
        "Llama-3.1-8B in bf16 on h100-sxm with vllm-0.11: estimated from its data sheet",
        "prompts of 512 tokens, 256 generated, 64 at once",
        "energy of a generated token",
        "time to the first token",
        "time between tokens",
        "generated in a second",
        "mean power",
        "memory of the device: weights 15.0 GiB, cache 5 GiB",
        "root Generation",
        "where it goes  ",
        "a million generated tokens: ",
        "kg CO2e",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[test]
fn a_forecast_in_json_is_its_tree_and_adds_up() {
    let tree =
        json(&of(&["--device", "a100-sxm-80gb", "--sequences", "8", "--engine", "vllm-0.5", "--power-limit", "300"]));
    let forecast = &tree["forecast"];
    let figure = |name: &str| forecast[name].as_f64().unwrap();
    let root = tree["frontend_tree"]["predicted_energy"].as_f64().unwrap();
    assert!((root / (8.0 * figure("energy_per_request_j")) - 1.0).abs() < 1e-9, "{root}");
    assert!((figure("energy_per_request_j") / figure("energy_per_token_j") / 256.0 - 1.0).abs() < 1e-9);
    assert!((figure("power_w") * figure("latency_s") / root - 1.0).abs() < 1e-9 && figure("power_w") <= 300.0);
    assert_eq!((forecast["device"].as_str(), forecast["engine"].as_str()), (Some("a100-sxm-80gb"), Some("vllm-0.5")));
    assert_eq!(tree["predictor"]["provenance"], "estimated from its data sheet");
    assert!(
        forecast["memory_bytes"]["weights"].as_f64().unwrap() > 15e9
            && forecast["most_sequences"].as_u64().unwrap() > 100
    );
    assert!(forecast["cost_per_million_tokens"]["price_usd"].as_f64().unwrap() > 0.0);
}

#[test]
fn several_settings_are_rows_in_the_order_that_was_asked_for() {
    let args = of(&["--device", "l4,h100-sxm", "--concurrency", "4,1"]);
    let found = json(&args);
    let rows: Vec<_> = found["settings"].as_array().unwrap().iter().collect();
    let names: Vec<_> =
        rows.iter().map(|row| (row["device"].as_str().unwrap(), row["concurrency"].as_f64().unwrap())).collect();
    assert_eq!(names, [("l4", 4.0), ("l4", 1.0), ("h100-sxm", 4.0), ("h100-sxm", 1.0)]);
    let csv = good(&[&args[..], &["--format", "csv"]].concat());
    assert!(csv.starts_with("model,device,engine,weights,concurrency,prompt,generated,energy_per_request_j"), "{csv}");
    assert_eq!(csv.lines().count(), 5);
    good(&args).says("estimated from its data sheet").says("h100-sxm");
}

#[test]
fn measured_cards_keep_their_profiles_unless_a_data_sheet_is_asked_for() {
    let bert = ["predict", "bert-base-uncased", "-b", "8", "-s", "128", "--device", "gtx-1080-ti"];
    assert!(!good(&bert).contains("data sheet"));
    let by_sheet = good(&[&bert[..], &["--method", "data-sheet"]].concat());
    assert!(
        by_sheet.starts_with("bert-base-uncased in f32 on gtx-1080-ti with transformers: estimated from its"),
        "{by_sheet}"
    );
    assert!(by_sheet.contains("a million requests"), "{by_sheet}");
}

#[test]
fn a_data_sheet_of_ones_own_is_a_device() {
    let folder = Folder::new("own-device");
    let sheet = "name = \"my-card\"\ntitle = \"My card\"\nvendor = \"other\"\narchitecture = \"mine\"\nclass = \"consumer\"\nyear = 2025\n\
        bandwidth_gb_s = 1000\nmemory_gib = 32\ntdp_w = 300\n[peaks]\nf32 = 50\nf16 = 200\n";
    let path = folder.write("mine.toml", sheet);
    good(&of(&["--device-spec", &path, "--sequences", "1"]))
        .says("Llama-3.1-8B in bf16 on my-card")
        .says("bf16 has no unit on my-card: multiplied in f16");
}

#[test]
fn bad_requests_are_told_the_way_out() {
    let refused_with = |code: i32, more: &[&str], words: &[&str]| {
        let said = refused(code, &of(more));
        words.iter().for_each(|words| assert!(said.contains(words), "no `{words}` in {said}"));
    };
    refused_with(2, &["--device", "h100-sxm"], &["Give --sequences, --concurrency or --rate"]);
    refused_with(2, &["--device", "h100-sxm", "--sequences", "1", "--rate", "1"], &["cannot be used with"]);
    refused_with(2, &["--engine", "vllm", "--sequences", "1"], &["--engine works only with a device: give --device"]);
    refused_with(2, &["--device", "h100-sxm", "--sequences", "1", "--past", "5"], &["--generate"]);
    refused_with(
        1,
        &["--device", "h100-sxm", "--sequences", "1", "--engine", "trition"],
        &["unknown engine `trition`", "known are", "batches most like it (vllm-0.11"],
    );
    refused_with(1, &["--device", "h100x", "--sequences", "1"], &["unknown device `h100x`", "irene devices"]);
    refused_with(
        1,
        &["--device", "h100-sxm", "--sequences", "1", "--tensor-parallel", "3"],
        &["cannot be split evenly", "--tensor-parallel 3"],
    );
    refused_with(1, &["--device", "h100-sxm", "--sequences", "1", "--power-limit", "5000"], &["power limit of 5000 W"]);
    refused_with(
        2,
        &["--device", "h100-sxm", "--sequences", "1", "--head", "none"],
        &["--head works only with single passes"],
    );
    let of_gpu = ["--device", "h100-sxm", "--sequences", "1", "--meter", "gpu", "--host-power", "90"];
    refused_with(2, &of_gpu, &["--host-power works only with --meter wall"]);
    refused_with(
        1,
        &["--device", "m4", "--weights", "q4_k", "--sequences", "1", "--meter", "wall"],
        &["no usual machine is known around m4", "--host-power"],
    );
    refused_with(1, &["--device", "h100-sxm", "--rate", "100000"], &["more than are served: at most"]);
    let large = refused(
        1,
        &["predict", "Llama-3.1-405B", "--device", "h100-sxm", "--prompt", "8", "--generate", "8", "--sequences", "1"],
    );
    for words in ["does not fit h100-sxm", "GiB too little", "--tensor-parallel 16"] {
        assert!(large.contains(words), "{large}");
    }
    let one_of_two = irene(&of(&["--device", "p4,h100-sxm", "--sequences", "1", "--format", "csv"]));
    assert_eq!((one_of_two.status.code(), String::from_utf8_lossy(&one_of_two.stdout).lines().count()), (Some(1), 2));
    // The reason has the names in it.
    let said = String::from_utf8_lossy(&one_of_two.stderr);
    assert!(said.starts_with("error: Llama-3.1-8B does not fit p4: "), "{said}");
}

#[test]
fn every_row_of_a_sheet_keeps_its_line() {
    let folder = Folder::new("requests");
    let sheet = "model,device,sequences,concurrency,prompt,generated,weights,note\n\
        Llama-3.1-8B,h100-sxm,,16.5,300.4,250,,\"one, two\"\n\
        Llama-3.1-8B,h10x,4,,300,250,,\n\
        Llama-3.1-70B,h100-sxm,4,,300,250,,too large\n\
        Llama-3.1-8B,,4,,300,250,fp8,the flag's device\n\
        Llama-3.1-8B,l4,4,4,300,250,,both\n\
        Llama-3.1-8B,l4,many,,300,250,,\n\
        bert-base-uncased,t4,8,,128,,f16,\n";
    let (path, out) = (folder.write("requests.csv", sheet), folder.path("out.csv"));
    let said = irene(&["predict", &path, "--device", "a100-sxm-80gb", "-o", &out]);
    assert_eq!((said.status.code(), said.stdout.is_empty()), (Some(1), true));
    let complaints = String::from_utf8(said.stderr).unwrap();
    for words in [
        "requests.csv, line 3, column `device`: unknown device `h10x`",
        "requests.csv, line 4: Llama-3.1-70B does not fit h100-sxm",
        "requests.csv, line 6, column `concurrency`: a row has one of",
        "requests.csv, line 7, column `sequences`: `many` is not a number",
        "error: 4 of 7 rows without a forecast",
    ] {
        assert!(complaints.contains(words), "no `{words}` in {complaints}");
    }
    let written = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<_> =
        irene_requests::RequestReader::new("out.csv", written.as_bytes()).unwrap().map(|row| row.unwrap()).collect();
    let has_figures: Vec<bool> = rows.iter().map(|row| !row.figures.is_empty()).collect();
    assert_eq!(has_figures, [true, false, false, true, false, false, true]);
    assert_eq!(
        (rows[0].further("note"), rows[0].further("provenance")),
        (Some("one, two"), Some("estimated from its data sheet"))
    );
    assert!(rows[1].further("error").unwrap().contains("h10x") && rows[4].further("note") == Some("both"));
    assert_eq!(rows[3].further("marks"), Some("format_fallback"), "fp8 on an A100");
    // One row of it by flags is the same.
    let alone = json(&[
        "predict",
        "Llama-3.1-8B",
        "--device",
        "h100-sxm",
        "--concurrency",
        "16.5",
        "--prompt",
        "300",
        "--generate",
        "250",
    ]);
    assert_eq!(alone["forecast"]["energy_per_request_j"].as_f64(), rows[0].figures.energy_per_request_j);
    refused(2, &["predict", &path, "--device", "l4,h100-sxm"]).says("--device has one value beside a sheet");
    refused(2, &["predict", &path, "gpt2"]).says("gpt2 is no sheet");
    refused(1, &["predict", "/nowhere/x.csv"]).says("/nowhere/x.csv");
}

#[test]
fn an_old_error_goes_when_its_row_is_predicted_again() {
    let folder = Folder::new("mended-requests");
    let sheet = "model,device,sequences,prompt,generated,error\n\
        gpt2,l4,1,64,8,unknown device `l44`\n\
        gpt2,h10x,1,64,8,an older fault\n";
    let said = irene(&["predict", &folder.write("requests.csv", sheet)]);
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stderr));
    let rows = irene_requests::RequestReader::new("out.csv", &said.stdout[..]).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert!(!rows[0].figures.is_empty() && rows[0].further("error").is_none_or(str::is_empty), "{:?}", rows[0]);
    assert!(rows[1].further("error").unwrap().contains("unknown device `h10x`"), "{:?}", rows[1]);
}

#[test]
fn the_wall_adds_the_machine_around_the_devices() {
    let bert =
        ["predict", "bert-base-uncased", "-b", "8", "-s", "128", "--device", "gtx-1080-ti", "--method", "data-sheet"];
    let power = |more: &[&str]| json(&[&bert[..], more].concat())["forecast"]["power_w"].as_f64().unwrap();
    let of_gpu = power(&[]);
    assert!((power(&["--meter", "wall"]) - of_gpu - 100.0).abs() < 1e-6, "{of_gpu}");
    assert!((power(&["--host-power", "80"]) - of_gpu - 80.0).abs() < 1e-6, "{of_gpu}");
    good(&[&bert[..], &["--meter", "wall"]].concat()).says("the machine around the devices draws");
    let gpt = |more: &[&str]| {
        let base = [
            "predict",
            "gpt2",
            "-b",
            "8",
            "-s",
            "128",
            "--device",
            "v100-pcie",
            "--engine",
            "transformers",
            "--dtype",
            "f32",
        ];
        json(&[&base[..], more].concat())["forecast"]["latency_s"].as_f64().unwrap()
    };
    assert!(gpt(&["--head", "none"]) < 0.9 * gpt(&[]) && gpt(&["--head", "lm"]) == gpt(&[]));
}

#[test]
fn less_than_one_at_once_is_refused_and_a_fraction_of_a_batch_is_told() {
    refused(2, &of(&["--device", "h100-sxm", "--concurrency", "0.25"])).says("--concurrency").says("--rate");
    let args = ["predict", "bert-base-uncased", "--device", "h100-sxm", "--prompt", "100", "--concurrency", "2.5"];
    good(&args).says("the figures are of 3 at once, not of 2.5: ");
}

#[test]
fn nothing_generated_is_a_single_pass() {
    let args = ["predict", "gpt2", "--device", "l4", "--sequences", "4", "--prompt", "100"];
    assert_eq!(good(&[&args[..], &["--generate", "0"]].concat()), good(&args));
    let measured = ["predict", "gpt2", "--sequences", "1", "--prompt", "100"];
    assert_eq!(good(&[&measured[..], &["--generate", "0"]].concat()), good(&measured));
    let head = ["--generate", "0", "--head", "lm"];
    good(&[&args[..], &head].concat()).says("sequences of 100 tokens");
}

#[test]
fn emissions_of_several_settings_and_small_costs_are_shown() {
    let args =
        ["predict", "gpt2", "--device", "l4", "--prompt", "100", "--generate", "100", "--grid-intensity", "world"];
    let wide = command(&[&args[..], &["--concurrency", "200,300"]].concat()).env("COLUMNS", "300").output().unwrap();
    let table = String::from_utf8(wide.stdout).unwrap();
    let one = good(&[&args[..], &["--concurrency", "200", "--depth", "0"]].concat());
    assert!(table.contains("CO2e"), "{table}");
    let cost = one.lines().find(|line| line.starts_with("a million generated tokens: ")).unwrap();
    let words: Vec<&str> = cost.split_whitespace().collect();
    let amounts: Vec<&&str> = words.iter().filter(|word| word.parse::<f64>().is_ok()).collect();
    assert_eq!(amounts.len(), 3, "{cost}");
    for amount in amounts {
        let digits = amount.trim_start_matches(['0', '.']).len();
        assert!(digits >= 3, "{amount} in {cost}");
    }
}

#[test]
fn requests_that_run_in_waves_are_not_said_to_run_at_once() {
    let args = ["--device", "l4", "--engine", "llama.cpp", "--depth", "1"];
    let text = good(&of(&[&args[..], &["--concurrency", "1000"]].concat()));
    let whole = text.lines().find(|line| line.starts_with("where it goes, of ")).unwrap();
    assert!(text.contains(" waves") && whole == "where it goes, of 1000 requests:", "{text}");
    let at_a_rate = good(&of(&["--device", "h100-sxm", "--rate", "0.01", "--depth", "1"]));
    // Lines end where the terminal does.
    words(&at_a_rate).says("0.01 a second arrive, ").says(" at once while any run");
}
