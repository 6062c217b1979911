//! Sizes: those of what is selected, with its changed fields, and of models of a person's own.

use serde_json::Value;

use super::{api, look};
use crate::{
    page::{BERT, GPT2, assert_close},
    visit::{Visit, small_bert},
};

/// The cell of a batch size and a sequence length.
fn cell(visit: &Visit, batch: usize, seq: usize) -> Value {
    let cell = format!("#panel-sizes td[data-batch='{batch}'][data-seq='{seq}']");
    look(visit, &format!("return document.querySelector(\"{cell}\").dataset.joules"))
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn sizes_are_those_of_the_changed_fields() {
    let visit = Visit::start(&format!("{GPT2}&view=sizes&set=num_hidden_layers%3D6"));
    let one = "sweep?model=gpt2&device=gtx-1080-ti&batch_sizes=4&seq_lens=64&set=num_hidden_layers=6";
    assert_close(&cell(&visit, 4, 64), api(&visit, one)["cells"][0]["energy_j"].as_f64().unwrap());
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn sizes_of_a_model_of_ones_own_are_shown() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let _file = visit.give("sizes-bert.json", &config);
    browser.wait("the config", "return location.search.includes('config=')");
    browser.click("#tab-sizes");
    browser.wait("its sizes", "return document.querySelector('#panel-sizes td button') !== null");
    let one = visit.server.post("/api/v1/sweep?device=gtx-1080-ti&batch_sizes=8&seq_lens=128", &config);
    assert_close(&cell(&visit, 8, 128), one.json()["cells"][0]["energy_j"].as_f64().unwrap());
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn sizes_say_what_they_are_of_and_why_some_are_missing() {
    let visit = Visit::start("?model=gpt2&device=l4&batch=1&seq=64&generate=900&view=sizes");
    let caption = look(&visit, "return document.querySelector('#panel-sizes caption').textContent");
    assert!(caption.as_str().unwrap().contains("of a whole batch, with 900 tokens generated"), "{caption}");
    let reasons = look(&visit, "return document.querySelector('#panel-sizes .reasons').textContent");
    assert!(reasons.as_str().unwrap().contains("1 \u{d7} 512"), "{reasons}");
    visit.end(&[]);
}
