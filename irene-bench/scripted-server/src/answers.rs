//! Answers in the forms of the servers that people run.

use std::{io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::Misdeed;

/// The form of a request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Completions,
    Chat,
    Embeddings,
    Generate,
    GenerateStream,
    LlamaCpp,
}

/// Texts of tokens, with characters of one to three bytes.
const TEXTS: [&str; 4] = [" a", "é", "日", " the"];

impl Form {
    pub(crate) const ALL: [Self; 6] =
        [Self::Completions, Self::Chat, Self::Embeddings, Self::Generate, Self::GenerateStream, Self::LlamaCpp];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Generate => "/generate",
            Self::GenerateStream => "/generate_stream",
            Self::LlamaCpp => "/completion",
        }
    }

    pub(crate) fn prompt(self, body: &Value) -> Option<String> {
        let text = |value: Option<&Value>| value?.as_str().map(str::to_owned);
        match self {
            Self::Completions | Self::LlamaCpp => text(body.get("prompt")),
            Self::Embeddings => text(body.get("input")),
            Self::Generate | Self::GenerateStream => text(body.get("inputs")),
            Self::Chat => {
                let messages = body.get("messages")?.as_array()?;
                Some(
                    messages
                        .iter()
                        .filter_map(|message| message.get("content")?.as_str())
                        .collect::<Vec<_>>()
                        .join(" "),
                )
            }
        }
    }

    /// The most tokens that are asked for.
    pub(crate) fn generate(self, body: &Value) -> usize {
        const USUAL: u64 = 16;
        let path = match self {
            Self::Embeddings => return 0,
            Self::Completions | Self::Chat => "/max_tokens",
            Self::Generate | Self::GenerateStream => "/parameters/max_new_tokens",
            Self::LlamaCpp => "/n_predict",
        };
        body.pointer(path).and_then(Value::as_u64).unwrap_or(USUAL) as usize
    }

    /// Whether all those tokens have to be generated.
    pub(crate) fn forces(self, body: &Value) -> bool {
        body.get("ignore_eos") == Some(&Value::Bool(true))
    }

    pub(crate) fn streams(self, body: &Value) -> bool {
        match self {
            Self::GenerateStream => true,
            Self::Generate | Self::Embeddings => false,
            _ => body.get("stream") == Some(&Value::Bool(true)),
        }
    }

    /// Whether the last event of a stream tells the tokens, asked or not.
    pub(crate) fn always_tells(self) -> bool {
        matches!(self, Self::GenerateStream | Self::LlamaCpp)
    }
}

/// An answer to give.
pub(crate) struct Answer {
    pub(crate) form: Form,
    pub(crate) model: String,
    pub(crate) prompt: usize,
    pub(crate) generate: usize,
    /// Whether it ends before it has all tokens that were asked for.
    pub(crate) ends_early: bool,
    pub(crate) has_usage: bool,
    pub(crate) misdeed: Option<Misdeed>,
}

type Pieces = mpsc::UnboundedSender<io::Result<Bytes>>;

impl Answer {
    /// Tokens of the prompt and generated, as the answer says them.
    fn counts(&self) -> (usize, usize) {
        match self.misdeed {
            Some(Misdeed::WrongUsage) => (self.prompt * 1000, 1),
            _ => (self.prompt, self.generate),
        }
    }

    fn reason(&self) -> &'static str {
        if self.ends_early { "stop" } else { "length" }
    }

    fn usage(&self) -> Value {
        let (prompt, generated) = self.counts();
        json!({"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated})
    }

    /// The answer when all is done.
    pub(crate) async fn whole(self, mut tokens: UnboundedReceiver<usize>) -> Response {
        let mut text = String::new();
        while let Some(token) = tokens.recv().await {
            text += TEXTS[token % TEXTS.len()];
        }
        let ((prompt, generated), model, usage, reason) = (self.counts(), &self.model, self.usage(), self.reason());
        let body = match self.form {
            Form::Completions => json!({"object": "text_completion", "model": model, "usage": usage,
                "choices": [{"index": 0, "text": text, "finish_reason": reason}]}),
            Form::Chat => json!({"object": "chat.completion", "model": model, "usage": usage, "choices":
                [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}]}),
            Form::Embeddings => json!({"object": "list", "model": model,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
                "usage": {"prompt_tokens": prompt, "total_tokens": prompt}}),
            Form::Generate | Form::GenerateStream => {
                json!({"generated_text": text, "details": {"finish_reason": reason, "generated_tokens": generated,
                    "prefill": vec![json!({"id": 1, "text": "a"}); prompt]}})
            }
            Form::LlamaCpp => {
                json!({"content": text, "stop": true, "tokens_evaluated": prompt, "tokens_predicted": generated})
            }
        };
        Json(body).into_response()
    }

    /// The answer as it comes.
    pub(crate) fn stream(self, tokens: UnboundedReceiver<usize>) -> Response {
        let (pieces, mut received) = mpsc::unbounded_channel();
        tokio::spawn(async move { self.events(tokens, &pieces).await });
        let stream = futures_util::stream::poll_fn(move |context| received.poll_recv(context));
        (StatusCode::OK, [(CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
    }

    /// Sends the events; None if the client has gone.
    async fn events(&self, mut tokens: UnboundedReceiver<usize>, pieces: &Pieces) -> Option<()> {
        if self.form == Form::Chat {
            let role = json!({"role": "assistant", "content": ""});
            self.send(pieces, &json!({"choices": [{"index": 0, "delta": role}]}).to_string()).await?;
        }
        while let Some(token) = tokens.recv().await {
            if let Some(Misdeed::Disconnect(after)) = self.misdeed
                && token > after
            {
                let _ = pieces.send(Err(io::ErrorKind::ConnectionReset.into()));
                return None;
            }
            if let Some(Misdeed::Garbage) = self.misdeed {
                pieces
                    .send(Ok(Bytes::from_static(b": a comment\nevent: x\n\x00\xff\xfe{{{\ndata: {broken\n\n")))
                    .ok()?;
            }
            self.send(pieces, &self.event(token).to_string()).await?;
        }
        if self.has_usage && !self.form.always_tells() {
            self.send(pieces, &json!({"choices": [], "usage": self.usage()}).to_string()).await?;
        }
        if matches!(self.form, Form::Completions | Form::Chat) {
            self.send(pieces, "[DONE]").await?;
        }
        Some(())
    }

    /// The event of a token.
    fn event(&self, token: usize) -> Value {
        let (text, is_last, (prompt, generated)) = (TEXTS[token % TEXTS.len()], token == self.generate, self.counts());
        let reason = is_last.then_some(self.reason());
        match self.form {
            Form::Chat => json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}),
            Form::GenerateStream => {
                let details = is_last.then(
                    || json!({"finish_reason": self.reason(), "generated_tokens": generated, "input_length": prompt}),
                );
                json!({"index": token, "token": {"id": token, "text": text, "logprob": -1.0, "special": false},
                    "details": details})
            }
            Form::LlamaCpp if is_last => json!({"content": text, "stop": true, "tokens_evaluated": prompt,
                "tokens_predicted": generated}),
            Form::LlamaCpp => json!({"content": text, "stop": false}),
            _ => json!({"choices": [{"index": 0, "text": text, "finish_reason": reason}]}),
        }
    }

    /// Sends an event, in small pieces if the script says so.
    async fn send(&self, pieces: &Pieces, event: &str) -> Option<()> {
        /// No divisor of the length of most events, so that the cuts wander through lines and characters.
        const PIECE: usize = 7;
        let event = format!("data: {event}\n\n");
        let Some(Misdeed::Slow(pause)) = self.misdeed else { return pieces.send(Ok(event.into())).ok() };
        for piece in event.as_bytes().chunks(PIECE) {
            pieces.send(Ok(Bytes::copy_from_slice(piece))).ok()?;
            tokio::time::sleep(pause.max(Duration::from_micros(1))).await;
        }
        Some(())
    }
}
