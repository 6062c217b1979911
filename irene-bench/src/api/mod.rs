//! The APIs of servers: each is one file, and one line in [`ALL`].

mod llama_cpp;
mod openai;
mod tgi;

use serde_json::Value;

/// A request to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The model's name at the server.
    pub(crate) model: Option<&'a str>,
    pub(crate) prompt: &'a str,
    /// Tokens to generate.
    pub(crate) generate: usize,
    pub(crate) dialect: Dialect,
    /// Whether the answer shall come token by token.
    pub(crate) streams: bool,
    /// Whether the server may use again what it remembers of other prompts.
    pub(crate) shares_prefix: bool,
}

/// How a server is told to generate all tokens that are asked for, even after an end of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// By the fields `ignore_eos` and `min_tokens` (vLLM, SGLang, llama.cpp).
    Fields,
    /// By a generation config (transformers).
    GenerationConfig,
    /// It cannot be told.
    Plain,
}

/// The content of a part of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Part {
    pub(crate) has_text: bool,
    /// Tokens of the prompt.
    pub(crate) prompt: Option<u64>,
    /// Tokens generated.
    pub(crate) generated: Option<u64>,
    /// Whether the answer is over.
    pub(crate) is_over: bool,
    /// Whether it is over because it has as many tokens as were asked for.
    pub(crate) is_full: bool,
    /// The server's complaint.
    pub(crate) error: Option<String>,
}

/// An API of a server.
pub(crate) trait Api: Sync {
    /// Its name on a command line and in sheets.
    fn name(&self) -> &'static str;

    /// Where it is.
    fn path(&self) -> &'static str;

    /// The ways of forcing a length that it may understand, the best first.
    fn dialects(&self) -> &'static [Dialect] {
        &[Dialect::Fields]
    }

    /// Whether tokens are generated.
    fn generates(&self) -> bool {
        true
    }

    /// Where whole answers are.
    fn whole_path(&self) -> &'static str {
        self.path()
    }

    fn body(&self, ask: Ask<'_>) -> Value;

    /// Reads an event of a stream, or a whole answer.
    fn part(&self, value: &Value) -> Part;
}

/// All, in the order in which they are tried.
pub(crate) const ALL: [&dyn Api; 5] =
    [&openai::Completions, &openai::Chat, &tgi::Generate, &llama_cpp::Completion, &openai::Embeddings];

/// The whole number at a path of an answer.
fn count(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path).and_then(Value::as_u64)
}

fn is_text(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

/// The complaint in an answer: text, or an object with a message.
fn complaint(value: &Value) -> Option<String> {
    let error = value.get("error").filter(|error| !error.is_null())?;
    let text = error.as_str().or_else(|| error.get("message")?.as_str());
    Some(text.map_or_else(|| error.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api(name: &str) -> &'static dyn Api {
        ALL.into_iter().find(|api| api.name() == name).unwrap()
    }

    #[test]
    fn a_length_is_forced_in_the_way_that_the_server_understands() {
        let ask = Ask {
            model: Some("m"),
            prompt: "p",
            generate: 7,
            dialect: Dialect::Fields,
            streams: true,
            shares_prefix: false,
        };
        let body = api("completions").body(ask);
        assert_eq!(body["min_tokens"], 7);
        assert_eq!((&body["ignore_eos"], &body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
        let plain = api("chat").body(Ask { dialect: Dialect::Plain, streams: false, ..ask });
        assert_eq!(
            plain,
            json!({"model": "m", "messages": [{"role": "user", "content": "p"}], "max_tokens": 7, "temperature": 0.0,
                "stream": false})
        );
        let config = api("chat").body(Ask { dialect: Dialect::GenerationConfig, ..ask });
        let config: Value = serde_json::from_str(config["generation_config"].as_str().unwrap()).unwrap();
        assert_eq!(config["min_new_tokens"], 7);
        assert_eq!(api("llama.cpp").body(ask)["cache_prompt"], false);
        assert_eq!(api("tgi").body(ask)["parameters"]["max_new_tokens"], 7);
    }

    #[test]
    fn answers_are_read_in_every_form() {
        let read = |name: &str, value: Value| api(name).part(&value);
        let counted = |prompt, generated| Part { prompt: Some(prompt), generated: Some(generated), ..Part::default() };
        let full = Part { has_text: true, is_over: true, is_full: true, ..counted(3, 2) };
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 2});
        let choice = json!([{"text": "a", "finish_reason": "length"}]);
        assert_eq!(read("completions", json!({"choices": choice, "usage": usage})), full);
        let message = json!([{"message": {"content": "a"}, "finish_reason": "length"}]);
        assert_eq!(read("chat", json!({"choices": message, "usage": usage})), full);
        assert_eq!(
            read("chat", json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]})),
            Part::default()
        );
        assert!(read("chat", json!({"choices": [{"delta": {"reasoning_content": "hm"}}]})).has_text);
        assert_eq!(read("completions", json!({"choices": [], "usage": usage})), counted(3, 2));
        let details = json!({"finish_reason": "length", "generated_tokens": 2, "input_length": 3});
        assert_eq!(read("tgi", json!({"token": {"text": "a"}, "details": details})), full);
        let last =
            json!({"content": "a", "stop": true, "stop_type": "limit", "tokens_evaluated": 3, "tokens_predicted": 2});
        assert_eq!(read("llama.cpp", last), full);
        assert_eq!(read("embeddings", json!({"data": [], "usage": {"prompt_tokens": 4}})).prompt, Some(4));
        assert_eq!(read("completions", json!({"error": {"message": "full"}})).error.as_deref(), Some("full"));
    }
}
