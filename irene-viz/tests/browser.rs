//! The page in a real browser: what a person does with it, against what the API answers.
//!
//! Needs `chromium` and `chromedriver` on the PATH; the tests are ignored unless asked for (`-- --ignored`).
#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot be set up should stop, and say so

mod access;
mod server;
mod visit;
mod webdriver;

use std::path::Path;

use irene_models::ModelSpec;
use irene_regress::DeviceProfile;
use serde_json::{Value, json};
use visit::{File, INPUTS, KEPT, Visit, small_bert};
use webdriver::key;

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_node_opened_in_the_tree_has_the_energy_that_the_api_gives() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    browser.choose("#model", "gpt2");
    browser.fill("#batch", "4");
    browser.fill("#seq", "64");
    browser.click("#predict");
    let prediction = visit.api("predict?model=gpt2&batch_size=4&seq_len=64");
    visit.shows_total(energy(root(&prediction)));

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
fn the_icicle_zooms_to_a_node_and_back() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let prediction = visit.api(&visit.selection());
    let children = root(&prediction)["child_nodes_obj"].as_array().unwrap();
    let widest = children.iter().max_by(|a, b| energy(a).total_cmp(&energy(b))).unwrap();
    let scope = scope(widest);

    browser.click("#tab-icicle");
    let whole = browser.wait_for("the icicle", CELLS, json!([scope]));
    let own = whole["width"].as_f64().unwrap();
    let full = whole["full"].as_f64().unwrap();
    assert!(own < full, "{whole}");
    let share = energy(widest) / children.iter().map(energy).sum::<f64>().max(energy(root(&prediction)));
    assert!((own / full - share).abs() < 0.01, "{whole} for a share of {share}");
    browser.click(&format!("#panel-icicle [data-scope='{scope}']"));
    let zoomed = browser.wait_for("the zoomed cell as wide as the icicle", CELLS, json!([scope, true]));
    assert!(zoomed["count"].as_u64() != whole["count"].as_u64(), "{zoomed}");
    assert!(browser.url().contains("zoom="), "{}", browser.url());

    browser.click("#zoom-out");
    browser.wait_for("the top", "return document.getElementById('zoom-out').disabled", json!([]));
    assert_eq!(browser.run(CELLS, json!([scope])), whole);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_back_button_brings_back_the_size_and_its_total() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let first = visit.total();
    let inputs = browser.run(INPUTS, json!([]));
    browser.fill("#batch", "2");
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

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_keyboard_alone_opens_and_closes_a_node() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let focused = |body: &str| browser.run(&format!("const row = document.activeElement; {body}"), json!([]));
    let tabs = (0..40).position(|_| {
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
fn two_models_are_compared_as_the_api_compares_them() {
    let visit = Visit::start("?model=gpt2&batch=4&seq=64");
    let browser = &visit.browser;
    browser.click("#tab-compare");
    browser.wait_for(
        "the compare view",
        "return document.getElementById('panel-compare').checkVisibility()",
        json!([]),
    );
    browser.choose("#other-model", "distilgpt2");
    browser.fill("#other-batch", "2");
    browser.fill("#other-seq", "32");
    browser.click("#compare");
    let compared = visit
        .api("compare?model=gpt2&batch_size=4&seq_len=64&other_model=distilgpt2&other_batch_size=2&other_seq_len=32");
    let shown = browser.wait_for("the comparison", COMPARED, json!(["A: gpt2", "B: distilgpt2"]));
    let expected = [&compared["a"]["energy_j"], &compared["b"]["energy_j"], &compared["difference_j"]];
    for (shown, expected) in shown.as_array().unwrap().iter().zip(expected) {
        assert_close(shown, expected.as_f64().unwrap());
    }
    assert!(compared["difference_j"].as_f64().unwrap() < 0.0);

    let nodes = compared["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["scope"] == "root.3.mlp").unwrap();
    let cells = browser.run(
        "const row = document.querySelector(`#panel-compare [data-scope='${arguments[0]}']`);
         return ['a', 'b', 'difference'].map((field) => row.querySelector(`[data-field=${field}]`).dataset.joules)",
        json!([node["scope"]]),
    );
    for (at, name) in ["a_j", "b_j", "difference_j"].into_iter().enumerate() {
        assert_close(&cells[at], node[name].as_f64().unwrap());
    }
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_uploaded_config_is_predicted() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let file = File::write("own-bert.json", &config);
    browser.type_into("#config-file", file.0.to_str().unwrap());
    let (status, answer) = visit.upload(&config);
    assert_eq!(status, 200, "{answer}");
    visit.shows_total(energy(root(&answer)));
    assert_eq!(browser.run(INPUTS, json!([]))[0], "upload:own-bert.json");
    let status = browser.run("return document.getElementById('status').textContent", json!([]));
    assert!(status.as_str().unwrap().starts_with("own-bert,"), "{status}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_uploaded_config_is_compared_with_a_model() {
    let visit = Visit::start("?model=gpt2");
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let file = File::write("other-bert.json", &config);
    browser.type_into("#config-file", file.0.to_str().unwrap());
    let (_, uploaded) = visit.upload(&config);
    visit.shows_total(energy(root(&uploaded)));
    access::choose(browser, "compare");
    browser.choose("#other-model", "gpt2");
    browser.click("#compare");
    let shown = browser.wait_for("the comparison", COMPARED, json!(["A: other-bert", "B: gpt2"]));
    let selection = visit.selection().replace("upload:other-bert.json", "gpt2");
    let expected = [energy(root(&uploaded)), energy(root(&visit.api(&selection)))];
    assert_close(&shown[0], expected[0]);
    assert_close(&shown[1], expected[1]);
    assert_close(&shown[2], expected[1] - expected[0]);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn what_differs_by_rounding_alone_has_not_changed() {
    let visit = Visit::start("?model=gpt2&view=compare&other_model=distilgpt2");
    let differences = visit.browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#panel-compare [data-type]')].map((row) =>
           [row.dataset.type, row.querySelector('[data-field=difference]').textContent]))",
        json!([]),
    );
    // Both have the same embeddings, and the same work beside their layers.
    assert_eq!(differences["Embedding"], "no change");
    assert_eq!(differences["GPT2Model"], "no change");
    assert!(differences["Conv1D"].as_str().unwrap().starts_with('\u{2212}'), "{differences}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_bad_config_is_explained_and_the_view_stays() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let (total, inputs, url) = (visit.total(), browser.run(INPUTS, json!([])), browser.url());
    let mut config = small_bert();
    config["num_attention_heads"] = json!(7);
    let config = config.to_string();
    let file = File::write("bad-bert.json", &config);
    let (status, problem) = visit.upload(&config);
    assert!((400..500).contains(&status), "{status}: {problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(!detail.is_empty());

    browser.type_into("#config-file", file.0.to_str().unwrap());
    let said = "return document.getElementById('error').textContent === arguments[0]";
    browser.wait_for(&format!("{detail:?} as the error"), said, json!([detail]));
    assert!((visit.total() - total).abs() < 1e-12 * total);
    assert_eq!(browser.run(INPUTS, json!([])), inputs);
    assert_eq!(browser.url(), url);
    let rows = browser.run("return document.querySelectorAll('#panel-tree [data-scope]').length", json!([]));
    assert!(rows.as_u64().unwrap() > 2, "{rows}");

    browser.click("#predict");
    browser.wait_for("no error any more", said, json!([""]));
    visit.end(&[&format!("status of {status}")]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn no_view_scrolls_sideways_on_a_phone_or_a_wide_screen() {
    let visit = Visit::start("?view=compare&model=gpt2&other_model=distilgpt2");
    let browser = &visit.browser;
    for (width, height) in [(360, 740), (2560, 1300)] {
        browser.resize(width, height);
        for view in ["compare", "icicle", "list", "sizes", "tradeoff", "tree"] {
            access::choose(browser, view);
            browser.screenshot(&Path::new(KEPT).join(format!("irene-{width}-{view}.png")));
            let page = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth, innerWidth]";
            let [content, shown, window] = [0, 1, 2].map(|at| browser.run(page, json!([]))[at].as_u64().unwrap());
            assert_eq!(window, u64::from(width));
            assert!(content <= shown, "{view} at {width}: {content} px of content in {shown} px");
            let [used, room] = [0, 1].map(|at| browser.run(USED_WIDTH, json!([view]))[at].as_f64().unwrap());
            assert!(used > 0.9 * room, "{view} at {width}: {used} px of {room} px are used");
        }
    }
    visit.end(&[]);
}

/// The `data-joules` of A, of B and of their difference, once there are some; the arguments say what A and B are.
const COMPARED: &str = "const figures = [...document.querySelectorAll('#compare-totals > div')];
    const of = (start) => figures.find((each) => each.querySelector('dt').textContent.startsWith(start));
    return [...arguments].every(of) &&
      [...arguments, 'Difference'].map((start) => of(start).querySelector('dd').dataset.joules)";

/// How far right tables and charts of a view reach, and how far they could.
const USED_WIDTH: &str = "const panel = document.getElementById(`panel-${arguments[0]}`);
    const parts = [...panel.querySelectorAll('.scroller, svg')].map((part) => part.getBoundingClientRect().right);
    const { left, width } = panel.getBoundingClientRect();
    return [Math.max(...parts) - left, width]";

/// A node's `data-joules` in the tree by its scope.
const ROW_ENERGY: &str = "return document
    .querySelector(`#panel-tree [role=row][data-scope='${arguments[0]}'] [data-field=energy]`)?.dataset.joules";

const IS_OPEN: &str = "return document
    .querySelector(`#panel-tree [role=row][data-scope='${arguments[0]}']`).getAttribute('aria-expanded')";

/// How wide a cell of the icicle is beside all of it, and how many cells there are; on demand only if it is as wide.
const CELLS: &str = "const cells = document.querySelectorAll('#panel-icicle svg.icicle > [data-scope]');
    const width = (cell) => Number(cell.querySelector('rect').getAttribute('width'));
    const cell = [...cells].find((each) => each.dataset.scope === arguments[0]);
    if (!cell || (arguments[1] && width(cell) !== width(cells[0]))) return null;
    return { width: width(cell), full: width(cells[0]), count: cells.length };";

fn root(prediction: &Value) -> &Value {
    &prediction["tree"]["frontend_tree"]
}

fn energy(node: &Value) -> f64 {
    node["predicted_energy"].as_f64().unwrap()
}

fn scope(node: &Value) -> &str {
    node["scope"].as_str().unwrap()
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["child_nodes_obj"].as_array().into_iter().flatten()
}

fn find<'a>(node: &'a Value, scope: &str) -> Option<&'a Value> {
    if node["scope"] == scope { Some(node) } else { children(node).find_map(|child| find(child, scope)) }
}

/// The first node this far below that has nodes below it.
fn first_at_depth(node: &Value, depth: usize) -> &Value {
    fn search(node: &Value, depth: usize) -> Option<&Value> {
        if depth == 0 {
            return children(node).next().map(|_| node);
        }
        children(node).find_map(|child| search(child, depth - 1))
    }
    search(node, depth).unwrap()
}

/// A `data-joules` and the number it stands for.
fn assert_close(shown: &Value, expected: f64) {
    let number: f64 = shown.as_str().unwrap().parse().unwrap();
    assert!((number - expected).abs() <= 1e-12 * expected.abs(), "{number} is shown for {expected}");
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_report_shows_its_prediction_from_a_file_alone() {
    let visit = Visit::start("");
    let browser = &visit.browser;
    let prediction = visit.api("predict?model=distilgpt2&batch_size=4&seq_len=64");
    let profile = DeviceProfile::bundled("gtx-1080-ti").unwrap();
    let spec = ModelSpec::builtin("distilgpt2").unwrap();
    let page = irene_viz::report("gtx-1080-ti", profile, &spec, irene_tree::Size::new(4, 64)).unwrap();
    let file = Path::new(KEPT).join("report.html");
    std::fs::write(&file, page).unwrap();

    browser.open(&format!("file://{}", file.display()));
    visit.shows_total(energy(root(&prediction)));
    browser.click("#math");
    browser.wait_for("the operations", "return document.querySelector('#math').checked", json!([]));
    browser.click("#tab-icicle");
    browser.wait_for(
        "the icicle",
        "return document.querySelector('#panel-icicle [data-scope=root]') !== null",
        json!([]),
    );
    browser.click("#tab-sizes");
    browser.wait_for("the sizes", "return document.querySelector('#panel-sizes svg') !== null", json!([]));
    assert_eq!(browser.run("return document.getElementById('error').textContent", json!([])), "");
    // What is not in the file is said.
    browser.fill("#batch", "5");
    browser.click("#predict");
    let said = "return document.getElementById('error').textContent.includes('`irene serve` answers everything else')";
    browser.wait_for("that this is a report", said, json!([]));
    let console = browser.console();
    assert!(console.iter().all(|entry| entry["level"] != "SEVERE"), "{console:?}");
    let home = visit.server.url("/");
    let is_own = |url: &String| ["file:", "data:", "blob:", &home].iter().any(|start| url.starts_with(start));
    let requests = browser.requests();
    assert!(requests.iter().all(is_own), "{requests:?}");
}
