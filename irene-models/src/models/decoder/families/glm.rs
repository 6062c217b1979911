//! GLM-4 (2024 and 2025) and the mixtures of GLM-4.5 to 4.7: half of each head is rotated.

use super::{
    Block, Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn, gated_jointly,
    latent::{DENSE, MIXTURE_READS, experts, sigmoid_router},
    llama_like,
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, classes},
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
