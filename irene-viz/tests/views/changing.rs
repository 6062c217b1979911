//! Changes that are made one after the other, taken back and taken over.

use serde_json::json;

use super::{FRESH, api, look};
use crate::{
    page::{LLAMA, assert_close},
    visit::Visit,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_change_that_is_taken_back_shows_the_old_value() {
    let visit = Visit::start("?view=whatif&set_b=num_hidden_layers%3D16");
    look(&visit, "return true");
    visit.browser.click("#panel-whatif [data-knob=num-hidden-layers] .reset");
    visit.browser.wait("no change", "return !location.search.includes('num_hidden_layers')");
    let held = look(&visit, "return [document.getElementById('b-num-hidden-layers').value, document.activeElement.id]");
    assert_eq!(held, json!(["32", "b-num-hidden-layers"]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn changes_in_quick_succession_are_all_made() {
    let visit = Visit::start("?view=whatif");
    look(&visit, "return true");
    let quick = "for (const [id, value] of arguments) {
          const field = document.getElementById(id);
          field.value = value;
          field.dispatchEvent(new Event('change', { bubbles: true }));
        }";
    visit.browser.run(quick, json!([["b-weights", "int4"], ["b-kernels", "eager"]]));
    let both = "return ['weights%3Dint4', 'kernels%3Deager'].every((change) => location.search.includes(change))";
    visit.browser.wait("both changes", both);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_usual_value_can_be_taken_over() {
    let visit = Visit::start(&format!("{LLAMA}&weights=int4&view=whatif&set_b=weights%3Ddefault"));
    look(&visit, "return true");
    visit.browser.click("#keep-b");
    visit.browser.wait("B as the selection", "return !location.search.includes('weights')");
    let energy = look(&visit, "return document.getElementById('energy').dataset.joules");
    let expected = api(&visit, &format!("predict?{FRESH}"));
    assert_close(&energy, expected["figures"]["energy_per_token_j"].as_f64().unwrap());
    visit.end(&[]);
}
