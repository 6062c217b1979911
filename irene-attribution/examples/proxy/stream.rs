//! Forwards a stream of events, counts its tokens, and adds the energy at its end.

use std::io::{self, BufRead, BufReader, Read};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap,
        header::{CONTENT_TYPE, TRAILER},
    },
    response::Response,
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use irene_attribution::{Request, Share};
use serde_json::Value;
use tokio::sync::mpsc::{Sender, channel};

use crate::{forward::tell_prompt, serving};

type Frames = Sender<io::Result<Frame<Bytes>>>;

/// Frames that wait for a slow client; then the server waits too.
const WAITING: usize = 16;

/// The longest line of an event.
const LONGEST: u64 = 1 << 20;

/// Answers with the server's events as they come. The prompt has about `guess` tokens, if the server does not say it.
pub(crate) fn forward(answer: axum::http::Response<ureq::Body>, request: Request, guess: u64) -> Response {
    let (parts, body) = answer.into_parts();
    let (frames, mut received) = channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut seen = Seen::default();
        let passed = pass(BufReader::new(body.into_reader()), &request, &mut seen, &frames);
        if !seen.has_usage {
            request.prompt(guess);
        }
        // It ends with its stream, or with its client: then the request is dropped, which cancels it.
        passed.and_then(|()| tell(request, &frames))
    });
    let stream = futures_util::stream::poll_fn(move |context| received.poll_recv(context));
    let mut response = Response::new(Body::new(StreamBody::new(stream)));
    *response.status_mut() = parts.status;
    if let Some(form) = parts.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, form.clone());
    }
    if let Ok(names) = "x-energy-joules, x-energy-prompt-joules, x-energy-decode-joules, x-energy-idle-joules, \
                        x-energy-covered, x-energy-provenance"
        .parse()
    {
        response.headers_mut().insert(TRAILER, names);
    }
    response
}

/// The facts that a stream has shown.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) tokens: u64,
    has_usage: bool,
}

/// Passes the events on; None if the server broke off, or the client has gone.
fn pass(mut events: impl BufRead, request: &Request, seen: &mut Seen, frames: &Frames) -> Option<()> {
    loop {
        let mut line = Vec::new();
        match events.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return Some(()),
            Ok(_) => seen.count(&line, request),
            Err(error) => {
                frames.blocking_send(Err(error)).ok()?;
                return None;
            }
        }
        frames.blocking_send(Ok(Frame::data(line.into()))).ok()?;
    }
}

/// Ends the request, and tells its energy in a comment and in the trailers.
fn tell(request: Request, frames: &Frames) -> Option<()> {
    let share = request.end().wait(serving::PATIENCE)?;
    frames.blocking_send(Ok(Frame::data(comment(&share).into()))).ok()?;
    let mut trailers = HeaderMap::new();
    for (name, value) in share.headers() {
        trailers.insert(name, value.parse().ok()?);
    }
    frames.blocking_send(Ok(Frame::trailers(trailers))).ok()
}

impl Seen {
    /// Counts a token for an event with text or a part of a call, and at the end those that the server counted and no event had alone.
    pub(crate) fn count(&mut self, line: &[u8], request: &Request) {
        let data = line.strip_prefix(b"data:");
        let Some(event) = data.and_then(|data| serde_json::from_slice::<Value>(data).ok()) else { return };
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        let texts = [&choice["text"], &delta["content"], &delta["reasoning_content"], &delta["reasoning"]];
        let is_call = delta["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
        if is_call || texts.iter().any(|text| text.as_str().is_some_and(|text| !text.is_empty())) {
            request.tokens(1);
            self.tokens += 1;
        }
        let usage = &event["usage"];
        self.has_usage |= tell_prompt(request, usage);
        if let Some(tokens) = usage["completion_tokens"].as_u64() {
            request.tokens(tokens.saturating_sub(self.tokens));
            self.tokens = tokens.max(self.tokens);
        }
    }
}

/// The energy as a comment of the stream.
fn comment(share: &Share) -> String {
    let lines = share.headers().into_iter().map(|(name, value)| format!(": {name}: {value}\n"));
    lines.chain(["\n".to_owned()]).collect()
}
