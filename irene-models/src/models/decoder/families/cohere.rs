//! Command R (2024) and Command A (2025): both branches from one norm, which has no bias.

use super::{
    Block, Config, Decoder, Defaults, NormKind, Recipe, Result, SHARED, Turn, llama_like,
    windows::{WINDOWS, window},
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::{
        recipe::{Classes, classes},
        rotary::Gives,
    },
};

const READS: &[&str] = &["head_dim", "layer_norm_eps", "attention_bias", "logit_scale"];

/// Fields of the published configs that tell of the code.
const PLAIN: &[(&str, Plain)] = &[
    // Each head has a norm of its own there.
    ("use_qk_norm", Plain::Off),
    ("position_embedding_type", Plain::Word("rope_gptj")),
    ("rotary_pct", Plain::Number(1.0)),
    ("use_gated_activation", Plain::On),
    ("use_parallel_block", Plain::On),
    ("use_parallel_embedding", Plain::Off),
    ("use_embedding_sharing", Plain::On),
];

pub(super) const COHERE: Decoder = Decoder {
    family: Family {
        model_type: "cohere",
        classes: &["Cohere"],
        reads: &[SHARED, READS],
        plain: PLAIN,
        defaults: sizes! {
            vocab_size: 256_000, hidden_size: 8192, intermediate_size: 22_528, num_hidden_layers: 40,
            num_attention_heads: 64, max_position_embeddings: 8192
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| cohere(config, classes!("Cohere"), 500_000.0),
};

/// Three of four layers slide, and the others know no positions.
pub(super) const COHERE2: Decoder = Decoder {
    family: Family {
        model_type: "cohere2",
        classes: &["Cohere2"],
        reads: &[SHARED, READS, WINDOWS, &["sliding_window_pattern"]],
        ..COHERE.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = cohere(config, classes!("Cohere2"), 10_000.0)?;
        let pattern = config.size_or("sliding_window_pattern", 4)?;
        recipe.slide(config, window(config, Some(4096))?, |place| (place + 1) % pattern != 0)?;
        for layer in &mut recipe.layers {
            layer.rotary = layer.rotary.filter(|_| layer.window.is_some());
        }
        Ok(recipe)
    },
};

fn cohere(config: &Config, classes: Classes, theta: f64) -> Result<Recipe> {
    let rotary = Some(Turn { theta, pairing: Pairing::Neighbours, gives: Gives::InPairs, ..Turn::PLAIN });
    let mut recipe = llama_like(config, &Defaults { rotary, is_tied: true, ..Defaults::of(classes) })?;
    recipe.norm = NormKind::LayerWithoutBias { eps: config.number_or("layer_norm_eps", 1e-5)? };
    recipe.names.classes.norm = "LayerNorm";
    recipe.block = Block::Parallel { attention: "input_layernorm", feed_forward: None };
    recipe.head.divisor = Some(1.0 / config.number_or("logit_scale", 0.0625)?);
    Ok(recipe)
}
