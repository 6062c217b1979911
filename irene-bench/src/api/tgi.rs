//! text-generation-inference's own API.

use serde_json::{Value, json};

use super::{Api, Ask, Dialect, Part, complaint, count, is_text};

pub(super) struct Generate;

impl Api for Generate {
    fn name(&self) -> &'static str {
        "tgi"
    }

    fn path(&self) -> &'static str {
        "/generate_stream"
    }

    /// An end of the text ends the answer; `ignore_eos` is understood by kindred servers.
    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::Fields, Dialect::Plain]
    }

    fn whole_path(&self) -> &'static str {
        "/generate"
    }

    fn body(&self, ask: Ask<'_>) -> Value {
        // Whole answers tell the prompt's tokens by listing them.
        let parameters = json!({"max_new_tokens": ask.generate, "do_sample": false, "details": true,
            "decoder_input_details": !ask.streams});
        let mut body = json!({"inputs": ask.prompt, "parameters": parameters});
        if ask.dialect == Dialect::Fields {
            body["ignore_eos"] = true.into();
        }
        body
    }

    fn part(&self, value: &Value) -> Part {
        let listed = || Some(value.pointer("/details/prefill")?.as_array()?.len() as u64).filter(|count| *count > 0);
        let reason = value.pointer("/details/finish_reason").and_then(Value::as_str);
        Part {
            has_text: is_text(value, "/token/text") || is_text(value, "/generated_text"),
            prompt: count(value, "/details/input_length").or_else(listed),
            generated: count(value, "/details/generated_tokens"),
            is_over: reason.is_some(),
            is_full: reason == Some("length"),
            error: complaint(value),
        }
    }
}
