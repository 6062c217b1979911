//! Clients that mean harm, or are only slow: what they may take from the server, and that it comes back.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

mod server;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use irene_viz::Limits;
use serde_json::json;
use server::Running;

const GPT2: &str = "/api/v1/predict?model=gpt2&batch_size=1&seq_len=8";

fn config(layers: u64) -> String {
    json!({"model_type": "bert", "hidden_size": 128, "num_hidden_layers": layers, "num_attention_heads": 2,
           "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 512})
    .to_string()
}

/// Layers of a model whose answer is more than a connection's buffers hold.
const LAYERS: u64 = 600;

/// A client that asks for a large answer and does not read it.
fn ask(server: &Running) -> TcpStream {
    let mut stream = server.connect();
    let body = config(LAYERS);
    let head = format!(
        "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    // The first bytes: the answer is there, and on its way.
    stream.read_exact(&mut [0; 64]).unwrap();
    stream
}

/// Waits for something that takes as long as it takes.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_that_do_not_finish_their_bodies_stop_nobody() {
    let server = Running::start(Limits::default());
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = server.connect();
            let head =
                "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    wait("a byte of each", || server.metric("irene_body_bytes") == 200.0);
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get(GPT2).status, 200);
    assert_eq!(server.get(&format!("{GPT2}&math=true")).status, 200);
    assert_eq!(server.post("/api/v1/predict?batch_size=1&seq_len=8", &config(1)).status, 200);
    drop(slow);
    wait("the bytes come back", || server.metric("irene_body_bytes") == 0.0);
}

#[test]
fn bodies_are_bounded_together_and_in_time() {
    let limits = Limits { body: 4096, bodies: 10_000, body_time: Duration::from_secs(2), ..Limits::default() };
    let server = Running::start(limits);
    let head = "POST /api/v1/predict?batch_size=1&seq_len=8 HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n";
    let send = || {
        let mut stream = server.connect();
        stream.write_all(format!("{head}{}", " ".repeat(4000)).as_bytes()).unwrap();
        stream
    };
    let [mut first, second] = [send(), send()];
    wait("both are there", || server.metric("irene_body_bytes") == 8000.0);
    let mut text = String::new();
    send().read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after"), "{text}");
    text.clear();
    first.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    wait("the bytes come back", || server.metric("irene_body_bytes") == 0.0);
    drop(second);
}

#[test]
fn answers_that_nobody_reads_are_bounded_and_let_go() {
    let limits = Limits { answers: 20 << 20, write_time: Duration::from_secs(600), ..Limits::default() };
    let server = Running::start(limits);
    assert_eq!(server.get(GPT2).status, 200);
    let before = server.metric("irene_answer_bytes");
    let mut unread = vec![ask(&server)];
    let one = server.metric("irene_answer_bytes") - before;
    assert!(one > f64::from(4 << 20), "{one} bytes would fit into a connection's buffers");
    while server.metric("irene_answer_bytes") + one < f64::from(20 << 20) {
        unread.push(ask(&server));
    }
    let large = || server.post("/api/v1/predict?batch_size=1&seq_len=8", &config(LAYERS));
    large().is_problem(503, "too many answers wait");
    // Others are answered meanwhile.
    assert_eq!(server.get("/healthz").text, "ok\n");
    assert_eq!(server.get("/api/v1/predict?model=gpt2&batch_size=2&seq_len=8").status, 200);
    assert!(server.metric("irene_answer_bytes") <= f64::from(20 << 20));
    let kept = server.metric("irene_answer_bytes") - one * unread.len() as f64;
    drop(unread);
    wait("the memory comes back", || server.metric("irene_answer_bytes") == kept);
    assert_eq!(large().status, 200);
}

#[test]
fn clients_that_do_not_read_are_left_and_slow_ones_are_not() {
    let server = Running::start(Limits { write_time: Duration::from_millis(700), ..Limits::default() });
    let before = server.metric("irene_answer_bytes");
    let mut unread = ask(&server);
    assert!(server.metric("irene_answer_bytes") > before);
    wait("the memory comes back", || server.metric("irene_answer_bytes") == before);
    // What the connection had in its buffers may still come, and then nothing.
    let mut rest = Vec::new();
    let ended = unread.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.len() < 4 << 20, "{} bytes came", rest.len());

    // A client that takes its time, but goes on, gets all.
    let mut slow = ask(&server);
    let (mut part, mut taken) = (vec![0; 512 << 10], 64);
    loop {
        let read = slow.read(&mut part).unwrap();
        taken += read;
        if part[..read].ends_with(b"}}") || read == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(taken > 4 << 20, "{taken}");
}

#[test]
fn names_that_every_node_repeats_are_short() {
    let server = Running::start(Limits::default());
    let long = "x".repeat(201);
    let predict = |name: &str| server.post(&format!("/api/v1/predict?batch_size=1&seq_len=8&name={name}"), &config(1));
    predict(&long).is_problem(400, "has 201 characters; a name has 1 to 200");
    assert_eq!(predict(&long[1..]).status, 200);
    let tree = server.get("/api/v1/trace?model=gpt2&batch_size=1&seq_len=8").json()["tree"].to_string();
    let renamed = |from: &str, to: &str| server.post("/api/v1/predict/trees", &tree.replace(from, to));
    renamed("\"model_name\":\"gpt2\"", &format!("\"model_name\":\"{long}\"")).is_problem(422, "more than 200");
    renamed("\"root", &format!("\"{}", "y".repeat(1001))).is_problem(422, "more than 1000");
}

#[test]
fn a_request_says_for_which_host_it_is() {
    let server = Running::start(Limits::default());
    let get = |head: &str| server.raw(&format!("GET {head}Connection: close\r\n\r\n"));
    for head in [
        "/healthz HTTP/1.1\r\n",
        "/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "/api/v1/models HTTP/1.1\r\nHost: a b\r\n",
        "/api/v1/models HTTP/1.1\r\nHost: a/b\r\n",
    ] {
        let answer = get(head);
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Host"), "{head}: {answer}");
    }
    for head in [
        "/healthz HTTP/1.0\r\n",
        "/healthz HTTP/1.1\r\nHost: a.example:80\r\n",
        "/healthz HTTP/1.1\r\nHost: [::1]:80\r\n",
    ] {
        assert!(get(head).contains(" 200 OK"), "{head}");
    }
}
