//! The paths, and what a request asks for.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::LOCATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use crate::{Misdeed, answers, answers::Form, engine::Job, server::Shared};

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new().route("/health", get(async || "ok")).route("/v1/models", get(models));
    for form in Form::ALL {
        let handler = move |State(shared): State<Arc<Shared>>, Json(body): Json<Value>| answer(shared, form, body);
        router = router.route(form.path(), post(handler));
    }
    router.layer(from_fn_with_state(Arc::clone(&shared), only_paths)).with_state(shared)
}

async fn models(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": shared.script.model, "object": "model"}]}))
}

/// Paths that the script does not have are unknown.
async fn only_paths(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let paths = &shared.script.paths;
    if paths.is_empty() || paths.iter().any(|path| path == request.uri().path()) {
        return next.run(request).await;
    }
    (StatusCode::NOT_FOUND, Json(json!({"error": {"message": "no such path"}}))).into_response()
}

/// The tokens of a text: one for each four characters of a word, and one at the beginning.
fn tokens(text: &str) -> usize {
    1 + text.split_whitespace().map(|word| word.chars().count().div_ceil(4)).sum::<usize>()
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": {"message": message}}))).into_response()
}

async fn answer(shared: Arc<Shared>, form: Form, body: Value) -> Response {
    let script = &shared.script;
    if let Some(field) = script.refused_fields.iter().find(|field| body.get(field.as_str()).is_some()) {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("unexpected field {field}"));
    }
    let Some(text) = form.prompt(&body) else { return refusal(StatusCode::BAD_REQUEST, "no prompt") };
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let misdeed = script.faults.iter().find(|fault| fault.applies(number)).map(|fault| fault.misdeed.clone());
    match &misdeed {
        Some(Misdeed::Status(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return refusal(status, "the script says so");
        }
        Some(Misdeed::Redirect(to)) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to.clone())], Body::empty()).into_response();
        }
        Some(Misdeed::Stall(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let asked = form.generate(&body);
    let generate = if form.forces(&body) { asked } else { asked.min(script.ends_after.unwrap_or(usize::MAX)) };
    let (sender, tokens_of_engine) = unbounded_channel();
    let prompt = tokens(&text);
    // The engine ends with the server alone.
    let _ = shared.jobs.send(Job { number, prompt, generate, tokens: sender });
    let asks_for_usage = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let answer = answers::Answer {
        form,
        model: script.model.clone(),
        prompt,
        generate,
        ends_early: generate < asked,
        has_usage: form.always_tells() || (script.streams_usage && asks_for_usage),
        misdeed,
    };
    if form.streams(&body) { answer.stream(tokens_of_engine) } else { answer.whole(tokens_of_engine).await }
}
