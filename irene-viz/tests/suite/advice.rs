//! Comparisons by what-if, suggestions, plans and generations.

use irene_viz::Limits;
use serde_json::{Value, json};

use crate::{
    selection::{SERVED, get, is_close, number, sum},
    server::{Running, encoded},
};

#[test]
fn what_if_compares_two_predictions_and_says_what_each_change_does() {
    let server = Running::start(Limits::default());
    let compared = get(&server, &format!("whatif?{SERVED}&set_b={}", encoded("num_hidden_layers=16;weights=int4")));
    let of = |query: &str| number(&get(&server, &format!("predict?{query}"))["figures"]["energy_per_request_j"]);
    let (a, b) = (of(SERVED), of(&format!("{SERVED}&set=num_hidden_layers=16&weights=int4")));
    let energy = &compared["energy"];
    assert!(energy["by"] == "request" && is_close(number(&energy["a_j"]), a) && is_close(number(&energy["b_j"]), b));
    assert!(is_close(number(&energy["ratio"]), b / a) && compared["changes"].as_array().unwrap().len() == 2);
    assert!(is_close(sum(&compared["components"], "difference_j"), b - a));
    assert_eq!((&compared["changes"][0]["from"], &compared["changes"][0]["to"]), (&json!("32"), &json!("16")));
    // Another load is compared by token.
    let batches = get(
        &server,
        "whatif?model=Llama-3.1-8B&device=h100-sxm&batch_size=1&seq_len=512&generate=64&set_b=batch_size=32",
    );
    assert!(batches["energy"]["by"] == "token" && number(&batches["energy"]["ratio"]) < 0.5, "{}", batches["energy"]);
    let nothing = get(&server, "whatif?model=bert-base-uncased&batch_size=8&seq_len=128&set_b=hidden_act=relu");
    assert_eq!(nothing["changes"][0]["effect"], "none", "{}", nothing["changes"]);
    assert!(nothing["changes"][0]["reason"].as_str().unwrap().len() > 20);
    let wrong = |set: &str| server.get(&format!("/api/v1/whatif?{SERVED}&set_b={}", encoded(set)));
    wrong("").is_problem(400, "set_b: `` has no change");
    wrong("seq_len=200000").is_problem(400, "seq_len: 200000 is more than");
    wrong("device=nope").is_problem(404, "device `nope` is unknown");
    wrong("kernels=fast").is_problem(400, "set_b: kernels");
    server.get(&format!("/api/v1/whatif?{SERVED}")).is_problem(400, "set_b is missing");
}

#[test]
fn a_batch_beside_single_requests_is_compared_by_the_token() {
    let server = Running::start(Limits::default());
    let compared = get(&server, &format!("whatif?{SERVED}&set_b=batch_size=8"));
    let [a, b] = ["a", "b"].map(|side| compared[side]["selection"].get("batch_size"));
    assert!(compared["energy"]["by"] == "token" && a.is_none() && b == Some(&json!(8)), "{compared}");
}

#[test]
fn what_if_shows_single_operations_where_they_are_asked_for() {
    let server = Running::start(Limits::default());
    let operations = |more: &str| {
        let compared = get(&server, &format!("whatif?model=gpt2&batch_size=2&seq_len=16&set_b=seq_len=8{more}"));
        let nodes = compared["nodes"].as_array().unwrap().clone();
        nodes.into_iter().filter(|node| node["type"] == "math").collect::<Vec<Value>>()
    };
    assert!(operations("").is_empty());
    let found = operations("&math=true");
    assert!(!found.is_empty() && found.iter().all(|node| node["a_j"].is_number() && node["b_j"].is_number()));
}

#[test]
fn suggestions_save_what_their_comparison_shows() {
    let server = Running::start(Limits::default());
    let answer = get(&server, &format!("suggest?{SERVED}&max_itl_s=0.2"));
    let suggestions = answer["suggestions"].as_array().unwrap();
    let saved: Vec<f64> = suggestions.iter().map(|one| number(&one["saved_share"])).collect();
    assert!(
        saved.len() > 4 && saved.windows(2).all(|pair| pair[0] >= pair[1]) && saved.iter().all(|share| *share > 0.0)
    );
    let mut compared = 0;
    for suggestion in suggestions.iter().filter(|one| one.get("set").is_some()) {
        let set = suggestion["set"].as_str().unwrap();
        let shown = get(&server, &format!("whatif?{SERVED}&set_b={}", encoded(set)));
        let (saved, ratio) = (number(&suggestion["saved_share"]), number(&shown["energy"]["ratio"]));
        assert!((1.0 - ratio - saved).abs() < 1e-6, "{set}: {saved} beside {ratio}");
        compared += 1;
    }
    assert!(compared > 2);
    server.get(&format!("/api/v1/suggest?{SERVED}&max_ttft_s=0")).is_problem(400, "max_ttft_s");
}

#[test]
fn a_plan_has_the_ways_that_keep_up_and_each_is_a_selection() {
    let server = Running::start(Limits::default());
    let model = "model=Llama-3.1-8B&seq_len=512&generate=128&rate=2";
    let plan = get(
        &server,
        &format!("plan?{model}&max_ttft_s=1&devices=h100-sxm,l4,gtx-1070&gpu_hour_usd=l4:0.7,h100-sxm:2.5"),
    );
    let rows = plan["plans"].as_array().unwrap();
    assert!(rows.len() > 3 && plan["fitting"].as_u64().unwrap() >= rows.len() as u64);
    assert!(rows.iter().all(|row| number(&row["ttft_s"]) <= 1.0));
    // Money is known of the devices whose price is given.
    assert!(rows.iter().all(|row| row.get("usd_per_million_tokens").is_some() == (row["device"] != "gtx-1070")));
    let fronts: Vec<bool> = rows.iter().map(|row| row["is_on_front"].as_bool().unwrap()).collect();
    assert!(fronts[0] && fronts.is_sorted_by(|a, b| a >= b));
    let best = |what: &str| {
        rows.iter().find(|row| row["best_of"].as_array().is_some_and(|of| of.contains(&json!(what)))).unwrap()
    };
    let row = best("energy");
    assert!(rows.iter().all(|other| number(&other["energy_per_token_j"]) >= number(&row["energy_per_token_j"])));
    // The row's changes lead to its figures.
    let asked = format!("whatif?{model}&device=h100-sxm&set_b={}", encoded(row["set"].as_str().unwrap()));
    let shown = &get(&server, &asked)["b"]["figures"];
    assert!(is_close(number(&shown["energy_per_token_j"]), number(&row["energy_per_token_j"])));
    let left = plan["left_out"].as_array().unwrap();
    assert!(left.iter().any(|left| left["device"] == "gtx-1070" && left["reason"].as_str().unwrap().contains("GiB")));
    assert!(left.iter().all(|left| !left["reason"].as_str().unwrap().contains("--")), "{left:?}");
    let refused = |query: &str, status: u16, part: &str| {
        server.get(&format!("/api/v1/plan?{model}&{query}")).is_problem(status, part);
    };
    refused("price_per_kwh=-0.1", 400, "price_per_kwh: `-0.1` is not a number from 0");
    refused("gpu_hour_usd=l4:-1", 422, "gpu_hour_usd");
    refused("gpu_hour_usd=l4:1e300", 422, "is no price");
    refused("devices=nope", 404, "device `nope` is unknown; /api/v1/devices lists");
    refused("formats=bf16,f7", 400, "formats");
    refused("max_gpus=65", 400, "from 1 to 64");
    server.get("/api/v1/plan?model=gpt2&seq_len=8&generate=8").is_problem(400, "rate is missing");
}

#[test]
fn a_generation_has_its_prompt_its_tokens_and_the_next_turn() {
    let server = Running::start(Limits::default());
    let course = get(&server, &format!("generation?{SERVED}&points=10&new_tokens=32"));
    let points = course["points"].as_array().unwrap();
    assert!(points.len() == 10 && points[0]["token"] == 2 && points[9]["token"] == 256);
    let grows = |field: &str| points.windows(2).all(|pair| number(&pair[0][field]) < number(&pair[1][field]));
    assert!(grows("energy_j") && grows("cached") && grows("cache_bytes") && grows("attention_share"));
    let predicted = get(&server, &format!("predict?{SERVED}"));
    for phase in ["prompt", "token"] {
        assert!(is_close(number(&course[phase]["energy_j"]), number(&predicted["phases"][phase]["energy_j"])));
        assert!(is_close(sum(&course[phase]["components"], "energy_j"), number(&course[phase]["energy_j"])));
    }
    let turn = &course["next_turn"];
    assert!(number(&turn["with_cache"]["energy_j"]) < number(&turn["without_cache"]["energy_j"]));
    assert_eq!((&turn["new_tokens"], &turn["before"]), (&json!(32), &json!(768)));
    server.get("/api/v1/generation?model=gpt2&batch_size=1&seq_len=8").is_problem(422, "generate: is 0");
}
