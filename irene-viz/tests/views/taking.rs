//! The footer saves the moment that is shown.

use serde_json::{Value, json};

use super::look;
use crate::{page::LLAMA, visit::Visit, webdriver::key};

/// The files that are offered.
fn offered(visit: &Visit) -> Value {
    look(visit, "return [...document.querySelectorAll('#downloads button')].map(({ id }) => id)")
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_footer_offers_the_files_of_what_is_shown_and_no_others() {
    let visit = Visit::start(&format!("{LLAMA}&view=plan&plan_rate=20"));
    let browser = &visit.browser;
    assert_eq!(offered(&visit), json!(["download-csv", "download-json"]));
    browser.fill("#plan-rate", "1000000");
    browser.press(key::ENTER);
    let none = "return document.getElementById('plan-summary').textContent.includes('none fits')";
    browser.wait("a plan without ways", none);
    assert_eq!(offered(&visit), json!(["download-json"]));

    browser.fill("#model", "Llama-3.1-70B");
    browser.press(key::ENTER);
    browser.press(key::ENTER);
    browser.wait("that it does not fit", "return !document.getElementById('trouble').hidden");
    assert_eq!(offered(&visit), json!([]));
    let said = look(&visit, "return [document.title, document.getElementById('status').textContent]");
    assert_eq!(said, json!(["Llama-3.1-70B on h100-sxm \u{2013} irene", ""]));
    browser.wait("ways that do", "return document.querySelectorAll('.ways a').length > 1");
    // Each selection that was refused.
    let refused = browser.console();
    assert!(refused.iter().all(|entry| entry["message"].as_str().unwrap().contains("status of 422")), "{refused:?}");
    visit.end(&[]);
}
