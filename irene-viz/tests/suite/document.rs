//! The OpenAPI document: that it is one, and that requests within and beyond its bounds are answered as it says.

use std::collections::HashSet;

use irene_viz::{Limits, Options};
use serde_json::{Value, json};

use crate::profiler::{Step, scripted};
use crate::schema::{Random, errors, resolve};
use crate::selection::SERVED;
use crate::server::{Answer, Running, config, encoded};

/// Each operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let of_path = item.as_object().unwrap().iter();
        all.extend(of_path.map(|(method, operation)| (path.as_str(), method.as_str(), operation)));
    }
    all
}

fn parameters(operation: &Value) -> &Vec<Value> {
    operation["parameters"].as_array().unwrap()
}

fn is_said(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Every value of this key, wherever it is.
fn each<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|member| each(member, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, key, found)),
        _ => {}
    }
}

/// A schema of something that is sent to the server has bounds on both sides.
fn is_bounded(schema: &Value) -> bool {
    let has = |keyword: &str| schema.get(keyword).is_some();
    match schema["type"].as_str().unwrap() {
        "integer" => has("minimum") && has("maximum"),
        "number" => (has("minimum") || has("exclusiveMinimum")) && has("maximum"),
        "string" => has("enum") || has("pattern") || (has("minLength") && has("maxLength")),
        "array" => has("minItems") && has("maxItems") && is_bounded(&schema["items"]),
        "object" => schema["properties"].as_object().into_iter().flatten().all(|(_, property)| is_bounded(property)),
        other => other == "boolean",
    }
}

/// The parameters, the body and the responses of an operation.
fn keeps_the_rules(place: &str, path: &str, operation: &Value) {
    let mut given = HashSet::new();
    for parameter in parameters(operation) {
        let name = parameter["name"].as_str().unwrap();
        assert!(given.insert(name) && is_said(&parameter["description"]), "{place} {name}");
        assert!(is_bounded(&parameter["schema"]), "{place} {name}");
        let is_of_path = path.contains(&format!("{{{name}}}"));
        assert_eq!(parameter["in"], if is_of_path { "path" } else { "query" }, "{place} {name}");
        assert!(!is_of_path || parameter["required"] == true, "{place} {name}");
    }
    let placeholders = path.split('{').skip(1).map(|part| part.split('}').next().unwrap());
    assert!(placeholders.into_iter().all(|name| given.contains(name)), "{place}");
    if let Some(body) = operation.get("requestBody") {
        assert!(is_said(&body["description"]) && body["required"] == true, "{place}");
        assert!(body["content"].as_object().unwrap().values().all(|content| is_bounded(&content["schema"])), "{place}");
    }
    for (status, response) in operation["responses"].as_object().unwrap() {
        let number: u16 = status.parse().unwrap();
        assert!((200..600).contains(&number) && is_said(&response["description"]), "{place} {status}");
        let kinds: Vec<_> =
            response["content"].as_object().into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
        match number {
            304 | 431 => assert!(kinds.is_empty(), "{place} {status}"),
            400.. => assert_eq!(kinds, ["application/problem+json"], "{place} {status}"),
            _ => assert!(kinds == ["application/json"] || kinds == ["text/event-stream"], "{place} {status}"),
        }
    }
}

#[test]
fn the_document_keeps_the_rules_of_openapi() {
    let server = Running::start(Limits { batch_size: 77, seq_len: 88, body: 999, cells: 66, ..Limits::default() });
    let document = server.get("/api/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(!document.to_string().contains("```"), "examples in Rust are not for readers of the API");
    assert!(is_said(&document["info"]["title"]) && is_said(&document["info"]["version"]));
    let mut names = HashSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(path.starts_with('/') && ["get", "post", "delete"].contains(&method), "{place}");
        assert!(names.insert(operation["operationId"].as_str().unwrap()) && is_said(&operation["summary"]), "{place}");
        keeps_the_rules(&place, path, operation);
    }
    let mut references = Vec::new();
    each(&document, "$ref", &mut references);
    let used: HashSet<&str> = references.iter().map(|reference| reference.as_str().unwrap()).collect();
    used.iter().for_each(|reference| assert!(resolve(&document, reference).is_object()));
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(used.contains(format!("#/components/schemas/{name}").as_str()), "nothing refers to {name}");
    }
    // The bounds are those of this server.
    let bound = |path: &str, name: &str, keyword: &str| {
        let all = parameters(&document["paths"][path]["get"]);
        all.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"][keyword].clone()
    };
    assert_eq!(
        (bound("/api/v1/predict", "batch_size", "minimum"), bound("/api/v1/predict", "batch_size", "maximum")),
        (json!(1), json!(77))
    );
    assert_eq!(
        (bound("/api/v1/whatif", "past_len", "minimum"), bound("/api/v1/whatif", "seq_len", "maximum")),
        (json!(0), json!(88))
    );
    assert_eq!(bound("/api/v1/sweep", "seq_lens", "maxItems"), 66);
    let devices = bound("/api/v1/predict", "device", "enum");
    assert!(devices[0] == "gtx-1080-ti" && devices[1] == "gtx-1070", "{devices}");
    let trees = &document["paths"]["/api/v1/predict/trees"]["post"]["requestBody"]["content"]["text/plain"]["schema"];
    assert_eq!(trees["maxLength"], 999);
    server.get("/api/v1/predict?model=gpt2&batch_size=78&seq_len=1").is_problem(400, "from 1 to 77");
}

/// The schema that the document has for an answer; an answer that is not documented stops the test.
fn check(document: &Value, place: &str, operation: &Value, answer: &Answer) {
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{place}: {} is not documented: {}", answer.status, answer.text);
    let content = &response["content"][answer.kind.as_str()];
    assert!(content.is_object(), "{place}: {} is not documented for {}", answer.kind, answer.status);
    let values = if answer.kind == "text/event-stream" { events(&answer.text) } else { vec![answer.json()] };
    for value in values {
        let found = errors(document, &content["schema"], &value);
        assert!(found.is_empty(), "{place}: {found:?}");
    }
}

/// Each event of a stream with its fields; comments are left out.
fn events(text: &str) -> Vec<Value> {
    let fields = |event: &str| {
        let lines = event.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| !name.is_empty());
        lines.map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>()
    };
    text.split("\n\n").map(fields).filter(|event| !event.is_empty()).map(Value::Object).collect()
}

const PLANNED: &str =
    "seq_len=64&generate=32&rate=2&max_ttft_s=2&devices=h100-sxm,l4,gtx-1070&gpu_hour_usd=l4:0.7&price_per_kwh=0";

const DECODER: &str =
    r#"{"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 2, "n_positions": 128, "vocab_size": 1000}"#;

#[test]
fn every_answer_is_what_the_document_says() {
    let (profiler, steps) = scripted();
    let server = Running::with(Options { profiler: Some(profiler), ..Options::default() });
    let document = server.get("/api/v1/openapi.json").json();
    let size = "batch_size=2&seq_len=16";
    let get = |path: &str, query: &str| server.get(&format!("{path}?{query}"));
    let tree = get("/api/v1/predict", &format!("model=gpt2&{size}")).json()["tree"].to_string();
    let job = json!({"model": "gpt2", "batch_size": 2, "seq_len": 16});
    let submitted = [server.post_json("/api/v1/jobs", &job), server.post_json("/api/v1/jobs", &job)];
    steps.send(Step::Finish).unwrap();
    let events = get("/api/v1/jobs/1/events", "");
    let got = |path: &'static str, query: &str| (path, "get", get(path, query));
    let posted =
        |path: &'static str, query: &str, body: &str| (path, "post", server.post(&format!("{path}?{query}"), body));
    let answers = [
        got("/api/v1/models", ""),
        got("/api/v1/devices", ""),
        got("/api/v1/engines", ""),
        got("/api/v1/grids", ""),
        ("/api/v1/read", "post", server.post_bytes("/api/v1/read", config(1).as_bytes())),
        got("/api/v1/trace", &format!("model=gpt2&{size}")),
        got("/api/v1/predict", &format!("model=gpt2&{size}&math=true")),
        posted("/api/v1/predict", size, &config(1)),
        posted("/api/v1/predict/trees", "", &tree),
        got("/api/v1/whatif", &format!("{SERVED}&set_b=concurrency=64;hidden_act=relu")),
        posted("/api/v1/whatif", &format!("{size}&set_b=num_hidden_layers=2"), &config(1)),
        got("/api/v1/suggest", &format!("{SERVED}&max_ttft_s=0.5")),
        posted("/api/v1/suggest", &format!("{size}&device=l4"), &config(1)),
        got("/api/v1/plan", &format!("{PLANNED}&model=Llama-3.1-8B")),
        posted("/api/v1/plan", PLANNED, DECODER),
        got("/api/v1/generation", SERVED),
        posted("/api/v1/generation", &format!("{size}&generate=8&points=3"), DECODER),
        got("/api/v1/sweep", "model=gpt2"),
        posted("/api/v1/sweep", "batch_sizes=1,2&device=l4", &config(1)),
        got("/api/v1/leaderboard", size),
        posted("/api/v1/tradeoff", size, "model,accuracy\ngpt2,0.5\n"),
        ("/api/v1/jobs", "post", server.post_json("/api/v1/jobs", &job)),
        got("/api/v1/jobs", ""),
        ("/api/v1/jobs/{id}", "get", get("/api/v1/jobs/1", "")),
        ("/api/v1/jobs/{id}", "delete", server.delete("/api/v1/jobs/2")),
        ("/api/v1/jobs/{id}/events", "get", events),
    ];
    assert!(submitted.iter().all(|answer| answer.status == 202));
    assert_eq!(operations(&document).len(), answers.len(), "an operation is not tried here");
    for (path, method, answer) in answers {
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
        check(&document, &format!("{method} {path}"), &document["paths"][path][method], &answer);
        assert!(answer.kind != "application/json" || answer.json()["schema_version"] == 1, "{path}");
    }
    // The check does refuse.
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    assert!(errors(&document, &problem, &server.get("/api/v1/models?x").json()).is_empty());
    assert!(!errors(&document, &problem, &json!({"status": "x"})).is_empty());
}

/// A request that is made up from the document.
struct Made {
    query: Vec<(String, String)>,
    path: String,
    body: Option<(String, String)>,
    /// The answers to a request that breaks the document.
    refusals: Option<&'static [u16]>,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Made {
    fn within(random: &mut Random, path: &str, operation: &Value, tree: &str) -> Self {
        let mut made = Self { query: Vec::new(), path: path.to_owned(), body: None, refusals: None };
        // Exactly one of these is given, which OpenAPI has no word for.
        const LOADS: [&str; 3] = ["batch_size", "concurrency", "rate"];
        let has_load = |name: &str| parameters(operation).iter().any(|parameter| parameter["name"] == name);
        let load = *random.one_of(&LOADS);
        for parameter in parameters(operation) {
            let of_load =
                LOADS.iter().all(|name| has_load(name)) && LOADS.iter().any(|name| parameter["name"] == *name);
            if of_load && parameter["name"] != load {
                continue;
            }
            let (name, value) = (parameter["name"].as_str().unwrap(), random.within(&parameter["schema"]));
            if parameter["in"] == "path" {
                made.path = made.path.replace(&format!("{{{name}}}"), &text(&value));
            } else if parameter["required"] == true || of_load || random.below(3) == 0 {
                made.query.push((name.to_owned(), text(&value)));
            }
        }
        if let Some((kind, content)) = operation["requestBody"]["content"].as_object().and_then(|all| all.iter().next())
        {
            let mut body = random.within(&content["schema"]);
            let own: Value = serde_json::from_str(&config(1)).unwrap();
            if kind == "application/json" && body.get("config").is_none() && random.below(3) > 0 {
                body = if path.ends_with("jobs") { body } else { own };
            } else if body.get("config").is_some() && random.below(3) > 0 {
                body["config"] = own;
            }
            if kind == "application/octet-stream" && random.below(3) > 0 {
                body = config(1).into();
            }
            let body = if kind == "application/json" { body.to_string() } else { text(&body) };
            let fitting = if path.ends_with("trees") { tree } else { "model,accuracy\ngpt2,0.5\ndistilgpt2,0.4\n" };
            let is_text = kind == "text/plain" && random.below(3) > 0;
            made.body = Some((kind.clone(), if is_text { fitting.to_owned() } else { body }));
        }
        made
    }

    /// Breaks one rule of the document, where there is one to break.
    fn broken(mut self, random: &mut Random, operation: &Value) -> Self {
        let of_query: Vec<&Value> =
            parameters(operation).iter().filter(|parameter| parameter["in"] == "query").collect();
        let schema = operation["requestBody"]["content"]["application/json"]["schema"].clone();
        let kind = random.below(5);
        if kind == 0 || of_query.is_empty() {
            self.query.push(("no_such_thing".into(), "1".into()));
        } else if kind == 1 {
            let repeated = self.query.first().cloned().unwrap_or_else(|| ("device".into(), "gtx-1070".into()));
            self.query.extend([repeated.clone(), repeated]);
        } else if kind == 2 && of_query.iter().any(|parameter| parameter["required"] == true) {
            let required = of_query.iter().find(|parameter| parameter["required"] == true).unwrap();
            self.query.retain(|(name, _)| *name != required["name"]);
        } else {
            let parameter = random.one_of(&of_query);
            let name = parameter["name"].as_str().unwrap();
            let Some(value) = random.beyond(&parameter["schema"]) else { return self };
            self.query.retain(|(known, _)| known != name);
            self.query.push((name.to_owned(), text(&value)));
        }
        if let (true, Some(properties)) = (of_query.is_empty(), schema["properties"].as_object()) {
            // A body of fields: break it instead of the query.
            self.query.clear();
            let mut body: Value = serde_json::from_str(&self.body.as_ref().unwrap().1).unwrap();
            let name =
                random.one_of(&properties.keys().filter(|name| *name != "model").cloned().collect::<Vec<_>>()).clone();
            let value = random.beyond(&properties[&name]).unwrap_or_else(|| json!(-1));
            body[if kind == 0 { "no_such_field".to_owned() } else { name }] = value;
            self.body = Some(("application/json".into(), body.to_string()));
        }
        const NAMES: [&str; 7] = ["model", "device", "devices", "engine", "family", "benchmark", "gpu_hour_usd"];
        // The server may refuse a name that it does not know before it looks at the rest of the query.
        self.refusals = Some(match &self.query.last() {
            _ if self.path.contains("/jobs/") => &[400, 404],
            Some((name, value)) if NAMES.iter().any(|end| name.ends_with(end)) && value.starts_with("no-") => {
                &[404, 422]
            }
            _ => &[400],
        });
        self
    }

    fn send(&self, server: &Running, method: &str) -> Answer {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let path = format!("{}?{}", self.path, query.join("&"));
        server.send(method, &path, self.body.as_ref().map(|(kind, body)| (kind.as_str(), body.as_str())))
    }
}

#[test]
fn requests_within_and_beyond_the_bounds_are_answered_as_the_document_says() {
    const ROUNDS: u64 = 60;
    let (profiler, steps) = scripted();
    let limits = Limits { batch_size: 64, seq_len: 600, jobs_waiting: 2, ..Limits::default() };
    let server = Running::with(Options { profiler: Some(profiler), limits, ..Options::default() });
    let document = server.get("/api/v1/openapi.json").json();
    let tree = server.get("/api/v1/trace?model=gpt2&batch_size=2&seq_len=16").json()["tree"].to_string();
    let (mut good, mut refused) = (HashSet::new(), HashSet::new());
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        for (path, method, operation) in operations(&document) {
            let mut made = Made::within(&mut random, path, operation, &tree);
            if random.below(2) == 0 {
                made = made.broken(&mut random, operation);
            }
            if path.ends_with("/events") {
                // A stream of events ends with its job.
                steps.send(Step::Finish).unwrap();
            }
            let answer = made.send(&server, method);
            let place = format!("seed {seed}, {method} {path} {:?} {:?}", made.query, made.body);
            check(&document, &place, operation, &answer);
            assert!(answer.status < 500, "{place}: {}", answer.text);
            let is_right = made.refusals.map_or(answer.status != 400, |refusals| refusals.contains(&answer.status));
            assert!(is_right, "{place}: {} {}", answer.status, answer.text);
            if answer.status < 300 {
                good.insert((method, path))
            } else {
                refused.insert((method, path))
            };
        }
    }
    let all = operations(&document).len();
    assert!(good.len() > all - 4 && refused.len() > all - 2, "{good:?} {refused:?}");
}
