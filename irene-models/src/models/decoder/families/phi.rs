//! Phi (1 to 2), Phi-3 (to Phi-4) and Phi-3.5-MoE.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, NormKind, Projections, Recipe, Result, SHARED, Turn,
    gated_jointly, hidden_act,
    llama::LLAMA,
    llama_like,
    mixtures::{EXPERTS, ROUTER, mixture},
    windows::{WINDOWS, window},
};
use crate::{
    Activation,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, Dropouts, ExpertKeys, HeadNorms, Mixture, Router, Scores, classes},
};

pub(super) const PHI: Decoder = Decoder {
    family: Family {
        model_type: "phi",
        classes: &["Phi"],
        reads: &[SHARED, &["layer_norm_eps", "partial_rotary_factor", "qk_layernorm"]],
        defaults: sizes! {
            vocab_size: 51_200, hidden_size: 2048, intermediate_size: 8192, num_hidden_layers: 24,
            num_attention_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: phi,
};

fn phi(config: &Config) -> Result<Recipe> {
    let rotary = Some(Turn { share: 0.5, ..Turn::PLAIN });
    let defaults = Defaults { activation: ("hidden_act", "gelu_new"), rotary, ..Defaults::of(classes!("Phi")) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.norm = NormKind::Layer { eps: config.number_or("layer_norm_eps", 1e-5)? };
    recipe.names.classes.norm = "LayerNorm";
    recipe.block = Block::Parallel { attention: "input_layernorm", feed_forward: None };
    recipe.final_norm = Some("final_layernorm");
    recipe.head.biased = true;
    recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased: true };
    recipe.attention.out = ("dense", true);
    let of_branches = config.probability_or("resid_pdrop", 0.0)?;
    recipe.dropouts = Dropouts::of_branches(config.probability_or("embd_pdrop", 0.0)?, of_branches);
    if config.flag_or("qk_layernorm", false)? {
        recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_layernorm", "k_layernorm"]));
    }
    recipe.feed(FeedForward::Plain {
        names: ["fc1", "fc2"],
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "gelu_new")?,
        biased: true,
    });
    Ok(recipe)
}

pub(super) const PHI3: Decoder = Decoder {
    family: Family {
        model_type: "phi3",
        classes: &["Phi3"],
        // Every layer of Phi-4-mini attends to all tokens.
        plain: &[("full_attn_mod", Plain::Number(1.0))],
        defaults: sizes! {
            vocab_size: 32_064, hidden_size: 3072, intermediate_size: 8192, num_hidden_layers: 32,
            num_attention_heads: 32, max_position_embeddings: 4096
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Phi3")) })?;
        recipe.attention.projections = Projections::InBlocks { name: "qkv_proj", biased: false };
        recipe.attention.out = ("o_proj", false);
        recipe.dropouts = Dropouts::of_branches(0.0, config.probability_or("resid_pdrop", 0.0)?);
        recipe.slide(config, window(config, None)?, |_| true)?;
        recipe.feed(gated_jointly(config)?);
        Ok(recipe)
    },
};

/// Phi-3-small: every other layer attends to blocks of tokens, the nearest ones and every eighth of the others. The nearest ones are a
/// window here, which leaves out the others: longer sequences cost a little less than they should.
pub(super) const PHI3_SMALL: Decoder = Decoder {
    family: Family {
        model_type: "phi3small",
        classes: &["Phi3Small"],
        reads: &[&[
            "num_key_value_heads",
            "max_position_embeddings",
            "layer_norm_epsilon",
            "rope_embedding_base",
            "gegelu_limit",
            "gegelu_pad_to_256",
            "dense_attention_every_n_layers",
            "blocksparse_block_size",
            "blocksparse_num_local_blocks",
            "mup_attn_multiplier",
            "mup_embedding_multiplier",
            "mup_width_multiplier",
            "pad_sequence_to_multiple_of_64",
            "tie_word_embeddings",
        ]],
        also: &[("ff_intermediate_size", "intermediate_size")],
        plain: &[
            ("hidden_act", Plain::Word("gegelu")),
            ("rope_position_scale", Plain::Number(1.0)),
            ("mup_use_scaling", Plain::On),
            ("reorder_and_upcast_attn", Plain::Off),
        ],
        ..Family::USUAL
    },
    trunk: "model",
    recipe: phi3_small,
};

fn phi3_small(config: &Config) -> Result<Recipe> {
    let rotary = Some(Turn { theta: 1_000_000.0, field: "rope_embedding_base", ..Turn::PLAIN });
    // Its own activation is no word of the common table.
    let defaults = Defaults { rotary, is_tied: true, activation: ("", "silu"), ..Defaults::of(classes!("Phi3Small")) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.norm = NormKind::Layer { eps: config.number_or("layer_norm_epsilon", 1e-5)? };
    recipe.names.classes.norm = "LayerNorm";
    recipe.final_norm = Some("final_layernorm");
    recipe.embedding_scale = Some(config.number_or("mup_embedding_multiplier", 10.0)?);
    recipe.head.divisor = Some(config.number_or("mup_width_multiplier", 8.0)?);
    recipe.attention.projections = Projections::ByGroup { name: "query_key_value", biased: true };
    recipe.attention.out = ("dense", true);
    recipe.attention.dropout = config.probability_or("attention_dropout_prob", 0.0)?;
    recipe.dropouts = Dropouts {
        embeddings: config.probability_or("embedding_dropout_prob", 0.1)?,
        feed_forward: config.probability_or("ffn_dropout_prob", 0.1)?,
        ..Dropouts::default()
    };
    recipe.attention.scale = config.number_or("mup_attn_multiplier", 1.0)? / recipe.attention.width as f64;
    let block = config.size_or("blocksparse_block_size", 64)?;
    let nearest = config.size_or("blocksparse_num_local_blocks", 16)?;
    let dense = config.size_or("dense_attention_every_n_layers", 2)?;
    // A block's first token has the fewest before it.
    recipe.runs_to = Some((nearest - 1) * block + 1);
    recipe.feed(FeedForward::GatedJointly {
        names: ["up_proj", "down_proj"],
        inner: config.size("intermediate_size")?,
        activation: Activation::Silu,
        limit: Some(config.number_or("gegelu_limit", 20.0)?),
        biased: true,
    });
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        layer.window = ((place + 1) % dense != 0).then_some(nearest * block);
    }
    Ok(recipe)
}

const PHIMOE_READS: &[&str] =
    &["num_local_experts", "router_jitter_noise", "lm_head_bias", "original_max_position_embeddings"];

/// Phi-3.5-MoE (Abdin et al., 2024): two experts for each token, chosen one after the other.
pub(super) const PHIMOE: Decoder = Decoder {
    family: Family {
        model_type: "phimoe",
        // The code beside the checkpoint has another name.
        classes: &["Phimoe", "PhiMoE"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, PHIMOE_READS],
        also: &[("num_experts", "num_local_experts")],
        plain: &[("num_experts_per_tok", Plain::Number(2.0)), ("output_router_logits", Plain::Off)],
        defaults: sizes! {
            vocab_size: 32_064, hidden_size: 4096, intermediate_size: 6400, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: phimoe,
};

fn phimoe(config: &Config) -> Result<Recipe> {
    let classes = Classes { norm: "LayerNorm", ..classes!("Phimoe") };
    let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
    let mut recipe = llama_like(config, &Defaults { rotary, ..Defaults::of(classes) })?;
    recipe.norm = NormKind::Layer { eps: config.number_or("rms_norm_eps", 1e-5)? };
    recipe.head.biased = config.flag_or("lm_head_bias", false)?;
    recipe.slide(config, window(config, None)?, |_| true)?;
    // Its code takes two experts, whatever the config says.
    let experts = [config.size_or("num_local_experts", 16)?, 2];
    let share = 2.0 * config.probability_or("router_jitter_noise", 0.01)?;
    recipe.feed(FeedForward::Mixture(Mixture {
        key: "block_sparse_moe",
        router: Router { name: "router", scores: Scores::SparseMixer(share), normalised: false, ..ROUTER },
        weights: ExpertKeys { apart: Some(["w1", "w3", "w2"]), ..EXPERTS },
        ..mixture(config, hidden_act(config)?, experts)?
    }));
    Ok(recipe)
}
