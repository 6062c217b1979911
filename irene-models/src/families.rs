//! The fields of a config that decide what code a model runs: which each family's code reads, which must have the plain value, and
//! which sound as if they asked for another design. A config is refused by name rather than followed as what it is not.
//!
//! A new architecture adds one row to [`FAMILIES`].

use serde_json::Value;

use crate::{Config, Result};

/// The configs with one `model_type`.
pub(crate) struct Family {
    pub(crate) model_type: &'static str,
    /// The beginnings of the names of its classes in transformers, its own before those of the same code; none where any class may
    /// stand in `architectures`.
    classes: &'static [&'static str],
    /// The sizes that every config of it gives.
    sizes: &'static [&'static str],
    /// The other fields that its code reads here.
    reads: &'static [&'static str],
    /// Other names of its fields, as the `attribute_map` of its config class has them.
    also: &'static [(&'static str, &'static str)],
    /// Fields that have to have their plain value, before those of [`PLAIN`].
    plain: &'static [(&'static str, Plain)],
}

/// The value of a field that the plain code has.
enum Plain {
    /// Off, in any way of saying so: null, false, 0, nothing, `none`.
    Off,
    /// This word.
    Word(&'static str),
    /// The same as another field.
    Same(&'static str),
}

const BERT_SIZES: &[&str] =
    &["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"];
const BERT_READS: &[&str] =
    &["max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps", "pad_token_id", "embedding_size"];
const BERT_PLAIN: &[(&str, Plain)] = &[
    ("is_decoder", Plain::Off),
    ("embedding_size", Plain::Same("hidden_size")),
    ("num_key_value_heads", Plain::Same("num_attention_heads")),
];
/// ELECTRA's embeddings may be of another width.
const ELECTRA_PLAIN: &[(&str, Plain)] =
    &[("is_decoder", Plain::Off), ("num_key_value_heads", Plain::Same("num_attention_heads"))];

const GPT_SIZES: &[&str] = &["n_embd", "n_layer", "n_head", "n_positions", "vocab_size"];
const GPT_READS: &[&str] = &[
    "n_inner",
    "layer_norm_epsilon",
    "activation_function",
    "afn",
    "scale_attn_weights",
    // The length of a buffer.
    "n_ctx",
];
const GPT_ALSO: &[(&str, &str)] = &[
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
];

/// Every family that is followed.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        model_type: "bert",
        classes: &["Bert"],
        sizes: BERT_SIZES,
        reads: BERT_READS,
        also: &[],
        plain: BERT_PLAIN,
    },
    Family {
        model_type: "electra",
        classes: &["Electra"],
        sizes: BERT_SIZES,
        reads: BERT_READS,
        also: &[],
        plain: ELECTRA_PLAIN,
    },
    Family {
        model_type: "roberta",
        classes: &["Roberta", "XLMRoberta", "Camembert"],
        sizes: BERT_SIZES,
        reads: BERT_READS,
        also: &[],
        plain: BERT_PLAIN,
    },
    Family {
        model_type: "xlm-roberta",
        classes: &["XLMRoberta", "Roberta", "Camembert"],
        sizes: BERT_SIZES,
        reads: BERT_READS,
        also: &[],
        plain: BERT_PLAIN,
    },
    Family {
        model_type: "camembert",
        classes: &["Camembert", "Roberta", "XLMRoberta"],
        sizes: BERT_SIZES,
        reads: BERT_READS,
        also: &[],
        plain: BERT_PLAIN,
    },
    Family {
        model_type: "distilbert",
        classes: &["DistilBert"],
        sizes: &["dim", "n_layers", "n_heads", "hidden_dim", "vocab_size"],
        reads: &[
            "max_position_embeddings",
            "activation",
            "pad_token_id",
            // It decides how the table of positions is initialised.
            "sinusoidal_pos_embds",
        ],
        also: &[("hidden_size", "dim"), ("num_hidden_layers", "n_layers"), ("num_attention_heads", "n_heads")],
        plain: &[("num_key_value_heads", Plain::Same("n_heads"))],
    },
    Family {
        model_type: "gpt2",
        classes: &["GPT2"],
        sizes: GPT_SIZES,
        reads: GPT_READS,
        also: GPT_ALSO,
        plain: &[
            ("scale_attn_by_inverse_layer_idx", Plain::Off),
            ("reorder_and_upcast_attn", Plain::Off),
            ("num_key_value_heads", Plain::Same("n_head")),
        ],
    },
    Family {
        model_type: "openai-gpt",
        classes: &["OpenAIGPT"],
        sizes: GPT_SIZES,
        reads: GPT_READS,
        also: GPT_ALSO,
        plain: &[("num_key_value_heads", Plain::Same("n_head"))],
    },
    Family {
        model_type: "flexibert",
        classes: &[],
        sizes: &["model_dict"],
        reads: &[
            "max_position_embeddings",
            "type_vocab_size",
            "hidden_act",
            "layer_norm_eps",
            // The published configs have those of BERT beside the design.
            "num_attention_heads",
        ],
        also: &[],
        plain: &[("is_decoder", Plain::Off), ("position_embedding_type", Plain::Word("relative_key"))],
    },
];

/// Fields that have to have their plain value in every family that does not say otherwise.
const PLAIN: &[(&str, Plain)] = &[
    ("is_encoder_decoder", Plain::Off),
    ("add_cross_attention", Plain::Off),
    ("chunk_size_feed_forward", Plain::Off),
    ("pruned_heads", Plain::Off),
    ("position_embedding_type", Plain::Word("absolute")),
];

/// Words in a field's name that tell of attention, positions, feed-forward parts, norms, experts or adapters. An unknown field with one
/// of them is refused, unless it is off.
const STRUCTURAL: &[&str] = &[
    "adapter",
    "adapters",
    "alibi",
    "attention",
    "attn",
    "bias",
    "biased",
    "conv",
    "convolution",
    "cross",
    "embedding",
    "embeddings",
    "expert",
    "experts",
    "ffn",
    "gate",
    "gated",
    "geglu",
    "glu",
    "groups",
    "head",
    "heads",
    "kernel",
    "kv",
    "layernorm",
    "lora",
    "mlp",
    "moe",
    "mqa",
    "norm",
    "normalization",
    "normalize",
    "position",
    "positional",
    "positions",
    "prenorm",
    "qk",
    "qkv",
    "query",
    "recurrent",
    "relative",
    "residual",
    "rmsnorm",
    "rope",
    "rotary",
    "router",
    "sliding",
    "sparse",
    "sparsity",
    "swiglu",
    "window",
];

/// Words in a field's name that tell of training, of numbers alone, or of a task's own layers.
const HARMLESS: &[&str] = &[
    "classifier",
    "drop",
    "dropout",
    "eps",
    "epsilon",
    "grad",
    "init",
    "initializer",
    "layerdrop",
    "pdrop",
    "pooler",
    "prob",
    "summary",
];

/// Whole names that have such words and change no structure: which kernels run, where, in what type.
const HARMLESS_FIELDS: &[&str] = &[
    "attn_implementation",
    "tie_word_embeddings",
    "use_flash_attention",
    "use_flash_attention_2",
    "use_flash_attn",
    "use_memory_efficient_attention",
];

/// What follows the beginning in the name of a class of transformers'.
const TASKS: &[&str] = &[
    "Model",
    "PreTrainedModel",
    "ForPreTraining",
    "ForMaskedLM",
    "ForCausalLM",
    "LMHeadModel",
    "DoubleHeadsModel",
    "ForNextSentencePrediction",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
];

/// The classes whose code has no pooler, by family and task.
const WITHOUT_POOLER: &[(&str, &[&str])] = &[
    ("Bert", &["ForMaskedLM", "LMHeadModel", "ForTokenClassification", "ForQuestionAnswering"]),
    ("Roberta", ROBERTA_WITHOUT_POOLER),
    ("XLMRoberta", ROBERTA_WITHOUT_POOLER),
    ("Camembert", ROBERTA_WITHOUT_POOLER),
];
const ROBERTA_WITHOUT_POOLER: &[&str] =
    &["ForMaskedLM", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"];

/// The entries of `auto_map` that are no code of the model's.
const NO_MODEL_CODE: &[&str] = &["AutoTokenizer", "AutoProcessor", "AutoFeatureExtractor", "AutoImageProcessor"];

/// A config as its family's code reads it, and a note where something was taken for granted.
pub(crate) struct Taken {
    pub(crate) config: Config,
    pub(crate) model_type: &'static str,
    pub(crate) note: Option<String>,
}

/// Finds a config's family and makes sure that the family's plain code is what the config describes.
///
/// # Errors
/// [`Error::Config`] for the first field that says otherwise, with the way out.
pub(crate) fn take(config: &Config) -> Result<Taken> {
    let (family, note) = family_of(config)?;
    let config = config.with_fields_renamed(family.also)?;
    family.refuse_own_code(&config)?;
    family.refuse_other_classes(&config)?;
    family.refuse_other_values(&config)?;
    family.refuse_unknown_structure(&config)?;
    Ok(Taken { config, model_type: family.model_type, note })
}

/// Whether the config's first class is known to run without a pooler, or the config names no class.
pub(crate) fn may_lack_pooler(config: &Config) -> bool {
    let Some(class) = classes(config).first().copied().map(without_framework) else { return true };
    WITHOUT_POOLER.iter().any(|(start, tasks)| class.strip_prefix(start).is_some_and(|task| tasks.contains(&task)))
}

fn family_of(config: &Config) -> Result<(&'static Family, Option<String>)> {
    const FIELD: &str = "model_type";
    let known = || FAMILIES.iter().map(|family| family.model_type).collect::<Vec<_>>().join(", ");
    match config.word_or(FIELD, "")? {
        "" => {}
        word => {
            let found = FAMILIES.iter().find(|family| family.model_type == word).map(|family| (family, None));
            return found
                .ok_or_else(|| config.error(FIELD, format!("`{word}` is not supported; there are {}", known())));
        }
    }
    let of_class = |class| Some((class, FAMILIES.iter().find(|family| family.has_own_class(class))?));
    if let Some((class, family)) = classes(config).into_iter().find_map(of_class) {
        let origin = config.origin();
        let note = format!("{origin} has no `{FIELD}`: taken for {}, as its class {class} says", family.model_type);
        return Ok((family, Some(note)));
    }
    let has_its_sizes = |family: &&Family| family.sizes.iter().all(|size| config.value(size).is_some());
    let alike: Vec<_> = FAMILIES.iter().filter(has_its_sizes).map(|family| family.model_type).collect();
    Err(config.error(
        FIELD,
        match alike.first() {
            Some(first) => format!(
                "is missing; the fields are those of {}: add the right one, as in \"{FIELD}\": \"{first}\"",
                alike.join(", ")
            ),
            None => format!("is missing, and the fields are those of none of {}", known()),
        },
    ))
}

/// The names in `architectures`.
fn classes(config: &Config) -> Vec<&str> {
    match config.value("architectures") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(name)) => vec![name],
        _ => Vec::new(),
    }
}

/// A class's name without TensorFlow's or Flax's mark.
fn without_framework(class: &str) -> &str {
    class.strip_prefix("TF").or_else(|| class.strip_prefix("Flax")).unwrap_or(class)
}

fn is_class(starts: &[&str], class: &str) -> bool {
    let class = without_framework(class);
    starts.iter().any(|start| class.strip_prefix(start).is_some_and(|task| TASKS.contains(&task)))
}

impl Family {
    fn has_own_class(&self, class: &str) -> bool {
        self.classes.first().is_some_and(|own| is_class(&[own], class))
    }

    fn refuse_own_code(&self, config: &Config) -> Result<()> {
        const FIELD: &str = "auto_map";
        let code = match config.value(FIELD) {
            Some(Value::Object(map)) => map.iter().find(|(class, _)| !NO_MODEL_CODE.contains(&class.as_str())),
            _ => return Ok(()),
        };
        let Some((_, code)) = code else { return Ok(()) };
        let reason = format!(
            "names code of the model's own, {}, which is not run here; if the model is a plain {}, leave `{FIELD}` out of a copy of \
             the config",
            shown(code),
            self.model_type
        );
        Err(config.error(FIELD, reason))
    }

    fn refuse_other_classes(&self, config: &Config) -> Result<()> {
        let classes = classes(config);
        let other = classes.iter().find(|class| !is_class(self.classes, class));
        let (Some(other), Some(own)) = (other, self.classes.first()) else { return Ok(()) };
        let reason = match FAMILIES.iter().find(|family| family.has_own_class(other)) {
            Some(family) => {
                format!("`{other}` is a class of {}, where `model_type` is {}", family.model_type, self.model_type)
            }
            None => format!(
                "`{other}` is no class of {} in transformers, so that its code is unknown here; if it is a plain {}, write \
                 `{own}Model` in a copy of the config",
                self.model_type, self.model_type
            ),
        };
        Err(config.error("architectures", reason))
    }

    fn refuse_other_values(&self, config: &Config) -> Result<()> {
        let own = |field: &str| self.plain.iter().any(|(known, _)| *known == field);
        let general = PLAIN.iter().filter(|(field, _)| !own(field) && !self.reads.contains(field));
        for (field, plain) in self.plain.iter().chain(general) {
            let Some(value) = config.value(field) else { continue };
            let reason = match plain {
                Plain::Off if is_off(value) => continue,
                Plain::Off if *value == Value::Bool(true) => "is true, which is not supported here".into(),
                Plain::Off => format!("{} is not supported here", shown(value)),
                Plain::Word(word) if value == word => continue,
                Plain::Word(word) => format!("{} is not supported here, only `{word}`", shown(value)),
                Plain::Same(other) if config.value(other) == Some(value) => continue,
                Plain::Same(other) => format!("{} is not supported here, only the same as `{other}`", shown(value)),
            };
            return Err(config.error(field, reason));
        }
        Ok(())
    }

    fn refuse_unknown_structure(&self, config: &Config) -> Result<()> {
        let is_known = |field: &str| {
            let mut plain = self.plain.iter().chain(PLAIN);
            self.sizes.contains(&field)
                || self.reads.contains(&field)
                || self.also.iter().any(|(also, _)| *also == field)
                || plain.any(|(known, _)| *known == field)
        };
        let is_other = |(field, value): &(&String, &Value)| !is_known(field) && is_structural(field) && !is_off(value);
        let Some((field, value)) = config.fields().find(is_other) else { return Ok(()) };
        let reason = format!(
            "{} is unknown for {}, and may ask for another design; if it does not, leave the field out of a copy of the config",
            shown(value),
            self.model_type
        );
        Err(config.error(field, reason))
    }
}

/// Whether a field's name tells of a model's structure.
fn is_structural(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let has = |words: &[&str]| field.split(['_', '-', '.']).any(|part| words.contains(&part));
    // Underscored fields are transformers' own notes.
    let is_harmless = field.starts_with('_') || HARMLESS_FIELDS.contains(&field.as_str()) || has(HARMLESS);
    !is_harmless && (has(STRUCTURAL) || field.starts_with("alibi") || field.starts_with("rotary"))
}

/// Whether a value says that a feature is not there, or is the plain one; -1 often does.
fn is_off(value: &Value) -> bool {
    const WORDS: &[&str] =
        &["", "none", "no", "false", "absolute", "multihead", "default", "standard", "original_full"];
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64().is_some_and(|number| number <= 0.0),
        Value::String(word) => WORDS.contains(&word.to_ascii_lowercase().as_str()),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.values().all(is_off),
    }
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_its_row() {
        let rows: Vec<_> = FAMILIES.iter().map(|family| family.model_type).collect();
        let mut known: Vec<_> = crate::ARCHITECTURES.iter().map(|known| known.model_type()).collect();
        assert!(known.iter().all(|known| rows.contains(known)), "{known:?} {rows:?}");
        known.dedup();
        assert_eq!(known.len(), rows.len());
    }
}
