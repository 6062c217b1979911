//! The leaderboard: energies of one request, however many run at once, and accuracies of a person's own beside them.

use serde_json::json;

use super::look;
use crate::{
    page::{GPT2, assert_close},
    visit::Visit,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn energies_of_a_batch_are_those_of_one_request() {
    let visit = Visit::start(&format!("{GPT2}&view=leaderboard"));
    let board = visit.api(&visit.selection().replace("predict?", "leaderboard?").replace("model=gpt2&", ""));
    let first = &board["entries"][0];
    let of_request = first["figures"]["energy_per_request_j"].as_f64().unwrap();
    assert!((first["energy_j"].as_f64().unwrap() / of_request - 4.0).abs() < 1e-9, "{first}");
    let row = "const row = document.querySelector('#panel-leaderboard tbody [data-model]');
        return [row.dataset.model, row.querySelector('[data-field=energy]').dataset.joules]";
    let row = look(&visit, row);
    assert_eq!(row[0], first["model"]);
    assert_close(&row[1], of_request);
    visit.end(&[]);
}

const ACCURACIES: &str = "model,accuracy\ngpt2,70\ndistilgpt2,60";

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn accuracies_of_ones_own_stand_beside_energies_of_the_selection_that_is_shown() {
    let visit = Visit::start(&format!("{GPT2}&view=leaderboard"));
    let browser = &visit.browser;
    let of_request = |more: &str| {
        let path = format!("/api/v1/tradeoff?device=gtx-1080-ti&batch_size=4&seq_len=64{more}");
        let answer = visit.server.post(&path, ACCURACIES);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["points"][0]["energy_per_request_j"].as_f64().unwrap()
    };
    let shows = |joules: f64| {
        let cell =
            "const cell = document.querySelector('#panel-leaderboard form [data-model=gpt2] [data-field=energy]');
            return Math.abs(cell?.dataset.joules / arguments[0] - 1) < 1e-9";
        browser.wait_for(&format!("{joules} J a request"), cell, json!([joules]));
    };
    look(&visit, "return true");
    browser.click("#panel-leaderboard details:has(#accuracy-csv) summary");
    browser.fill("#accuracy-csv", ACCURACIES);
    browser.click("#draw-tradeoff");
    let before = of_request("");
    shows(before);

    browser.click("#more > summary");
    browser.fill("#dtype", "bf16");
    browser.click("#predict");
    let after = of_request("&dtype=bf16");
    assert!((after / before - 1.0).abs() > 1e-3, "{after} and {before}");
    shows(after);
    visit.end(&[]);
}
