//! `irene serve --allow-profiling` as a program uses it: a model is measured on this machine.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use irene_tree::{Quantity, jsonl};
use serde_json::{Value, json};

/// A server that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_irene"));
        command.args(["serve", "--port", "0", "--quiet"]).args(more);
        // No meter of this machine, so that the energies are estimates everywhere.
        command.env("IRENE_SYS", "/nothing").env("IRENE_NVML_LIBRARY", "/nothing.so");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.filter_map(|line| Some(line.strip_suffix(" until Ctrl-C")?.to_owned())).next().unwrap();
        Self { child, url }
    }

    /// The status and the answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_owned())
            .unwrap();
        let mut response = agent.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tiny() -> String {
    let config = json!({"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                        "intermediate_size": 32, "vocab_size": 100, "max_position_embeddings": 16});
    json!({"config": config, "name": "tiny", "batch_size": 1, "seq_len": 4}).to_string()
}

#[test]
fn a_model_is_measured_for_a_client() {
    let short = ["--round", "0.03", "--rounds", "1", "--most-rounds", "2", "--period", "2"];
    let server = Server::start(&[&["--allow-profiling", "--tdp-watts", "50"], &short[..]].concat());
    let (status, job) = server.ask("POST", "/api/v1/jobs", &tiny());
    assert_eq!(status, 202, "{job}");
    let (_, events) = server.ask("GET", "/api/v1/jobs/1/events", "");
    let last = events.as_str().unwrap().lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["state"], "done", "{last}");
    let progress = &last["progress"];
    assert!(progress["nodes"].as_u64().unwrap() > 5 && progress["nodes"] == progress["measured"], "{progress}");
    assert!(progress["scope"].as_str().unwrap().starts_with("root"), "{progress}");

    let (_, done) = server.ask("GET", "/api/v1/jobs/1", "");
    let line = done["tree"].to_string();
    let tree = jsonl::parse_tree(line.as_bytes(), "job", 1).unwrap();
    assert_eq!((tree.model_name.as_str(), tree.size.sequences, tree.size.new), ("tiny", 1, 4));
    assert_eq!(tree.extra["measuring"]["meters"][0], "tdp");
    for node in tree.nodes() {
        assert!(node.get(Quantity::Latency).is_some_and(|seconds| seconds > 0.0), "{}", node.scope());
    }
    let has_energy = tree.nodes().iter().any(|node| node.get(Quantity::GroundTruthEnergy).is_some());
    assert_eq!(done["energy_provenance"], if has_energy { json!("estimated") } else { Value::Null });
    let (status, predicted) = server.ask("POST", "/api/v1/predict/trees", &line);
    assert_eq!(status, 200, "{predicted}");
    assert!(predicted["predictions"][0]["tree"]["frontend_tree"]["predicted_energy"].is_f64());

    // One that is cancelled while it runs.
    let (_, job) = server.ask("POST", "/api/v1/jobs", r#"{"model": "distilgpt2", "batch_size": 2, "seq_len": 64}"#);
    assert_eq!(job["id"], 2);
    let (status, _) = server.ask("DELETE", "/api/v1/jobs/2", "");
    assert_eq!(status, 202);
    let (_, events) = server.ask("GET", "/api/v1/jobs/2/events", "");
    assert!(events.as_str().unwrap().contains("\"state\":\"cancelled\""), "{events}");
}

#[test]
fn without_leave_nothing_is_measured() {
    let server = Server::start(&[]);
    let (status, problem) = server.ask("POST", "/api/v1/jobs", &tiny());
    assert_eq!(status, 403);
    assert!(problem["detail"].as_str().unwrap().contains("--allow-profiling"), "{problem}");
}

/// A meter that cannot be had is found before there is a job.
#[test]
fn what_is_wrong_with_the_options_is_said_at_the_start() {
    let refused = |code, options: &[&str], part: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_irene"));
        let output = command.args(["serve", "--port", "0"]).args(options).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && complaint.contains(part), "{complaint}");
    };
    refused(1, &["--allow-profiling", "--meter", "watt"], "`watt` is no meter");
    for option in [["--tdp-watts", "65"], ["--round", "20"], ["--rounds", "3"], ["--device", "cpu"]] {
        refused(2, &option, "--allow-profiling");
    }
}
