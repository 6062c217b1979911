use irene_tree::Precision;
use serde_json::{Value, json};

use crate::{Config, ParameterSpec, Result, Tensor, WeightSource};

/// The activations of gated feed-forward parts there.
const GATED: [(&str, &str); 2] = [("swiglu", "silu"), ("geglu", "gelu")];

/// The config with transformers' fields, whichever it has. Those of one meaning have transformers' name already.
pub(super) fn native(config: &Config) -> Result<Config> {
    const ACTIVATION: &str = "activation_function";
    let mut native = config.clone();
    if config.value(ACTIVATION).is_some() {
        let word = config.word_or(ACTIVATION, "")?;
        let Some((_, activation)) = GATED.iter().find(|(known, _)| *known == word) else {
            let known = GATED.map(|(known, _)| known).join(", ");
            return Err(config.error(ACTIVATION, format!("`{word}` is not supported here; there are {known}")));
        };
        native.set("hidden_act", json!(activation));
    }
    if let Some(factor) = config.value("rotary_scaling_factor").filter(|factor| factor.as_f64() != Some(0.0)) {
        native.set("rope_scaling", json!({"rope_type": "dynamic", "factor": factor}));
    }
    if let Some(multiple) =
        config.value("pad_vocab_size_multiple").and_then(Value::as_u64).filter(|&multiple| multiple > 1)
    {
        native.set("vocab_size", json!((config.size("vocab_size")? as u64).next_multiple_of(multiple)));
    }
    Ok(native)
}

/// Parts of the hub's keys, and transformers'.
const KEYS: [(&str, &str); 10] = [
    ("embeddings.LayerNorm", "emb_ln"),
    ("layers.", "encoder.layers."),
    ("self_attn.o_proj", "attn.out_proj"),
    ("mlp.up_proj", "mlp.fc11"),
    ("mlp.gate_proj", "mlp.fc12"),
    ("mlp.down_proj", "mlp.fc2"),
    ("post_attention_layernorm", "norm1"),
    ("post_mlp_layernorm", "norm2"),
    ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ("nomic_bert.", ""),
];

/// The parts of the product that is query, key and value there.
const JOINT: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

/// A checkpoint with the keys of the hub's code, read by transformers' keys.
pub(super) struct HubKeys<'a>(&'a dyn WeightSource);

impl<'a> HubKeys<'a> {
    pub(super) fn of(source: &'a dyn WeightSource) -> Self {
        Self(source)
    }

    /// Whether the checkpoint has the hub's keys and not transformers'.
    pub(super) fn are_used(&self) -> bool {
        let norm = "embeddings.LayerNorm.weight";
        !self.0.has(norm) && self.has(norm)
    }

    /// The hub's key, with and without the name of its trunk.
    fn keys(key: &str) -> [String; 2] {
        let key = KEYS.iter().fold(key.to_owned(), |key, (own, hub)| key.replacen(own, hub, 1));
        [format!("bert.{key}"), key]
    }

    /// The place of a key in the joint product, and the product's key.
    fn part(key: &str) -> Option<(usize, String)> {
        let (place, part) = JOINT.iter().enumerate().find(|(_, part)| key.contains(*part))?;
        Some((place, key.replacen(part, "attn.Wqkv", 1)))
    }

    fn read(&self, key: &str, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let [inside, bare] = Self::keys(key);
        // The head's bias has transformers' name in checkpoints of transformers.
        self.0.parameter(&ParameterSpec { key: &bare, aliases: &[inside, key.to_owned()], ..*spec })
    }
}

impl WeightSource for HubKeys<'_> {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let Some((place, joint)) = Self::part(spec.key) else { return self.read(spec.key, spec) };
        let mut whole = spec.shape;
        let rows = whole.dims().first().copied().unwrap_or(0);
        if let Some(first) = whole.dims_mut().first_mut() {
            *first = JOINT.len() * rows;
        }
        self.read(&joint, &ParameterSpec { shape: whole, ..*spec })?.narrow(0, place * rows, rows)
    }

    fn precision(&self) -> Precision {
        self.0.precision()
    }

    fn has(&self, key: &str) -> bool {
        let key = Self::part(key).map_or_else(|| key.to_owned(), |(_, joint)| joint);
        Self::keys(&key).iter().any(|key| self.0.has(key))
    }
}
