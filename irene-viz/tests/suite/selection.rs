//! One selection: its figures, its load and head, the leaderboard, and links to it.

use irene_devices::{Catalogue, Device};
use irene_models::BuiltinModel;
use irene_predict::ServiceOptions;
use irene_regress::DeviceProfile;
use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use crate::server::{Running, calibrated};

/// A model that is served by a data sheet's device.
pub(crate) const SERVED: &str = "model=Llama-3.1-8B&device=h100-sxm&concurrency=32&seq_len=512&generate=256";

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub(crate) fn is_close(found: f64, expected: f64) -> bool {
    (found / expected - 1.0).abs() < 1e-9
}

pub(crate) fn get(server: &Running, path: &str) -> Value {
    let answer = server.get(&format!("/api/v1/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

pub(crate) fn sum(list: &Value, field: &str) -> f64 {
    list.as_array().unwrap().iter().map(|part| number(&part[field])).sum()
}

#[test]
fn a_data_sheet_gives_figures_memory_and_parts_that_make_up_the_whole() {
    let server = Running::start(Limits::default());
    let answer = get(&server, &format!("predict?{SERVED}"));
    let (figures, selection) = (&answer["figures"], &answer["selection"]);
    assert_eq!((&selection["basis"], &selection["engine"]), (&json!("data_sheet"), &json!("vllm-0.11")));
    assert_eq!((&selection["concurrency"], &selection["parallel"]["gpus"]), (&json!(32.0), &json!(1)));
    let of_request = number(&figures["energy_per_request_j"]);
    assert!(
        is_close(sum(&answer["components"], "energy_j"), of_request)
            && is_close(sum(&answer["components"], "share"), 1.0)
    );
    assert!(is_close(256.0 * number(&figures["energy_per_token_j"]), of_request));
    assert!(number(&answer["low"]["energy_per_request_j"]) < of_request);
    let [prompt, token] = ["prompt", "token"].map(|phase| number(&answer["phases"][phase]["energy_j"]));
    // The prompt's pass gives the first token.
    assert!(is_close(prompt + 255.0 * token, of_request));
    let memory = &answer["memory"];
    let parts =
        ["weights_bytes", "cache_bytes", "activations_bytes", "workspace_bytes"].map(|part| number(&memory[part]));
    assert!(is_close(parts.iter().sum(), number(&memory["total_bytes"])) && parts[0] > 15e9);
    let root = number(&answer["tree"]["frontend_tree"]["predicted_energy"]);
    assert!(is_close(root, of_request * number(&answer["requests"])));
    // The first layer's norm stands alone, and those of the others join the sums before them.
    assert_eq!(answer["repeats"][0], json!({"scope": "root.prefill.model.1", "count": 31}));
    assert_eq!((&answer["config"]["num_hidden_layers"], &answer["config"]["hidden_act"]), (&json!(32), &json!("silu")));
    let cost = &answer["cost"];
    assert!(is_close(number(&cost["energy_kwh_per_million_requests"]), of_request / 3.6));
    assert!(number(&cost["price_usd_per_million_tokens"]) < number(&cost["price_usd_per_million_requests"]));
    assert_eq!(answer["predictor"]["method"], "data_sheet");
}

#[test]
fn a_measured_machine_is_predicted_by_its_profile_where_that_can_answer() {
    let profile = DeviceProfile::bundled("gtx-1070").unwrap();
    let server = Running::with(Options { devices: vec![("mine".into(), profile)], ..Options::default() });
    let basis =
        |query: &str| get(&server, &format!("predict?model=gpt2&seq_len=64&{query}"))["selection"]["basis"].clone();
    assert_eq!(basis("batch_size=2"), "profile");
    assert_eq!(basis("batch_size=2&device=mine"), "profile");
    assert_eq!(basis("batch_size=2&device=gtx-1070&engine=transformers"), "data_sheet");
    assert_eq!(basis("concurrency=2&device=gtx-1070&generate=8"), "data_sheet");
    let refused = |query: &str| server.get(&format!("/api/v1/predict?model=gpt2&seq_len=64&{query}"));
    refused("concurrency=2&device=mine").is_problem(422, "mine is known by a measured profile alone");
    refused("batch_size=2&device=l4&past_len=8").is_problem(422, "past_len: belongs to measured machines");
    // By its profile, the figures are those of one batch.
    let answer = get(&server, "predict?model=gpt2&seq_len=64&batch_size=2");
    let root = number(&answer["tree"]["frontend_tree"]["predicted_energy"]);
    assert!(is_close(2.0 * number(&answer["figures"]["energy_per_request_j"]), root));
    assert!(answer.get("memory").is_none() && answer.get("phases").is_none());
}

#[test]
fn requests_that_were_measured_answer_for_their_device() {
    let server = Running::with(calibrated(ServiceOptions::default()));
    let basis = |query: &str| get(&server, &format!("predict?{query}"))["selection"]["basis"].clone();
    assert_eq!((basis(SERVED), basis(&SERVED.replace("h100-sxm", "l4"))), (json!("calibrated"), json!("data_sheet")));
    assert_eq!(basis("model=gpt2&batch_size=1&seq_len=8"), "profile");

    // A plan takes its device too.
    let own = Device { name: "mine".into(), ..Catalogue::find("h100-sxm").unwrap() };
    let server = Running::with(calibrated(ServiceOptions { device: Some(own), ..ServiceOptions::default() }));
    let plan = server.get("/api/v1/plan?model=gpt2&seq_len=8&generate=8&rate=1&devices=l4,mine");
    let bases = |device: &str| {
        let plans = plan.json()["plans"].as_array().unwrap().clone();
        plans.into_iter().filter(|row| row["device"] == device).map(|row| row["basis"].clone()).collect::<Vec<_>>()
    };
    assert!(!bases("l4").is_empty() && bases("l4").iter().all(|basis| *basis == "data_sheet"), "{}", plan.text);
    assert!(bases("mine").iter().any(|basis| *basis == "calibrated"), "{}", plan.text);
}

#[test]
fn a_head_that_is_left_out_is_told_and_one_that_would_not_count_is_refused() {
    let server = Running::start(Limits::default());
    let asked = |query: &str| get(&server, &format!("predict?model=gpt2&batch_size=2&seq_len=64&{query}"));
    let says_so =
        |answer: &Value| answer["predictor"]["notes"].to_string().contains("head is left out; head=lm counts");
    for (query, head, is_told) in [
        ("device=gtx-1080-ti", "none", true),
        ("device=gtx-1080-ti&generate=10", "lm", false),
        ("device=gtx-1080-ti&generate=10&head=lm", "lm", false),
        ("device=gtx-1080-ti&head=none", "none", false),
        ("device=l4&generate=10", "lm", false),
        ("device=l4&head=none", "none", false),
        ("device=l4", "lm", false),
    ] {
        let answer = asked(query);
        assert_eq!((answer["selection"]["head"].as_str(), says_so(&answer)), (Some(head), is_told), "{query}");
    }
    assert!(!says_so(&get(&server, "predict?model=bert-base-uncased&batch_size=2&seq_len=64&device=gtx-1080-ti")));
    // A class without a head has none to leave out.
    let config = json!({
        "model_type": "gpt2", "architectures": ["GPT2Model"], "n_layer": 12, "n_embd": 768, "n_head": 12,
        "n_positions": 1024, "vocab_size": 50257
    })
    .to_string();
    for device in ["gtx-1080-ti", "l4"] {
        let answer = server.post(&format!("/api/v1/predict?batch_size=2&seq_len=64&device={device}"), &config).json();
        assert_eq!((answer["selection"]["head"].as_str(), says_so(&answer)), (Some("none"), false), "{device}");
    }
    let measured = "model=gpt2&batch_size=2&seq_len=64&generate=10";
    for head in ["none", "classification"] {
        for path in [format!("predict?{SERVED}"), format!("predict?{measured}"), format!("trace?{measured}")] {
            let answer = server.get(&format!("/api/v1/{path}&head={head}"));
            answer.is_problem(422, "head: works only with single passes");
            assert_eq!(answer.json()["parameter"], "head");
        }
    }
    assert_eq!(
        get(&server, &format!("predict?{SERVED}&head=lm"))["figures"],
        get(&server, &format!("predict?{SERVED}"))["figures"]
    );
}

#[test]
fn what_a_model_takes_for_granted_is_told() {
    let server = Running::start(Limits::default());
    for device in ["l4", "gtx-1080-ti"] {
        let answer = get(&server, &format!("predict?model=DeciLM-7B&device={device}&batch_size=1&seq_len=64"));
        let notes = answer["predictor"]["notes"].to_string();
        assert!(notes.contains("heads of keys and values differ by layer"), "{device}: {notes}");
    }
}

#[test]
fn a_selection_has_exactly_one_load_and_problems_name_their_parameter() {
    let server = Running::start(Limits::default());
    let rest = "model=gpt2&device=l4&seq_len=64&generate=8";
    let refused = |query: &str, status: u16, parameter: &str, part: &str| {
        let answer = server.get(&format!("/api/v1/predict?{query}"));
        answer.is_problem(status, part);
        assert_eq!(answer.json()["parameter"], parameter, "{query}");
    };
    refused(rest, 422, "batch_size", "give exactly one of batch_size, concurrency and rate");
    refused(&format!("{rest}&batch_size=1&rate=2"), 422, "rate", "give exactly one of them");
    for wrong in ["0", "-1", "NaN", "inf", "1e9", "x", "1,5", ""] {
        refused(&format!("{rest}&concurrency={wrong}"), 400, "concurrency", "is not a number above 0 and up to 100000");
    }
    let one = format!("{rest}&batch_size=1");
    refused(&format!("{one}&weights=f7"), 400, "weights", "is no number format");
    refused(&format!("{one}&engine=triton"), 404, "engine", "known are vllm-0.11");
    refused(&format!("{one}&tensor_parallel=0"), 400, "tensor_parallel", "from 1 to 4096");
    refused("model=gpt2&device=h100-sxm&seq_len=8&batch_size=1&power_limit_w=1", 422, "device", "power");
    refused(&format!("{one}&set=layers"), 400, "set", "write NAME=VALUE");
    refused(&format!("{one}&set=num_hiden_layers=6"), 422, "num_hiden_layers", "did you mean `num_hidden_layers`");
    refused(&format!("{one}&set=batch_size=5000"), 400, "set", "batch_size: 5000 is more than 4096");
    refused("model=gpt2&batch_size=1&seq_len=8&device=h200-sxn", 404, "device", "did you mean `h200-sxm`");
    refused(
        "model=gpt2&device=l4&seq_len=64&generate=8&rate=1e6",
        422,
        "rate",
        "give it more GPUs (a greater `data_parallel`)",
    );
    // A number of GPUs that does not suit the model is to be changed, not a field of the model.
    let llama = "model=Llama-3.1-8B&device=h100-sxm&batch_size=1&seq_len=64&generate=8";
    refused(&format!("{llama}&tensor_parallel=3"), 422, "tensor_parallel", "cannot be split evenly");
    refused(&format!("{llama}&expert_parallel=2"), 422, "expert_parallel", "`expert_parallel`");
    let bert = "model=bert-base-uncased&device=l4&batch_size=2&seq_len=64";
    refused(&format!("{bert}&tensor_parallel=2"), 422, "tensor_parallel", "is not followed for bert");
    // A model that does not fit is told by how much, and what would do.
    let large = "model=Llama-3.1-70B&device=a100-sxm-80gb&concurrency=1&seq_len=512&generate=64";
    let answer = server.get(&format!("/api/v1/predict?{large}"));
    answer.is_problem(422, "GiB too little");
    answer.is_problem(422, "`tensor_parallel` 2");
    answer.is_problem(422, "would do");
    assert_eq!(get(&server, &format!("predict?{large}&tensor_parallel=2"))["selection"]["parallel"]["gpus"], 2);
}

#[test]
fn experts_over_gpus_are_counted_in_the_selection_that_is_answered() {
    let server = Running::start(Limits::default());
    let mixture = "model=Qwen3-30B-A3B&device=h100-sxm&concurrency=32&seq_len=512&generate=64";
    // Attention is spread over the experts' GPUs where nothing is said of it.
    let selection = get(&server, &format!("predict?{mixture}&expert_parallel=4"))["selection"].clone();
    assert_eq!(selection["parallel"], json!({"tensor": 4, "pipeline": 1, "expert": 4, "data": 1, "gpus": 4}));
    let apart = server.get(&format!("/api/v1/predict?{mixture}&expert_parallel=8&tensor_parallel=2"));
    apart.is_problem(422, "`expert_parallel` 8 does not divide the 2 GPUs of a stage");
}

#[test]
fn every_built_in_model_is_ranked_or_left_out_with_the_reason() {
    let server = Running::start(Limits::default());
    let board = get(&server, "leaderboard?device=l4&concurrency=4&seq_len=512&generate=64");
    let (entries, left) = (board["entries"].as_array().unwrap(), board["left_out"].as_array().unwrap());
    assert_eq!(entries.len() + left.len(), BuiltinModel::all().len());
    assert!(left.iter().all(|left| !left["reason"].as_str().unwrap().is_empty()) && left.len() > 10);
    let energies: Vec<f64> = entries.iter().map(|entry| number(&entry["figures"]["energy_per_request_j"])).collect();
    // On a measured machine too.
    let measured = get(&server, "leaderboard?device=gtx-1080-ti&batch_size=8&seq_len=128&family=llama");
    let left = measured["left_out"].as_array().unwrap().iter().find(|left| left["model"] == "Llama-3.1-70B").unwrap();
    assert!(left["reason"].as_str().unwrap().starts_with("does not fit the device's memory"), "{left}");
    let ranked = measured["entries"].as_array().unwrap();
    assert!(ranked.len() > 1 && ranked.iter().all(|entry| entry["model"] != "Llama-3.1-70B"));
    let of_entry = &get(
        &server,
        &format!("predict?model={}&device=gtx-1080-ti&batch_size=8&seq_len=128", ranked[0]["model"].as_str().unwrap()),
    );
    assert_eq!(ranked[0].get("marks").unwrap_or(&json!([])), &of_entry["marks"]);
    assert!(energies.is_sorted() && entries.iter().enumerate().all(|(place, entry)| entry["rank"] == place + 1));
    // Filters.
    let query = "device=l4&batch_size=8&seq_len=128";
    let embedders = get(&server, &format!("leaderboard?{query}&task=embedder&max_parameters=50000000&benchmark=MTEB"));
    let entries = embedders["entries"].as_array().unwrap();
    assert!(
        entries.len() > 2
            && entries.iter().all(|entry| entry["task"] == "embedder" && number(&entry["parameters"]) <= 5e7)
    );
    let scored: Vec<&Value> = entries.iter().filter(|entry| entry.get("score").is_some()).collect();
    assert!(scored.len() > 1 && scored.iter().all(|entry| entry["score"]["benchmark"] == "MTEB"));
    // On the front, none is beaten; off it, one is.
    let beats = |x: &Value, y: &Value| {
        let of = |entry: &Value| (number(&entry["energy_j"]), number(&entry["score"]["value"]));
        let ((x_j, x_score), (y_j, y_score)) = (of(x), of(y));
        x_j <= y_j && x_score >= y_score && (x_j < y_j || x_score > y_score)
    };
    for entry in &scored {
        assert_eq!(entry["is_on_front"], !scored.iter().any(|other| beats(other, entry)), "{entry}");
    }
    let family = get(&server, &format!("leaderboard?{query}&family=distilbert"));
    assert!(family["entries"].as_array().unwrap().iter().all(|entry| entry["family"] == "distilbert"));
    let wrong = |query: &str, part: &str| {
        server.get(&format!("/api/v1/leaderboard?device=l4&batch_size=8&seq_len=128&{query}")).is_problem(404, part);
    };
    wrong("family=lama", "did you mean `llama`");
    wrong("benchmark=GLEU", "benchmark `GLEU` is unknown");
    server.get("/api/v1/leaderboard?device=l5&batch_size=8&seq_len=128").is_problem(404, "device `l5` is unknown");
}

#[test]
fn a_config_in_the_body_is_asked_whatever_a_name_is() {
    let server = Running::start(Limits::default());
    let config =
        json!({"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 2, "n_positions": 256, "vocab_size": 1000});
    let one = "device=l4&batch_size=2&seq_len=32&generate=8&name=mine";
    for (path, query) in [
        ("predict", one.to_owned()),
        ("whatif", format!("{one}&set_b=num_hidden_layers=1")),
        ("suggest", one.to_owned()),
        ("generation", one.to_owned()),
        ("plan", "seq_len=32&generate=8&rate=1&devices=l4&name=mine".to_owned()),
        ("sweep", "device=l4&batch_sizes=1,2&seq_lens=8,16&name=mine".to_owned()),
    ] {
        let answer = server.post(&format!("/api/v1/{path}?{query}"), &config.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(answer.text.contains("\"mine\"") || answer.text.contains("mine on"), "{path}: {}", answer.text);
        let problem = server.post(&format!("/api/v1/{path}?{query}"), "{\"model_type\":\"resnet\"}");
        problem.is_problem(422, "model_type");
    }
    let half = server.post(&format!("/api/v1/whatif?{one}&set_b=num_hidden_layers=1"), &config.to_string()).json();
    assert!(number(&half["energy"]["ratio"]) < 1.0 && half["changes"][0]["from"] == "2");
    // The changes may lead to another model altogether.
    let other = server.post(&format!("/api/v1/whatif?{one}&set_b=model=gpt2"), &config.to_string()).json();
    assert_eq!(other["b"]["selection"]["model"], "gpt2");
}

#[test]
fn a_shared_link_has_the_figures_of_its_query_in_its_title() {
    let server = Running::start(Limits::default());
    let property = |path: &str, name: &str| {
        let page = server.get(path);
        assert_eq!((page.status, page.kind.as_str()), (200, "text/html; charset=utf-8"), "{path}");
        let (_, rest) = page.text.split_once(&format!("<meta property=\"og:{name}\" content=\"")).unwrap();
        rest.split_once("\">").unwrap().0.to_owned()
    };
    let query = "/?model=Llama-3.1-8B&device=h100-sxm&concurrency=32&seq=512&generate=256&view=tree";
    let figures = get(&server, &format!("predict?{SERVED}"))["figures"].clone();
    let per_token = irene_tree::render::si(number(&figures["energy_per_token_j"]), "J");
    let title = property(query, "title");
    assert!(title.contains("Llama-3.1-8B on h100-sxm") && title.ends_with(&format!("{per_token} a token")), "{title}");
    let about = property(query, "description");
    assert!(about.contains("Feed-forward ") && about.contains("First token after "), "{about}");
    assert_eq!(server.get(query).text, server.get(query).text);
    let changed = property(&format!("{query}&set_b=weights%3Dint4").replace("view=tree", "view=whatif"), "title");
    assert!(changed.contains("what if weights=int4") && changed.contains("% less energy a request"), "{changed}");
    let too_large = property("/?model=Llama-3.1-8B&device=gtx-1080-ti&batch=8&seq=128", "description");
    assert!(too_large.contains("Does not fit the device"), "{too_large}");
    let plain = property("/", "title");
    for unpredictable in [
        "/?model=nope&batch=1&seq=8",
        "/?model=gpt2&batch=1&seq=99999999999",
        "/?model=gpt2",
        "/?seq=%ff%00&&&=",
        "/?config=abc&model=gpt2&batch=1&seq=8",
        "/?model=%3Cscript%3Ealert(1)%3C/script%3E&batch=1&seq=8",
    ] {
        assert_eq!(property(unpredictable, "title"), plain, "{unpredictable}");
    }
    // A word that the model's answer repeats ends no attribute.
    let hostile = "/?model=gpt2&batch=1&seq=8&set=torch_dtype=f16;architectures=%5B%22%22%3E%3Cscript%3E%22%5D";
    let text = server.get(hostile).text;
    assert!(!text.contains("\"><script>") && text.contains("og:title"), "{text}");
}
