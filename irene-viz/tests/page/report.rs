//! The page as a file.

use irene_advice::{Lookup, Selection};
use irene_models::{Config, ModelSpec};
use serde_json::json;

use super::{BERT, energy, fold::SAVED, root};
use crate::{
    access,
    visit::{File, TOTAL, Visit, small_bert},
    webdriver::Browser,
};

fn report(selection: &Selection) -> String {
    irene_viz::report(Lookup::bundled(), selection).unwrap()
}

/// A page as a file, which the browser shows.
fn opened(browser: &Browser, name: &str, page: &str) -> File {
    let file = File::write(name, page);
    browser.open(&format!("file://{}", file.0.display()));
    file
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_report_shows_its_prediction_from_a_file_alone() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let prediction = visit.api("predict?model=distilgpt2&batch_size=4&seq_len=64");
    let page = report(&Selection::batch("distilgpt2", 4, 64));
    let _file = opened(browser, "report.html", &page);
    visit.shows_total(energy(root(&prediction)));
    browser.click("#more > summary");
    browser.click("#math");
    let operations =
        "return location.hash.includes('math=true') && !document.getElementById('main').hasAttribute('aria-busy')";
    browser.wait("the operations", operations);
    // The skip link leads to the prediction, and the address keeps its state.
    let address = browser.url();
    browser.ask("document.querySelector('.skip').click()");
    assert_eq!(browser.url(), address);
    assert_eq!(browser.ask("return document.activeElement.id"), "main");
    visit.shows_total(energy(root(&prediction)));
    // The views that it has no answers for are left out, and named.
    let absent = browser
        .ask("return [document.getElementById('tab-plan').hidden, document.getElementById('absent').textContent]");
    assert_eq!(absent[0], true);
    assert!(absent[1].as_str().unwrap().contains("Plan"), "{absent}");
    browser.wait("the grids", "return document.getElementById('grid').options.length > 1");
    browser.click("#tab-icicle");
    browser.wait("the icicle", "return document.querySelector('#panel-icicle [data-scope=root]') !== null");
    browser.click("#tab-sizes");
    browser.wait("the sizes", "return document.querySelector('#panel-sizes svg') !== null");
    assert_eq!(browser.ask("return document.getElementById('error').textContent"), "");
    // An answer that the file lacks is said to be missing.
    browser.fill("#load-value", "5");
    browser.click("#predict");
    let said = "return document.getElementById('error').textContent.includes('irene serve” answers everything else')";
    browser.wait("that this is a report", said);
    browser.has_no_errors();
    let home = visit.server.url("/");
    let is_own = |url: &String| ["file:", "data:", "blob:", &home].iter().any(|start| url.starts_with(start));
    let requests = browser.requests();
    assert!(requests.iter().all(is_own), "{requests:?}");
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_report_shows_a_model_with_an_ampersand_in_its_name() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let (_, answer) = visit.upload(&config);
    let spec = ModelSpec::from_config("R&D", Config::from_json("R&D", config.as_bytes()).unwrap()).unwrap();
    let page = report(&Selection { own: Some(spec.into()), ..Selection::batch("R&D", 8, 128) });
    let _file = opened(browser, "ampersand.html", &page);
    browser.wait("the prediction", TOTAL);
    visit.shows_total(energy(root(&answer)));
    let headline = browser.ask("return document.getElementById('headline').textContent");
    assert!(headline.as_str().unwrap().starts_with("R&D on one "), "{headline}");
    browser.has_no_errors();
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_page_saves_itself_with_what_it_shows() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let total = visit.total();
    access::choose(browser, "list");
    let _file = open_saved(browser);
    visit.shows_total(total);
    browser.wait("the same view", "return document.getElementById('panel-list').checkVisibility()");
    browser.has_no_errors();
}

/// The page saved by its button, opened as a file.
fn open_saved(browser: &Browser) -> File {
    let page = browser.run(SAVED, json!(["download-page"]));
    let file = opened(browser, "saved.html", page.as_str().unwrap());
    browser.wait("its prediction", TOTAL);
    file
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_page_that_is_saved_after_many_answers_still_has_what_it_needs() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let total = visit.total();
    let many = "const parts = ['api', 'state'].map((name) => import(`/assets/${name}.js`));
        return Promise.all(parts).then(async ([{ getPrediction }, { readState }]) => {
          const state = readState();
          for (let seq = 1; seq <= 70; seq += 1) await getPrediction({ ...state, seq: String(seq) });
        })";
    browser.ask(many);
    access::choose(browser, "list");
    let _file = open_saved(browser);
    visit.shows_total(total);
    browser.click("#model");
    let models = browser.ask("return document.querySelectorAll('#model-list [role=option]').length");
    assert!(models.as_u64().unwrap() > 100, "{models}");
    assert_eq!(browser.ask("return document.getElementById('error').textContent"), "");
    // A link to the server's API would lead nowhere.
    let links = "return [...document.querySelectorAll('nav a')].filter((link) => link.checkVisibility()).map((link) => link.protocol)";
    let links = browser.ask(links);
    assert!(links.as_array().unwrap().iter().all(|protocol| protocol == "https:"), "{links}");
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_saved_page_shows_a_config_that_is_too_large_for_its_address() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let mut config = small_bert();
    // Words that no compression makes shorter.
    let words = (1..2000_u64).map(|word| format!("{:x}", word.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    config["task_specific_params"] = json!({"words": words.collect::<Vec<_>>()});
    let config = config.to_string();
    let (_, answer) = visit.upload(&config);
    let _file = visit.give("large-bert.json", &config);
    browser.wait("the config", "return location.search.includes('config=kept')");
    visit.shows_total(energy(root(&answer)));
    let _file = open_saved(browser);
    visit.shows_total(energy(root(&answer)));
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn nothing_in_a_report_leads_to_an_answer_that_it_lacks() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let page = report(&Selection::batch("bert-base-uncased", 8, 128));
    let _file = opened(browser, "without-links.html", &page);
    browser.wait("the prediction", TOTAL);
    // But to the size and the model that it is of.
    for (view, parts, links) in [
        ("suggest", ".suggestions > li", 0),
        ("leaderboard", "tbody tr[data-model]", 1),
        ("sizes", ".heat-table td", 1),
    ] {
        access::choose(browser, view);
        let found = "const panel = document.getElementById(`panel-${arguments[0]}`);
            return [panel.querySelectorAll(arguments[1]).length > 1,
              panel.querySelectorAll('a, button.link, td button:not(:disabled)').length]";
        assert_eq!(browser.run(found, json!([view, parts])), json!([true, links]), "{view}");
    }
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_report_is_shown_in_a_frame_without_an_origin() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let page = report(&Selection::batch("bert-base-uncased", 8, 128));
    let says = "<script>setInterval(() => parent.postMessage(document.getElementById('headline').textContent, '*'), 50)</script>";
    let inside = format!("{page}{says}").replace('&', "&amp;").replace('"', "&quot;");
    let around = "<script>addEventListener('message', ({ data }) => { window.said = data; })</script>";
    let frame = format!("<!doctype html>{around}<iframe sandbox=\"allow-scripts\" srcdoc=\"{inside}\"></iframe>");
    let _file = opened(browser, "framed.html", &frame);
    let said = browser.wait("its sentence", "return window.said || null");
    assert!(said.as_str().unwrap().starts_with("bert-base-uncased on "), "{said}");
}
