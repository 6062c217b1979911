//! The icicle of differences: what both spend on each part that is drawn.

use serde_json::{Value, json};

use super::look;
use crate::{
    page::{BERT, GPT2, children, root, scope},
    visit::Visit,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn folded_layers_differ_by_all_of_them() {
    let visit = Visit::start(&format!("{GPT2}&view=compare&b=num_hidden_layers%3D6"));
    let prediction = visit.api(&visit.selection());
    let repeat = &prediction["repeats"][0];
    let (first, count) = (repeat["scope"].as_str().unwrap(), repeat["count"].as_u64().unwrap() as usize);
    let layers: Vec<&str> =
        children(root(&prediction)).map(scope).skip_while(|scope| *scope != first).take(count).collect();
    assert_eq!(layers.len(), 12);
    let answer = visit.api(&visit.selection().replace("predict?", "whatif?set_b=num_hidden_layers=6&"));
    let spent = |side: &str| -> f64 {
        let nodes = answer["nodes"].as_array().unwrap();
        let of_layers = nodes.iter().filter(|node| layers.contains(&scope(node)));
        of_layers.filter_map(|node| node[side].as_f64()).sum()
    };
    let cell = "const cell = document.querySelector(`#panel-compare .icicle [data-scope='${arguments[0]}']`);
        return [Number(cell.dataset.joules), cell.getAttribute('aria-label')]";
    look(&visit, "return true");
    let cell = visit.browser.run(cell, json!([first]));
    let (shown, expected) = (cell[0].as_f64().unwrap(), spent("b_j") - spent("a_j"));
    assert!((shown - expected).abs() < 1e-9 * expected.abs(), "{cell} for {expected}");
    assert!(cell[1].as_str().unwrap().contains("Block ×12"), "{cell}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn single_operations_are_compared_where_they_are_shown() {
    let visit = Visit::start(&format!("{GPT2}&view=compare&b=seq_len%3D32&math=true"));
    let prediction = visit.api(&format!("{}&math=true", visit.selection()));
    let cells = "return [...document.querySelectorAll('#panel-compare .icicle .cell')].map((cell) =>
        [cell.dataset.scope, cell.matches('.diff-only')])";
    let cells = look(&visit, cells);
    let cells = cells.as_array().unwrap();
    let is_operation = |cell: &Value| is_math(root(&prediction), cell[0].as_str().unwrap());
    assert!(cells.iter().any(is_operation), "{cells:?}");
    assert!(cells.iter().all(|cell| cell[1] == false), "{cells:?}");
    visit.end(&[]);
}

/// Whether a scope is that of a single operation.
fn is_math(node: &Value, wanted: &str) -> bool {
    node["scope"] == wanted && node["type"] == "math" || children(node).any(|child| is_math(child, wanted))
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_side_says_where_its_energy_is_not_of_the_same_meter() {
    let visit = Visit::start(&format!("{BERT}&view=compare&b=device%3Dl4"));
    let answer = visit.api(&visit.selection().replace("predict?", "whatif?set_b=device=l4&"));
    let note = answer["b"]["notes"][0].as_str().unwrap();
    let shown = look(&visit, "return document.querySelector('#compare-sides [data-letter=b] .notes').textContent");
    assert!(shown.as_str().unwrap().contains(&note[1..]), "{shown} without {note}");
    let covered = "return document.getElementById('totals').textContent";
    assert!(look(&visit, covered).as_str().unwrap().contains("at the wall"));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_side_that_is_chosen_goes_by_its_own_letter_and_leaves_the_others_as_the_selection() {
    let visit = Visit::start(&format!("{GPT2}&view=compare&b=seq_len%3D32&c=seq_len%3D16"));
    look(&visit, "return true");
    visit.browser.choose("#compare-which", "c");
    let heads = "return [...document.querySelectorAll('#panel-compare [data-field=ratio] button')].map((head) => head.textContent)";
    assert_eq!(look(&visit, heads), json!(["C \u{f7} A", "C \u{f7} A"]));
    let cell = look(&visit, "return document.querySelector('#panel-compare .icicle .cell').getAttribute('aria-label')");
    assert!(cell.as_str().unwrap().contains(" in C, "), "{cell}");
    visit.browser.click("#select-b");
    let taken = "const query = new URLSearchParams(location.search); return query.get('seq') === '32' && !query.has('b') && !query.has('c')";
    visit.browser.wait("B as the selection", taken);
    visit.end(&[]);
}
