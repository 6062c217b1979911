//! The energy in the files is that of the work and the time.
#![allow(clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use irene_scripted_server::{Script, ScriptedServer};

fn post(server: &ScriptedServer, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_counter_shows_work_and_idling_and_wraps_around() {
    let sys = tempfile::tempdir().unwrap();
    let script = Script {
        joules_per_prompt_token: 0.5,
        joules_per_token: 2.0,
        joules_per_step: 1.0,
        idle_watts: 3.0,
        wraps_at_uj: 7_000_000,
        ..Script::default()
    };
    let before = Instant::now();
    let server = ScriptedServer::start(script, sys.path()).unwrap();
    // Three words of two tokens each, and one for the beginning.
    let answer = post(
        &server,
        "/v1/completions",
        r#"{"prompt": "river stone water", "max_tokens": 4, "stream": true,
        "stream_options": {"include_usage": true}}"#,
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""prompt_tokens":7,"completion_tokens":4"#) && answer.contains("[DONE]"), "{answer}");
    assert_eq!(answer.matches("\"text\":").count(), 4);
    let served = server.served();
    let work = 7.0 * 0.5 + 4.0 * (2.0 + 1.0);
    assert!(served.len() == 1 && served[0].is_whole && (served[0].joules - work).abs() < 1e-9, "{served:?}");
    let joules = server.joules();
    let idle = joules - server.joules_of_work();
    assert!((server.joules_of_work() - work).abs() < 1e-9);
    assert!(idle > 0.0 && idle <= 3.0 * before.elapsed().as_secs_f64());
    let shown = || {
        let text = std::fs::read_to_string(sys.path().join("class/powercap/intel-rapl:0/energy_uj")).unwrap();
        text.trim().parse::<u64>().unwrap()
    };
    // 15.5 J of work go round a counter of 7 J twice.
    assert!(joules > 14.0 && (0..7_000_000).contains(&shown()));
}

#[test]
fn every_form_answers_with_its_counts() {
    let sys = tempfile::tempdir().unwrap();
    let server = ScriptedServer::start(Script::default(), sys.path()).unwrap();
    for (path, body, expected) in [
        ("/v1/completions", r#"{"prompt": "a b", "max_tokens": 2}"#, r#""prompt_tokens":3,"completion_tokens":2"#),
        (
            "/v1/chat/completions",
            r#"{"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}"#,
            r#""prompt_tokens":2"#,
        ),
        ("/v1/embeddings", r#"{"input": "a b c"}"#, r#""prompt_tokens":4"#),
        ("/generate", r#"{"inputs": "a", "parameters": {"max_new_tokens": 3}}"#, r#""generated_tokens":3"#),
        ("/generate_stream", r#"{"inputs": "a", "parameters": {"max_new_tokens": 3}}"#, r#""input_length":2"#),
        ("/completion", r#"{"prompt": "a", "n_predict": 3, "stream": true}"#, r#""tokens_predicted":3"#),
    ] {
        let answer = post(&server, path, body);
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    let [embedded] = server.served().into_iter().filter(|one| one.generated == 0).collect::<Vec<_>>()[..] else {
        unreachable!("one embedding")
    };
    assert!((embedded.joules - 4.0 * 1e-3).abs() < 1e-9);
    assert!(post(&server, "/nothing", "{}").starts_with("HTTP/1.1 404"));
}
