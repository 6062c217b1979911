//! The icicle of differences: what both spend on each part that is drawn.

use serde_json::{Value, json};

use super::look;
use crate::{
    page::{GPT2, children, root, scope},
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
