//! A request to the server, without a socket: a line `METHOD URI`, the body below. Whatever is asked, the server does not fail.
#![no_main]

use std::sync::LazyLock;

use irene_viz::fuzzing::Requests;

static SERVER: LazyLock<Requests> = LazyLock::new(Requests::new);

irene_fuzz::fuzz_text!(|bytes| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Some((method, uri)) = std::str::from_utf8(head).ok().and_then(|head| head.split_once(' ')) else { return };
    let Some((status, answer)) = SERVER.answer(method, uri, body) else { return };
    let shown = String::from_utf8_lossy(&answer);
    assert!(status < 500, "{status}: {shown}");
    if uri.starts_with("/api/") && !answer.is_empty() {
        serde_json::from_slice::<serde_json::Value>(&answer)
            .unwrap_or_else(|error| panic!("{status} {error}: {shown}"));
    }
});
