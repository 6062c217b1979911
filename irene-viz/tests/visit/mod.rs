//! A person's visit to the page: a browser at a server of the test's own.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use irene_viz::Limits;
use serde_json::{Value, json};

use crate::{
    server::Running,
    webdriver::{Browser, Programs},
};

/// Where screenshots and files are kept.
pub(crate) const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// A browser at the page of a server of the test's own.
pub(crate) struct Visit {
    pub(crate) browser: Browser,
    pub(crate) server: Running,
    // Browsers beside one another would wait for one another's processor.
    _turn: MutexGuard<'static, ()>,
}

impl Visit {
    pub(crate) fn start(query: &str) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let programs = Programs::find().unwrap_or_else(|missing| panic!("{missing}"));
        // What another test has failed at is no reason not to run.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Running::start(Limits::default());
        let visit = Self { browser: Browser::start(&programs), server, _turn: turn };
        visit.browser.open(&visit.server.url(&format!("/{query}")));
        visit.browser.wait_for("a first prediction", TOTAL, json!([]));
        visit
    }

    fn path(&self, path: &str) -> String {
        let device = self.browser.run("return document.getElementById('device').value", json!([]));
        format!("/api/v1/{path}&device={}", device.as_str().unwrap())
    }

    /// What the API answers, on the device that the page has.
    pub(crate) fn api(&self, path: &str) -> Value {
        self.server.get(&self.path(path)).json()
    }

    /// The same for a config, at the size that the page has.
    pub(crate) fn upload(&self, config: &str) -> (u16, Value) {
        let inputs = self.browser.run(INPUTS, json!([]));
        let [batch, seq] = [2, 3].map(|at| inputs[at].as_str().unwrap());
        let answer = self.server.post(&self.path(&format!("predict?batch_size={batch}&seq_len={seq}")), config);
        (answer.status, answer.json())
    }

    /// What the page's form asks the API for.
    pub(crate) fn selection(&self) -> String {
        let inputs = self.browser.run(INPUTS, json!([]));
        let [model, batch, seq] = [0, 2, 3].map(|at| inputs[at].as_str().unwrap());
        format!("predict?model={model}&batch_size={batch}&seq_len={seq}")
    }

    pub(crate) fn total(&self) -> f64 {
        self.browser.run(TOTAL, json!([])).as_str().unwrap().parse().unwrap()
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
        let messages: Vec<&str> = errors.iter().map(|entry| entry["message"].as_str().unwrap()).collect();
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
const TOTAL: &str = "return document.getElementById('total')?.dataset.joules";

/// What the form holds: the model, the device, the batch size and the sequence length.
pub(crate) const INPUTS: &str =
    "return ['model', 'device', 'batch', 'seq'].map((id) => document.getElementById(id).value)";

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
