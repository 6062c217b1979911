//! GLM-4 (2024 and 2025) and the mixtures of GLM-4.5 to 4.7, where half of each head is rotated, and their kin dots.llm1 and Solar Open.

use super::{
    Block, Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn, gated_jointly,
    latent::{DENSE, MIXTURE_READS, experts, sigmoid_router},
    llama_like,
    windows::{WINDOWS, window},
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, Router, classes},
};

pub(super) const GLM: Decoder = Decoder {
    family: Family {
        model_type: "glm",
        classes: &["Glm"],
        reads: &[SHARED, LLAMA_LIKE, &["partial_rotary_factor"]],
        defaults: sizes! {
            vocab_size: 151_552, hidden_size: 4096, intermediate_size: 13_696, num_hidden_layers: 40,
            num_attention_heads: 32, num_key_value_heads: 2, max_position_embeddings: 131_072
        },
        ..Family::USUAL
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
        recipe.block = Block::Sandwich {
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
    recipe.bias(config.flag_or("attention_bias", true)?, false);
    recipe.feed(gated_jointly(config)?);
    Ok(recipe)
}

/// Llama's attention, and the mixtures of DeepSeek-V3.
pub(super) const GLM4_MOE: Decoder = Decoder {
    family: Family {
        model_type: "glm4_moe",
        classes: &["Glm4Moe"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, &["partial_rotary_factor", "use_qk_norm"]],
        also: &[("num_local_experts", "n_routed_experts")],
        // Its code has no other way to choose.
        plain: &[("topk_method", Plain::Word("noaux_tc")), ("scoring_func", Plain::Word("sigmoid"))],
        defaults: sizes! {
            vocab_size: 151_552, hidden_size: 4096, intermediate_size: 10_944, num_hidden_layers: 46,
            num_attention_heads: 96, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
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

/// The mixtures in layers of Qwen3.
pub(super) const DOTS1: Decoder = Decoder {
    family: Family {
        model_type: "dots1",
        classes: &["Dots1"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, MIXTURE_READS, &["max_window_layers"]],
        plain: &[("moe_layer_freq", Plain::Number(1.0)), ("output_router_logits", Plain::Off)],
        defaults: sizes! {
            vocab_size: 152_064, hidden_size: 4608, intermediate_size: 10_944, num_hidden_layers: 62,
            num_attention_heads: 32, num_key_value_heads: 32
        },
        ..GLM4_MOE.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { mixture: "Dots1MoE", router: "Dots1TopkRouter", ..classes!("Dots1") };
        let mut recipe = llama_like(config, &Defaults::of(classes))?;
        recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
        let first = config.token_or("max_window_layers", 62)?;
        recipe.slide(config, window(config, Some(4096))?, |place| place >= first)?;
        let normalised = config.flag_or("norm_topk_prob", false)?;
        experts(&mut recipe, config, Router { normalised, ..sigmoid_router(config)? })?;
        Ok(recipe)
    },
};

/// The mixtures in every layer.
pub(super) const SOLAR_OPEN: Decoder = Decoder {
    family: Family {
        model_type: "solar_open",
        classes: &["SolarOpen"],
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "moe_intermediate_size", "vocab_size"],
        plain: &[
            (DENSE, Plain::Off),
            ("use_qk_norm", Plain::Off),
            ("topk_method", Plain::Word("noaux_tc")),
            ("scoring_func", Plain::Word("sigmoid")),
        ],
        defaults: sizes! {
            vocab_size: 196_608, hidden_size: 4096, moe_intermediate_size: 1280, num_hidden_layers: 48,
            num_attention_heads: 64, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..GLM4_MOE.family
    },
    trunk: "model",
    recipe: |config| {
        let inner = config.size("moe_intermediate_size")?;
        let config = &config.with_default("intermediate_size", inner).with_default("n_shared_experts", 1);
        let classes = Classes { mixture: "SolarOpenMoE", router: "SolarOpenTopkRouter", ..classes!("SolarOpen") };
        let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-5, rotary, width: Some(128), ..Defaults::of(classes) };
        let mut recipe = llama_like(config, &defaults)?;
        recipe.attention.out = ("o_proj", false);
        experts(&mut recipe, config, sigmoid_router(config)?)?;
        Ok(recipe)
    },
};
