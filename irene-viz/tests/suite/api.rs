//! The API over real HTTP: what it answers, and what it does with what it should not get.

use std::sync::Arc;

use irene_advice::{Change, Lookup, Selection};
use irene_regress::DeviceProfile;
use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use crate::server::{Running, config};

pub(crate) const BERT: &str = "/api/v1/predict?model=bert-base-uncased&batch_size=8&seq_len=128";

#[test]
fn a_prediction_has_the_tree_the_bottlenecks_and_what_predicted() {
    let server = Running::start(Limits::default());
    let answer = server.get(BERT);
    assert_eq!(answer.status, 200);
    let root = &answer.json()["tree"]["frontend_tree"];
    let energy = root["predicted_energy"].as_f64().unwrap();
    assert!((11.5..12.0).contains(&energy), "{energy}");
    assert!(root["predicted_energy_low"].as_f64().unwrap() < energy);
    assert_eq!(answer.json()["predictor"]["provenance"], "predicted");
    assert_eq!(answer.json()["bottlenecks"][0]["instance_type"], "Linear");
    // From the cache; and with its operations.
    assert_eq!(server.get(BERT).json(), answer.json());
    let math = server.get(&format!("{BERT}&math=true"));
    assert!(math.text.contains(r#""type":"math""#) && !answer.text.contains(r#""type":"math""#));
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains(r#"irene_cache_lookups_total{outcome="hit"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"irene_http_requests_total{route="/api/v1/predict",status="200"} 3"#), "{metrics}");
}

#[test]
fn sums_differences_and_fronts_are_right() {
    let server = Running::start(Limits::default());
    let compared = server.get("/api/v1/whatif?model=gpt2&batch_size=4&seq_len=64&set_b=model=distilgpt2").json();
    let energy = &compared["energy"];
    let [a, b, difference] = ["a_j", "b_j", "difference_j"].map(|name| energy[name].as_f64().unwrap());
    assert_eq!(difference, b - a);
    let of = |scope: &str| {
        let nodes = compared["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["scope"] == scope).unwrap().clone()
    };
    assert!(of("root.3.mlp")["difference_j"].as_f64().unwrap().abs() < 1e-12);
    assert!(of("root.9.mlp")["b_j"].is_null() && of("root.9.mlp")["difference_j"].is_null());
    let by_type: f64 =
        compared["by_type"].as_array().unwrap().iter().map(|pair| pair["difference_j"].as_f64().unwrap()).sum();
    assert!((by_type - difference).abs() < 1e-9 * a, "{by_type}");

    let sweep = server.get("/api/v1/sweep?model=gpt2&batch_sizes=1,8&seq_lens=32,64,128").json();
    assert_eq!(sweep["cells"].as_array().unwrap().len(), 6);
    let board = server.get("/api/v1/leaderboard?batch_size=1&seq_len=32").json();
    let energies: Vec<f64> =
        board["entries"].as_array().unwrap().iter().map(|entry| entry["energy_j"].as_f64().unwrap()).collect();
    assert!(energies.len() > 20 && energies.is_sorted());

    let csv = "model,accuracy\nbert-base-uncased,0.80\ngpt2,0.70\ndistilbert-base-uncased,0.78\n";
    let points = server.post("/api/v1/tradeoff?batch_size=8&seq_len=128", csv).json()["points"].clone();
    assert_eq!(points[0]["is_on_front"], true);
    assert_eq!(points[1]["is_on_front"], false);
    assert_eq!(points[2]["is_on_front"], true);
}

#[test]
fn configs_and_measured_trees_are_predicted() {
    let server = Running::start(Limits::default());
    let size = "/api/v1/predict?batch_size=8&seq_len=64";
    let answer = server.post(&format!("{size}&name=mine"), &config(2));
    assert_eq!(answer.json()["tree"]["model_name"], "mine", "{}", answer.text);
    let tree = server.get(BERT).json()["tree"].to_string();
    let again = server.post("/api/v1/predict/trees", &format!("{tree}\n{tree}\n"));
    assert_eq!(again.json()["predictions"].as_array().unwrap().len(), 2, "{}", again.text);
    let energy = |answer: &Value| answer["tree"]["frontend_tree"]["predicted_energy"].as_f64().unwrap();
    let first = server.get(BERT).json();
    assert!((energy(&again.json()["predictions"][0]) / energy(&first) - 1.0).abs() < 1e-9);
    // The server names the feature that was not measured.
    server.post("/api/v1/predict/trees?method=measured", &tree).is_problem(422, "feature `times_mean` is missing");
}

#[test]
fn mistakes_are_problems_in_a_line() {
    let server = Running::start(Limits { body: 4096, ..Limits::default() });
    let size = "/api/v1/predict?batch_size=1&seq_len=8";
    let predict = |query: &str| server.get(&format!("/api/v1/predict?{query}"));
    predict("model=nope&batch_size=1&seq_len=1").is_problem(404, "model `nope` is unknown; /api/v1/models");
    predict("model=gtp2&batch_size=1&seq_len=1").is_problem(404, "did you mean `gpt2`");
    let bound = "is not a whole number from 1 to 4096";
    for wrong in ["1000000000", "0", "-1", "x", "1.5", "", "%2b1", "99999999999999999999999"] {
        let answer = predict(&format!("model=gpt2&batch_size={wrong}&seq_len=1"));
        answer.is_problem(400, &format!("batch_size: `{}` {bound}", wrong.replace("%2b", "+")));
    }
    predict("model=gpt2&batch_size=1").is_problem(400, "seq_len is missing: tokens of each sequence");
    predict("model=gpt2&batch_size=1&batch_size=2&seq_len=1").is_problem(400, "batch_size is given more than once");
    predict("model=gpt2&batch_size=1&seq_len=2000").is_problem(422, "1024");
    predict("model=gpt2&batch_size=1&seq_len=8&kernels=fast")
        .is_problem(400, "kernels: `fast` is not one of eager, fused");
    predict("model=gpt2&batch_size=1&seq_len=8&head=classifiction").is_problem(400, "did you mean `classification`");
    predict("model=gpt2&batch_size=1&seq_len=8&dtype=q9").is_problem(400, "dtype: `q9` is no number format");
    predict("model=gpt2&batch_size=1&seq_len=8&math=1").is_problem(400, "math: `1` is neither true nor false");
    server
        .get(&format!("{BERT}&device=tpu"))
        .is_problem(404, "device `tpu` is unknown; /api/v1/devices lists the known ones");
    server.get(&format!("{BERT}&device=h100-sxn")).is_problem(404, "did you mean `h100-sxm`");
    let numbers = "batch_sizes: `1,x` is not a list of whole numbers from 1 to 4096";
    server.get("/api/v1/sweep?model=gpt2&batch_sizes=1,x").is_problem(400, numbers);
    let many = |count: usize| (1..=count).map(|size| size.to_string()).collect::<Vec<_>>().join(",");
    server.get(&format!("/api/v1/sweep?model=gpt2&batch_sizes={}", many(400))).is_problem(400, "at most 256");
    let both = format!("/api/v1/sweep?model=gpt2&batch_sizes={0}&seq_lens={0}", many(20));
    server.get(&both).is_problem(422, "at most 256 sizes");
    for no_object in ["", "{", "[1]"] {
        server.post(size, no_object).is_problem(400, "config.json: no model's config: not a JSON object");
    }
    server.post(size, &config(1_000_000)).is_problem(422, "expected at most 4096 layers, found 1000000");
    server.post(size, &config(4000)).is_problem(422, "nodes; at most 20000");
    server.post(size, &" ".repeat(5000)).is_problem(413, "more than 4096 bytes");
    server.post("/api/v1/predict/trees", "not a tree\n").is_problem(422, "body, line 1");
    server.post("/api/v1/predict/trees", "").is_problem(422, "the body has no trees");
    let tradeoff = |csv: &str| server.post("/api/v1/tradeoff?batch_size=1&seq_len=8", csv);
    tradeoff("model,accuracy\ngpt2,high\n").is_problem(422, "line: 2");
    tradeoff("a,b\n1,2\n").is_problem(422, "missing field `model`");
    tradeoff("model,accuracy\ngpt2,0.5\ngtp2,0.5\n")
        .is_problem(422, "line 3: model `gtp2` is unknown, did you mean `gpt2`");
    server.get("/api/v2/models").is_problem(404, "/api/v1/openapi.json");
    server.post("/api/v1/models", "").is_problem(405, "another method");
    assert_eq!(server.get("/healthz").text, "ok\n");
}

#[test]
fn what_is_not_heeded_is_refused_with_near_names() {
    let server = Running::start(Limits::default());
    let size = "batch_size=1&seq_len=8";
    for (path, part) in [
        (format!("/api/v1/predict?model=gpt2&{size}&dtyp=bf16"), "no parameter `dtyp` here, did you mean `dtype`?"),
        // The misspelt name, rather than the missing one.
        (format!("/api/v1/predict?modle=gpt2&{size}"), "no parameter `modle` here, did you mean `model`?"),
        (format!("/api/v1/trace?model=gpt2&{size}&device=gtx-1070"), "no parameter `device` here"),
        (format!("/api/v1/leaderboard?{size}&math=true"), "no parameter `math` here"),
        ("/api/v1/models?x=1".into(), "no parameter `x` here; it takes none"),
        ("/api/v1/devices?device=".into(), "no parameter `device` here"),
        ("/api/v1/openapi.json?v=3".into(), "no parameter `v` here"),
    ] {
        server.get(&path).is_problem(400, part);
    }
    // Each way to ask for a figure heeds the precision, and gives the same figure.
    let energy = |value: &Value| value["energy_j"].as_f64().unwrap();
    let is_same = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-12;
    for dtype in ["", "&dtype=bf16", "&dtype=q4_k,f16&kernels=fused&head=lm"] {
        let predicted = server.get(&format!("/api/v1/predict?model=gpt2&{size}{dtype}")).json();
        let predicted = predicted["tree"]["frontend_tree"]["predicted_energy"].as_f64().unwrap();
        let swept = server.get(&format!("/api/v1/sweep?model=gpt2&batch_sizes=1&seq_lens=8{dtype}")).json();
        assert!(is_same(energy(&swept["cells"][0]), predicted), "{dtype}");
        let compared = server.get(&format!("/api/v1/whatif?model=gpt2&{size}{dtype}&set_b=seq_len=4")).json();
        assert!(is_same(compared["a"]["figures"]["energy_per_request_j"].as_f64().unwrap(), predicted), "{dtype}");
        let board = server.get(&format!("/api/v1/leaderboard?{size}{dtype}")).json();
        let entry = board["entries"].as_array().unwrap().iter().find(|entry| entry["model"] == "gpt2").unwrap().clone();
        assert!(is_same(energy(&entry), predicted), "{dtype}");
        let traded = server.post(&format!("/api/v1/tradeoff?{size}{dtype}"), "model,accuracy\ngpt2,0.5\n").json();
        assert!(is_same(energy(&traded["points"][0]), predicted), "{dtype}");
    }
}

#[test]
fn figures_that_rest_on_estimates_say_so_everywhere() {
    let mut profile = DeviceProfile::bundled("gtx-1070").unwrap();
    profile.provenance.estimated = true;
    let server = Running::with(Options { devices: vec![("mine".into(), profile)], ..Options::default() });
    let size = "batch_size=1&seq_len=8";
    for (device, estimated) in [("mine", true), ("gtx-1070", false)] {
        let get = |path: &str| server.get(&format!("/api/v1/{path}&device={device}")).json();
        let predicted = get(&format!("predict?model=gpt2&{size}"));
        assert_eq!(predicted["predictor"]["estimated"], estimated);
        assert_eq!(predicted["predictor"]["provenance"] == "predicted", !estimated);
        let compared = get(&format!("whatif?model=gpt2&{size}&set_b=device=gtx-1070"));
        let is_measured = ["a", "b"].map(|side| compared[side]["provenance"] == "predicted");
        assert_eq!(is_measured, [!estimated, true]);
        assert_eq!(get("sweep?model=gpt2&batch_sizes=1&seq_lens=8")["estimated"], estimated);
        assert_eq!(get(&format!("leaderboard?{size}"))["estimated"], estimated);
        let traded = server.post(&format!("/api/v1/tradeoff?{size}&device={device}"), "model,accuracy\ngpt2,0.5\n");
        assert_eq!(traded.json()["estimated"], estimated);
        let devices = server.get("/api/v1/devices").json()["devices"].clone();
        let entry = devices.as_array().unwrap().iter().find(|entry| entry["name"] == device).unwrap();
        assert_eq!(entry["estimated"], estimated);
    }
}

fn selected(model: &str, settings: &str) -> Selection {
    Selection::batch(model, 1, 1).changed(&Change::list(settings).unwrap()).unwrap()
}

#[test]
fn a_report_holds_what_the_page_asks_for_of_any_device() {
    for (model, settings, asked) in [
        ("distilgpt2", "device=l4;batch_size=4;seq_len=64", "batch_size=4&seq_len=64"),
        (
            "Llama-3.1-8B",
            "device=h100-sxm;concurrency=16;seq_len=512;generate=64;weights=int4",
            "concurrency=16&seq_len=512&generate=64&weights=int4",
        ),
    ] {
        let page = irene_viz::report(Lookup::bundled(), &selected(model, settings)).unwrap();
        let device = settings.split(';').next().unwrap();
        for path in [
            format!("predict?model={model}&{device}&{asked}"),
            format!("predict?model={model}&{device}&{asked}&math=true"),
            format!("suggest?model={model}&{device}&{asked}"),
            format!("leaderboard?{device}&{asked}"),
        ] {
            assert!(page.contains(&format!("\"/api/v1/{path}\":{{")), "no {path}");
        }
        assert!(page.contains("data_sheet") && !page.contains("gtx-1080-ti\",\"kind\""));
    }
}

#[test]
fn a_report_names_the_predictor_that_its_figures_are_from() {
    for estimated in [false, true] {
        let mut profile = DeviceProfile::bundled("gtx-1070").unwrap();
        profile.provenance.estimated = estimated;
        let method = profile.predictor.method();
        let mut lookup = Lookup::bundled();
        lookup.add_profile("mine.safetensors", Arc::new(profile));
        let selection = selected("distilgpt2", "device=mine.safetensors;batch_size=4;seq_len=64");
        let page = irene_viz::report(lookup, &selection).unwrap();
        let (_, rest) = page.split_once("id=\"answers\"").unwrap();
        let (answers, _) = rest.split_once("\">").unwrap().1.split_once("</script>").unwrap();
        let answers: Value = serde_json::from_str(answers).unwrap();
        let of = |path: &str| {
            let mut found = answers.as_object().unwrap().iter();
            found.find(|(known, _)| known.starts_with(&format!("/api/v1/{path}?"))).unwrap().1.clone()
        };
        let predictor = &of("predict")["predictor"];
        assert_eq!((&predictor["method"], &predictor["device"]), (&json!(method), &json!("mine.safetensors")));
        for answer in [predictor, &of("sweep"), &of("leaderboard")] {
            assert_eq!(answer["estimated"], estimated, "{answer}");
        }
    }
}
