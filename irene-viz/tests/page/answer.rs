//! The answer above the views, and what stands there where there is none.

use irene_predict::ServiceOptions;
use serde_json::{Value, json};

use super::{BERT, LLAMA, assert_close};
use crate::{server::calibrated, visit::Visit, webdriver::key};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_fresh_page_says_in_a_sentence_what_a_token_costs_and_where_it_goes() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let answer = visit.api(&visit.selection());
    let text = |id: &str| {
        let found = browser.run("return document.getElementById(arguments[0]).textContent", json!([id]));
        found.as_str().unwrap().to_owned()
    };
    let headline = text("headline");
    assert!(headline.starts_with("Llama-3.1-8B on one ") && headline.contains(" a generated token: "), "{headline}");
    let most = &answer["components"][0];
    let percent = format!("{:.0}% of it", 100.0 * most["share"].as_f64().unwrap());
    assert!(headline.contains(&percent), "{headline} without {percent}");

    let data = |id: &str, name: &str| {
        browser.run("return document.getElementById(arguments[0]).dataset[arguments[1]]", json!([id, name]))
    };
    let figures = &answer["figures"];
    assert_close(&data("energy", "joules"), figures["energy_per_token_j"].as_f64().unwrap());
    assert_close(&data("time", "seconds"), figures["ttft_s"].as_f64().unwrap());
    let parts = browser.ask("return [...document.querySelectorAll('#where [data-component]')].map(({ dataset }) => [dataset.component, dataset.joules])");
    let parts = parts.as_array().unwrap();
    let known: Vec<&Value> =
        answer["components"].as_array().unwrap().iter().filter(|part| part["share"].as_f64().unwrap() > 0.0).collect();
    assert_eq!(parts.len(), known.len());
    for (shown, expected) in parts.iter().zip(known) {
        assert_eq!(shown[0], expected["component"]);
        assert_close(&shown[1], expected["energy_j"].as_f64().unwrap());
    }
    assert!(text("fit").contains("Memory of each GPU"), "{}", text("fit"));
    // The tree is of all requests that run at once, the title and the figures of one.
    assert!(text("whole").contains("of 32 requests"), "{}", text("whole"));
    let title = browser.ask("return document.title");
    assert!(title.as_str().unwrap().contains(" a generated token"), "{title}");
    assert!(text("totals").contains("of the GPU alone"), "{}", text("totals"));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_form_that_has_changed_is_told_apart_from_the_results() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let is_stale =
        "return !document.getElementById('stale').hidden && document.getElementById('main').matches('.is-stale')";
    assert_eq!(browser.ask(is_stale), false);
    browser.fill("#seq", "64");
    assert_eq!(browser.ask(is_stale), true);
    browser.fill("#seq", "128");
    assert_eq!(browser.ask(is_stale), false);
    browser.fill("#seq", "64");
    browser.click("#predict");
    browser.wait("the new size", &format!("{} === false", is_stale.replace("return ", "return (") + ")"));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_error_stands_beside_its_field_and_what_was_refused_is_in_no_later_change() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.fill("#seq", "0");
    browser.click("#predict");
    let said = "const field = document.getElementById('seq');
        return field.getAttribute('aria-invalid') === 'true' &&
          document.getElementById(field.getAttribute('aria-describedby')).textContent";
    let said = browser.wait("an error beside the field", said);
    let said = said.as_str().unwrap();
    assert!(said.starts_with("Prompt") && !said.contains('`'), "{said}");
    assert_eq!(browser.ask("return document.getElementById('error').textContent"), "");
    browser.fill("#seq", "32");
    browser.click("#predict");
    browser.wait("no error", "return !document.getElementById('seq').hasAttribute('aria-invalid')");
    browser.fill("#seq", "0");
    browser.click("#predict");
    browser.wait("the error again", "return document.getElementById('seq').hasAttribute('aria-invalid')");
    browser.click("#tab-list");
    browser.wait("the list", "return document.getElementById('panel-list').checkVisibility()");
    assert!(browser.url().contains("seq=32"), "{}", browser.url());
    visit.end(&["status of 400", "status of 400"]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_unknown_device_is_explained_in_the_words_of_the_form() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.fill("#device", "h100-sxn");
    browser.press(key::ESCAPE);
    browser.click("#predict");
    let said = "return document.getElementById('device-error')?.textContent";
    let said = browser.wait("an error beside the device", said);
    assert!(said.as_str().unwrap().ends_with("; choose one of the list"), "{said}");
    visit.end(&["status of 404"]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn energies_by_measured_requests_are_of_what_their_meter_counts() {
    let visit = Visit::with(calibrated(ServiceOptions::default()), LLAMA);
    let totals = visit.browser.ask("return document.getElementById('totals').textContent");
    assert!(totals.as_str().unwrap().contains("of what the meter of the measured requests counts"), "{totals}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_address_that_cannot_be_shown_is_explained_with_a_way_out() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.open(&visit.server.url("/?model=gpt-none&device=gtx-1080-ti&batch=8&seq=128"));
    let why = "const trouble = document.getElementById('trouble'); return !trouble.hidden && trouble.textContent";
    let why = browser.wait("why", why);
    assert!(why.as_str().unwrap().contains("gpt-none"), "{why}");
    assert_eq!(browser.ask("return document.querySelector('#explore').checkVisibility()"), false);
    browser.click("#trouble button");
    browser.wait("a fresh page", "return document.getElementById('headline').textContent.startsWith('Llama')");
    visit.end(&["status of 404"]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn what_does_not_fit_is_an_answer_with_ways_that_do() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    visit.open("?model=Llama-3.1-70B&device=a100-sxm-80&concurrency=4&seq=512&generate=64");
    let why = "const trouble = document.getElementById('trouble'); return !trouble.hidden && trouble.textContent";
    let why = browser.wait("that it does not fit", why);
    assert!(why.as_str().unwrap().contains("does not fit"), "{why}");
    assert_eq!(browser.ask("return document.getElementById('error').textContent"), "");
    let ways = "return document.querySelectorAll('.ways a').length > 1";
    browser.wait("ways that do", ways);
    browser.click(".ways a");
    browser.wait("its answer", "return document.getElementById('energy')?.dataset.joules");
    assert_eq!(browser.ask("return document.getElementById('trouble').hidden"), true);
    // Each selection that was refused.
    let refused = browser.console();
    assert!(refused.iter().all(|entry| entry["message"].as_str().unwrap().contains("status of 422")), "{refused:?}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_price_and_a_grid_are_counted_and_a_price_below_zero_is_refused() {
    let visit = Visit::start(LLAMA);
    let browser = &visit.browser;
    let answer = visit.api(&visit.selection());
    let kwh = answer["cost"]["energy_kwh_per_million_tokens"].as_f64().unwrap();
    let grids = visit.server.get("/api/v1/grids").json();
    let grid = &grids["grids"][0];
    browser.click("#more-figures summary");
    browser.fill("#price", "1000");
    let cost = "return document.getElementById('cost').textContent";
    let shown = browser.ask(cost);
    let dollars: f64 = shown.as_str().unwrap().trim_end_matches(" USD").replace(',', "").parse().unwrap();
    assert!((dollars - 1000.0 * kwh).abs() < 0.005 * dollars, "{dollars} for {kwh} kWh");

    let offered = "return document.getElementById('grid').options.length";
    browser.wait("the grids", &format!("{offered} > 1"));
    // Each once, and none.
    let count = grids["grids"].as_array().unwrap().len() as u64 + 1;
    assert_eq!(browser.ask(offered), count);
    browser.choose("#grid", grid["name"].as_str().unwrap());
    let source = browser.ask("return document.getElementById('grid-source').textContent");
    let source = source.as_str().unwrap();
    assert!(
        source.contains(grid["source"].as_str().unwrap()) && source.contains(&grid["year"].to_string()),
        "{source}"
    );
    let emitted = browser.ask("return document.getElementById('cost').parentElement.textContent");
    assert!(emitted.as_str().unwrap().contains("CO₂e"), "{emitted}");

    browser.fill("#price", "-1");
    let refused = browser.ask("return document.getElementById('price-error')?.textContent");
    assert!(refused.as_str().unwrap().contains("below zero"), "{refused}");
    assert!(!browser.ask(cost).as_str().unwrap().contains("USD"));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_price_of_electricity_is_that_of_the_plan_too() {
    let visit = Visit::start(&format!("{LLAMA}&view=plan&plan_rate=20&plan_hire=none"));
    let browser = &visit.browser;
    browser.click("#more-figures summary");
    browser.fill("#price", "2");
    browser.press(key::TAB);
    let path = "/api/v1/plan?model=Llama-3.1-8B&seq_len=512&generate=256&rate=20&price_per_kwh=2";
    let plan = visit.server.get(path).json();
    let first = "const cell = document.querySelector('#panel-plan tbody [data-field=usd]');
        return Math.abs(cell?.dataset.usd / arguments[0] - 1) < 1e-9";
    browser.wait_for("its cost", first, json!([plan["plans"][0]["usd_per_million_tokens"]]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn models_and_devices_are_searched_by_what_is_known_of_them() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.click("#device");
    browser.fill("#device", "h100");
    let options =
        "return [...document.querySelectorAll('#device-list [role=option]')].map((option) => option.dataset.value)";
    let options = browser.ask(options);
    let options = options.as_array().unwrap();
    assert!(options.iter().any(|name| name == "h100-sxm"), "{options:?}");
    assert!(options.iter().all(|name| name != "gtx-1080-ti"), "{options:?}");
    browser.click("#device-list [data-value='h100-sxm']");
    browser.click("#predict");
    browser.wait("the other device", "return location.search.includes('device=h100-sxm')");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_name_that_is_typed_in_full_is_the_one_that_enter_takes() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    for (field, name) in [("model", "phi-4"), ("model", "bloom"), ("device", "a10"), ("device", "m4"), ("device", "L4")]
    {
        browser.fill(&format!("#{field}"), name);
        browser.press(key::ENTER);
        let taken = browser.run("return document.getElementById(arguments[0]).value", json!([field]));
        assert_eq!(taken, name.to_lowercase());
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn what_is_typed_stays_while_another_view_is_opened() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.fill("#seq", "64");
    browser.click("#tab-list");
    browser.wait("the list", "return document.getElementById('panel-list').checkVisibility()");
    let held = "return [document.getElementById('seq').value, document.getElementById('stale').hidden]";
    assert_eq!(browser.ask(held), json!(["64", false]));
    assert!(browser.url().contains("seq=128"), "{}", browser.url());
    browser.click("#predict");
    browser.wait("the new size", "return location.search.includes('seq=64')");
    assert_eq!(browser.ask(held), json!(["64", true]));
    browser.back();
    browser.wait("the old size", "return document.getElementById('seq').value === '128'");
    assert_eq!(browser.ask(held), json!(["128", true]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn that_a_model_does_not_fit_a_measured_machine_stands_below_the_sentence() {
    let visit = Visit::start("?model=Llama-3.1-8B&device=gtx-1080-ti&batch=8&seq=128");
    let note = visit.api(&visit.selection())["predictor"]["notes"][0].as_str().unwrap().to_owned();
    assert!(note.contains("does not fit"), "{note}");
    let notes = "const notes = document.getElementById('notes'); return notes.checkVisibility() && notes.textContent";
    let shown = visit.browser.ask(notes);
    assert!(shown.as_str().is_some_and(|shown| shown.contains(&note[1..])), "{shown} without {note}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_empty_device_is_asked_for_and_math_operations_are_not_ticked_without_one() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.fill("#device", "");
    browser.press(key::ESCAPE);
    browser.click("#predict");
    browser.wait("what to do", "return document.getElementById('device-error')?.textContent");
    let is_ticked = "document.getElementById('math').click(); return document.getElementById('math').checked";
    assert_eq!(browser.ask(is_ticked), false);
    assert!(browser.url().contains("device=gtx-1080-ti"), "{}", browser.url());
    visit.end(&[]);
}
