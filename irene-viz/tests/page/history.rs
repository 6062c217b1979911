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
    let inputs = browser.run(INPUTS, json!([]));
    browser.fill("#load-value", "2");
    browser.fill("#seq", "32");
    browser.click("#predict");
    let model = inputs[0].as_str().unwrap();
    let other = energy(root(&visit.api(&format!("predict?model={model}&batch_size=2&seq_len=32"))));
    assert!(other < 0.5 * first, "{other} {first}");
    visit.shows_total(other);
    browser.back();
    visit.shows_total(first);
    assert_eq!(browser.run(INPUTS, json!([])), inputs);
    browser.forward();
    visit.shows_total(other);
    assert_eq!(browser.run(INPUTS, json!([])), json!([model, inputs[1], "2", "32"]));
    visit.end(&[]);
}
