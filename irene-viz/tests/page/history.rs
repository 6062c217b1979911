//! The address: its history.

use serde_json::json;

use super::{BERT, energy, root};
use crate::visit::{INPUTS, Visit};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_back_button_brings_back_the_size_and_its_total() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let first = visit.total();
    let inputs = browser.ask(INPUTS);
    browser.fill("#load-value", "2");
    browser.fill("#seq", "32");
    browser.click("#predict");
    let model = inputs[0].as_str().unwrap();
    let other = energy(root(&visit.api(&format!("predict?model={model}&batch_size=2&seq_len=32"))));
    assert!(other < 0.5 * first, "{other} {first}");
    visit.shows_total(other);
    browser.back();
    visit.shows_total(first);
    assert_eq!(browser.ask(INPUTS), inputs);
    browser.forward();
    visit.shows_total(other);
    assert_eq!(browser.ask(INPUTS), json!([model, inputs[1], "2", "32"]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_address_without_an_answer_shows_none_when_one_comes_back_to_it() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    visit.open("?model=gpt2&device=h100-sxm&batch=8&seq=4096");
    let trouble = "const trouble = document.getElementById('trouble'); return !trouble.hidden && trouble.textContent";
    browser.wait("why", trouble);
    browser.fill("#seq", "64");
    browser.click("#predict");
    browser.wait("an answer", "return !document.getElementById('answer').hidden");
    browser.back();
    let why = browser.wait("why again", trouble);
    assert!(why.as_str().unwrap().contains("4096"), "{why}");
    let shown = "return [document.getElementById('answer').hidden, document.getElementById('seq').value]";
    assert_eq!(browser.ask(shown), json!([true, "4096"]));
    assert!(browser.url().contains("seq=4096"), "{}", browser.url());
    browser.forward();
    browser.wait("the answer", "return !document.getElementById('answer').hidden");
    assert_eq!(browser.ask(shown), json!([false, "64"]));
    visit.end(&["status of 422", "status of 422"]);
}
