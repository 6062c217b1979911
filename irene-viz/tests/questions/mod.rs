//! Questions that people bring, each answered in at most three actions from a fresh page.

mod person;

use person::{Person, is_close, joules, three_digits};
use serde_json::Value;

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn half_the_layers_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.opens("whatif");
    person.clicks("#preset-layers");
    let answer = person.reads_comparison(&[("set_b", "num_hidden_layers=16")]);
    let ratio = answer["energy"]["ratio"].as_f64().unwrap();
    assert!((0.4..0.8).contains(&ratio), "{ratio}");
    let said = person.reads("#whatif-verdict");
    assert!(said.contains(&format!("{}% less", three_digits(100.0 * (1.0 - ratio)))), "{said}");
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn relu_for_gelu_is_answered_in_three_actions_with_the_reason() {
    let person = Person::arrives();
    person.types("#model", "gpt2");
    person.opens("whatif");
    assert!(person.reads("#preset-activation").starts_with("ReLU for GELU"));
    person.clicks("#preset-activation");
    let answer = person.reads_comparison(&[("model", "gpt2"), ("set_b", "hidden_act=relu")]);
    let change = &answer["changes"][0];
    assert_eq!(change["effect"], "none", "{change}");
    let reason = change["reason"].as_str().unwrap();
    assert!(person.reads("#panel-whatif [data-change] .reason").ends_with(&reason[1..]), "{reason}");
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn another_load_prompt_and_device_are_answered_one_after_another() {
    let person = Person::arrives();
    person.opens("whatif");
    let compares = |preset: &str, change: &str| {
        person.asks_anew();
        person.clicks(preset);
        person.reads_comparison(&[("set_b", change)])
    };
    let one = compares("#preset-load", "concurrency=1");
    assert_eq!(one["energy"]["by"], "token");
    assert!(one["energy"]["ratio"].as_f64().unwrap() > 2.0, "{}", one["energy"]);
    let short = compares("#preset-length", "seq_len=128");
    assert!(short["energy"]["ratio"].as_f64().unwrap() < 1.0, "{}", short["energy"]);
    assert_eq!(compares("#preset-device", "device=l4")["b"]["selection"]["device"], "l4");
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn bf16_against_int4_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.opens("whatif");
    person.clicks("#preset-weights");
    let answer = person.reads_comparison(&[("set_b", "weights=int4")]);
    let memory = &answer["memory"];
    let [a, b] = ["a_bytes", "b_bytes"].map(|name| memory[name].as_f64().unwrap());
    is_close(person.finds("#panel-whatif .tile [data-bytes]", "bytes"), b - a);
    assert!(b < a, "{memory}");
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn whether_a_70b_model_fits_two_a100s_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.types("#model", "Llama-3.1-70B");
    assert!(person.reads("#trouble").contains("does not fit"));
    let way = "#trouble .ways [data-way=tp-2] a";
    assert_eq!(person.reads(way), "With two GPUs");
    person.clicks(way);
    person.types("#device", "a100-sxm-80gb");
    let with = [("model", "Llama-3.1-70B"), ("device", "a100-sxm-80gb"), ("tensor_parallel", "2")];
    let answer = person.api("predict", &with);
    let memory = &answer["memory"];
    assert!(memory["total_bytes"].as_f64().unwrap() <= memory["device_bytes"].as_f64().unwrap(), "{memory}");
    let headline = person.reads("#headline");
    assert!(headline.starts_with("Llama-3.1-70B on two "), "{headline}");
    let energy = answer["figures"]["energy_per_token_j"].as_f64().unwrap();
    assert!(headline.contains(&joules(energy)), "{headline} {energy}");
    assert!(person.reads("#fit").contains("Memory of each GPU"), "the page does not say how much of it is used");
    person.leaves_after_refusals(422);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_cheapest_device_within_half_a_second_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.opens("plan");
    person.types("#plan-rate", "20");
    person.types("#plan-max-ttft", "500");
    let answer =
        person.get("plan?model=Llama-3.1-8B&seq_len=512&generate=256&rate=20&max_ttft_s=0.5&gpu_hour_usd=public");
    let plans = answer["plans"].as_array().unwrap();
    let is_cheapest =
        |plan: &&Value| plan["best_of"].as_array().is_some_and(|best| best.iter().any(|what| what == "cost"));
    let cheapest = plans.iter().find(is_cheapest).unwrap();
    assert!(cheapest["ttft_s"].as_f64().unwrap() <= 0.5, "{cheapest}");
    let card = "#panel-plan [data-best=cost]";
    assert!(person.reads(card).contains(cheapest["device"].as_str().unwrap()), "{} {cheapest}", person.reads(card));
    is_close(person.finds(card, "usd"), cheapest["usd_per_million_tokens"].as_f64().unwrap());
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_part_of_attention_in_a_long_prompt_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.types("#seq", "8000");
    person.opens("generation");
    let answer = person.api("generation", &[("seq_len", "8000"), ("points", "24")]);
    let prompt = &answer["prompt"];
    let parts = prompt["components"].as_array().unwrap();
    let attention = parts.iter().find(|part| part["component"] == "attention").unwrap();
    let [part, whole] = [attention, prompt].map(|of| of["energy_j"].as_f64().unwrap());
    let place = "#panel-generation [data-phase=prompt] [data-component=attention]";
    is_close(person.finds(place, "joules"), part);
    let said = person.reads(place);
    assert!(said.contains(&format!("{}%", three_digits(100.0 * part / whole))), "{said}: {part} of {whole}");
    person.leaves();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn what_ten_suggestions_save_is_answered_in_three_actions() {
    let person = Person::arrives();
    person.opens("suggest");
    let answer = person.api("suggest", &[]);
    let expected = answer["suggestions"].as_array().unwrap();
    assert!(expected.len() >= 10, "{} suggestions: {}", expected.len(), answer["left_out"]);
    let shown = person.browser().ask(
        "return [...document.querySelectorAll('#panel-suggest .suggestions > li')].map((item) =>
           [item.querySelector('h3').textContent, item.dataset.saved, item.querySelector('.saves').textContent])",
    );
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), expected.len());
    for (shown, expected) in shown.iter().zip(expected) {
        assert_eq!(shown[0], expected["title"]);
        let share = expected["saved_share"].as_f64().unwrap();
        is_close(shown[1].as_str().unwrap().parse().unwrap(), share);
        let said = shown[2].as_str().unwrap();
        assert!(said.starts_with(&format!("saves {}%", three_digits(100.0 * share))), "{said} for {share}");
    }
    person.leaves();
}
