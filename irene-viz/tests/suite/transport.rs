//! HTTP itself: compression, paths, and clients that are slow, broken or many.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use irene_viz::Limits;

use crate::{api::BERT, server::Running};

#[test]
fn answers_are_compressed_once_and_not_sent_twice() {
    let server = Running::start(Limits::default());
    for path in [
        BERT,
        "/api/v1/models",
        "/api/v1/openapi.json",
        "/",
        "/assets/style.css",
        "/api/v1/leaderboard?batch_size=1&seq_len=8",
    ] {
        let plain = server.get(path);
        assert_eq!(
            (plain.status, plain.header("content-encoding"), plain.header("vary")),
            (200, "", "accept-encoding")
        );
        let tag = plain.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.len() > 10, "{path}: {tag}");
        let gzip = [("accept-encoding", "br, gzip")];
        let (first, second) = (server.get_with(path, &gzip), server.get_with(path, &gzip));
        for packed in [&first, &second] {
            assert_eq!((packed.header("content-encoding"), packed.header("etag")), ("gzip", tag.as_str()), "{path}");
            assert!(
                packed.bytes.len() * 2 < plain.bytes.len(),
                "{path}: {} of {}",
                packed.bytes.len(),
                plain.bytes.len()
            );
            let mut text = String::new();
            flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, plain.text, "{path}");
        }
        let again = server.get_with(path, &[("if-none-match", &format!("\"x\", {tag}"))]);
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", tag.as_str()), "{path}");
        assert_eq!(server.get_with(path, &[("if-none-match", "W/\"0\"")]).status, 200, "{path}");
    }
    // The cache holds the text and what it was compressed to, once each.
    let held = server.metric("irene_answer_bytes");
    server.get_with(BERT, &[("accept-encoding", "gzip")]);
    server.get(BERT);
    assert_eq!(server.metric("irene_answer_bytes"), held);
    assert_eq!(server.get(BERT).json()["schema_version"], 1);
}

#[test]
fn no_path_reaches_a_file_and_no_page_may_frame_or_call() {
    let server = Running::start(Limits::default());
    for path in [
        "/assets/../src/lib.rs",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/..",
        "/api/v1/predict?model=/etc/passwd&batch_size=1&seq_len=1",
        "/api/v1/predict?model=../Cargo.toml&batch_size=1&seq_len=1",
    ] {
        let answer = server.raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 404") && !answer.contains("[package]") && !answer.contains("root:"),
            "{path}"
        );
    }
    let answer =
        server.raw("GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\nConnection: close\r\n\r\n");
    let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff") && head.contains("frame-ancestors 'none'"), "{head}");
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    // The page loads nothing from another host, only links lead there; and its policy needs no inline script or style.
    let page = server.get("/").text;
    let links = page.matches("<a href=\"https://").count();
    let loads_elsewhere = page.matches("=\"http").count() > links || page.contains("=\"//");
    assert!(!loads_elsewhere && !page.contains("style="), "{page}");
    assert!(
        !page.contains("<style") && page.matches("<script").count() == page.matches(" src=\"/assets/").count(),
        "{page}"
    );
}

#[test]
fn slow_and_broken_clients_are_left_and_the_server_goes_on() {
    let limits = Limits {
        body_time: Duration::from_millis(700),
        head_time: Duration::from_millis(500),
        connections: 300,
        ..Limits::default()
    };
    let server = Running::start(limits);
    // A head that never ends, a body that never comes, a head beyond reason, and no HTTP at all.
    let start = Instant::now();
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
    let mut unfinished = server.connect();
    unfinished
        .write_all(b"POST /api/v1/predict?batch_size=1&seq_len=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        .unwrap();
    let mut text = String::new();
    let _ = slow.read_to_string(&mut text);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    let mut answer = [0; 64];
    let len = unfinished.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..len]).starts_with("HTTP/1.1 408"), "{:?}", &answer[..len]);
    assert!(start.elapsed() < Duration::from_secs(5));
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "y".repeat(100_000));
    let answer = server.raw(&huge);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = server.raw("\u{16}\u{3}\u{1} hello\r\n\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(server.get("/healthz").text, "ok\n");
}

#[test]
fn a_thousand_connections_are_served() {
    let server = Running::start(Limits::default());
    let mut connections: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    for connection in &mut connections {
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}
