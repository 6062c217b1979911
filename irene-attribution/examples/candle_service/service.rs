//! The service: a small decoder with made-up weights, whose tokens are bytes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use candle_core::{DType, Device};
use irene_attribution::{Meter, Operation, Request, RequestInfo, Share};
use irene_models::{Batch, Config, Cx, Generator, Model, ModelSpec, RandomWeights, TaskHead};
use serde_json::{Value, json};

use crate::serving;

struct Service {
    model: Box<dyn Model>,
    meter: Meter,
}

const NAME: &str = "made-up";

const POSITIONS: usize = 512;

/// The service's routes.
///
/// # Errors
/// Those of the model.
pub(crate) fn router(meter: Meter) -> irene_models::Result<Router> {
    let config =
        br#"{"model_type": "gpt2", "n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 512, "vocab_size": 256}"#;
    let spec = ModelSpec::from_config(NAME, Config::from_json("config.json", config)?)?;
    let weights = RandomWeights { seed: 1, dtype: DType::F32, device: Device::Cpu };
    let service = Service { model: spec.build_with_head(&weights, TaskHead::Lm)?, meter: meter.clone() };
    let router = Router::new().route("/v1/completions", post(complete)).with_state(Arc::new(service));
    Ok(serving::with_metrics(router, &meter))
}

/// Sets a flag when the handler is dropped, because its client has gone.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn complete(State(service): State<Arc<Service>>, Json(body): Json<Value>) -> Response {
    let (prompt, most) = match asked(&body) {
        Ok(asked) => asked,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, &reason),
    };
    let request = service.meter.begin(RequestInfo { operation: Operation::TextCompletion, ..RequestInfo::from(NAME) });
    let prompt_tokens = prompt.len();
    request.prompt(prompt_tokens as u64);
    let gone = Gone(Arc::default());
    let theirs = Arc::clone(&gone.0);
    // A request whose generation fails is dropped there, which cancels it.
    let work = move || -> irene_models::Result<_> {
        let tokens = generate(&*service.model, prompt, most, &request, &theirs)?;
        let pending = if theirs.load(Ordering::Relaxed) { request.cancel() } else { request.end() };
        Ok((tokens, pending))
    };
    let (tokens, pending) = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the model panicked"),
    };
    let share = serving::share(pending).await;
    let completion = tokens.len();
    let answer = json!({
        "object": "text_completion",
        "model": NAME,
        "choices": [{"index": 0, "text": String::from_utf8_lossy(&tokens), "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": prompt_tokens + completion,
        },
        "energy": energy(share.as_ref()),
    });
    serving::with_headers(Json(answer).into_response(), share.as_ref())
}

/// The energy for the body of an answer; null is not known.
fn energy(share: Option<&Share>) -> Value {
    share.map_or(Value::Null, |share| {
        json!({
            "joules": share.joules(),
            "prompt_joules": share.prompt_joules(),
            "decode_joules": share.decode_joules(),
            "idle_joules": share.idle_joules(),
            "covered": share.covered,
            "provenance": share.provenance.map(irene_sampler::Provenance::name),
        })
    })
}

/// The prompt's tokens and the number to generate.
fn asked(body: &Value) -> Result<(Vec<i64>, usize), String> {
    const USUAL: u64 = 16;
    let prompt = body["prompt"].as_str().filter(|text| !text.is_empty()).ok_or("`prompt` must be a text")?;
    let most = match &body["max_tokens"] {
        Value::Null => USUAL,
        most => most.as_u64().ok_or("`max_tokens` must be a number")?,
    };
    if body["stream"] == true {
        return Err("this service does not stream".into());
    }
    let tokens: Vec<i64> = prompt.bytes().map(i64::from).collect();
    let room = POSITIONS.saturating_sub(tokens.len());
    match usize::try_from(most) {
        Ok(most) if most <= room => Ok((tokens, most)),
        _ => {
            Err(format!("a prompt of {} bytes leaves room for {room} tokens of {POSITIONS}, not {most}", tokens.len()))
        }
    }
}

/// One token after the other; each is told to the meter.
fn generate(
    model: &dyn Model,
    prompt: Vec<i64>,
    most: usize,
    request: &Request,
    is_gone: &AtomicBool,
) -> irene_models::Result<Vec<u8>> {
    // The request may have waited for this thread.
    request.prompt_started();
    let mut generator = Generator::new(model, Batch::of_prompts(&[prompt], &Device::Cpu)?)?;
    let mut tokens = Vec::new();
    while tokens.len() < most && !is_gone.load(Ordering::Relaxed) {
        let step = generator.step(&mut Cx::silent())?;
        request.tokens(1);
        tokens.extend(step.tokens.into_iter().flatten().map(|token| token as u8));
    }
    Ok(tokens)
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": {"message": message}}))).into_response()
}
