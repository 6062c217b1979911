//! Forwards requests to one server, and to nowhere else.

use std::{io::Read, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{
        HeaderMap, HeaderName, StatusCode, Uri,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use irene_attribution::{Error, Meter, Operation, Request, RequestInfo, Share, Weights};
use irene_sampler::Pending;
use serde_json::{Value, json};
use ureq::Agent;

use crate::{serving, stream};

struct Proxy {
    agent: Agent,
    server: String,
    meter: Meter,
}

/// The longest time for one answer.
const LONGEST: Duration = Duration::from_secs(600);

/// The largest answer in one piece.
const LARGEST: u64 = 64 << 20;

/// The proxy's routes.
pub(crate) fn router(meter: Meter, server: &str) -> Router {
    let config = Agent::config_builder().proxy(None).max_redirects(0).http_status_as_error(false);
    let agent = config.timeout_global(Some(LONGEST)).build().new_agent();
    let proxy = Proxy { agent, server: server.trim_end_matches('/').to_owned(), meter: meter.clone() };
    let routes = Router::new().route("/v1/models", get(plain)).route("/v1/{*path}", post(metered));
    serving::with_metrics(routes.with_state(Arc::new(proxy)), &meter)
}

/// The server's answer.
type Answer = axum::http::Response<ureq::Body>;

/// The server's headers that are passed on, beside those of the energy.
const PASSED: [HeaderName; 3] = [ACCEPT, AUTHORIZATION, CONTENT_TYPE];

impl Proxy {
    fn post(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Answer, ureq::Error> {
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let mut request = self.agent.post(format!("{}{path}", self.server));
        for name in PASSED {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        request.send(body)
    }
}

/// The list of models has no energy.
async fn plain(State(proxy): State<Arc<Proxy>>) -> Response {
    let get = move || Some(whole(proxy.agent.get(format!("{}/v1/models", proxy.server)).call().ok()?)?.0);
    tokio::task::spawn_blocking(get).await.ok().flatten().unwrap_or_else(unreachable)
}

async fn metered(State(proxy): State<Arc<Proxy>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let request = begin(&proxy.meter, uri.path(), &asked);
    // The agent blocks, so each request has a thread while it is forwarded.
    let forward = move || {
        let answer = proxy.post(&uri, &headers, &body).ok()?;
        let form = answer.headers().get(CONTENT_TYPE).and_then(|form| form.to_str().ok()).unwrap_or_default();
        if form.starts_with("text/event-stream") {
            return Some((stream::forward(answer, request, guess(&asked)), None));
        }
        let (response, usage) = whole(answer)?;
        if response.status().is_success() {
            tell(&request, &usage);
            return Some((response, Some(request.end())));
        }
        Some((response, Some(request.cancel())))
    };
    let forwarded: Option<(Response, Option<Pending<Share>>)> =
        tokio::task::spawn_blocking(forward).await.ok().flatten();
    match forwarded {
        Some((response, Some(pending))) => {
            let share = serving::share(pending).await;
            serving::with_headers(response, share.as_ref())
        }
        Some((response, None)) => response,
        None => unreachable(),
    }
}

/// A request enters. If the server will not tell how long its prompt is, its text does, nearly.
fn begin(meter: &Meter, path: &str, asked: &Value) -> Request {
    let operation = match path {
        "/v1/embeddings" => Operation::Embeddings,
        "/v1/completions" => Operation::TextCompletion,
        _ => Operation::Chat,
    };
    let is_whole = asked["stream"] != true;
    let tells = is_whole || asked["stream_options"]["include_usage"] == true;
    let model = asked["model"].as_str().unwrap_or("unknown");
    let info =
        RequestInfo { operation, prompt_comes_late: tells, tokens_come_late: is_whole, ..RequestInfo::from(model) };
    let request = meter.begin(info);
    if !tells {
        request.prompt(guess(asked));
    }
    request
}

/// The tokens of a prompt, from the length of its text; numbers are tokens.
pub(crate) fn guess(asked: &Value) -> u64 {
    const CHARACTERS: usize = 4;
    let contents = asked["messages"].as_array().into_iter().flatten().map(|message| &message["content"]);
    let parts = contents.chain([&asked["prompt"], &asked["input"]]).map(characters_and_tokens);
    let [characters, tokens] = parts.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    (characters.div_ceil(CHARACTERS) + tokens) as u64
}

fn characters_and_tokens(content: &Value) -> [usize; 2] {
    match content {
        Value::String(text) => [text.chars().count(), 0],
        Value::Number(_) => [0, 1],
        Value::Array(parts) => parts.iter().map(characters_and_tokens).fold([0, 0], |[a, b], [c, d]| [a + c, b + d]),
        // A part of a message; pictures have no text.
        Value::Object(part) => part.get("text").map_or([0, 0], characters_and_tokens),
        Value::Null | Value::Bool(_) => [0, 0],
    }
}

/// The weights among the numbers after the address, of which the first is the thermal design power.
pub(crate) fn weights(numbers: &[f64]) -> Result<Option<Weights>, Error> {
    match *numbers {
        [] | [_] => Ok(Some(Weights::EVEN)),
        [_, prompt_j, token_j] => Weights::new(prompt_j, token_j).map(Some),
        _ => Ok(None),
    }
}

/// Tells the meter what the server says of the prompt, if it does: its tokens, and those that the server's prefix cache had.
pub(crate) fn tell_prompt(request: &Request, usage: &Value) -> bool {
    let Some(tokens) = usage["prompt_tokens"].as_u64() else { return false };
    request.prompt_cached(usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0));
    request.prompt(tokens);
    true
}

/// Tells the meter what the server says of the tokens.
pub(crate) fn tell(request: &Request, usage: &Value) {
    tell_prompt(request, usage);
    request.tokens(usage["completion_tokens"].as_u64().unwrap_or(0));
}

/// An answer in one piece, and its usage.
fn whole(answer: Answer) -> Option<(Response, Value)> {
    let (parts, body) = answer.into_parts();
    let mut bytes = Vec::new();
    body.into_reader().take(LARGEST).read_to_end(&mut bytes).ok()?;
    let usage = serde_json::from_slice(&bytes).map(|mut answer: Value| answer["usage"].take()).unwrap_or_default();
    let mut response = (parts.status, bytes).into_response();
    if let Some(form) = parts.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, form.clone());
    }
    Some((response, usage))
}

fn unreachable() -> Response {
    let error = json!({"error": {"message": "the server cannot be reached, or its answer ended early"}});
    (StatusCode::BAD_GATEWAY, Json(error)).into_response()
}
