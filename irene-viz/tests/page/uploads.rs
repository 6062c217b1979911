//! Models of a person's own.

use serde_json::{Value, json};

use super::{BERT, energy, root};
use crate::{
    visit::{INPUTS, TOTAL, Visit, small_bert},
    webdriver::key,
};

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn an_uploaded_config_is_predicted() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let _file = visit.give("own-bert.json", &config);
    let (status, answer) = visit.upload(&config);
    assert_eq!(status, 200, "{answer}");
    visit.shows_total(energy(root(&answer)));
    assert_eq!(browser.ask(INPUTS)[0], "own-bert");
    // It is in the address, so that another browser shows it too.
    let shared = browser.url();
    assert!(shared.contains("config="), "{shared}");
    browser.ask("sessionStorage.clear()");
    browser.open("about:blank");
    browser.open(&shared);
    browser.wait("the shared config", TOTAL);
    visit.shows_total(energy(root(&answer)));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_bad_config_is_explained_and_the_view_stays() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let (total, inputs, url) = (visit.total(), browser.ask(INPUTS), browser.url());
    let mut config = small_bert();
    config["num_attention_heads"] = json!(7);
    let config = config.to_string();
    let (status, problem) = visit.upload(&config);
    assert!((400..500).contains(&status), "{status}: {problem}");
    let detail = problem["detail"].as_str().unwrap();
    let detail =
        detail.split('`').find(|part| part.contains("heads do not divide")).unwrap().trim_start_matches([':', ' ']);

    let _file = visit.give("bad-bert.json", &config);
    let said = "return document.body.textContent.includes(arguments[0])";
    browser.wait_for(&format!("{detail:?} as the error"), said, json!([detail]));
    // A refused file is not among the models.
    browser.click("#model");
    let listed =
        "return [...document.querySelectorAll('#model-list [role=option]')].map((option) => option.dataset.value)";
    let listed = browser.ask(listed);
    let listed = listed.as_array().unwrap();
    assert!(listed.len() > 100 && listed.iter().all(|name| name != "bad-bert"), "{listed:?}");
    browser.press(key::ESCAPE);
    assert!((visit.total() - total).abs() < 1e-12 * total);
    assert_eq!(browser.ask(INPUTS), inputs);
    assert_eq!(browser.url(), url);
    let rows = browser.ask("return document.querySelectorAll('#panel-tree [data-scope]').length");
    assert!(rows.as_u64().unwrap() > 2, "{rows}");

    browser.click("#predict");
    let is_gone = "return !document.body.textContent.includes(arguments[0])";
    browser.wait_for("no error any more", is_gone, json!([detail]));
    visit.end(&[&format!("status of {status}")]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_file_dropped_on_the_page_is_predicted() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let config = small_bert().to_string();
    let (_, answer) = visit.upload(&config);
    browser.run(
        "const files = new DataTransfer();
         files.items.add(new File([arguments[0]], 'dropped-bert.json'));
         for (const kind of ['dragenter', 'dragover', 'drop'])
           document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));",
        json!([config]),
    );
    visit.shows_total(energy(root(&answer)));
    assert_eq!(browser.ask(INPUTS)[0], "dropped-bert");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_model_of_ones_own_with_the_name_of_a_built_in_one_stays_ones_own() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let mut config = small_bert();
    config["_name_or_path"] = json!("bert-base-uncased");
    let config = config.to_string();
    let _file = visit.give("named-bert.json", &config);
    let (_, answer) = visit.upload(&config);
    visit.shows_total(energy(root(&answer)));
    assert_eq!(browser.ask(INPUTS)[0], "bert-base-uncased (own)");
    let predicts_at = |tokens: &str| {
        browser.fill("#seq", tokens);
        browser.click("#predict");
        let is_there = "return location.search.includes(arguments[0])";
        browser.wait_for("the other length", is_there, json!([format!("seq={tokens}")]));
        let (_, answer) = visit.upload(&config);
        visit.shows_total(energy(root(&answer)));
    };
    predicts_at("64");
    // An address that was shared before such a model had a name of its own.
    browser.open(&browser.url().replace("+%28own%29", ""));
    browser.wait("its prediction", TOTAL);
    predicts_at("32");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn a_config_is_served_in_the_format_that_an_engine_takes() {
    let visit = Visit::start("?model=gpt2&device=h100-sxm&concurrency=4&seq=64&generate=16");
    let browser = &visit.browser;
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float32",
        "hidden_act": "silu",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "max_position_embeddings": 2048,
        "num_attention_heads": 8,
        "num_hidden_layers": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5,
        "vocab_size": 8000,
    });
    let config = config.to_string();
    let _file = visit.give("float-llama.json", &config);
    browser.wait("the config", "return location.search.includes('config=')");
    let (status, answer) = visit.upload(&config);
    assert_eq!(status, 200, "{answer}");
    visit.shows_total(energy(root(&answer)));
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn two_configs_of_one_name_are_two_models() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    let mut larger = small_bert();
    larger["num_hidden_layers"] = json!(6);
    // Words that no compression makes shorter: too large for the address.
    let words = (1..2000_u64).map(|word| format!("{:x}", word.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let words: Vec<String> = words.collect();
    let take = |config: &Value| {
        let mut config = config.clone();
        config["task_specific_params"] = json!({"words": words});
        let config = config.to_string();
        let _file = visit.give("config.json", &config);
        let (_, answer) = visit.upload(&config);
        let total = energy(root(&answer));
        visit.shows_total(total);
        total
    };
    let first = take(&small_bert());
    assert_eq!(browser.ask(INPUTS)[0], "config");
    let second = take(&larger);
    assert_eq!(browser.ask(INPUTS)[0], "config (2)");
    assert!(second > 1.2 * first, "{second} {first}");
    browser.back();
    visit.shows_total(first);
    assert!(browser.url().contains("config=kept"), "{}", browser.url());
    // The same file again is the same model.
    take(&larger);
    assert_eq!(browser.ask(INPUTS)[0], "config (2)");
    visit.end(&[]);
}

#[test]
#[ignore = "needs a browser (chromium and chromedriver)"]
fn the_page_works_where_the_browser_stores_nothing() {
    let visit = Visit::start(BERT);
    let browser = &visit.browser;
    browser.refuse_storage();
    visit.open(BERT);
    browser.wait("a prediction", TOTAL);
    let config = small_bert().to_string();
    let _file = visit.give("unstored-bert.json", &config);
    let (_, answer) = visit.upload(&config);
    visit.shows_total(energy(root(&answer)));
    visit.end(&[]);
}
