//! StableLM (3B, and 2 1.6B): a quarter of each head is rotated, and norms have mean and variance.

use super::{Block, Config, Decoder, Defaults, NormKind, Recipe, Result, SHARED, Turn, llama_like};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, classes},
};

pub(super) const STABLELM: Decoder = Decoder {
    family: Family {
        model_type: "stablelm",
        classes: &["StableLm"],
        reads: &[SHARED, &["layer_norm_eps", "partial_rotary_factor", "use_qkv_bias", "use_parallel_residual"]],
        // Each head has a norm of its own there (StableLM 2 12B).
        plain: &[("qk_layernorm", Plain::Off)],
        defaults: sizes! {
            vocab_size: 50_304, hidden_size: 2560, intermediate_size: 6912, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 32, max_position_embeddings: 4096
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: stablelm,
};

fn stablelm(config: &Config) -> Result<Recipe> {
    let classes = Classes { norm: "LayerNorm", ..classes!("StableLm") };
    let rotary = Some(Turn { share: 0.25, ..Turn::PLAIN });
    let mut recipe = llama_like(config, &Defaults { rotary, ..Defaults::of(classes) })?;
    recipe.norm = NormKind::Layer { eps: config.number_or("layer_norm_eps", 1e-5)? };
    recipe.bias(config.flag_or("use_qkv_bias", false)?, false);
    recipe.dropouts.feed_forward = config.probability_or("hidden_dropout", 0.0)?;
    if config.flag_or("use_parallel_residual", false)? {
        recipe.block = Block::Parallel { attention: "input_layernorm", feed_forward: None };
    }
    Ok(recipe)
}
