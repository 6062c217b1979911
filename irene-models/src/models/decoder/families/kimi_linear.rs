//! Kimi Linear (2025): Kimi Delta Attention in three of four layers, latent attention without positions in the others, and experts.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Config, Decoder, NormKind, Parts, Recipe, Result,
    latent::{DENSE, MIXTURE_READS, deepseek, sigmoid_router},
    windows::kinds,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, Router, StateKind, States, classes},
};

const READS: &[&str] = &[
    "num_key_value_heads",
    "max_position_embeddings",
    "hidden_act",
    "rms_norm_eps",
    "attention_bias",
    // Its latent attention has other widths, and knows no positions.
    "head_dim",
    "rope_theta",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "qk_head_dim",
    "v_head_dim",
    "layer_types",
    "mlp_layer_types",
    LINEAR,
    "linear_head_dim",
    "linear_num_heads",
    "linear_conv_kernel_dim",
];

const LINEAR: &str = "linear_attn_config";

pub(super) const KIMI_LINEAR: Decoder = Decoder {
    family: Family {
        model_type: "kimi_linear",
        classes: &["KimiLinear"],
        reads: &[MIXTURE_READS, READS],
        also: &[
            ("num_experts", "n_routed_experts"),
            ("num_local_experts", "n_routed_experts"),
            ("num_experts_per_token", "num_experts_per_tok"),
            ("num_shared_experts", "n_shared_experts"),
            ("num_expert_group", "n_group"),
            ("moe_renormalize", "norm_topk_prob"),
            ("model_max_length", "max_position_embeddings"),
        ],
        plain: &[
            ("mla_use_nope", Plain::On),
            ("moe_router_activation_func", Plain::Word("sigmoid")),
            ("moe_layer_freq", Plain::Number(1.0)),
            ("use_grouped_topk", Plain::On),
            ("output_router_logits", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 163_840, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 27,
            num_attention_heads: 32, max_position_embeddings: 1_048_576
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: kimi_linear,
};

/// The object that the published configs have for the layers of states.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LinearAttention {
    /// Layers with and without an attention, counted from 1.
    full_attn_layers: Option<Vec<usize>>,
    kda_layers: Option<Vec<usize>>,
    head_dim: Option<Value>,
    num_heads: Option<Value>,
    short_conv_kernel_size: Option<Value>,
}

fn kimi_linear(config: &Config) -> Result<Recipe> {
    let (mixture, router) = ("KimiLinearMoE", "KimiLinearTopkRouter");
    let classes = Classes { mixture, router, states: "KimiLinearDeltaAttention", ..classes!("KimiLinear") };
    let config = &config.with_default(DENSE, 1).with_default("n_shared_experts", 1);
    let mut recipe = deepseek(config, classes, Router { scale: 2.446, ..sigmoid_router(config)? })?;
    recipe.norm = NormKind::Rms { eps: config.number_or("rms_norm_eps", 1e-5)? };
    recipe.attention.rotary.clear();
    let linear: LinearAttention = config.value(LINEAR).map(|_| config.field(LINEAR)).transpose()?.unwrap_or_default();
    recipe.attention.states = Some(states(&linear.with_sizes(config))?);
    let words = [("linear_attention", true), ("full_attention", false)];
    let has_states = match kinds(config, "layer_types", &words)? {
        Some(has_states) => has_states,
        None => linear.has_states(config, recipe.layers.len())?,
    };
    for (layer, has_states) in recipe.layers.iter_mut().zip(has_states) {
        layer.rotary = None;
        if has_states {
            layer.parts = Parts::StatesAndFeedForward;
        }
    }
    Ok(recipe)
}

/// The states of a config whose sizes stand beside the others, as transformers writes them.
fn states(config: &Config) -> Result<States> {
    let (heads, width) = (config.size_or("linear_num_heads", 32)?, config.size_or("linear_head_dim", 128)?);
    Ok(States {
        kind: StateKind::KimiDelta,
        is_normed: true,
        name: "self_attn",
        heads,
        width,
        groups: heads,
        size: width,
        kernel: config.size_or("linear_conv_kernel_dim", 4)?,
        // The tokens that its kernels take at once.
        chunk: 64,
    })
}

impl LinearAttention {
    /// The config with the sizes of the object in place of those beside it.
    fn with_sizes(&self, config: &Config) -> Config {
        let mut own = config.clone();
        let fields = ["linear_head_dim", "linear_num_heads", "linear_conv_kernel_dim"];
        for (field, size) in fields.into_iter().zip([&self.head_dim, &self.num_heads, &self.short_conv_kernel_size]) {
            size.iter().for_each(|size| own.set(field, size.clone()));
        }
        own
    }

    /// Whether each layer has states: by the lists, or, as its class has it, all but every fourth behind the first.
    fn has_states(&self, config: &Config, layers: usize) -> Result<Vec<bool>> {
        let (Some(full), Some(states)) = (&self.full_attn_layers, &self.kda_layers) else {
            return Ok((0..layers).map(|place| place == 0 || place % 4 != 0).collect());
        };
        let of_layer = |layer: usize| match (states.contains(&layer), full.contains(&layer)) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(config.error(LINEAR, format!("names layer {layer} of {layers} in neither or both of its lists"))),
        };
        (1..=layers).map(of_layer).collect()
    }
}
