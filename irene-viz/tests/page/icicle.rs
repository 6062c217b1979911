//! The icicle view.

use serde_json::{Value, json};

use super::{BERT, children, energy, root, scope};
use crate::visit::Visit;

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_icicle_zooms_to_a_node_and_back() {
    let visit = Visit::start(&format!("{BERT}&layers=all"));
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
    browser.wait("the top", "return document.getElementById('zoom-out').disabled");
    assert_eq!(browser.run(CELLS, json!([scope])), whole);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_search_tells_the_share_of_what_it_finds() {
    let visit = Visit::start(&format!("{BERT}&view=icicle"));
    let browser = &visit.browser;
    let prediction = visit.api(&visit.selection());
    browser.fill("#find", "intermediate");
    let found = "const found = document.querySelector('#panel-icicle [role=status]');
        return found.textContent && [found.dataset.share, document.querySelectorAll('#panel-icicle .match').length]";
    let found = browser.wait("what is found", found);
    let layers = by_type(root(&prediction), "BertIntermediate");
    assert_eq!(layers.len(), 12);
    let share = layers.iter().map(|node| energy(node)).sum::<f64>() / energy(root(&prediction));
    let shown: f64 = found[0].as_str().unwrap().parse().unwrap();
    assert!((shown - share).abs() < 1e-6 * share, "{shown} is shown for {share}");
    assert!(found[1].as_u64().unwrap() > 0, "{found}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_heaviest_come_first_where_asked_for() {
    let visit = Visit::start(&format!("{BERT}&view=icicle&order=heavy&layers=all"));
    let widths = "const cells = [...document.querySelectorAll('#panel-icicle .cell')].filter((cell) => cell.getAttribute('aria-level') === '2');
        return cells.toSorted((a, b) => a.querySelector('rect').x.baseVal.value - b.querySelector('rect').x.baseVal.value)
          .map((cell) => cell.querySelector('rect').width.baseVal.value)";
    let widths = visit.browser.ask(widths);
    let widths: Vec<f64> = widths.as_array().unwrap().iter().map(|width| width.as_f64().unwrap()).collect();
    assert!(widths.len() > 1 && widths.is_sorted_by(|a, b| a >= b), "{widths:?}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_type_stands_between_its_callers_and_its_callees() {
    let visit = Visit::start(&format!("{BERT}&view=icicle"));
    let browser = &visit.browser;
    let prediction = visit.api(&visit.selection());
    let own: f64 = by_type(root(&prediction), "BertSelfAttention").iter().map(|node| energy(node)).sum();
    browser.choose("#sandwich", "BertSelfAttention");
    let rows = "const rows = [...document.querySelectorAll('.sandwich-row')];
        return rows.length > 2 && rows.map((row) => [...row.children].map((cell) => [cell.dataset.type, Number(cell.dataset.joules)]))";
    let rows = browser.wait("callers and callees", rows);
    let rows: Vec<&Vec<Value>> = rows.as_array().unwrap().iter().map(|row| row.as_array().unwrap()).collect();
    let middle = rows.iter().position(|row| row[0][0] == "BertSelfAttention").unwrap();
    let close = |shown: &Value| (shown.as_f64().unwrap() - own).abs() < 1e-6 * own;
    assert!(close(&rows[middle][0][1]), "{:?} for {own}", rows[middle]);
    assert_eq!(rows[0][0][0], "BertModel");
    assert_eq!(rows[middle - 1][0][0], "BertAttention");
    assert!(rows[..middle].iter().all(|row| row.len() == 1 && close(&row[0][1])), "{rows:?}");
    assert!(rows[middle + 1].iter().any(|cell| cell[0] == "Linear"), "{rows:?}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn labels_are_whole_and_inside_of_their_cells() {
    let visit = Visit::start(&format!("{BERT}&view=icicle&layers=all"));
    for width in [360, 1440] {
        visit.browser.resize(width, 900);
        let labels = visit.browser.ask(
            "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
               const cells = [...document.querySelectorAll('#panel-icicle .cell')];
               done(cells.flatMap((cell) => [...cell.querySelectorAll('text')].map((text) => {
                 const [inner, outer] = [text, cell.querySelector('rect')].map((each) => each.getBoundingClientRect());
                 return [text.textContent, inner.left >= outer.left - 1 && inner.right <= outer.right + 1];
               })));
             })))",
        );
        let labels = labels.as_array().unwrap();
        assert!(labels.len() > 4, "{labels:?}");
        for label in labels {
            assert_eq!(label[1], true, "{width}: {label}");
        }
    }
    visit.end(&[]);
}

/// The nodes of a type.
fn by_type<'a>(node: &'a Value, instance_type: &str) -> Vec<&'a Value> {
    let own = (node["instance_type"] == instance_type).then_some(node);
    own.into_iter().chain(children(node).flat_map(|child| by_type(child, instance_type))).collect()
}

/// How wide a cell of the icicle is beside all of it, and how many cells there are; on demand only if it is as wide.
const CELLS: &str = "const cells = document.querySelectorAll('#panel-icicle svg.icicle > [data-scope]');
    const width = (cell) => Number(cell.querySelector('rect').getAttribute('width'));
    const cell = [...cells].find((each) => each.dataset.scope === arguments[0]);
    if (!cell || (arguments[1] && width(cell) !== width(cells[0]))) return null;
    return { width: width(cell), full: width(cells[0]), count: cells.length };";
