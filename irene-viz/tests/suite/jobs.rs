//! Jobs over real HTTP, with a profiler that does what the test tells it.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use crate::profiler::{Step, scripted};
use crate::server::Running;

fn allowing(limits: Limits) -> (Running, Sender<Step>) {
    let (profiler, steps) = scripted();
    (Running::with(Options { profiler: Some(profiler), limits, ..Options::default() }), steps)
}

fn config(hidden_size: u64) -> Value {
    json!({"model_type": "bert", "hidden_size": hidden_size, "num_hidden_layers": 1, "num_attention_heads": 2,
           "intermediate_size": 32, "vocab_size": 100, "max_position_embeddings": 8192})
}

fn tiny() -> Value {
    json!({"config": config(16), "name": "tiny", "batch_size": 2, "seq_len": 8})
}

/// The job that the server takes.
fn submit(server: &Running) -> Value {
    let answer = server.post_json("/api/v1/jobs", &tiny());
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()
}

fn job(server: &Running, id: u64) -> Value {
    server.get(&format!("/api/v1/jobs/{id}")).json()
}

/// The next event of a stream: its name and its data. Comments are left out.
fn event(lines: &mut impl Iterator<Item = String>) -> Option<(String, Value)> {
    let mut name = String::new();
    for line in lines {
        if let Some(text) = line.strip_prefix("event: ") {
            name = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            return Some((name, serde_json::from_str(text).unwrap()));
        }
    }
    None
}

/// Events until this one; the last of them.
fn wait_for(lines: &mut impl Iterator<Item = String>, is_it: impl Fn(&Value) -> bool) -> Value {
    std::iter::from_fn(|| event(lines)).map(|(_, job)| job).find(|job| is_it(job)).unwrap()
}

/// Waits until it has ended.
fn end(server: &Running, id: u64) -> Value {
    let mut lines = server.follow(&format!("/api/v1/jobs/{id}/events"));
    let job = wait_for(&mut lines, |job| !["queued", "running"].contains(&job["state"].as_str().unwrap()));
    assert_eq!(lines.find(|line| line.starts_with("event")), None, "nothing after the end");
    job
}

#[test]
fn nothing_is_measured_where_it_is_not_allowed() {
    let server = Running::start(Limits::default());
    let off = "`irene serve --allow-profiling` allows it";
    server.post_json("/api/v1/jobs", &tiny()).is_problem(403, off);
    server.post("/api/v1/jobs", "nothing").is_problem(403, off);
    for path in ["/api/v1/jobs", "/api/v1/jobs/1", "/api/v1/jobs/x", "/api/v1/jobs/1/events"] {
        server.get(path).is_problem(403, off);
    }
    server.delete("/api/v1/jobs/1").is_problem(403, off);
}

#[test]
fn a_job_is_followed_from_the_queue_to_its_tree() {
    let (server, steps) = allowing(Limits::default());
    let submitted = submit(&server);
    let id = submitted["id"].as_u64().unwrap();
    assert!(submitted["queued_unix_time_s"].as_f64().unwrap() > 1e9);
    let mut lines = server.follow(&format!("/api/v1/jobs/{id}/events"));
    let running = wait_for(&mut lines, |job| job["state"] == "running");
    assert_eq!(running["progress"], json!({"nodes": 0, "measured": 0, "rounds": 0}));
    for (measured, scope) in [(1, "root.embeddings"), (2, "root.encoder.0"), (3, "root.pooler")] {
        steps.send(Step::Measured(measured, scope)).unwrap();
        let (name, job) = event(&mut lines).unwrap();
        assert_eq!((name.as_str(), &job["state"]), ("progress", &json!("running")));
        assert_eq!(job["progress"], json!({"nodes": 4, "measured": measured, "rounds": 3 * measured, "scope": scope}));
    }
    // Others are answered meanwhile.
    assert_eq!(server.get("/api/v1/predict?model=gpt2&batch_size=2&seq_len=16").status, 200);
    assert!(server.get("/metrics").text.contains("irene_jobs{state=\"running\"} 1"));

    steps.send(Step::Finish).unwrap();
    let (name, ended) = event(&mut lines).unwrap();
    assert_eq!((name.as_str(), &ended["state"], &ended["tree"]), ("end", &json!("done"), &Value::Null));
    assert_eq!(event(&mut lines), None, "the stream ends");
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("irene_jobs{state=\"running\"} 0"), "{metrics}");
    assert!(metrics.contains("irene_jobs_ended_total{state=\"done\"} 1"), "{metrics}");

    let done = job(&server, id);
    assert_eq!(done["energy_provenance"], "estimated");
    assert_eq!((done["energy_j"].as_f64(), done["latency_s"].as_f64()), (Some(0.75), Some(0.01)));
    assert_eq!(done["tree"]["model_name"], "tiny");
    let times = ["queued", "started", "ended"].map(|name| done[format!("{name}_unix_time_s")].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
    let root = &done["tree"]["frontend_tree"];
    assert_eq!((&root["ground_truth_energy"], &root["measurement"]["rounds"]), (&json!(0.75), &json!(3)));
    // These methods predict from the measured tree, each by what was measured of it.
    for method in ["specs", "primitives", "measured"] {
        let predicted = server.post(&format!("/api/v1/predict/trees?method={method}"), &done["tree"].to_string());
        assert_eq!(predicted.status, 200, "{}", predicted.text);
        let root = &predicted.json()["predictions"][0]["tree"]["frontend_tree"];
        assert!(root["predicted_energy"].is_f64() && root["ground_truth_energy"] == 0.75, "{root}");
    }
    let all = server.get("/api/v1/jobs").json();
    assert_eq!((&all["jobs"][0]["state"], &all["jobs"][0]["tree"]), (&json!("done"), &Value::Null));
    // Whoever comes late is told how it ended.
    assert_eq!(end(&server, id)["state"], "done");
}

#[test]
fn jobs_run_one_after_another_and_can_be_cancelled() {
    let (server, steps) = allowing(Limits { jobs_waiting: 2, ..Limits::default() });
    for id in 1..=2 {
        assert_eq!(submit(&server)["id"], id);
        let state = if id == 1 { "running" } else { "queued" };
        wait_for(&mut server.follow(&format!("/api/v1/jobs/{id}/events")), |job| job["state"] == state);
    }
    submit(&server);
    server.post_json("/api/v1/jobs", &tiny()).is_problem(429, "2 jobs wait already");
    let cancelled = server.delete("/api/v1/jobs/2");
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (202, &json!("cancelled")));
    server.delete("/api/v1/jobs/2").is_problem(409, "ended already; it is cancelled");

    // There is a place again, and one that runs ends as soon as it heeds it.
    assert_eq!(submit(&server)["id"], 4);
    assert_eq!(server.delete("/api/v1/jobs/1").status, 202);
    assert_eq!(end(&server, 1)["state"], "cancelled");
    wait_for(&mut server.follow("/api/v1/jobs/3/events"), |job| job["state"] == "running");
    steps.send(Step::Fail("the meter is gone")).unwrap();
    let failed = end(&server, 3);
    assert_eq!((&failed["state"], &failed["detail"]), (&json!("failed"), &json!("the meter is gone")));
    wait_for(&mut server.follow("/api/v1/jobs/4/events"), |job| job["state"] == "running");
    steps.send(Step::Panic).unwrap();
    assert_eq!(end(&server, 4)["detail"], "this job failed; the server goes on");
    assert_eq!(submit(&server)["id"], 5);
    steps.send(Step::Finish).unwrap();
    assert_eq!(end(&server, 5)["state"], "done");
    let metrics = server.get("/metrics").text;
    for (state, count) in [("cancelled", 2), ("failed", 2), ("done", 1)] {
        let line = format!("irene_jobs_ended_total{{state=\"{state}\"}} {count}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn the_last_jobs_that_ended_are_kept() {
    let (server, steps) = allowing(Limits { jobs_kept: 2, ..Limits::default() });
    for id in 1..=4 {
        submit(&server);
        steps.send(Step::Finish).unwrap();
        end(&server, id);
    }
    let ids: Vec<u64> = server.get("/api/v1/jobs").json()["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [3, 4]);
    server.get("/api/v1/jobs/1").is_problem(404, "no such job");
    for id in ["0", "99999999999999999999", "-1", "x", "..%2f3", "3%0a"] {
        server.get(&format!("/api/v1/jobs/{id}")).is_problem(404, "no such job");
    }
}

#[test]
fn jobs_that_cannot_be_measured_are_refused() {
    let limits = Limits { job_parameters: 3_000_000, ..Limits::default() };
    let (server, _steps) = allowing(Limits { job_bytes: 256 << 20, job_flops: 1_000_000_000, ..limits });
    let post = |body: Value| server.post_json("/api/v1/jobs", &body);
    post(json!({"model": "gpt2", "batch_size": 1, "seq_len": 8}))
        .is_problem(422, "the model has 124.4 million parameters; at most 3.0");
    post(json!({"config": config(16), "batch_size": 1, "seq_len": 8192})).is_problem(422, "MiB; at most 256.0");
    post(json!({"config": config(256), "batch_size": 64, "seq_len": 128})).is_problem(422, "GFLOP; at most 1.0 are");
    post(json!({"model": "nope", "batch_size": 1, "seq_len": 8})).is_problem(404, "model `nope` is unknown");
    post(json!({"model": "gpt3", "batch_size": 1, "seq_len": 8})).is_problem(404, "did you mean `gpt2`");
    post(json!({"model": "../x", "batch_size": 1, "seq_len": 8})).is_problem(404, "is unknown");
    post(json!({"batch_size": 1, "seq_len": 8})).is_problem(422, "either `model`");
    post(json!({"model": "gpt2", "config": {}, "batch_size": 1, "seq_len": 8})).is_problem(422, "either `model`");
    post(json!({"model": "gpt2", "name": "mine", "batch_size": 1, "seq_len": 8})).is_problem(422, "`name` belongs");
    post(json!({"config": [1], "batch_size": 1, "seq_len": 8})).is_problem(400, "config: `[1]` is not an object");
    post(json!({"config": config(16), "batch_size": 0, "seq_len": 8})).is_problem(400, "batch_size: `0` is not");
    post(json!({"config": config(16), "batch_size": -1, "seq_len": 8})).is_problem(400, "batch_size: `-1` is not");
    post(json!({"config": config(16), "seq_len": 8})).is_problem(400, "batch_size is missing");
    post(json!({"config": config(16), "batch_size": 1, "seq_len": 8, "weights": "/etc"}))
        .is_problem(400, "no field `weights` here; there are model, config, name, batch_size, seq_len");
    post(json!({"config": config(16), "batchsize": 1, "seq_len": 8})).is_problem(400, "did you mean `batch_size`?");
    post(json!([1])).is_problem(400, "not a JSON object");
    let name = "x".repeat(201);
    post(json!({"config": config(16), "name": name, "batch_size": 1, "seq_len": 8})).is_problem(400, "name: ");
    // A form of another page cannot send this type without being asked for.
    server.post("/api/v1/jobs", &tiny().to_string()).is_problem(415, "application/json");
    assert_eq!(server.get("/api/v1/jobs").json()["jobs"], json!([]));
}

#[test]
fn followers_outlast_the_time_of_a_request_and_are_bounded() {
    let limits = Limits { time: Duration::from_secs(1), followers: 1, ..Limits::default() };
    let (mut server, steps) = allowing(limits);
    submit(&server);
    let mut lines = server.follow("/api/v1/jobs/1/events");
    wait_for(&mut lines, |job| job["state"] == "running");
    server.get("/api/v1/jobs/1/events").is_problem(503, "1 clients follow jobs already");
    std::thread::sleep(limits.time + limits.time / 5);
    steps.send(Step::Measured(1, "root")).unwrap();
    assert_eq!(wait_for(&mut lines, |_| true)["progress"]["measured"], 1);
    // Whoever goes away gives its place back.
    drop(lines);
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.status("/api/v1/jobs/1/events") == 503 {
        assert!(Instant::now() < deadline, "its place stays taken");
        steps.send(Step::Measured(2, "root")).unwrap();
    }
    server.stop();
}

#[test]
fn a_server_that_ends_stops_what_runs_and_tells_who_follows() {
    let (mut server, _steps) = allowing(Limits::default());
    submit(&server);
    submit(&server);
    let mut followers = [1, 2].map(|id| server.follow(&format!("/api/v1/jobs/{id}/events")));
    wait_for(&mut followers[0], |job| job["state"] == "running");
    server.stop();
    for mut lines in followers {
        wait_for(&mut lines, |job| job["state"] == "cancelled");
    }
}

#[test]
fn a_page_that_took_a_name_for_this_machine_measures_nothing() {
    let (mut server, steps) = allowing(Limits::default());
    let id = submit(&server)["id"].as_u64().unwrap();
    let one = format!("/api/v1/jobs/{id}");
    let asked = [("GET", "/api/v1/jobs"), ("GET", &one), ("GET", &format!("{one}/events")), ("DELETE", &one)];
    for host in ["evil.example", "evil.example:7878", "127.0.0.1.evil.example", "", "[::1].evil.example:80"] {
        server.post_json_to(host, "/api/v1/jobs", &tiny()).is_problem(421, "localhost or an address");
        for (method, path) in asked {
            server.send_to(host, method, path).is_problem(421, "localhost or an address");
        }
    }
    for host in ["localhost", "LOCALHOST:7878", "127.0.0.1", "[::1]:7878", "[::1]"] {
        assert_eq!(server.post_json_to(host, "/api/v1/jobs", &tiny()).status, 202, "{host}");
        assert_eq!(server.send_to(host, "GET", &one).status, 200, "{host}");
    }
    assert_eq!(job(&server, id)["is_stopping"], false);
    drop(steps);
    server.stop();
}
