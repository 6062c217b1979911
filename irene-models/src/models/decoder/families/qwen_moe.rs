//! The mixtures of Qwen2 and Qwen3, and the text models of those that see.

use super::{
    Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Recipe, Result, SHARED, Turn, hidden_act, llama_like,
    mixtures::{ROUTER, TRAINING, mixture},
    qwen::{QWEN_WINDOWS, qwen_windows},
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, Mixture, Router, Shared, classes},
};

/// The fields of the experts.
pub(super) const MIXTURE_READS: &[&str] = &[
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
        reads: &[SHARED, LLAMA_LIKE, QWEN_WINDOWS, MIXTURE_READS, &["qkv_bias"]],
        also: &[("num_local_experts", "num_experts")],
        plain: TRAINING,
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 24,
            num_attention_heads: 16, num_key_value_heads: 16, max_position_embeddings: 32_768, num_experts: 60,
            num_experts_per_tok: 4, moe_intermediate_size: 1408, shared_expert_intermediate_size: 5632
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Qwen2Moe")))?;
        recipe.bias(config.flag_or("qkv_bias", true)?, false);
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
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 2048, intermediate_size: 6144, num_hidden_layers: 24,
            num_attention_heads: 32, num_key_value_heads: 4, max_position_embeddings: 32_768, num_experts: 128,
            num_experts_per_tok: 8, moe_intermediate_size: 768
        },
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
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 24,
            num_attention_heads: 16, num_key_value_heads: 16, max_position_embeddings: 128_000, num_experts: 60,
            num_experts_per_tok: 4, moe_intermediate_size: 1408
        },
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
    let experts = [config.size("num_experts")?, config.size("num_experts_per_tok")?];
    let inner = config.size("moe_intermediate_size")?;
    let router = Router { normalised, ..ROUTER };
    let mixture = Mixture { inner, router, shared, ..mixture(config, hidden_act(config)?, experts)? };
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
