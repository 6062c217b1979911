//! Jobs: measuring on the server's machine, by a profiler that does what the test tells it.

use std::sync::mpsc::Sender;

use irene_tree::render::si;
use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use super::look;
use crate::{
    access,
    page::{BERT, GPT2, energy, root},
    profiler::{Step, scripted},
    visit::{TOTAL, Visit, small_bert},
    webdriver::key,
};

/// A visit to a server that measures, step by step.
fn measuring(query: &str) -> (Visit, Sender<Step>) {
    let (profiler, steps) = scripted();
    let options = Options { profiler: Some(profiler), limits: Limits::default(), ..Options::default() };
    (Visit::with(options, query), steps)
}

/// Begins a job beside the page.
fn submit(visit: &Visit, job: &Value) {
    let answer = visit.server.post_json("/api/v1/jobs", job);
    assert_eq!(answer.status, 202, "{}", answer.text);
}

/// So many jobs are listed and done.
fn are_done(visit: &Visit, count: usize) {
    let all = "const jobs = [...document.querySelectorAll('#panel-jobs [data-job]')];
        return jobs.length === arguments[0] && jobs.every(({ dataset }) => dataset.state === 'done')";
    visit.browser.wait_for("all jobs done", all, json!([count]));
}

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
    let (visit, steps) = measuring(&format!("{GPT2}&view=jobs"));
    let browser = &visit.browser;
    browser.click("#start-job");
    let state = |state: &str| {
        let body = "return document.querySelector('#panel-jobs [data-job]')?.dataset.state === arguments[0]";
        browser.wait_for(state, body, json!([state]));
    };
    state("running");
    steps.send(Step::Measured(3, "root.0")).unwrap();
    let said = "return document.querySelector('#panel-jobs [data-job]').textContent.includes('3 of 4 nodes')";
    browser.wait("its progress", said);
    steps.send(Step::Finish).unwrap();
    state("done");
    let total = "return document.getElementById('job-result').checkVisibility() && document.getElementById('job-total').textContent";
    let total = browser.wait("the result", total);
    assert!(total.as_str().unwrap().starts_with("Measured here: 750 mJ."), "{total}");
    let rows = look(&visit, "return document.querySelectorAll('#job-result tbody tr').length");
    assert!(rows.as_u64().unwrap() > 10, "{rows}");

    browser.click("#start-job");
    browser.wait("a second job", "return document.querySelectorAll('#panel-jobs [data-job]').length === 2");
    browser.click("#panel-jobs [data-job='2'] button");
    let ended = "return document.querySelector(`#panel-jobs [data-job='2']`).dataset.state === 'cancelled'";
    browser.wait("its end", ended);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn many_jobs_are_followed_one_at_a_time_and_leave_the_page_its_connections() {
    let (visit, steps) = measuring(&format!("{GPT2}&view=list"));
    let browser = &visit.browser;
    let streams = "window.streams = [];
        const { EventSource } = window;
        window.EventSource = class extends EventSource {
          constructor(url) { super(url); window.streams.push(this); }
        }";
    browser.ask(streams);
    for _ in 0..8 {
        submit(&visit, &json!({"model": "gpt2", "batch_size": 4, "seq_len": 64}));
    }
    access::choose(browser, "jobs");
    let listed = "return document.querySelectorAll('#panel-jobs [data-job]').length === 8";
    browser.wait("eight jobs", listed);
    let open = "return window.streams.filter(({ readyState }) => readyState !== EventSource.CLOSED).length";
    assert_eq!(browser.ask(open), 1);
    access::choose(browser, "list");
    access::choose(browser, "jobs");
    (0..8).for_each(|_| steps.send(Step::Finish).unwrap());
    are_done(&visit, 8);
    assert_eq!(browser.ask(open), 0);
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_job_is_shown_beside_the_prediction_of_its_own_config_or_not_at_all() {
    let (visit, steps) = measuring(BERT);
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let (_, answer) = visit.upload(&config);
    let _file = visit.give("measured-bert.json", &config);
    browser.wait("the config", "return location.search.includes('config=')");
    access::choose(browser, "jobs");
    browser.click("#start-job");
    let listed = "return document.querySelector('#panel-jobs [data-job]') !== null";
    browser.wait("the job", listed);
    browser.fill("#model", "gpt2");
    browser.press(key::ENTER);
    browser.press(key::ENTER);
    browser.wait("another model", "return location.search.includes('model=gpt2')");
    steps.send(Step::Finish).unwrap();
    let total = "return document.getElementById('job-result').checkVisibility() && document.getElementById('job-total').textContent";
    let total = browser.wait("the result", total);
    let expected = format!("Predicted for gtx-1080-ti: {},", si(energy(root(&answer)), "J"));
    assert!(total.as_str().unwrap().contains(&expected), "{total} without {expected}");

    // Nobody tells the config of another's job.
    submit(&visit, &json!({"config": small_bert(), "name": "tiny", "batch_size": 8, "seq_len": 128}));
    steps.send(Step::Finish).unwrap();
    access::choose(browser, "list");
    access::choose(browser, "jobs");
    are_done(&visit, 2);
    let buttons = "return [...document.querySelectorAll('#panel-jobs [data-job]')].map((job) => job.querySelectorAll('button').length)";
    assert_eq!(look(&visit, buttons), json!([0, 1]));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_job_is_not_of_a_model_whose_fields_are_changed() {
    let (visit, _steps) = measuring(&format!("{GPT2}&view=jobs&set=num_hidden_layers%3D6"));
    let said =
        "return [document.getElementById('start-job').disabled, document.getElementById('panel-jobs').innerText]";
    let said = look(&visit, said);
    assert!(said[0] == true && said[1].as_str().unwrap().contains("num_hidden_layers=6"), "{said}");
    visit.browser.open(&visit.server.url("/?model=gpt2&device=h100-sxm&concurrency=2.6&seq=64&generate=8&view=jobs"));
    visit.browser.wait("a prediction", TOTAL);
    let offered = look(&visit, "return document.getElementById('start-job').textContent");
    assert_eq!(offered, "Measure gpt2, batch 3 \u{d7} 64 tokens");
    visit.end(&[]);
}
