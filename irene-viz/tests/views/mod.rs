//! The views that compare, suggest and plan, against what the API answers.

mod changing;
mod comparing;
mod leaderboard;
mod measuring;
mod sizes;
mod taking;

use serde_json::{Value, json};

use crate::{
    access,
    page::{GPT2, LLAMA, assert_close},
    visit::Visit,
};

/// The selection of a fresh page, as the API's parameters.
const FRESH: &str = "model=Llama-3.1-8B&device=h100-sxm&concurrency=32&seq_len=512&generate=256";

fn api(visit: &Visit, path: &str) -> Value {
    let answer = visit.server.get(&format!("/api/v1/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// The result of a function's body for a panel that is shown and loaded.
fn look(visit: &Visit, body: &str) -> Value {
    let quiet = "return !document.getElementById('main').hasAttribute('aria-busy')";
    visit.browser.wait("a quiet page", quiet);
    visit.browser.ask(body)
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_variant_is_in_the_address_and_each_change_can_be_taken_back() {
    let visit = Visit::start("?view=whatif&set_b=num_hidden_layers%3D16");
    let browser = &visit.browser;
    let control = "#panel-whatif [data-knob=num-hidden-layers]";
    let held = look(&visit, "return document.getElementById('b-num-hidden-layers').value");
    assert_eq!(held, "16");
    assert_eq!(look(&visit, "return document.getElementById('b-num-hidden-layers-was').textContent"), "A has 32");
    browser.choose("#b-weights", "int4");
    browser.wait("both changes", "return location.search.includes('weights%3Dint4')");
    let changes =
        "return [...document.querySelectorAll('#panel-whatif [data-change]')].map((row) => row.dataset.change)";
    browser.wait("both rows", &format!("const rows = (() => {{ {changes} }})(); return rows.length === 2"));
    assert_eq!(look(&visit, changes), json!(["num_hidden_layers", "weights"]));
    browser.click(&format!("{control} .reset"));
    browser.wait("one change", "return !location.search.includes('num_hidden_layers')");
    browser.back();
    browser.wait("both again", "return location.search.includes('num_hidden_layers')");
    browser.click("#reset-b");
    browser.wait("none", "return !location.search.includes('set_b')");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_variant_that_cannot_be_is_explained_and_its_controls_stay() {
    let visit = Visit::start("?view=whatif&set_b=num_attention_heads%3D7");
    let said = look(&visit, "return document.getElementById('whatif-problem').textContent");
    let refused = visit.server.get(&format!("/api/v1/whatif?{FRESH}&set_b=num_attention_heads=7"));
    assert_eq!(refused.status, 422, "{}", refused.text);
    // The page quotes in its own way.
    let refused = refused.json();
    let (_, reason) = refused["detail"].as_str().and_then(|detail| detail.rsplit_once("`: ")).unwrap();
    assert!(said.as_str().unwrap().ends_with(reason), "{said}");
    let marked = "return document.getElementById('b-num-attention-heads').getAttribute('aria-invalid')";
    assert_eq!(look(&visit, marked), "true");
    visit.browser.click("#preset-layers");
    visit.browser.wait("an answer", "return document.getElementById('whatif-verdict').textContent !== ''");
    assert_eq!(look(&visit, "return document.getElementById('whatif-problem').textContent"), "");
    visit.end(&["status of 422"]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_suggestion_leads_to_what_it_changes() {
    let visit = Visit::start("?view=suggest");
    let answer = api(&visit, &format!("suggest?{FRESH}"));
    let suggestions = answer["suggestions"].as_array().unwrap();
    let leading = suggestions.iter().find(|each| !each["set"].is_null()).unwrap();
    let title = leading["title"].as_str().unwrap();
    let click = "const links = [...document.querySelectorAll('#panel-suggest h3 a')];
        links.find((link) => link.textContent === arguments[0]).click()";
    visit.browser.run(click, json!([title]));
    visit.browser.wait("What if", "return document.getElementById('panel-whatif').checkVisibility()");
    let set = look(&visit, "return new URLSearchParams(location.search).get('set_b')");
    assert_eq!(set, leading["set"]);
    let ratio = look(&visit, "return document.querySelector('#panel-whatif [data-ratio]').dataset.ratio");
    let expected = leading["energy_b_j"].as_f64().unwrap() / leading["energy_a_j"].as_f64().unwrap();
    let shown: f64 = ratio.as_str().unwrap().parse().unwrap();
    assert!((shown - expected).abs() < 1e-6 * expected, "{title}: {shown} for {expected}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_bound_on_latency_leaves_out_suggestions_and_is_in_the_address() {
    let visit = Visit::start("?view=suggest&max_itl=0.012");
    assert_eq!(look(&visit, "return document.getElementById('suggest-max-itl').value"), "12");
    let answer = api(&visit, &format!("suggest?{FRESH}&max_itl_s=0.012"));
    let shown = look(&visit, "return document.querySelectorAll('#panel-suggest .suggestions > li').length");
    assert_eq!(shown.as_u64().unwrap(), answer["suggestions"].as_array().unwrap().len() as u64);
    let left_out = look(&visit, "return document.querySelectorAll('#panel-suggest details li').length");
    assert_eq!(left_out.as_u64().unwrap(), answer["left_out"].as_array().unwrap().len() as u64);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_plan_opens_as_the_selection() {
    let fields = "&set=num_hidden_layers%3D16&engine=vllm-0.5";
    for (page, asked) in [(String::new(), ""), (format!("&tp=2{fields}"), fields)] {
        let visit = Visit::start(&format!("{LLAMA}&view=plan&plan_rate=20{page}"));
        let path = "plan?model=Llama-3.1-8B&seq_len=512&generate=256&rate=20&gpu_hour_usd=public";
        let answer = api(&visit, &format!("{path}{asked}"));
        let first = &answer["plans"][0];
        let cell =
            look(&visit, "return document.querySelector('#panel-plan tbody [data-field=energy]').dataset.joules");
        assert_close(&cell, first["energy_per_token_j"].as_f64().unwrap());
        visit.browser.click("#panel-plan tbody button.link");
        visit.browser.wait("its tree", "return document.getElementById('panel-tree').checkVisibility()");
        let device = look(&visit, "return document.getElementById('device').value");
        assert_eq!(device, first["device"]);
        let energy = look(&visit, "return document.getElementById('energy').dataset.joules");
        let shown: f64 = energy.as_str().unwrap().parse().unwrap();
        let planned = first["energy_per_token_j"].as_f64().unwrap();
        assert!((shown - planned).abs() < 0.01 * planned, "{shown} for {planned}: {first}");
        visit.end(&[]);
    }
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn up_to_four_are_side_by_side_and_one_can_go() {
    let visit = Visit::start("?view=compare&b=weights%3Dint4&c=device%3Dl4&d=seq_len%3D128");
    for (letter, set) in [("b", "weights=int4"), ("c", "device=l4"), ("d", "seq_len=128")] {
        let answer = api(&visit, &format!("whatif?{FRESH}&set_b={set}"));
        let place = format!("return document.querySelector('#compare-sides [data-verdict={letter}]').dataset.ratio");
        assert_close(&look(&visit, &place), answer["energy"]["ratio"].as_f64().unwrap());
    }
    visit.browser.click("#compare-sides [data-letter=b] button[aria-label='Remove: B']");
    visit.browser.wait("three", "return document.querySelectorAll('#compare-sides .card').length === 3");
    let kept = look(
        &visit,
        "const query = new URLSearchParams(location.search); return ['b', 'c', 'd'].map((each) => query.get(each))",
    );
    assert_eq!(kept, json!(["device=l4", "seq_len=128", null]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn families_are_compared_by_the_roles_of_their_parts() {
    let visit = Visit::start(&format!("{GPT2}&view=compare"));
    let browser = &visit.browser;
    assert_eq!(look(&visit, "return document.querySelectorAll('#compare-sides .card').length"), 0);
    browser.choose("#other-model", "bert-base-uncased");
    browser.click("#compare");
    browser.wait("both", "return document.querySelectorAll('#compare-sides .card').length === 2");
    let answer = visit.api(&visit.selection().replace("predict?", "whatif?set_b=model=bert-base-uncased&"));
    let attention =
        answer["components"].as_array().unwrap().iter().find(|row| row["component"] == "attention").unwrap();
    let cell = |field: &str| {
        let body = format!(
            "return document.querySelector('#panel-compare .apart [data-component=attention] [data-field={field}]').dataset.joules"
        );
        look(&visit, &body)
    };
    for (field, name) in [("a", "a_j"), ("b", "b_j"), ("difference", "difference_j")] {
        assert_close(&cell(field), attention[name].as_f64().unwrap());
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_old_address_of_accuracies_opens_the_leaderboard_and_draws_ones_own() {
    let visit = Visit::start(&format!("{GPT2}&view=tradeoff"));
    let browser = &visit.browser;
    look(&visit, "return true");
    let board = visit.api(&visit.selection().replace("predict?", "leaderboard?").replace("model=gpt2&", ""));
    let rows = look(&visit, "return document.querySelectorAll('#panel-leaderboard tbody [data-model]').length");
    assert_eq!(rows.as_u64().unwrap(), board["entries"].as_array().unwrap().len() as u64);
    let left_out = look(&visit, "return document.querySelectorAll('#panel-leaderboard > details li').length");
    assert_eq!(left_out.as_u64().unwrap(), board["left_out"].as_array().unwrap().len() as u64);

    browser.click("#panel-leaderboard details:has(#accuracy-csv) summary");
    browser.fill("#accuracy-csv", "model,accuracy\nbert-base-uncased,84.6\ndistilbert-base-uncased,82.2");
    browser.click("#draw-tradeoff");
    let drawn =
        "return document.querySelector('#panel-leaderboard h3').textContent === 'Your accuracies against energy' &&
        document.querySelectorAll('#panel-leaderboard form [data-front]').length === 2";
    browser.wait("both models", drawn);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_selection_that_writes_nothing_says_so_and_offers_to() {
    let visit = Visit::start(&format!("{GPT2}&view=generation"));
    access::choose(&visit.browser, "generation");
    let said = look(&visit, "return document.getElementById('panel-generation').innerText");
    assert!(said.as_str().unwrap().contains("Nothing is generated"), "{said}");
    visit.browser.click("#panel-generation .empty button");
    visit.browser.wait("tokens", "return document.querySelectorAll('#panel-generation [data-token]').length > 2");
    let selection = visit.selection().replace("predict?", "generation?points=24&");
    let answer = visit.api(&selection);
    let energy =
        look(&visit, "return document.querySelector('#panel-generation [data-token] [data-joules]').dataset.joules");
    assert_close(&energy, answer["points"][0]["energy_j"].as_f64().unwrap());
    visit.end(&[]);
}
