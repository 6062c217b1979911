//! Nemotron-H and Nemotron 3 (2025): layers of states, of attention without positions, of a feed-forward part, and of experts, one of them
//! in each. And the dense Nemotron-4 (2024) and Minitron.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, NormKind, Parts, Recipe, Result, SHARED, Turn,
    latent::sigmoid_router,
    llama_like,
    mixtures::{self, EXPERTS},
    ungated,
};
use crate::{
    Activation,
    families::{Family, Plain},
    layers::Stacked,
    models::decoder::recipe::{Classes, ExpertKeys, Mixture, Router, Shared, StateKind, States, classes},
};

pub(super) const NEMOTRON_H: Decoder = Decoder {
    family: Family {
        model_type: "nemotron_h",
        classes: &["NemotronH"],
        reads: &[&[
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
            "layer_norm_epsilon",
            "rms_norm_eps",
            // Its attention knows no positions.
            "rope_theta",
            "partial_rotary_factor",
            "mlp_hidden_act",
            "mlp_bias",
            "attention_bias",
            "hybrid_override_pattern",
            "layers_block_type",
            "layer_types",
            "mamba_num_heads",
            "mamba_head_dim",
            "n_groups",
            "ssm_state_size",
            "conv_kernel",
            "chunk_size",
            // How the stream of hidden states is kept.
            "rescale_prenorm_residual",
            "moe_intermediate_size",
            "moe_shared_expert_intermediate_size",
            "n_routed_experts",
            "n_shared_experts",
            "num_experts_per_tok",
            "n_group",
            "topk_group",
            "moe_shared_expert_overlap",
            "routed_scaling_factor",
            "norm_topk_prob",
        ]],
        also: &[
            ("mamba_n_groups", "n_groups"),
            ("mamba_d_conv", "conv_kernel"),
            ("mamba_chunk_size", "chunk_size"),
            ("attention_head_dim", "head_dim"),
            ("layer_types", "layers_block_type"),
            ("num_local_experts", "n_routed_experts"),
        ],
        plain: &[
            ("use_conv_bias", Plain::On),
            ("use_bias", Plain::Off),
            ("mamba_proj_bias", Plain::Off),
            ("sliding_window", Plain::Off),
            ("mamba_hidden_act", Plain::Word("silu")),
            ("residual_in_fp32", Plain::Off),
            ("moe_latent_size", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 131_072, hidden_size: 4096, intermediate_size: 21_504, num_attention_heads: 32,
            num_key_value_heads: 8, max_position_embeddings: 4096
        },
        ..Family::USUAL
    },
    trunk: "backbone",
    recipe: nemotron_h,
};

const WORDS: &str = "layers_block_type";
const LETTERS: &str = "hybrid_override_pattern";

/// The field that says what each layer is, and what it says.
fn named(config: &Config) -> Result<(&'static str, Vec<String>)> {
    Ok(match config.value(LETTERS) {
        None if config.value(WORDS).is_some() => (WORDS, config.field(WORDS)?),
        _ => (LETTERS, config.field::<String>(LETTERS)?.chars().map(String::from).collect()),
    })
}

fn nemotron_h(config: &Config) -> Result<Recipe> {
    // Configs of transformers 5 name the layers and do not count them.
    let config = &config.with_default("num_hidden_layers", named(config)?.1.len());
    let classes = Classes {
        layer: "NemotronHBlock",
        states: "NemotronHMamba2Mixer",
        mixture: "NemotronHMoE",
        router: "NemotronHTopkRouter",
        ..classes!("NemotronH")
    };
    // The activation of its feed-forward part has a field of its own.
    let activation = ("mlp_hidden_act", "relu2");
    let defaults = Defaults { eps: 1e-5, rotary: None, width: Some(128), activation, ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.names.tokens = "embeddings";
    recipe.names.attention = "mixer";
    recipe.names.feed_forward = "mixer";
    recipe.block = Block::Single { norm: "norm" };
    recipe.final_norm = Some("norm_f");
    let states = States {
        kind: StateKind::Mamba2,
        is_normed: true,
        name: "mixer",
        heads: config.size_or("mamba_num_heads", 128)?,
        width: config.size_or("mamba_head_dim", 64)?,
        groups: config.size_or("n_groups", 8)?,
        size: config.size_or("ssm_state_size", 128)?,
        kernel: config.size_or("conv_kernel", 4)?,
        chunk: config.size_or("chunk_size", 128)?,
    };
    if !states.heads.is_multiple_of(states.groups) {
        let reason = format!("{} groups do not divide {} heads of states", states.groups, states.heads);
        return Err(config.error("n_groups", reason));
    }
    recipe.attention.states = Some(states);
    let feed_forward = FeedForward::Plain {
        names: ["up_proj", "down_proj"],
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, "mlp_hidden_act", "relu2")?,
        biased: config.flag_or("mlp_bias", false)?,
    };
    let parts = parts(config, recipe.layers.len())?;
    let has_experts = parts.iter().any(|(_, has_experts)| *has_experts);
    let mixture = if has_experts { FeedForward::Mixture(mixture(config)?) } else { feed_forward };
    for (layer, (parts, has_experts)) in recipe.layers.iter_mut().zip(parts) {
        (layer.parts, layer.feed_forward) = (parts, if has_experts { mixture } else { feed_forward });
    }
    Ok(recipe)
}

/// Experts without gates, and one for every token.
fn mixture(config: &Config) -> Result<Mixture> {
    let shared = Shared {
        name: "shared_experts",
        inner: config.size_or("moe_shared_expert_intermediate_size", 7688)?,
        gate: None,
    };
    let activation = Activation::from_config(config, "mlp_hidden_act", "relu2")?;
    let experts = [config.size("n_routed_experts")?, config.size_or("num_experts_per_tok", 2)?];
    Ok(Mixture {
        name: "mixer",
        key: "mixer",
        inner: config.size("moe_intermediate_size")?,
        router: Router { scale: config.number_or("routed_scaling_factor", 1.0)?, ..sigmoid_router(config)? },
        weights: ExpertKeys {
            gate_up: Stacked::OutputsFirst("up_proj"),
            apart: Some(["", "up_proj", "down_proj"]),
            is_gated: false,
            ..EXPERTS
        },
        shared: (config.token_or("n_shared_experts", 1)? > 0).then_some(shared),
        ..mixtures::mixture(config, activation, experts)?
    })
}

/// The one part of each layer, and whether it is experts: `M` a state, `*` an attention, `-` a feed-forward part, `E` experts; or the same in
/// words.
fn parts(config: &Config, layers: usize) -> Result<Vec<(Parts, bool)>> {
    let (field, names) = named(config)?;
    let part = |name: &String| match name.as_str() {
        "M" | "mamba" | "linear_attention" => Ok((Parts::States, false)),
        "*" | "attention" | "full_attention" => Ok((Parts::Attention, false)),
        "-" | "mlp" => Ok((Parts::FeedForward, false)),
        "E" | "moe" => Ok((Parts::FeedForward, true)),
        other => {
            let known = if field == WORDS { "mamba, attention, mlp and moe" } else { "M, *, - and E" };
            Err(config.error(field, format!("a layer is `{other}`, which is not supported here; there are {known}")))
        }
    };
    let parts = names.iter().map(part).collect::<Result<Vec<_>>>()?;
    if parts.len() != layers {
        return Err(config.error(field, format!("names {} of {layers} layers", parts.len())));
    }
    Ok(parts)
}

/// Nemotron-4 and Minitron: norms with mean and variance around one, and no gates.
pub(super) const NEMOTRON: Decoder = Decoder {
    family: Family {
        model_type: "nemotron",
        classes: &["Nemotron"],
        reads: &[SHARED, &["head_dim", "norm_eps", "partial_rotary_factor", "attention_bias", "mlp_bias"]],
        defaults: sizes! {
            vocab_size: 256_000, hidden_size: 6144, intermediate_size: 24_576, num_hidden_layers: 32,
            num_attention_heads: 48, max_position_embeddings: 4096
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { norm: "NemotronLayerNorm1P", ..classes!("Nemotron") };
        let (rotary, activation) = (Some(Turn { share: 0.5, ..Turn::PLAIN }), ("hidden_act", "relu2"));
        let mut recipe = llama_like(config, &Defaults { rotary, activation, ..Defaults::of(classes) })?;
        recipe.norm = NormKind::LayerAroundOne { eps: config.number_or("norm_eps", 1e-5)? };
        recipe.feed(ungated(config)?);
        Ok(recipe)
    },
};
