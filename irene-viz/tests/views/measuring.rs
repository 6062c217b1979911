//! Jobs: measuring on the server's machine, by a profiler that does what the test tells it.

use irene_viz::{Limits, Options};
use serde_json::json;

use super::look;
use crate::{
    page::GPT2,
    profiler::{Step, scripted},
    visit::Visit,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_server_that_does_not_measure_says_how_it_would() {
    let visit = Visit::start(&format!("{GPT2}&view=jobs"));
    let said = look(&visit, "return document.getElementById('panel-jobs').innerText");
    assert!(said.as_str().unwrap().contains("irene serve --allow-profiling"), "{said}");
    // The console is told of the refusal in its own time.
    let refused = (0..100).flat_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        visit.browser.console()
    });
    let refused = refused.into_iter().find(|entry| entry["level"] == "SEVERE").unwrap();
    assert!(refused["message"].as_str().unwrap().contains("status of 403"), "{refused}");
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_job_is_followed_until_its_result_stands_beside_the_prediction() {
    let (profiler, steps) = scripted();
    let options = Options { profiler: Some(profiler), limits: Limits::default(), ..Options::default() };
    let visit = Visit::with(options, &format!("{GPT2}&view=jobs"));
    let browser = &visit.browser;
    browser.click("#start-job");
    let state = |state: &str| {
        let body = "return document.querySelector('#panel-jobs [data-job]')?.dataset.state === arguments[0]";
        browser.wait_for(state, body, json!([state]));
    };
    state("running");
    steps.send(Step::Measured(3, "root.0")).unwrap();
    let said = "return document.querySelector('#panel-jobs [data-job]').textContent.includes('3 of 4 nodes')";
    browser.wait_for("its progress", said, json!([]));
    steps.send(Step::Finish).unwrap();
    state("done");
    let total = "return document.getElementById('job-result').checkVisibility() && document.getElementById('job-total').textContent";
    let total = browser.wait_for("the result", total, json!([]));
    assert!(total.as_str().unwrap().starts_with("Measured here: 750 mJ."), "{total}");
    let rows = look(&visit, "return document.querySelectorAll('#job-result tbody tr').length");
    assert!(rows.as_u64().unwrap() > 10, "{rows}");

    browser.click("#start-job");
    browser.wait_for(
        "a second job",
        "return document.querySelectorAll('#panel-jobs [data-job]').length === 2",
        json!([]),
    );
    browser.click("#panel-jobs [data-job='2'] button");
    let ended = "return document.querySelector(`#panel-jobs [data-job='2']`).dataset.state === 'cancelled'";
    browser.wait_for("its end", ended, json!([]));
    visit.end(&[]);
}
