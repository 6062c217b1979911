//! The names that a field of a config goes by: each family has its own, and most people know one.

use super::{Family, named, table::PLAIN};
use crate::Config;

/// Names of one thing in different families.
const ALIASES: [&[&str]; 10] = [
    &["num_hidden_layers", "n_layer", "n_layers", "num_layers"],
    &["hidden_size", "n_embd", "n_embed", "dim", "d_model"],
    &["num_attention_heads", "n_head", "n_heads"],
    &["num_key_value_heads", "num_kv_heads", "n_head_kv"],
    &["intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "ffn_hidden_size"],
    &["hidden_act", "hidden_activation", "activation_function", "activation", "afn"],
    &["max_position_embeddings", "n_positions", "max_trained_positions"],
    &["num_experts", "num_local_experts", "n_routed_experts"],
    &["num_experts_per_tok", "top_k_experts"],
    &["layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps"],
];

/// Fields that no code reads beside another one, which says the same.
const INSTEAD: [(&str, &str); 4] = [
    ("mamba_expand", "mamba_d_ssm"),
    ("full_attn_idxs", "layer_types"),
    ("expand", "intermediate_size"),
    ("head_dim", "kv_lora_rank"),
];

/// Fields that the code around every architecture reads.
const SHARED: [&str; 6] =
    ["model_type", "architectures", "torch_dtype", "quantization_config", "num_labels", "id2label"];

impl Family {
    pub(super) fn reads_by(&self, name: &str) -> bool {
        self.sizes.contains(&name) || self.reads.iter().any(|list| list.contains(&name))
    }

    /// Whether the code reads the field by this name or by the one that it is translated to.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.reads_by(name) || self.translated(name).is_some()
    }

    /// The name that the code reads, where this one is translated to it.
    fn translated(&self, name: &str) -> Option<&'static str> {
        self.also.iter().find(|(other, _)| *other == name).map(|(_, own)| *own)
    }
}

/// Whether the code of a family reads a field of a config by this name.
pub(crate) fn is_read(config: &Config, model_type: &str, name: &str) -> bool {
    let is_read = |family: &Family| {
        let is_instead = |other: &str| family.reads_by(other) && config.value(other).is_some();
        family.reads_by(name) && !INSTEAD.iter().any(|(field, other)| *field == name && is_instead(other))
    };
    SHARED.contains(&name) || named(model_type).is_some_and(is_read)
}

/// The names that the code of a family reads, and those that are translated to them.
pub(crate) fn names_read(model_type: &str) -> impl Iterator<Item = &'static str> {
    let own = named(model_type).into_iter().flat_map(|family| {
        let names = family.sizes.iter().chain(family.reads.iter().copied().flatten()).copied();
        names.chain(family.also.iter().map(|(other, _)| *other))
    });
    own.chain(SHARED)
}

/// The name that the code of a family reads a field by; None for one that neither the config has nor the code reads.
pub(crate) fn own_name(config: &Config, model_type: &str, name: &str) -> Option<String> {
    let family = named(model_type)?;
    let direct = |name: &str| {
        let translated = family.translated(name).map(str::to_owned);
        translated.or_else(|| (family.sizes.contains(&name) || config.has_field(name)).then(|| name.to_owned()))
    };
    let others = || ALIASES.iter().filter(|names| names.contains(&name)).flat_map(|names| names.iter());
    let is_plain = || family.plain.iter().chain(PLAIN).any(|(known, _)| *known == name);
    direct(name)
        .or_else(|| others().find_map(|other| direct(other)))
        .or_else(|| (family.reads_by(name) || SHARED.contains(&name)).then(|| name.to_owned()))
        .or_else(|| others().find(|other| family.reads_by(other)).map(|other| (*other).to_owned()))
        .or_else(|| is_plain().then(|| name.to_owned()))
}

/// The other names that a family's configs have for a field of this name.
pub(crate) fn other_names(model_type: &str, own: &str) -> impl Iterator<Item = &'static str> {
    let also = named(model_type).map_or(&[][..], |family| family.also);
    also.iter().filter(move |(_, known)| *known == own).map(|(other, _)| *other)
}
