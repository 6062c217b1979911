//! Qwen3-Next (2025) and the text models of Qwen3.5 and 3.6: three of four layers have states in place of keys and values.

use super::{
    Config, Decoder, Defaults, LLAMA_LIKE, NormKind, Parts, Recipe, Result, SHARED, Turn, llama_like,
    qwen_moe::{MIXTURE_READS, qwen_mixture, shared_expert},
    windows::kinds,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, StateKind, States, classes},
};

const READS: &[&str] = &[
    "partial_rotary_factor",
    "layer_types",
    "full_attention_interval",
    "linear_conv_kernel_dim",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "intermediate_size",
    // A layer that guesses further tokens is no part of the model that is run.
    "mtp_use_dedicated_embeddings",
];

const PLAIN: &[(&str, Plain)] = &[
    ("router_jitter_noise", Plain::Off),
    ("output_router_logits", Plain::Off),
    ("use_sliding_window", Plain::Off),
    ("attn_output_gate", Plain::On),
    ("output_gate_type", Plain::Word("swish")),
];

pub(super) const QWEN3_NEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_next",
        classes: &["Qwen3Next"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, READS],
        also: &[("num_local_experts", "num_experts")],
        plain: PLAIN,
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 48,
            num_attention_heads: 16, num_key_value_heads: 2, max_position_embeddings: 32_768, num_experts: 512,
            num_experts_per_tok: 10, moe_intermediate_size: 512, shared_expert_intermediate_size: 512
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { states: "Qwen3NextGatedDeltaNet", ..classes!("Qwen3Next") };
        let mut recipe = hybrid(config, classes, true)?;
        let is_normalised = config.flag_or("norm_topk_prob", true)?;
        qwen_mixture(&mut recipe, config, Some(shared_expert(config)?), is_normalised)?;
        Ok(recipe)
    },
};

pub(super) const QWEN3_5_TEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_5_text",
        classes: &["Qwen3_5"],
        plain: QWEN3_5_PLAIN,
        defaults: sizes! {
            vocab_size: 248_320, hidden_size: 4096, intermediate_size: 12_288, num_hidden_layers: 32,
            num_attention_heads: 16, num_key_value_heads: 4, max_position_embeddings: 32_768
        },
        ..QWEN3_NEXT.family
    },
    trunk: "model",
    recipe: |config| {
        let (model, states) = ("Qwen3_5TextModel", "Qwen3_5GatedDeltaNet");
        hybrid(config, Classes { model, states, ..classes!("Qwen3_5") }, false)
    },
};

/// Its layers are all dense.
const QWEN3_5_PLAIN: &[(&str, Plain)] = &[
    ("use_sliding_window", Plain::Off),
    ("attn_output_gate", Plain::On),
    ("output_gate_type", Plain::Word("swish")),
    ("num_experts", Plain::Off),
    ("mlp_only_layers", Plain::Off),
];

pub(super) const QWEN3_5_MOE_TEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_5_moe_text",
        classes: &["Qwen3_5Moe"],
        // All of its layers have experts.
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "moe_intermediate_size", "vocab_size"],
        defaults: sizes! {
            vocab_size: 248_320, hidden_size: 2048, moe_intermediate_size: 512, num_hidden_layers: 40,
            num_attention_heads: 16, num_key_value_heads: 2, max_position_embeddings: 32_768, num_experts: 256,
            num_experts_per_tok: 8, shared_expert_intermediate_size: 512
        },
        ..QWEN3_NEXT.family
    },
    trunk: "model",
    recipe: |config| {
        let config = &config.with_default("intermediate_size", config.size("moe_intermediate_size")?);
        let (model, states) = ("Qwen3_5MoeTextModel", "Qwen3_5MoeGatedDeltaNet");
        let mut recipe = hybrid(config, Classes { model, states, ..classes!("Qwen3_5Moe") }, false)?;
        qwen_mixture(&mut recipe, config, Some(shared_expert(config)?), true)?;
        Ok(recipe)
    },
};

/// Every fourth layer has an attention, whose result a gate weighs; the others have states.
fn hybrid(config: &Config, classes: Classes, is_joint: bool) -> Result<Recipe> {
    let rotary = Some(Turn { share: 0.25, ..Turn::PLAIN });
    let mut recipe = llama_like(config, &Defaults { rotary, width: Some(256), ..Defaults::of(classes) })?;
    recipe.norm = NormKind::RmsAroundOne { eps: config.number_or("rms_norm_eps", 1e-6)? };
    recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
    recipe.attention.is_gated = true;
    let states = States {
        kind: StateKind::Delta { is_joint },
        is_normed: true,
        name: "linear_attn",
        heads: config.size_or("linear_num_value_heads", 32)?,
        width: config.size_or("linear_value_head_dim", 128)?,
        groups: config.size_or("linear_num_key_heads", 16)?,
        size: config.size_or("linear_key_head_dim", 128)?,
        kernel: config.size_or("linear_conv_kernel_dim", 4)?,
        // The tokens that its kernels take at once.
        chunk: 64,
    };
    if !states.heads.is_multiple_of(states.groups) {
        let reason = format!("{} heads of keys do not divide {} heads of values", states.groups, states.heads);
        return Err(config.error("linear_num_key_heads", reason));
    }
    recipe.attention.states = Some(states);
    let interval = config.size_or("full_attention_interval", 4)?;
    let by_interval = || (1..=recipe.layers.len()).map(|place| place % interval != 0).collect();
    let words = [("linear_attention", true), ("full_attention", false)];
    let has_states: Vec<bool> = kinds(config, "layer_types", &words)?.unwrap_or_else(by_interval);
    for (layer, has_states) in recipe.layers.iter_mut().zip(has_states) {
        if has_states {
            layer.parts = Parts::StatesAndFeedForward;
        }
    }
    Ok(recipe)
}
