//! A command that goes on, and what it serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that goes on, and where it serves.
pub(super) struct Served {
    child: Child,
    url: String,
}

impl Served {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("/metrics") {
            said.clear();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended");
        }
        let url = said.split("/metrics").next().unwrap().to_owned();
        Self { child, url }
    }

    pub(super) fn get(&self, path: &str, accept: &str) -> (u16, String, String) {
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE));
        let agent = config.http_status_as_error(false).build().new_agent();
        let mut response = agent.get(format!("{}{path}", self.url)).header("accept", accept).call().unwrap();
        let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        (response.status().as_u16(), kind, response.body_mut().read_to_string().unwrap())
    }

    fn scrape(&self) -> Scrape {
        Scrape::parse(&self.get("/metrics", "*/*").2)
    }

    /// Scrapes until this holds.
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let start = Instant::now();
        loop {
            let scrape = self.scrape();
            if holds(&scrape) {
                return scrape;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", scrape.samples);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The readings after everything was read twice more.
    pub(super) fn settled(&self) -> Scrape {
        let before = self.scrape().get("irene_readings_total", PACKAGE).unwrap();
        self.until("nothing is read", |scrape| scrape.get("irene_readings_total", PACKAGE).unwrap() >= before + 2.0)
    }

    pub(super) fn end(mut self, signal: &str) -> (Option<i32>, String) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (self.child.wait().unwrap().code(), out)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The samples of a scrape, after checks of the format: every sample belongs to the metric declared before it, counters end with `_total`,
/// no sample comes twice.
pub(super) struct Scrape {
    pub(super) samples: BTreeMap<String, f64>,
}

pub(super) const PACKAGE: &str = "device=\"rapl.package-0\"";

impl Scrape {
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "{text}");
        let (mut samples, mut declared) = (BTreeMap::new(), BTreeSet::new());
        let (mut help, mut current) = (String::new(), (String::new(), String::new()));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').unwrap();
                assert!(words.ends_with('.') && declared.insert(name.to_owned()), "{line}");
                name.clone_into(&mut help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(name == help && name.starts_with("irene_"), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                current = (name.to_owned(), kind.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
                assert_eq!(name, current.0, "{line}");
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && value >= 0.0, "{line}");
                for label in labels.split("\",") {
                    let (key, value) = label.split_once("=\"").unwrap();
                    assert!(key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !value.contains('\n'), "{line}");
                }
                assert_eq!(samples.insert(series.to_owned(), value), None, "{line}");
            }
        }
        Self { samples }
    }

    /// The one sample of a metric with this among its labels.
    pub(super) fn get(&self, metric: &str, label: &str) -> Option<f64> {
        let own = |(series, _): &(&String, &f64)| series.starts_with(&format!("{metric}{{")) && series.contains(label);
        let found: Vec<f64> = self.samples.iter().filter(own).map(|(_, value)| *value).collect();
        assert!(found.len() <= 1, "{metric} {label}: {found:?}");
        found.first().copied()
    }

    pub(super) fn joules(&self) -> f64 {
        self.get("irene_energy_joules_total", PACKAGE).unwrap()
    }
}
