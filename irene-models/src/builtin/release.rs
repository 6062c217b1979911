//! The releases of a shape: what a name's suffixes say, where they say nothing of the model's sizes.

use serde_json::{Value, json};

/// Marks of training and of packaging that leave a model's shape as it is.
const MARKS: [&str; 10] = ["instruct", "chat", "it", "pt", "hf", "base", "thinking", "sft", "dpo", "rl"];

/// A name in its parts: `meta-llama/Llama-3.1-70B-Instruct` is a release of `Llama-3.1-70B`.
pub(super) struct Release<'a> {
    pub(super) organisation: Option<&'a str>,
    /// Without the organisation.
    pub(super) name: &'a str,
    /// Without the marks either.
    pub(super) stem: &'a str,
    quantised: Option<Quantised>,
}

#[derive(Clone, Copy)]
enum Quantised {
    Fp8,
    Awq,
    Gptq(u8),
}

impl Quantised {
    const ENDINGS: [(&'static str, Self); 4] =
        [("-FP8", Self::Fp8), ("-AWQ", Self::Awq), ("-GPTQ-Int4", Self::Gptq(4)), ("-GPTQ-Int8", Self::Gptq(8))];

    fn config(self) -> Value {
        match self {
            Self::Fp8 => json!({"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}),
            Self::Awq => json!({"quant_method": "awq", "bits": 4, "group_size": 128}),
            Self::Gptq(bits) => json!({"quant_method": "gptq", "bits": bits, "group_size": 128}),
        }
    }
}

impl<'a> Release<'a> {
    pub(super) fn of(name_or_id: &'a str) -> Self {
        let (organisation, name) = match name_or_id.rsplit_once('/') {
            Some((organisation, name)) => (Some(organisation), name),
            None => (None, name_or_id),
        };
        let ending = Quantised::ENDINGS.into_iter().find_map(|(end, way)| Some((strip_ending(name, end)?, way)));
        let (rest, quantised) = ending.map_or((name, None), |(rest, way)| (rest, Some(way)));
        Self { organisation, name, stem: without_marks(rest), quantised }
    }

    /// Whether it names the shape and no release of it.
    pub(super) fn is_bare(&self) -> bool {
        self.stem.len() == self.name.len()
    }

    /// The whole name with its last word as the mark that it may be a slip of.
    pub(super) fn respelled(&self) -> Option<String> {
        let (rest, word) = self.name.rsplit_once('-')?;
        let mark = irene_tree::similar(word, MARKS).into_iter().next()?;
        let organisation = self.organisation.map_or(String::new(), |organisation| format!("{organisation}/"));
        Some(format!("{organisation}{rest}-{mark}"))
    }

    pub(super) fn quantisation(&self) -> Option<Value> {
        self.quantised.map(Quantised::config)
    }
}

/// A name without the organisation.
pub(super) fn base_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

fn strip_ending<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let (rest, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    end.eq_ignore_ascii_case(ending).then_some(rest)
}

fn without_marks(name: &str) -> &str {
    let mut stem = name;
    while let Some((rest, _)) = stem.rsplit_once('-').filter(|(rest, word)| !rest.is_empty() && is_mark(word)) {
        stem = rest;
    }
    stem
}

/// Whether a word of a name says which release it is: `Instruct`, `2407`, `v0.1`. `V3` is another model, `v2` may be.
fn is_mark(word: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = |word: &str| word.contains('.') && word.split('.').all(is_number);
    MARKS.iter().any(|mark| word.eq_ignore_ascii_case(mark))
        || (word.len() == 4 && is_number(word))
        || word.strip_prefix('v').is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_release_are_no_part_of_the_shapes_name() {
        let stem = |name| Release::of(name).stem;
        assert_eq!(stem("meta-llama/Llama-2-7b-chat-hf"), "Llama-2-7b");
        assert_eq!(stem("Qwen/Qwen3-30B-A3B-Instruct-2507"), "Qwen3-30B-A3B");
        assert_eq!(stem("mistralai/Mistral-7B-Instruct-v0.3"), "Mistral-7B");
        assert_eq!(stem("Qwen2.5-7B-Instruct-gptq-int4"), "Qwen2.5-7B");
        assert_eq!(stem("google/gemma-3-27b-it"), "gemma-3-27b");
        for same in ["DeepSeek-V3", "deberta-v3", "phi-4", "OLMo-2-1124-7B", "chat", "-it", "é-é"] {
            assert_eq!(stem(same), same);
        }
    }
}
