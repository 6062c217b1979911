//! The tokens that end a text or a turn.

use super::{Gguf, parse::Value};

pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const KINDS: &str = "tokenizer.ggml.token_type";

/// The kind of tokens that are no text.
pub(super) const CONTROL: f64 = 3.0;

/// Control tokens at which llama.cpp ends whether the metadata names them or not, by their texts.
const ENDS: [&str; 11] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "<end_of_utterance>",
    "<|return|>",
    "<|call|>",
];

impl Gguf {
    /// A token that the metadata names.
    pub(super) fn token_id(&self, name: &str) -> Option<u64> {
        match self.0.metadata.get(&format!("tokenizer.ggml.{name}_token_id"))? {
            Value::Whole(id) => u64::try_from(*id).ok(),
            _ => None,
        }
    }

    /// The tokens that end a text, a turn or a message, the text's first.
    pub(super) fn end_tokens(&self) -> Vec<u64> {
        let named = ["eos", "eot", "eom"].into_iter().filter_map(|name| self.token_id(name));
        let mut ends = Vec::new();
        for id in named.chain(self.ends_by_text()) {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        ends
    }

    fn ends_by_text(&self) -> Vec<u64> {
        let tokens = self.array(TOKENS).and_then(|tokens| tokens.texts(self.first())).unwrap_or_default();
        // gpt-oss goes on behind this one, and ends at others.
        let goes_on = tokens.contains(&b"<|return|>".as_slice());
        let is_end = |token: &[u8]| ENDS.iter().any(|end| end.as_bytes() == token) && !(goes_on && token == b"<|end|>");
        let ends = tokens.into_iter().enumerate().filter(|&(_, token)| is_end(token)).map(|(id, _)| id);
        let ends: Vec<usize> = ends.collect();
        if ends.is_empty() {
            return Vec::new();
        }
        let kinds = self.numbers(KINDS).unwrap_or_default();
        ends.into_iter().filter(|&id| kinds.get(id) == Some(&CONTROL)).map(|id| id as u64).collect()
    }
}
