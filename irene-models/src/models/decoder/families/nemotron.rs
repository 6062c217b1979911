//! Nemotron-H (2025): layers of states, of attention without positions, and of a feed-forward part, one of them in each.

use super::{Block, Config, Decoder, Defaults, FeedForward, Parts, Recipe, Result, SIZES, llama_like};
use crate::{
    Activation,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, States, classes},
};

pub(super) const NEMOTRON_H: Decoder = Decoder {
    family: Family {
        model_type: "nemotron_h",
        classes: &["NemotronH"],
        sizes: SIZES,
        reads: &[
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
            "layer_norm_epsilon",
            "rms_norm_eps",
            "mlp_hidden_act",
            "mlp_bias",
            "attention_bias",
            "hybrid_override_pattern",
            "mamba_num_heads",
            "mamba_head_dim",
            "n_groups",
            "ssm_state_size",
            "conv_kernel",
            "chunk_size",
            // How the stream of hidden states is kept, and the sizes of mixtures, which no layer of these patterns has.
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
        ],
        also: &[("mamba_n_groups", "n_groups"), ("mamba_d_conv", "conv_kernel"), ("mamba_chunk_size", "chunk_size")],
        plain: &[
            ("use_conv_bias", Plain::On),
            ("use_bias", Plain::Off),
            ("mamba_proj_bias", Plain::Off),
            ("sliding_window", Plain::Off),
            ("mamba_hidden_act", Plain::Word("silu")),
            ("residual_in_fp32", Plain::Off),
        ],
    },
    trunk: "backbone",
    recipe: nemotron_h,
};

fn nemotron_h(config: &Config) -> Result<Recipe> {
    let classes = Classes { layer: "NemotronHBlock", mixture: "NemotronHMamba2Mixer", ..classes!("NemotronH") };
    // The activation of its feed-forward part has a field of its own.
    let activation = ("mlp_hidden_act", "relu2");
    let defaults = Defaults { eps: 1e-5, rotary: None, width: Some(128), activation, ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.names.trunk = "backbone";
    recipe.names.tokens = "embeddings";
    recipe.names.attention = "mixer";
    recipe.names.feed_forward = "mixer";
    recipe.block = Block::One { norm: "norm" };
    recipe.final_norm = Some("norm_f");
    let states = States {
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
    for (layer, parts) in recipe.layers.iter_mut().zip(parts) {
        (layer.parts, layer.feed_forward) = (parts, feed_forward);
    }
    Ok(recipe)
}

/// The one part of each layer: `M` a state, `*` an attention, `-` a feed-forward part.
fn parts(config: &Config, layers: usize) -> Result<Vec<Parts>> {
    const FIELD: &str = "hybrid_override_pattern";
    let pattern = config.field::<String>(FIELD)?;
    let part = |letter| match letter {
        'M' => Ok(Parts::States),
        '*' => Ok(Parts::Attention),
        '-' => Ok(Parts::FeedForward),
        other => {
            Err(config.error(FIELD, format!("a layer is `{other}`, which is not supported here; there are M, * and -")))
        }
    };
    let parts = pattern.chars().map(part).collect::<Result<Vec<_>>>()?;
    if parts.len() != layers {
        return Err(config.error(FIELD, format!("names {} of {layers} layers", parts.len())));
    }
    Ok(parts)
}
