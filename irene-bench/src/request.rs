//! One request and its answer, with its times.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use hyper::{Response, body::Incoming, header::CONTENT_TYPE};
use irene_sampler::Clock;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    Error, Failure, Result, Server,
    api::{Api, Ask, Part},
    events::Events,
    http::{Client, MOST_BYTES, whole},
};

/// The parts of an answer so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// When the first and the last token came, of answers that come token by token.
    pub(crate) first: Option<f64>,
    pub(crate) last: Option<f64>,
    /// Events with text.
    pub(crate) texts: u64,
    /// Whether it came token by token.
    pub(crate) is_stream: bool,
    /// The sum of its events.
    pub(crate) part: Part,
}

impl Reply {
    /// Takes an answer that came at once.
    pub(crate) fn take_whole(&mut self, body: &[u8], api: &dyn Api) -> Result<(), Failure> {
        let value: Value = serde_json::from_slice(body).map_err(|error| Failure::Malformed(error.to_string()))?;
        self.take(api.part(&value), None)
    }

    fn take(&mut self, part: Part, now: Option<f64>) -> Result<(), Failure> {
        if let Some(error) = part.error {
            return Err(Failure::Server(error));
        }
        if part.has_text {
            self.texts += 1;
            self.first = self.first.or(now);
            self.last = now;
        }
        let own = &mut self.part;
        own.has_text |= part.has_text;
        own.prompt = part.prompt.or(own.prompt);
        own.generated = part.generated.or(own.generated);
        own.is_over |= part.is_over;
        own.is_full |= part.is_full;
        Ok(())
    }
}

/// Sends a request and takes its answer as far as it comes.
pub(crate) async fn ask(
    client: &mut Client,
    server: &Server,
    ask: Ask<'_>,
    clock: Clock,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let path = if ask.streams { server.api.path() } else { server.api.whole_path() };
    let mut answer = client.post(path, server.api.body(ask).to_string()).await?;
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        reply.is_stream = true;
        return stream(&mut answer, server, clock, reply).await;
    }
    reply.take_whole(&whole(&mut answer).await?, server.api)
}

async fn stream(
    answer: &mut Response<Incoming>,
    server: &Server,
    clock: Clock,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let mut stream = Stream::default();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|_| Failure::Disconnect)?;
        if let Some(data) = frame.data_ref() {
            stream.take(data, clock.now(), server.api, reply)?;
        }
    }
    stream.end(reply)
}

/// An answer that comes token by token.
#[derive(Default)]
pub(crate) struct Stream {
    events: Events,
    bytes: usize,
    is_done: bool,
}

impl Stream {
    /// Takes the bytes that came now.
    pub(crate) fn take(&mut self, data: &[u8], now: f64, api: &dyn Api, reply: &mut Reply) -> Result<(), Failure> {
        self.bytes += data.len();
        if self.bytes > MOST_BYTES {
            return Err(Failure::Malformed("it is too long".into()));
        }
        self.events.push(data);
        while let Some(data) = self.events.next() {
            self.is_done |= data == b"[DONE]";
            // A line that is no JSON tells nothing; the counts at the end say whether tokens are lacking.
            if let Ok(value) = serde_json::from_slice(data) {
                reply.take(api.part(&value), Some(now))?;
            }
        }
        Ok(())
    }

    /// Whether the answer was over before the connection was.
    pub(crate) fn end(&self, reply: &Reply) -> Result<(), Failure> {
        if self.is_done || reply.part.is_over { Ok(()) } else { Err(Failure::Disconnect) }
    }
}

/// A runtime for the thread that makes it.
pub(crate) fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("cannot open sockets"))
}

/// Runs on a thread of its own: the caller's may belong to another runtime, which lets none be blocked on there.
pub(crate) fn apart<T: Send>(work: impl FnOnce(&Runtime) -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|threads| {
        let named = std::thread::Builder::new().name("irene-bench".into());
        let thread = named.spawn_scoped(threads, || work(&runtime()?)).map_err(Error::io("cannot start a thread"))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A single request on a connection of its own.
pub(crate) async fn once(
    server: &Server,
    prompt: &str,
    generate: usize,
    streams: bool,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let mut client = Client::new(Arc::clone(&server.target), Arc::clone(&server.addresses));
    let mut reply = Reply::default();
    let asked = server.ask_for(prompt, generate, streams, false);
    let asking = ask(&mut client, server, asked, Clock::new(), &mut reply);
    tokio::time::timeout(timeout, asking).await.map_err(|_| Failure::Timeout)??;
    Ok(reply)
}
