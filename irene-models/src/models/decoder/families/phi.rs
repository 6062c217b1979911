//! Phi (1 to 2) and Phi-3 (to Phi-4).

use super::{
    Block, Config, Decoder, Defaults, FeedForward, NormKind, Projections, READS, Recipe, Result, SIZES, Turn,
    llama_like, windows::window,
};
use crate::{
    Activation,
    families::Family,
    models::decoder::recipe::{HeadNorms, classes},
};

pub(super) const PHI: Decoder = Decoder {
    family: Family {
        model_type: "phi",
        classes: &["Phi"],
        sizes: SIZES,
        reads: &[
            "num_key_value_heads",
            "max_position_embeddings",
            "layer_norm_eps",
            "hidden_act",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "partial_rotary_factor",
            "qk_layernorm",
        ],
        also: &[],
        plain: &[],
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
    if config.flag_or("qk_layernorm", false)? {
        recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_layernorm", "k_layernorm"]));
    }
    let feed_forward = FeedForward::Plain {
        names: ["fc1", "fc2"],
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "gelu_new")?,
        biased: true,
    };
    recipe.layers.iter_mut().for_each(|layer| layer.feed_forward = feed_forward);
    Ok(recipe)
}

pub(super) const PHI3: Decoder = Decoder {
    family: Family { model_type: "phi3", classes: &["Phi3"], sizes: SIZES, reads: READS, also: &[], plain: &[] },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Phi3")) })?;
        recipe.attention.projections = Projections::InBlocks { name: "qkv_proj", biased: false };
        recipe.attention.out = ("o_proj", false);
        recipe.slide(config, window(config, None)?, |_| true)?;
        let feed_forward = FeedForward::GatedJointly {
            names: ["gate_up_proj", "down_proj"],
            inner: config.size("intermediate_size")?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            biased: false,
        };
        recipe.layers.iter_mut().for_each(|layer| layer.feed_forward = feed_forward);
        Ok(recipe)
    },
};
