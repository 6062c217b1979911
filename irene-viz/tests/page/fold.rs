//! Layers that repeat are one node, until each is asked for.

use serde_json::json;

use super::{GPT2, energy, find, root};
use crate::{access, visit::Visit, webdriver::key};

/// The scope, type and joules of each row of the tree.
const ROWS: &str = "return [...document.querySelectorAll('#panel-tree [role=row][data-scope]')].map((row) =>
    [row.dataset.scope, row.querySelector('[data-field=type]').textContent,
     Number(row.querySelector('[data-field=energy]').dataset.joules)])";

const BLOCKS: &str = "return [...document.querySelectorAll('#panel-tree [role=row][data-scope]')]
    .filter((row) => row.querySelector('[data-field=type]').textContent.startsWith('Block')).length";

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn layers_are_one_row_with_the_energy_of_all_and_each_on_demand() {
    let visit = Visit::start(GPT2);
    let browser = &visit.browser;
    let prediction = visit.api(&visit.selection());
    let repeat = &prediction["repeats"][0];
    assert_eq!(repeat["count"], 12, "{}", prediction["repeats"]);
    let first = repeat["scope"].as_str().unwrap();
    let rows = browser.ask(ROWS);
    let rows = rows.as_array().unwrap();
    let folded = rows.iter().find(|row| row[0] == first).unwrap();
    assert_eq!(folded[1], "Block ×12");
    let all = 12.0 * energy(find(root(&prediction), first).unwrap());
    assert!((folded[2].as_f64().unwrap() - all).abs() < 1e-9 * all, "{folded} for {all}");
    assert_eq!(browser.ask(BLOCKS), 1);

    browser.click(&format!("#panel-tree [data-scope='{first}'] .count"));
    browser.wait("each layer", &format!("{BLOCKS} === 12"));
    assert!(browser.url().contains("layers="), "{}", browser.url());
    browser.back();
    browser.wait("one for all", &format!("{BLOCKS} === 1"));
    visit.end(&[]);
}

/// The text that a button would save as a file.
pub(super) const SAVED: &str = "return new Promise((done) => {
    URL.createObjectURL = (blob) => { blob.text().then(done); return 'data:,'; };
    document.getElementById(arguments[0]).click(); })";

/// The details of a term.
const DETAIL: &str = "const terms = [...document.querySelectorAll('#details dt')];
    return terms.find((term) => term.textContent === arguments[0])?.nextElementSibling.textContent";

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn figures_of_folded_layers_are_those_of_all_of_them() {
    let visit = Visit::start(GPT2);
    let browser = &visit.browser;
    let prediction = visit.api(&visit.selection());
    let first = prediction["repeats"][0]["scope"].as_str().unwrap();
    let layer = find(root(&prediction), first).unwrap();
    let all = |field: &str| 12.0 * layer[field].as_f64().unwrap();

    let file = browser.run(SAVED, json!(["download-csv"]));
    let lines: Vec<Vec<&str>> = file.as_str().unwrap().lines().map(|line| line.split(',').collect()).collect();
    let row = lines.iter().find(|line| line[0] == first).unwrap();
    for (title, field) in [
        ("gpu_energy_j", "predicted_gpu_energy_mean"),
        ("num_parameters", "num_parameters"),
        ("mflop", "flops"),
        ("mem_mib", "mem_bytes"),
        ("kernels", "kernels"),
    ] {
        let place = lines[0].iter().position(|known| *known == title).unwrap();
        let shown: f64 = row[place].parse().unwrap();
        assert!((shown - all(field)).abs() <= 1e-9 * all(field), "{title}: {shown} for {}", all(field));
    }

    let focus = "document.querySelector(`#panel-tree [role=row][data-scope='${arguments[0]}']`).focus()";
    browser.run(focus, json!([first]));
    let driver = browser.run(DETAIL, json!(["By the GPU\u{2019}s driver"]));
    assert_eq!(driver, irene_tree::render::si(all("predicted_gpu_energy_mean"), "J"));
    let said = browser.ask("return document.getElementById('details').textContent");
    assert!(said.as_str().unwrap().contains("Features of one"), "{said}");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_keyboard_opens_and_folds_the_layers() {
    let visit = Visit::start(GPT2);
    let browser = &visit.browser;
    browser.ask("document.querySelector('#panel-tree [role=row][tabindex=\"0\"]').focus()");
    let is_folded = "return document.activeElement.querySelector('.count') !== null";
    let downs = (0..20).position(|_| {
        browser.press(key::DOWN);
        browser.ask(is_folded) == true
    });
    assert!(downs.is_some(), "no folded row can be reached");
    browser.press("u");
    browser.wait("each layer", &format!("{BLOCKS} === 12"));
    browser.click("#details .tools button:last-child");
    browser.wait("one for all", &format!("{BLOCKS} === 1"));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_icicle_and_the_list_fold_too() {
    let visit = Visit::start(GPT2);
    let browser = &visit.browser;
    for (view, of_type) in [
        (
            "icicle",
            "[...document.querySelectorAll('#panel-icicle .cell')].filter((cell) => cell.getAttribute('aria-label').includes('Block')).length",
        ),
        (
            "list",
            "[...document.querySelectorAll('#panel-list td[data-field=kind]')].filter((cell) => cell.textContent.startsWith('Block')).length",
        ),
    ] {
        access::choose(browser, view);
        assert_eq!(browser.ask(&format!("return {of_type}")), 1, "{view}");
        browser.click(&format!("#{view}-layers"));
        browser.wait(view, &format!("return {of_type} === 12"));
        browser.click(&format!("#{view}-layers"));
        browser.wait(view, &format!("return {of_type} === 1"));
    }
    visit.end(&[]);
}
