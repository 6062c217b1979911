//! Hy3 (2026): Llama's attention with a norm of each head, and the mixtures of DeepSeek-V3.

use super::{
    Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn,
    latent::{DENSE, MIXTURE_READS, experts, sigmoid_router},
    llama_like,
    mixtures::CORRECTION,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, Correction, HeadNorms, Router, classes},
};

const READS: &[&str] = &[
    "mlp_layer_types",
    // In which format a softmax, a sum and the head are computed.
    "enable_attention_fp32_softmax",
    "enable_moe_fp32_combine",
    "enable_lm_head_fp32",
    // Whether the router's scores are given too: its code adds no loss of them.
    "output_router_logits",
];

pub(super) const HY_V3: Decoder = Decoder {
    family: Family {
        model_type: "hy_v3",
        classes: &["HYV3"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, READS],
        also: &[
            ("num_experts", "n_routed_experts"),
            ("num_local_experts", "n_routed_experts"),
            ("num_shared_experts", "n_shared_experts"),
            ("expert_hidden_dim", "moe_intermediate_size"),
            ("router_scaling_factor", "routed_scaling_factor"),
        ],
        // Its code has no other way to choose.
        plain: &[
            ("qk_norm", Plain::On),
            ("route_norm", Plain::On),
            ("norm_topk_prob", Plain::On),
            ("moe_router_use_sigmoid", Plain::On),
            ("moe_router_enable_expert_bias", Plain::On),
        ],
        defaults: sizes! {
            vocab_size: 120_832, hidden_size: 4096, intermediate_size: 13_312, num_hidden_layers: 80,
            num_attention_heads: 64, num_key_value_heads: 8, max_position_embeddings: 131_072, n_routed_experts: 192,
            num_experts_per_tok: 8, moe_intermediate_size: 1536
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: hy_v3,
};

fn hy_v3(config: &Config) -> Result<Recipe> {
    let rotary = Some(Turn { theta: 11_158_840.0, ..Turn::PLAIN });
    let classes = Classes { mixture: "HYV3MoE", ..classes!("HYV3") };
    let mut recipe = llama_like(config, &Defaults { eps: 1e-5, rotary, width: Some(128), ..Defaults::of(classes) })?;
    recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_norm", "k_norm"]));
    let config = &config.with_default(DENSE, 1).with_default("n_shared_experts", 1);
    let correction = Some(Correction { is_beside: true, ..CORRECTION });
    experts(&mut recipe, config, Router { key: "router.gate", correction, scale: 2.826, ..sigmoid_router(config)? })?;
    Ok(recipe)
}
