//! GLM-4 (2024 and 2025) and the mixtures of GLM-4.5 to 4.7: half of each head is rotated.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, Projections, Recipe, Result, SIZES, Turn,
    latent::{DENSE, experts, sigmoid_router},
    llama_like,
};
use crate::{
    Activation, Pairing,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, classes},
};

const READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
];

pub(super) const GLM: Decoder = Decoder {
    family: Family {
        model_type: "glm",
        classes: &["Glm"],
        sizes: SIZES,
        reads: READS,
        also: &[],
        plain: &[],
        defaults: &[
            ("vocab_size", 151_552),
            ("hidden_size", 4096),
            ("intermediate_size", 13_696),
            ("num_hidden_layers", 40),
            ("num_attention_heads", 32),
            ("num_key_value_heads", 2),
            ("max_position_embeddings", 131_072),
        ],
    },
    trunk: "model",
    recipe: |config| glm(config, classes!("Glm")),
};

/// The same with norms behind each branch too.
pub(super) const GLM4: Decoder = Decoder {
    family: Family { model_type: "glm4", classes: &["Glm4"], ..GLM.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = glm(config, classes!("Glm4"))?;
        recipe.block = Block::Around {
            attention: ["input_layernorm", "post_self_attn_layernorm"],
            feed_forward: ["post_attention_layernorm", "post_mlp_layernorm"],
        };
        Ok(recipe)
    },
};

fn glm(config: &Config, classes: Classes) -> Result<Recipe> {
    let rotary = Some(Turn { share: 0.5, pairing: Pairing::Neighbours, ..Turn::PLAIN });
    let defaults = Defaults { eps: 1.5625e-7, rotary, width: Some(128), ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    let biased = config.flag_or("attention_bias", true)?;
    recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased };
    recipe.attention.out = ("o_proj", false);
    let feed_forward = FeedForward::GatedJointly {
        names: ["gate_up_proj", "down_proj"],
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "silu")?,
        limit: None,
        biased: false,
    };
    recipe.layers.iter_mut().for_each(|layer| layer.feed_forward = feed_forward);
    Ok(recipe)
}

/// Llama's attention, and the mixtures of DeepSeek-V3.
pub(super) const GLM4_MOE: Decoder = Decoder {
    family: Family {
        model_type: "glm4_moe",
        classes: &["Glm4Moe"],
        reads: MIXTURE_READS,
        also: &[("num_local_experts", "n_routed_experts")],
        // Its code has no other way to choose.
        plain: &[("topk_method", Plain::Word("noaux_tc")), ("scoring_func", Plain::Word("sigmoid"))],
        defaults: &[
            ("vocab_size", 151_552),
            ("hidden_size", 4096),
            ("intermediate_size", 10_944),
            ("num_hidden_layers", 46),
            ("num_attention_heads", 96),
            ("num_key_value_heads", 8),
            ("max_position_embeddings", 131_072),
        ],
        ..GLM.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { mixture: "Glm4MoeMoE", router: "Glm4MoeTopkRouter", ..classes!("Glm4Moe") };
        let rotary = Some(Turn { share: 0.5, ..Turn::PLAIN });
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, rotary, ..Defaults::of(classes) })?;
        recipe.attention.out = ("o_proj", false);
        if config.flag_or("use_qk_norm", false)? {
            recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
        }
        experts(&mut recipe, &config.with_default(DENSE, 1), sigmoid_router(config)?)?;
        Ok(recipe)
    },
};

const MIXTURE_READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "use_qk_norm",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "first_k_dense_replace",
    "n_group",
    "topk_group",
    "norm_topk_prob",
    "routed_scaling_factor",
    // Layers that guess further tokens are no part of the model that is run.
    "num_nextn_predict_layers",
];
