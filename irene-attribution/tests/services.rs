//! The examples' services, asked over HTTP: the one on candle, and the proxy before a server whose energy is known.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so
#![allow(clippy::print_stdout)] // with --nocapture it shows its figures
#![allow(dead_code)] // the examples' modules, of which it uses a part

#[path = "../examples/proxy/forward.rs"]
mod forward;
#[path = "../examples/candle_service/service.rs"]
mod service;
#[path = "../examples/serving/mod.rs"]
mod serving;
#[path = "../examples/proxy/stream.rs"]
mod stream;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use irene_attribution::{IdlePower, Meter, Options, Weights};
use irene_sampler::{
    Channel, Metric, Provenance, Readings, Resource, Sampler, SamplerOptions, Sensor,
    sensors::{Places, kind},
};
use irene_scripted_server::{Fault, Misdeed, Script, ScriptedServer, Served};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A service on a free port of this machine.
struct Listening {
    url: String,
    _runtime: Runtime,
}

fn listen(router: Router) -> Listening {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    Listening { url, _runtime: runtime }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().new_agent()
}

fn post(url: &str, body: &Value) -> axum::http::Response<ureq::Body> {
    agent().post(url).header("content-type", "application/json").send(body.to_string().as_bytes()).unwrap()
}

fn text(mut response: axum::http::Response<ureq::Body>) -> String {
    response.body_mut().read_to_string().unwrap()
}

fn metric(url: &str, name: &str) -> f64 {
    let text = text(agent().get(format!("{url}/metrics")).call().unwrap());
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| unreachable!("no {name} in\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

fn sampled(sensors: Vec<Box<dyn Sensor>>) -> Arc<Sampler> {
    let options = SamplerOptions { period: Duration::from_millis(10), ..SamplerOptions::default() };
    Arc::new(Sampler::start(sensors, options).unwrap())
}

/// A counter of 50 W.
struct Counter(Channel);

impl Sensor for Counter {
    fn channels(&self) -> &[Channel] {
        std::slice::from_ref(&self.0)
    }

    fn sample(&mut self, readings: &mut Readings<'_>) {
        let time = readings.stamp().time;
        readings.push(0, 50.0 * time);
    }
}

#[test]
fn the_service_on_candle_tells_each_request_s_joules() {
    let counter = Box::new(Counter(Channel::new(Resource::Gpu(0), Metric::Energy)));
    let options = Options { idle_power: IdlePower::Given(10.0), ..Options::default() };
    let sampler = sampled(vec![counter]);
    assert!(sampler.wait_past(0.0, Duration::from_secs(30)));
    let listening = listen(service::router(Meter::new(sampler, options).unwrap()).unwrap());
    let url = format!("{}/v1/completions", listening.url);

    let answer = post(&url, &json!({"prompt": "Once upon a time", "max_tokens": 24}));
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let joules: f64 = header("x-energy-joules").unwrap().parse().unwrap();
    assert_eq!(header("x-energy-provenance").as_deref(), Some("measured"));
    let body: Value = serde_json::from_str(&text(answer)).unwrap();
    assert_eq!(body["usage"], json!({"prompt_tokens": 16, "completion_tokens": 24, "total_tokens": 40}));
    let energy = &body["energy"];
    assert!(joules > 0.0 && (energy["joules"].as_f64().unwrap() - joules).abs() < 1e-9, "{energy}");
    let parts = ["prompt_joules", "decode_joules", "idle_joules"].map(|part| energy[part].as_f64().unwrap());
    assert!((parts.iter().sum::<f64>() - joules).abs() < 1e-8 && parts.iter().all(|&part| part > 0.0), "{energy}");
    // 10 of the 50 W are idle power; it has all that the machine did in the intervals of its begin and its end.
    assert!(parts[2] / joules < 0.2 + 1e-6, "{energy}");

    for (wrong, reason) in [
        (json!({"prompt": ""}), "`prompt` must be a text"),
        (json!({"prompt": "a", "max_tokens": 600}), "a prompt of 1 bytes leaves room for 511 tokens of 512, not 600"),
        (json!({"prompt": "a", "stream": true}), "this service does not stream"),
    ] {
        let answer = post(&url, &wrong);
        assert_eq!(answer.status(), 400);
        let body: Value = serde_json::from_str(&text(answer)).unwrap();
        assert_eq!(body["error"]["message"], reason);
    }
    assert_eq!(metric(&listening.url, r#"irene_requests_total{model="made-up",outcome="ended"}"#), 1.0);
    let sum = metric(&listening.url, r#"irene_request_energy_joules_sum{model="made-up",provenance="measured"}"#);
    assert!((sum - joules).abs() < 1e-8);

    // A fast machine may answer before the client has left; then it asks again.
    assert!((0..10).any(|_| cancels(&listening.url)), "it counts as one that ended");
}

/// Asks for many tokens and goes away once they are being made; whether that cancels the request.
fn cancels(url: &str) -> bool {
    let counted =
        |outcome: &str| metric(url, &format!(r#"irene_requests_total{{model="made-up",outcome="{outcome}"}}"#));
    let (ended, cancelled) = (counted("ended"), counted("cancelled"));
    let is_over = || counted("ended") > ended || counted("cancelled") > cancelled;
    let is_running = || metric(url, r#"irene_requests_running{model="made-up"}"#) == 1.0;
    let address = url.strip_prefix("http://").unwrap();
    let body = json!({"prompt": "a", "max_tokens": 511}).to_string();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    assert!(comes(|| is_running() || is_over()), "it has not begun");
    drop(connection);
    assert!(comes(is_over), "it has no end");
    counted("cancelled") > cancelled
}

/// Whether this comes about within a time that is enough on a busy machine.
fn comes(is_there: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_there() {
        if start.elapsed() > Duration::from_secs(30) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The proxy before a scripted server, and the meter that reads the server's counter.
struct Proxied {
    server: ScriptedServer,
    proxy: Listening,
    meter: Meter,
    _sys: tempfile::TempDir,
}

fn proxied(script: Script) -> Proxied {
    let sys = tempfile::tempdir().unwrap();
    let weights = Weights::new(script.joules_per_prompt_token, script.joules_per_token).unwrap();
    let idle_power = IdlePower::Given(script.idle_watts);
    let server = ScriptedServer::start(script, sys.path()).unwrap();
    let places = Places { sys: sys.path().into(), ..Places::here() };
    let sampler = sampled(vec![(kind("rapl").unwrap().open)(&places).unwrap()]);
    assert!(sampler.wait_past(0.1, Duration::from_secs(30)));
    let meter = Meter::new(sampler, Options { weights, idle_power, ..Options::default() }).unwrap();
    let proxy = listen(forward::router(meter.clone(), &server.url()));
    Proxied { server, proxy, meter, _sys: sys }
}

/// A prompt of so many tokens to the scripted server.
fn words(tokens: usize) -> String {
    vec!["the"; tokens - 1].join(" ")
}

/// The kinds of requests, told apart by the server by the lengths of their prompts.
const KINDS: [(&str, usize, usize, bool); 3] =
    [("chat", 300, 60, true), ("batch", 500, 40, false), ("embedding", 800, 0, false)];

/// Asks the proxy; the joules that it tells.
fn ask(url: &str, kind: usize) -> Option<f64> {
    let (model, prompt, generate, streams) = KINDS[kind];
    let (path, body) = match generate {
        0 => ("embeddings", json!({"model": model, "input": words(prompt)})),
        _ => {
            let options = if streams { json!({"include_usage": true}) } else { Value::Null };
            let body = json!({"model": model, "prompt": words(prompt), "max_tokens": generate, "stream": streams,
                "stream_options": options, "ignore_eos": true});
            ("completions", body)
        }
    };
    let answer = post(&format!("{url}/v1/{path}"), &body);
    let header = answer.headers().get("x-energy-joules").map(|joules| joules.to_str().unwrap().parse().unwrap());
    if !streams {
        return header;
    }
    let mut text = Vec::new();
    // A stream that ends early is an error here.
    answer.into_body().into_reader().read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(|line| line.strip_prefix(": x-energy-joules: ")?.parse().ok())
}

/// The energy that the requests of a kind took, without idling, and what they were given.
fn compare(proxied: &Proxied, kind: usize) -> (f64, f64) {
    let (model, prompt, ..) = KINDS[kind];
    let served = proxied.server.served();
    let truth = served.iter().filter(|served: &&Served| served.prompt == prompt).map(|served| served.joules).sum();
    let account = proxied.meter.accounts().models[model].clone();
    (truth, (account.prompt_nj + account.decode_nj) as f64 * 1e-9)
}

fn run_clients(proxied: &Proxied, clients: usize, requests: usize) -> usize {
    let url = &proxied.proxy.url;
    let told = std::thread::scope(|threads| {
        let ask = |client: usize| (0..requests).filter_map(|i| ask(url, (client + i) % KINDS.len())).count();
        let clients: Vec<_> = (0..clients).map(|client| threads.spawn(move || ask(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    // Those that were cancelled have their shares soon.
    let is_through = || proxied.meter.accounts().models.values().all(|model| model.running == 0);
    let through = (0..3000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_through()
    });
    assert!(through, "{:?}", proxied.meter.accounts());
    told
}

/// The errors of what each kind was given, and of all together, as shares of the truth.
fn errors(proxied: &Proxied) -> ([f64; KINDS.len()], f64) {
    let accounts = proxied.meter.accounts();
    assert_eq!(accounts.shared_nj() + accounts.nobody_nj, accounts.total_nj);
    let compared: Vec<(f64, f64)> = (0..KINDS.len()).map(|kind| compare(proxied, kind)).collect();
    let sum = |pick: fn(&(f64, f64)) -> f64| compared.iter().map(pick).sum::<f64>();
    let all = sum(|kind| kind.1) / sum(|kind| kind.0) - 1.0;
    ([0, 1, 2].map(|kind: usize| compared[kind].1 / compared[kind].0 - 1.0), all)
}

#[test]
fn the_proxy_tells_what_the_server_spent_on_each_kind_of_request() {
    for (clients, each) in [(1, 36), (8, 6), (64, 2)] {
        let faults = vec![Fault::every(11, 5, Misdeed::Status(503)), Fault::every(13, 7, Misdeed::Disconnect(20))];
        let proxied = proxied(Script { faults, seconds_per_step: 4e-3, ..Script::default() });
        let told = run_clients(&proxied, clients, each);
        assert!(told * 4 >= clients * each * 3, "{told} of {}", clients * each);
        let (kinds, all) = errors(&proxied);
        println!("{clients} at a time: {kinds:+.4?}, all {all:+.4}");
        // The machine that runs this may be busy, and what the proxy sees late by as much.
        assert!(kinds.iter().all(|error| error.abs() < 0.1) && all.abs() < 0.03, "{clients}: {kinds:?}, {all}");
    }
}

#[test]
fn an_answer_beside_a_long_one_in_one_piece_does_not_wait_for_its_end() {
    let proxied = proxied(Script { seconds_per_step: 4e-3, ..Script::default() });
    let url = format!("{}/v1/completions", proxied.proxy.url);
    let ask = |generate: usize| {
        let body = json!({"model": "batch", "prompt": words(20), "max_tokens": generate, "ignore_eos": true});
        post(&url, &body).status()
    };
    std::thread::scope(|threads| {
        // It takes ten seconds.
        threads.spawn(|| ask(2500));
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        assert_eq!(ask(5), 200);
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    });
}

#[test]
fn prompts_of_parts_and_of_ids_and_deltas_of_every_kind_are_counted() {
    let part = json!({"type": "text", "text": "x".repeat(40)});
    let chat = json!({"messages": [{"content": [part, {"type": "image_url"}]}, {"content": "y".repeat(8)}]});
    assert_eq!(forward::guess(&chat), 12);
    assert_eq!(forward::guess(&json!({"prompt": [[1, 2, 3], [4]]})), 4);
    assert_eq!(forward::guess(&json!({"input": ["x".repeat(12), "y".repeat(4)]})), 4);
    let (meter, _feed) = Meter::fed(|| 0, Provenance::Measured, Options::default()).unwrap();
    let request = meter.begin("model");
    let mut seen = stream::Seen::default();
    for delta in [
        json!({"content": "a"}),
        json!({"reasoning": "b"}),
        json!({"reasoning_content": "c"}),
        json!({"tool_calls": [{"index": 0}]}),
        json!({"role": "assistant", "content": "", "tool_calls": []}),
    ] {
        seen.count(format!("data: {}\n", json!({"choices": [{"delta": delta}]})).as_bytes(), &request);
    }
    assert_eq!(seen.tokens, 4);
}

#[test]
fn tokens_that_the_server_s_cache_had_are_no_work() {
    let time = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&time);
    let options = Options { idle_power: IdlePower::Given(0.0), delay: Duration::ZERO, ..Options::default() };
    let now = move || theirs.load(Ordering::Relaxed);
    let (meter, mut feed) = Meter::fed(now, Provenance::Measured, options).unwrap();
    let usage =
        json!({"prompt_tokens": 8050, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 8000}});
    let (whole, streamed) = (meter.begin("model"), meter.begin("model"));
    time.store(1_000_000, Ordering::Relaxed);
    forward::tell(&whole, &usage);
    let event = format!("data: {}\n", json!({"choices": [], "usage": usage}));
    stream::Seen::default().count(event.as_bytes(), &streamed);
    let shares = [whole.end(), streamed.end()];
    feed.reading(1_000_000, Some(2000));
    feed.tick();
    for share in shares.map(|pending| pending.try_get().unwrap()) {
        assert_eq!((share.prompt_tokens, share.prompt_nj, share.decode_nj), (8050, 500, 500));
    }
}

#[test]
fn the_proxy_takes_no_number_one_or_three() {
    let weights = |numbers: &[f64]| forward::weights(numbers).unwrap();
    assert_eq!((weights(&[]), weights(&[65.0])), (Some(Weights::EVEN), Some(Weights::EVEN)));
    assert_eq!(weights(&[65.0, 0.01, 0.2]), Some(Weights::new(0.01, 0.2).unwrap()));
    assert_eq!((weights(&[65.0, 0.01]), weights(&[65.0, 0.01, 0.2, 1.0])), (None, None));
}

#[test]
fn streams_that_come_slowly_lose_nothing() {
    let faults = vec![Fault::every(5, 2, Misdeed::Slow(Duration::from_micros(10)))];
    let proxied = proxied(Script { faults, ..Script::default() });
    assert_eq!(run_clients(&proxied, 8, 3), 24);
    // Their tokens reach the proxy later than they were made, so others get a part of their energy.
    let (kinds, all) = errors(&proxied);
    println!("with slow streams: {kinds:+.4?}, all {all:+.4}");
    assert!(all.abs() < 0.05, "{kinds:?}, {all}");
}

#[test]
fn trailers_have_the_energy_of_a_stream_for_those_who_take_them() {
    let proxied = proxied(Script::default());
    let address = proxied.proxy.url.strip_prefix("http://").unwrap().to_owned();
    let body = json!({"model": "chat", "prompt": words(50), "max_tokens": 5, "stream": true}).to_string();
    let mut connection = TcpStream::connect(&address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        connection,
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\nte: trailers\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (_, trailers) = answer.rsplit_once("\r\n0\r\n").unwrap();
    let joules = trailers.lines().find_map(|line| line.strip_prefix("x-energy-joules: ")).unwrap();
    assert!(answer.contains(&format!(": x-energy-joules: {joules}\n")), "the comment says the same: {answer}");
    assert!(joules.parse::<f64>().unwrap() > 0.0);
    // Without usage the proxy takes the prompt's length from its text.
    let account = &proxied.meter.accounts().models["chat"];
    assert!(account.ended == 1 && account.prompt_nj > 0 && account.decode_nj > 0, "{account:?}");
}

#[test]
fn a_server_that_cannot_be_reached_is_said() {
    let options = Options { idle_power: IdlePower::Given(10.0), ..Options::default() };
    let sampler = sampled(vec![Box::new(Counter(Channel::new(Resource::Gpu(0), Metric::Energy)))]);
    // Nobody listens on a port that was just given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = listen(forward::router(Meter::new(sampler, options).unwrap(), &format!("http://{free}")));
    let answer = post(&format!("{}/v1/completions", proxy.url), &json!({"model": "chat", "prompt": "a"}));
    assert_eq!(answer.status(), 502);
    assert!(text(answer).contains("the server cannot be reached"));
}
