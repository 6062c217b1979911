//! OpenAI's APIs, as vLLM, SGLang, llama.cpp, transformers, mistral.rs and others serve them.

use serde_json::{Value, json};

use super::{Api, Ask, Dialect, Part, complaint, count, is_text};

pub(super) struct Completions;
pub(super) struct Chat;
pub(super) struct Embeddings;

const DIALECTS: [Dialect; 3] = [Dialect::Fields, Dialect::GenerationConfig, Dialect::Plain];

fn set(body: &mut Value, ask: Ask<'_>) {
    if let Some(model) = ask.model {
        body["model"] = model.into();
    }
    body["max_tokens"] = ask.generate.into();
    body["temperature"] = json!(0.0);
    body["stream"] = ask.streams.into();
    match ask.dialect {
        Dialect::Fields => {
            body["ignore_eos"] = true.into();
            body["min_tokens"] = ask.generate.into();
            if ask.streams {
                body["stream_options"] = json!({"include_usage": true});
            }
        }
        Dialect::GenerationConfig => {
            let tokens = ask.generate;
            let config = json!({"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": false});
            body["generation_config"] = config.to_string().into();
        }
        Dialect::Plain => {}
    }
}

fn part(value: &Value, texts: &[&str]) -> Part {
    let reason = value.pointer("/choices/0/finish_reason").and_then(Value::as_str);
    Part {
        has_text: texts.iter().any(|path| is_text(value, path)),
        prompt: count(value, "/usage/prompt_tokens"),
        generated: count(value, "/usage/completion_tokens"),
        is_over: reason.is_some(),
        is_full: reason == Some("length"),
        error: complaint(value),
    }
}

impl Api for Completions {
    fn name(&self) -> &'static str {
        "completions"
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn dialects(&self) -> &'static [Dialect] {
        &DIALECTS
    }

    fn body(&self, ask: Ask<'_>) -> Value {
        let mut body = json!({});
        set(&mut body, ask);
        body["prompt"] = ask.prompt.into();
        body
    }

    fn part(&self, value: &Value) -> Part {
        part(value, &["/choices/0/text"])
    }
}

impl Api for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn dialects(&self) -> &'static [Dialect] {
        &DIALECTS
    }

    fn body(&self, ask: Ask<'_>) -> Value {
        let mut body = json!({"messages": [{"role": "user", "content": ask.prompt}]});
        set(&mut body, ask);
        body
    }

    fn part(&self, value: &Value) -> Part {
        const TEXTS: [&str; 5] = [
            "/choices/0/delta/content",
            "/choices/0/delta/reasoning_content",
            "/choices/0/delta/reasoning",
            "/choices/0/message/content",
            "/choices/0/message/reasoning_content",
        ];
        part(value, &TEXTS)
    }
}

impl Api for Embeddings {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn path(&self) -> &'static str {
        "/v1/embeddings"
    }

    fn generates(&self) -> bool {
        false
    }

    fn body(&self, ask: Ask<'_>) -> Value {
        let mut body = json!({"input": ask.prompt});
        if let Some(model) = ask.model {
            body["model"] = model.into();
        }
        body
    }

    fn part(&self, value: &Value) -> Part {
        Part {
            prompt: count(value, "/usage/prompt_tokens"),
            is_over: value.get("data").is_some(),
            error: complaint(value),
            ..Part::default()
        }
    }
}
