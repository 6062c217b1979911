//! A person's visit to the page: a browser at a server of the test's own.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use crate::{
    server::Running,
    webdriver::{Browser, Programs},
};

/// Where screenshots and files are kept.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// A browser at the page of a server of the test's own.
pub(crate) struct Visit {
    pub(crate) browser: Browser,
    pub(crate) server: Running,
    // Browsers beside one another would wait for one another's processor.
    _turn: MutexGuard<'static, ()>,
}

impl Visit {
    pub(crate) fn start(query: &str) -> Self {
        Self::with(Options { limits: Limits::default(), ..Options::default() }, query)
    }

    /// At a server that works like this.
    pub(crate) fn with(options: Options, query: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let programs = Programs::find().unwrap_or_else(|missing| panic!("{missing}"));
        // The failure of another test is no reason not to run.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Running::with(options);
        let visit = Self { browser: Browser::start(&programs), server, _turn: turn };
        visit.browser.open(&visit.server.url(&format!("/{query}")));
        visit.browser.wait("a first prediction", TOTAL);
        visit
    }

    fn path(&self, path: &str) -> String {
        let device = self.browser.ask("return document.getElementById('device').value");
        format!("/api/v1/{path}&device={}", device.as_str().unwrap())
    }

    /// The API's answer, on the device that the page has.
    pub(crate) fn api(&self, path: &str) -> Value {
        self.server.get(&self.path(path)).json()
    }

    /// The same for a config, with the selection that the page has.
    pub(crate) fn upload(&self, config: &str) -> (u16, Value) {
        let selection = self.selection();
        let without_model = selection.split('&').skip(1).collect::<Vec<_>>().join("&");
        let answer = self.server.post(&self.path(&format!("predict?{without_model}")), config);
        (answer.status, answer.json())
    }

    /// Gives the page a file of a config.
    pub(crate) fn give(&self, name: &str, config: &str) -> File {
        let file = File::write(name, config);
        self.browser.type_into("#config-file", file.0.to_str().unwrap());
        file
    }

    /// The query that the page's address asks the API for, but for the device.
    pub(crate) fn selection(&self) -> String {
        let query = self.browser.ask(SELECTION);
        format!("predict?{}", query.as_str().unwrap())
    }

    /// Leads the page to another address, whatever it has to show there.
    pub(crate) fn open(&self, query: &str) {
        self.browser.open(&self.server.url(&format!("/{query}")));
    }

    /// Fills the form for a batch of sequences, and asks.
    pub(crate) fn predict(&self, model: &str, device: &str, batch: &str, seq: &str) {
        let browser = &self.browser;
        browser.fill("#model", model);
        browser.fill("#device", device);
        browser.choose("#load", "batch");
        browser.fill("#load-value", batch);
        browser.fill("#seq", seq);
        browser.fill("#generate", "0");
        browser.click("#predict");
    }

    pub(crate) fn total(&self) -> f64 {
        self.browser.ask(TOTAL).as_str().unwrap().parse().unwrap()
    }

    /// The total becomes this.
    pub(crate) fn shows_total(&self, expected: f64) {
        self.browser.wait_for(
            &format!("{expected} J in total"),
            "const joules = Number(document.getElementById('total').dataset.joules);
             return Math.abs(joules - arguments[0]) <= 1e-12 * arguments[0]",
            json!([expected]),
        );
    }

    /// The console had no errors but these, and no request went elsewhere.
    pub(crate) fn end(self, known: &[&str]) {
        let console = self.browser.console();
        let errors: Vec<&Value> = console.iter().filter(|entry| entry["level"] == "SEVERE").collect();
        // A server that measures nothing refuses to list jobs, which the view of jobs says in words.
        let is_known = |message: &str| known.iter().any(|known| message.contains(known));
        let messages: Vec<&str> = errors
            .iter()
            .map(|entry| entry["message"].as_str().unwrap())
            .filter(|message| !message.contains("/api/v1/jobs") || is_known(message))
            .collect();
        assert_eq!(messages.len(), known.len(), "{messages:?}");
        assert!(messages.iter().zip(known).all(|(message, known)| message.contains(known)), "{messages:?}");
        let requests = self.browser.requests();
        let home = self.server.url("/");
        assert!(requests.iter().any(|url| url.starts_with(&format!("{home}api/v1/predict"))), "{requests:?}");
        // The icon is in the page itself.
        let elsewhere: Vec<&String> =
            requests.iter().filter(|url| !url.starts_with(&home) && !url.starts_with("data:")).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

/// The total in joules, once there is one.
pub(crate) const TOTAL: &str = "return document.getElementById('total')?.dataset.joules";

/// The selection of the address by the API's names, the model first.
const SELECTION: &str = "const names = { model: 'model', batch: 'batch_size', concurrency: 'concurrency', rate: 'rate', seq: 'seq_len', generate: 'generate' };
    const address = new URLSearchParams(location.search);
    const given = Object.keys(names).filter((name) => address.get(name) && !(name === 'generate' && address.get(name) === '0'));
    return String(new URLSearchParams(given.map((name) => [names[name], address.get(name)])))";

/// The form's values: the model, the device, how much at once, and the prompt's tokens.
pub(crate) const INPUTS: &str =
    "return ['model', 'device', 'load-value', 'seq'].map((id) => document.getElementById(id).value)";

/// A small model that is none of the built-in ones.
pub(crate) fn small_bert() -> Value {
    json!({
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": 192,
        "intermediate_size": 768,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "num_attention_heads": 6,
        "num_hidden_layers": 3,
        "type_vocab_size": 2,
        "vocab_size": 8000,
        "pad_token_id": 0,
    })
}

/// A file of a test's own, removed on drop.
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn write(name: &str, text: &str) -> Self {
        let path = Path::new(KEPT).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
