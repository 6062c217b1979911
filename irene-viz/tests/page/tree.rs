//! The tree view.

use serde_json::json;

use super::{GPT2, assert_close, energy, find, first_at_depth, root, scope};
use crate::{visit::Visit, webdriver::key};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_node_opened_in_the_tree_has_the_energy_that_the_api_gives() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    visit.predict("gpt2", "gtx-1080-ti", "4", "64");
    browser.click("#tree-layers");
    let prediction = visit.api("predict?model=gpt2&batch_size=4&seq_len=64");
    visit.shows_total(energy(root(&prediction)));
    browser.wait("each layer", "return location.search.includes('layers=all')");

    let closed = first_at_depth(root(&prediction), 2);
    let child = &closed["child_nodes_obj"][0];
    let (scope, below) = (scope(closed), scope(child));
    assert_eq!(browser.run(IS_OPEN, json!([scope])), "false");
    assert!(browser.run(ROW_ENERGY, json!([below])).is_null(), "{below} is there before {scope} is open");
    browser.click(&format!("[role=row][data-scope='{scope}'] .twisty"));
    let shown = browser.wait_for("the row of a child", ROW_ENERGY, json!([below]));
    assert_close(&shown, energy(child));
    assert_close(&browser.run(ROW_ENERGY, json!([scope])), energy(closed));
    assert_eq!(browser.run(IS_OPEN, json!([scope])), "true");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_keyboard_alone_opens_and_closes_a_node() {
    let visit = Visit::start(&format!("{GPT2}&layers=all"));
    let browser = &visit.browser;
    let focused = |body: &str| browser.ask(&format!("const row = document.activeElement; {body}"));
    let tabs = (0..60).position(|_| {
        browser.press(key::TAB);
        focused("return row.matches('#panel-tree [role=row]')") == true
    });
    assert!(tabs.is_some(), "the tree cannot be reached with Tab");
    let downs = (0..40).position(|_| {
        browser.press(key::DOWN);
        focused("return row.getAttribute('aria-expanded')") == "false"
    });
    assert!(downs.is_some(), "no closed node can be reached with the arrow keys");

    let scope = focused("return row.dataset.scope");
    let prediction = visit.api(&visit.selection());
    let node = find(root(&prediction), scope.as_str().unwrap()).unwrap();
    let child = &node["child_nodes_obj"][0];
    browser.press(key::ENTER);
    let shown = browser.wait_for("the row of a child", ROW_ENERGY, json!([child["scope"]]));
    assert_close(&shown, energy(child));
    assert_eq!(focused("return [row.dataset.scope, row.getAttribute('aria-expanded')]"), json!([scope, "true"]));
    browser.press(key::DOWN);
    assert_eq!(focused("return row.dataset.scope"), child["scope"]);
    browser.press(key::LEFT);
    assert_eq!(focused("return row.dataset.scope"), scope, "Left goes to the parent, as the child is a leaf or closed");
    browser.press(key::LEFT);
    assert!(browser.run(ROW_ENERGY, json!([child["scope"]])).is_null());
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn nodes_stay_open_where_the_tree_stays_and_only_there() {
    let visit = Visit::start(&format!("{GPT2}&toggled=2"));
    let browser = &visit.browser;
    browser.fill("#load-value", "8");
    browser.click("#predict");
    browser.wait("another batch", "return location.search.includes('batch=8')");
    assert!(browser.url().contains("toggled=2"), "{}", browser.url());
    browser.fill("#generate", "8");
    browser.click("#predict");
    browser.wait("a generation", "return location.search.includes('generate=8')");
    assert!(!browser.url().contains("toggled"), "{}", browser.url());
    visit.end(&[]);
}

/// A node's `data-joules` in the tree by its scope.
const ROW_ENERGY: &str = "return document
    .querySelector(`#panel-tree [role=row][data-scope='${arguments[0]}'] [data-field=energy]`)?.dataset.joules";

/// Whether a node of the tree is open, by its scope.
const IS_OPEN: &str = "return document
    .querySelector(`#panel-tree [role=row][data-scope='${arguments[0]}']`).getAttribute('aria-expanded')";
