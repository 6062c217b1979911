//! llama.cpp's own API.

use serde_json::{Value, json};

use super::{Api, Ask, Part, complaint, count, is_text};

pub(super) struct Completion;

impl Api for Completion {
    fn name(&self) -> &'static str {
        "llama.cpp"
    }

    fn path(&self) -> &'static str {
        "/completion"
    }

    fn body(&self, ask: Ask<'_>) -> Value {
        json!({"prompt": ask.prompt, "n_predict": ask.generate, "temperature": 0.0, "stream": ask.streams,
            "ignore_eos": true, "cache_prompt": ask.shares_prefix})
    }

    fn part(&self, value: &Value) -> Part {
        let is_over = value.get("stop") == Some(&Value::Bool(true));
        let is_limit = value.get("stop_type").and_then(Value::as_str) == Some("limit");
        Part {
            has_text: is_text(value, "/content"),
            prompt: count(value, "/tokens_evaluated").filter(|_| is_over),
            generated: count(value, "/tokens_predicted").filter(|_| is_over),
            is_over,
            is_full: is_over && (is_limit || value.get("stopped_limit") == Some(&Value::Bool(true))),
            error: complaint(value),
        }
    }
}
