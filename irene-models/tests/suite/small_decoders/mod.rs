//! Small configs of every family of decoders, with the flags that public configs set.

mod own;

use irene_models::{Config, ModelSpec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The tokens that every one of them takes.
const POSITIONS: usize = 64;

/// The sizes and switches that a config is made of.
#[derive(Clone, Debug)]
struct Draw {
    layers: usize,
    groups: usize,
    per_group: usize,
    half_width: usize,
    inner: usize,
    /// Switches, each with its meaning by family.
    on: [bool; 4],
    window: Option<usize>,
    scaling: usize,
}

impl Draw {
    fn heads(&self) -> usize {
        self.groups * self.per_group
    }

    fn width(&self) -> usize {
        2 * self.half_width
    }

    fn hidden(&self) -> usize {
        self.heads() * self.width()
    }

    /// Llama's sizes.
    fn llama(&self) -> Map<String, Value> {
        let sizes = json!({
            "hidden_size": self.hidden(), "num_hidden_layers": self.layers, "num_attention_heads": self.heads(),
            "num_key_value_heads": self.groups, "intermediate_size": self.inner, "vocab_size": 30,
            "max_position_embeddings": POSITIONS, "tie_word_embeddings": self.on[0],
        });
        sizes.as_object().cloned().unwrap_or_default()
    }

    /// A scaling of rotary embeddings, in the old or the new place, for a rotated width.
    fn rope(&self, rotated: usize) -> Map<String, Value> {
        let ones = |from: f64| (0..rotated / 2).map(|pair| from + 0.1 * pair as f64).collect::<Vec<_>>();
        let mut scaling = match self.scaling {
            0 => json!({"rope_type": "default"}),
            1 => json!({"rope_type": "linear", "factor": 2.0}),
            2 => json!({"rope_type": "dynamic", "factor": 2.0}),
            3 => json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32}),
            4 => json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
            _ => json!({"type": "longrope", "short_factor": ones(1.0), "long_factor": ones(2.0),
                "original_max_position_embeddings": POSITIONS}),
        };
        let fields = if self.on[1] {
            scaling["rope_theta"] = json!(500.0);
            json!({ "rope_parameters": scaling })
        } else {
            json!({ "rope_theta": 500.0, "rope_scaling": scaling })
        };
        fields.as_object().cloned().unwrap_or_default()
    }
}

/// Every family of decoders that this module makes configs of.
pub(crate) const FAMILIES: [&str; 68] = [
    "llama",
    "mistral",
    "ministral3",
    "qwen2",
    "qwen3",
    "granite",
    "olmo2",
    "olmo3",
    "ernie4_5",
    "seed_oss",
    "glm",
    "glm4",
    "exaone4",
    "cohere",
    "cohere2",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma4_text",
    "phi",
    "phi3",
    "gpt_neox",
    "smollm3",
    "gptj",
    "opt",
    "starcoder2",
    "falcon",
    "bloom",
    "arcee",
    "cwm",
    "helium",
    "hunyuan_v1_dense",
    "ministral",
    "olmo",
    "stablelm",
    "nemotron",
    "vaultgemma",
    "gpt_bigcode",
    "mpt",
    "mixtral",
    "qwen2_moe",
    "qwen3_moe",
    "olmoe",
    "minimax_m2",
    "gpt_oss",
    "granitemoe",
    "glm4_moe",
    "llama4_text",
    "phi3small",
    "deepseek_v2",
    "deepseek_v3",
    "glm4_moe_lite",
    "mistral4",
    "mimo_v2_flash",
    "hy_v3",
    "deepseek_v32",
    "glm_moe_dsa",
    "flex_olmo",
    "ernie4_5_moe",
    "hunyuan_v1_moe",
    "dots1",
    "solar_open",
    "exaone_moe",
    "granitemoeshared",
    "phimoe",
    "dbrx",
    "apertus",
    "gpt_neo",
];

/// Those that rotate a half of each head.
const HALF_ROTATED: [&str; 8] = ["phi", "gpt_neox", "glm", "glm4", "glm4_moe", "minimax_m2", "stablelm", "nemotron"];

fn config(family: &str, draw: &Draw) -> Value {
    let width = draw.width();
    let own = own::llamas(family, draw)
        .or_else(|| own::unlike_llama(family, draw))
        .unwrap_or_else(|| own::mixtures(family, draw));
    let rotated = match family {
        "qwen3" | "gemma" | "smollm3" => width + 2,
        family if HALF_ROTATED.contains(&family) => width / 2,
        _ => width,
    };
    let mut fields = match family {
        "gptj" | "gpt_bigcode" | "gpt_neo" | "mpt" | "dbrx" => {
            json!({"vocab_size": 30}).as_object().cloned().unwrap_or_default()
        }
        _ => draw.llama(),
    };
    let is_by_distance = family == "bloom" || family == "falcon" && draw.window.is_some();
    if !is_by_distance
        && !["gptj", "gpt_bigcode", "gpt_neo", "mpt", "opt", "phi3small", "mimo_v2_flash"].contains(&family)
    {
        fields.extend(draw.rope(rotated));
    }
    if ["phi", "gpt_neox", "opt", "bloom", "falcon"].contains(&family) {
        // Their queries have as many keys and values, but for those of groups.
        fields.remove("num_key_value_heads");
    }
    if ["opt", "bloom", "falcon"].contains(&family) {
        fields.remove("intermediate_size");
    }
    if family == "bloom" {
        for field in ["num_hidden_layers", "num_attention_heads", "max_position_embeddings"] {
            fields.remove(field);
        }
    }
    fields.extend(own.as_object().cloned().unwrap_or_default());
    fields.insert("model_type".into(), json!(family));
    Value::Object(fields)
}

/// A small model of one of these families.
pub(crate) fn of(families: &'static [&'static str]) -> impl Strategy<Value = ModelSpec> {
    let family = prop::sample::select(families);
    let sizes = (1..4usize, 1..3usize, 1..4usize, 2..4usize, 3..9usize);
    let rest = (any::<[bool; 4]>(), prop::option::of(2..9usize), 0..6usize);
    (family, sizes, rest).prop_map(|(family, (layers, groups, per_group, half_width, inner), (on, window, scaling))| {
        // A share of a head rotates in pairs.
        let half_width = if HALF_ROTATED.contains(&family) { 2 } else { half_width };
        let draw = Draw { layers, groups, per_group, half_width, inner, on, window, scaling };
        let json = config(family, &draw).to_string();
        let config = Config::from_json(json.clone(), json.as_bytes());
        ModelSpec::from_config(family, config.unwrap()).unwrap_or_else(|error| panic!("{error}"))
    })
}
