//! A person at the page, whose actions are counted: choosing or typing in one control, or one click.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::{
    visit::Visit,
    webdriver::{Browser, key},
};

/// The most actions that an answer may take from a fresh page.
const MOST_ACTIONS: usize = 3;

/// The selection that a fresh page shows, as the API's parameters.
const FRESH: [(&str, &str); 5] =
    [("model", "Llama-3.1-8B"), ("device", "h100-sxm"), ("concurrency", "32"), ("seq_len", "512"), ("generate", "256")];

pub(crate) struct Person {
    visit: Visit,
    actions: Cell<usize>,
}

impl Person {
    /// At the page as it is without an address of a view.
    pub(crate) fn arrives() -> Self {
        let person = Self { visit: Visit::start(""), actions: Cell::new(0) };
        person.settles();
        person
    }

    pub(crate) fn browser(&self) -> &Browser {
        &self.visit.browser
    }

    fn acts(&self) {
        self.actions.set(self.actions.get() + 1);
    }

    /// Another question in the view that is open: opening it counts, and earlier questions do not.
    pub(crate) fn asks_anew(&self) {
        self.actions.set(1);
    }

    /// Clicks what this selector finds.
    pub(crate) fn clicks(&self, selector: &str) {
        self.acts();
        self.browser().click(selector);
        self.settles();
    }

    /// Opens a view by its tab.
    pub(crate) fn opens(&self, view: &str) {
        self.clicks(&format!("#tab-{view}"));
    }

    /// Types into one control and presses Enter: once to take the first of a list that opens, and once to be done.
    pub(crate) fn types(&self, selector: &str, text: &str) {
        self.acts();
        let browser = self.browser();
        browser.fill(selector, text);
        let has_list = browser.ask("return document.activeElement.getAttribute('role') === 'combobox'");
        if has_list == true {
            browser.press(key::ENTER);
        }
        browser.press(key::ENTER);
        self.settles();
    }

    /// Waits until nothing is being loaded: two looks apart, as what is typed is asked for after a pause.
    fn settles(&self) {
        let quiet = "const isQuiet = () => !document.getElementById('main').hasAttribute('aria-busy');
            return new Promise((done) => setTimeout(() => done(isQuiet()), 500))";
        self.browser().wait("a quiet page", quiet);
    }

    /// The text that is shown in a place, and not hidden.
    pub(crate) fn reads(&self, selector: &str) -> String {
        let text = "const place = document.querySelector(arguments[0]);
            return place?.checkVisibility() && place.textContent";
        self.browser().wait_for(selector, text, json!([selector])).as_str().unwrap().to_owned()
    }

    /// A number that stands behind a text which is shown.
    pub(crate) fn finds(&self, selector: &str, name: &str) -> f64 {
        let number = "const place = document.querySelector(arguments[0]);
            return place?.checkVisibility() && place.dataset[arguments[1]]";
        self.browser().wait_for(selector, number, json!([selector, name])).as_str().unwrap().parse().unwrap()
    }

    /// The API's answer for the fresh page's selection with other parameters in their place, and more.
    pub(crate) fn api(&self, path: &str, others: &[(&str, &str)]) -> Value {
        let kept = FRESH.iter().filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
        let query: Vec<String> = kept.chain(others).map(|(name, value)| format!("{name}={value}")).collect();
        self.get(&format!("{path}?{}", query.join("&")))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.visit.server.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// The comparison of What if is the API's, in figures and in words; the answer to the question.
    pub(crate) fn reads_comparison(&self, with: &[(&str, &str)]) -> Value {
        let answer = self.api("whatif", with);
        let energy = &answer["energy"];
        let [a, b, ratio] = ["a_j", "b_j", "ratio"].map(|name| energy[name].as_f64().unwrap());
        is_close(self.finds("#panel-whatif .tile [data-ratio]", "ratio"), ratio);
        is_close(self.finds("#panel-whatif .tile [data-joules]", "joules"), b - a);
        let said = self.reads("#whatif-verdict");
        let by = energy["by"].as_str().unwrap();
        assert!(said.contains(&format!("a {by}")), "{said}");
        for amount in [a, b] {
            assert!(said.contains(&joules(amount)), "{amount} J: {said}");
        }
        answer
    }

    /// It took no more actions than it may, and nothing went wrong.
    pub(crate) fn leaves(self) {
        let actions = self.actions.get();
        assert!(actions <= MOST_ACTIONS, "{actions} actions");
        self.visit.end(&[]);
    }

    /// The same where the console says that a request was refused, as one is that asks whether it can be.
    pub(crate) fn leaves_after_refusals(self, status: u16) {
        let actions = self.actions.get();
        assert!(actions <= MOST_ACTIONS, "{actions} actions");
        let console = self.browser().console();
        let errors: Vec<&Value> = console.iter().filter(|entry| entry["level"] == "SEVERE").collect();
        let refused = format!("status of {status}");
        assert!(!errors.is_empty(), "nothing was refused");
        assert!(errors.iter().all(|entry| entry["message"].as_str().unwrap().contains(&refused)), "{errors:?}");
    }
}

pub(crate) fn is_close(shown: f64, expected: f64) {
    assert!((shown - expected).abs() <= 1e-9 * expected.abs().max(1e-12), "{shown} is shown for {expected}");
}

/// As the page writes it: three digits and a prefix.
pub(crate) fn joules(value: f64) -> String {
    const PREFIXES: [&str; 10] = ["p", "n", "\u{b5}", "m", "", "k", "M", "G", "T", "P"];
    const NO_PREFIX: f64 = 4.0;
    let power = (rounded(value).abs().log10() / 3.0 + 1e-9).floor();
    let at = (power + NO_PREFIX).clamp(0.0, 9.0);
    format!("{} {}J", three_digits(value / 1000_f64.powf(at - NO_PREFIX)), PREFIXES[at as usize])
}

fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap()
}

/// Three significant digits, without an exponent.
pub(crate) fn three_digits(value: f64) -> String {
    let value = rounded(value);
    let whole = value.abs().log10().floor();
    let decimals = (2.0 - whole).max(0.0) as usize;
    format!("{value:.decimals$}")
}
