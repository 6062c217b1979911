//! Mamba-2 (Dao and Gu, 2024) alone, and in hybrids: Bamba (2024) has its states in place of most attentions, Falcon-H1 (2025) beside each.

use serde_json::Value;

use super::{
    Block, Classes, Config, Decoder, Defaults, NormKind, Parts, Recipe, Result, SHARED, Turn, falcon::UNBOUNDED,
    llama_like,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{StateKind, States, classes},
};

/// The fields of the states in hybrids.
pub(super) const STATES_READS: &[&str] = &[
    "mamba_n_heads",
    "mamba_n_groups",
    "mamba_d_state",
    "mamba_d_head",
    "mamba_d_conv",
    "mamba_expand",
    "mamba_chunk_size",
];

/// The states of a hybrid, of so many inner numbers where its config says.
pub(super) fn states(config: &Config, inner: Option<usize>) -> Result<States> {
    let inner = match inner {
        Some(inner) => inner,
        None => config.size_or("mamba_expand", 2)? * config.size("hidden_size")?,
    };
    let heads = config.size_or("mamba_n_heads", 128)?;
    let width = match config.value("mamba_d_head") {
        Some(Value::String(word)) if word == "auto" => inner / heads,
        _ => config.size_or("mamba_d_head", inner / heads)?,
    };
    let states = States {
        kind: StateKind::Mamba2,
        is_normed: true,
        name: "mamba",
        heads,
        width,
        groups: config.size_or("mamba_n_groups", 1)?,
        size: config.size_or("mamba_d_state", 256)?,
        kernel: config.size_or("mamba_d_conv", 4)?,
        chunk: config.size_or("mamba_chunk_size", 256)?,
    };
    whole(config, "mamba_n_heads", states, inner)
}

/// The same states, if their heads make the inner numbers and their groups divide the heads.
fn whole(config: &Config, field: &'static str, states: States, inner: usize) -> Result<States> {
    let States { heads, width, groups, .. } = states;
    if heads * width != inner || !heads.is_multiple_of(groups) {
        let reason = format!("{heads} heads of {width} numbers in {groups} groups do not make {inner} numbers");
        return Err(config.error(field, reason));
    }
    Ok(states)
}

const HYBRID_READS: &[&str] = &["head_dim", "rms_norm_eps", "attention_bias", "mlp_bias"];

pub(super) const BAMBA: Decoder = Decoder {
    family: Family {
        model_type: "bamba",
        classes: &["Bamba"],
        // Its code rotates a half of each head, whatever a config says.
        reads: &[SHARED, STATES_READS, HYBRID_READS, &["attn_layer_indices", "attn_rotary_emb"]],
        plain: &[("mamba_conv_bias", Plain::On), ("mamba_proj_bias", Plain::Off)],
        defaults: sizes! {
            vocab_size: 128_000, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 262_144
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        const ATTENTIONS: &str = "attn_layer_indices";
        let rotary = Some(Turn { share: 0.5, ..Turn::PLAIN });
        let mut recipe = hybrid(config, &Defaults { eps: 1e-5, rotary, ..Defaults::of(classes!("Bamba")) })?;
        let attentions: Option<Vec<usize>> = config.value(ATTENTIONS).map(|_| config.field(ATTENTIONS)).transpose()?;
        let attentions = attentions.unwrap_or_default();
        recipe.attention.states = Some(states(config, None)?);
        for (place, layer) in recipe.layers.iter_mut().enumerate() {
            if !attentions.contains(&place) {
                layer.parts = Parts::StatesAndFeedForward;
            }
        }
        Ok(recipe)
    },
};

/// Factors. Those of embeddings, keys and logits are followed; the others are of what a projection gets or gives, and a part of its weights as
/// in llama.cpp's files.
const FACTORS: &[&str] = &[
    "embedding_multiplier",
    "lm_head_multiplier",
    "key_multiplier",
    "attention_in_multiplier",
    "attention_out_multiplier",
    "ssm_in_multiplier",
    "ssm_out_multiplier",
    "ssm_multipliers",
    "mlp_multipliers",
];

pub(super) const FALCON_H1: Decoder = Decoder {
    family: Family {
        model_type: "falcon_h1",
        classes: &["FalconH1"],
        reads: &[
            SHARED,
            STATES_READS,
            HYBRID_READS,
            FACTORS,
            &["mamba_d_ssm", "mamba_rms_norm", "mamba_norm_before_gate"],
        ],
        plain: &[
            ("mamba_conv_bias", Plain::On),
            ("mamba_proj_bias", Plain::Off),
            ("mamba_use_mlp", Plain::On),
            ("projectors_bias", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 128_000, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 8192
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = hybrid(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("FalconH1")) })?;
        let is_normed = config.flag_or("mamba_rms_norm", false)?;
        recipe.attention.states = Some(States { is_normed, ..states(config, inner_of_states(config)?)? });
        recipe.layers.iter_mut().for_each(|layer| layer.parts = Parts::StatesBesideAttention);
        recipe.embedding_scale = Some(config.number_or("embedding_multiplier", 1.0)?).filter(|scale| *scale != 1.0);
        recipe.head.divisor = Some(1.0 / config.number_or("lm_head_multiplier", 1.0)?).filter(|one| *one != 1.0);
        recipe.attention.scale *= config.number_or("key_multiplier", 1.0)?;
        Ok(recipe)
    },
};

/// The inner numbers of Falcon-H1's states: those of the class where a config says nothing, and none where it says null.
fn inner_of_states(config: &Config) -> Result<Option<usize>> {
    const INNER: &str = "mamba_d_ssm";
    let is_null = config.has_field(INNER) && config.value(INNER).is_none();
    if is_null { Ok(None) } else { config.size_or(INNER, 1024).map(Some) }
}

/// Llama's attention and feed-forward part under other names.
pub(super) fn hybrid(config: &Config, defaults: &Defaults) -> Result<Recipe> {
    let mut recipe = llama_like(config, defaults)?;
    recipe.names.feed_forward = "feed_forward";
    recipe.block = Block::PreNorm { attention: "input_layernorm", feed_forward: "pre_ff_layernorm" };
    recipe.final_norm = Some("final_layernorm");
    Ok(recipe)
}

/// States and nothing else.
pub(super) const MAMBA2: Decoder = Decoder {
    family: Family {
        model_type: "mamba2",
        classes: &["Mamba2"],
        sizes: &["hidden_size", "num_hidden_layers", "num_heads", "state_size", "vocab_size"],
        reads: &[&[
            "head_dim",
            "n_groups",
            "expand",
            "conv_kernel",
            "chunk_size",
            "layer_norm_epsilon",
            // Its code has a norm, and the gate before it, whatever a config says.
            "rms_norm",
            "norm_before_gate",
            // How the stream of hidden states is kept: here as engines do, in the format of the activations.
            "residual_in_fp32",
            "rescale_prenorm_residual",
        ]],
        plain: &[("use_conv_bias", Plain::On), ("use_bias", Plain::Off), ("hidden_act", Plain::Word("silu"))],
        defaults: sizes! { vocab_size: 32_768, hidden_size: 4096, num_hidden_layers: 64, num_heads: 128, state_size: 128 },
        ..Family::USUAL
    },
    trunk: "backbone",
    recipe: mamba2,
};

/// The layers of so many channels or heads of states, which have no attention and no feed-forward part.
pub(super) fn of_states_alone(config: &Config, heads: usize, inner: usize, classes: Classes) -> Result<Recipe> {
    let config = &config.with_default("num_attention_heads", heads).with_default("intermediate_size", inner);
    let mut recipe = llama_like(config, &Defaults { rotary: None, width: Some(64), ..Defaults::of(classes) })?;
    recipe.names.tokens = "embeddings";
    recipe.norm = NormKind::Rms { eps: config.number_or("layer_norm_epsilon", 1e-5)? };
    recipe.block = Block::Single { norm: "norm" };
    recipe.final_norm = Some("norm_f");
    recipe.positions = UNBOUNDED;
    recipe.layers.iter_mut().for_each(|layer| layer.parts = Parts::States);
    Ok(recipe)
}

fn mamba2(config: &Config) -> Result<Recipe> {
    let (heads, inner) = (config.size("num_heads")?, config.size_or("expand", 2)? * config.size("hidden_size")?);
    let states = States {
        kind: StateKind::Mamba2,
        is_normed: true,
        name: "mixer",
        heads,
        width: config.size_or("head_dim", 64)?,
        groups: config.size_or("n_groups", 8)?,
        size: config.size("state_size")?,
        kernel: config.size_or("conv_kernel", 4)?,
        chunk: config.size_or("chunk_size", 256)?,
    };
    let states = whole(config, "num_heads", states, inner)?;
    let classes = Classes { layer: "Mamba2Block", ..classes!("Mamba2") };
    let mut recipe = of_states_alone(config, heads, inner, classes)?;
    recipe.attention.states = Some(states);
    Ok(recipe)
}
