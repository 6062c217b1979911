//! The mixtures of Qwen2 and Qwen3, and the text models of those that see.

use super::{
    Config, Decoder, Defaults, FeedForward, Projections, Recipe, Result, SIZES, Turn, llama_like,
    mixtures::{EXPERTS, ROUTER, TRAINING, checked},
    qwen::qwen_windows,
};
use crate::{
    Activation,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, Mixture, Router, Shared, classes},
};

const READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "qkv_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "decoder_sparse_step",
    "mlp_only_layers",
    "norm_topk_prob",
];

pub(super) const QWEN2_MOE: Decoder = Decoder {
    family: Family {
        model_type: "qwen2_moe",
        classes: &["Qwen2Moe"],
        sizes: SIZES,
        reads: READS,
        also: &[("num_local_experts", "num_experts")],
        plain: TRAINING,
        defaults: &[
            ("vocab_size", 151_936),
            ("hidden_size", 2048),
            ("intermediate_size", 5632),
            ("num_hidden_layers", 24),
            ("num_attention_heads", 16),
            ("num_key_value_heads", 16),
            ("max_position_embeddings", 32_768),
            ("num_experts", 60),
            ("num_experts_per_tok", 4),
            ("moe_intermediate_size", 1408),
            ("shared_expert_intermediate_size", 5632),
        ],
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Qwen2Moe")))?;
        let biased = config.flag_or("qkv_bias", true)?;
        recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased };
        recipe.attention.out = ("o_proj", false);
        qwen_windows(&mut recipe, config)?;
        qwen_mixture(&mut recipe, config, Some(shared_expert(config)?), config.flag_or("norm_topk_prob", false)?)?;
        Ok(recipe)
    },
};

pub(super) const QWEN3_MOE: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_moe",
        classes: &["Qwen3Moe"],
        plain: QWEN3_MOE_PLAIN,
        defaults: &[
            ("vocab_size", 151_936),
            ("hidden_size", 2048),
            ("intermediate_size", 6144),
            ("num_hidden_layers", 24),
            ("num_attention_heads", 32),
            ("num_key_value_heads", 4),
            ("max_position_embeddings", 32_768),
            ("num_experts", 128),
            ("num_experts_per_tok", 8),
            ("moe_intermediate_size", 768),
        ],
        ..QWEN2_MOE.family
    },
    trunk: "model",
    recipe: |config| qwen3_moe(config, &Defaults::of(classes!("Qwen3Moe")), config.flag_or("norm_topk_prob", false)?),
};

/// Qwen3-Coder's configs say that queries and keys have norms, as in every Qwen3.
const QWEN3_MOE_PLAIN: &[(&str, Plain)] =
    &[("router_jitter_noise", Plain::Off), ("output_router_logits", Plain::Off), ("use_qk_norm", Plain::On)];

fn qwen3_moe(config: &Config, defaults: &Defaults, normalised: bool) -> Result<Recipe> {
    let mut recipe = llama_like(config, defaults)?;
    recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
    qwen_windows(&mut recipe, config)?;
    qwen_mixture(&mut recipe, config, None, normalised)?;
    Ok(recipe)
}

/// The text model of Qwen3-VL's mixtures, whose weights always add up to one.
pub(super) const QWEN3_VL_MOE_TEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_vl_moe_text",
        classes: &["Qwen3VLMoeText", "Qwen3VLMoe"],
        plain: &[
            ("router_jitter_noise", Plain::Off),
            ("output_router_logits", Plain::Off),
            ("norm_topk_prob", Plain::On),
        ],
        defaults: &[
            ("vocab_size", 151_936),
            ("hidden_size", 2048),
            ("intermediate_size", 5632),
            ("num_hidden_layers", 24),
            ("num_attention_heads", 16),
            ("num_key_value_heads", 16),
            ("max_position_embeddings", 128_000),
            ("num_experts", 60),
            ("num_experts_per_tok", 4),
            ("moe_intermediate_size", 1408),
        ],
        ..QWEN3_MOE.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 500_000.0, ..Turn::PLAIN });
        let classes = Classes { lm: "Qwen3VLMoeForConditionalGeneration", ..classes!("Qwen3VLMoeText") };
        qwen3_moe(config, &Defaults { rotary, ..Defaults::of(classes) }, true)
    },
};

/// The expert of every token, weighed by a gate of its own.
pub(super) fn shared_expert(config: &Config) -> Result<Shared> {
    let inner = config.size("shared_expert_intermediate_size")?;
    Ok(Shared { name: "shared_expert", inner, gate: Some("shared_expert_gate") })
}

/// The layers that have experts: every `decoder_sparse_step`th, but for those in `mlp_only_layers`.
pub(super) fn qwen_mixture(
    recipe: &mut Recipe,
    config: &Config,
    shared: Option<Shared>,
    normalised: bool,
) -> Result<()> {
    let mixture = Mixture {
        name: "mlp",
        key: "mlp",
        experts: config.size("num_experts")?,
        per_token: config.size("num_experts_per_tok")?,
        inner: config.size("moe_intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "silu")?,
        router: Router { normalised, ..ROUTER },
        weights: EXPERTS,
        shared,
    };
    let mixture = checked(config, "num_experts_per_tok", mixture)?;
    let step = config.size_or("decoder_sparse_step", 1)?;
    let dense: Vec<usize> =
        config.value("mlp_only_layers").map_or(Ok(Vec::new()), |_| config.field("mlp_only_layers"))?;
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        if (place + 1) % step == 0 && !dense.contains(&place) {
            layer.feed_forward = FeedForward::Mixture(mixture);
        }
    }
    Ok(())
}
