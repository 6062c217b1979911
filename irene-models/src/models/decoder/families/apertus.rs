//! Apertus (2025): feed-forward parts without a gate, whose activation has two learned numbers.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Recipe, Result, SHARED, Turn, llama::scaled_by_default,
    llama_like,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{HeadNorms, classes},
};

pub(super) const APERTUS: Decoder = Decoder {
    family: Family {
        model_type: "apertus",
        classes: &["Apertus"],
        reads: &[SHARED, LLAMA_LIKE],
        plain: &[
            ("hidden_act", Plain::Word("xielu")),
            // Fields of the published configs that tell of the code.
            ("qk_norm", Plain::On),
            ("post_norm", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 131_072, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, max_position_embeddings: 65_536
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: apertus,
};

fn apertus(config: &Config) -> Result<Recipe> {
    const THETA: f64 = 12_000_000.0;
    let config = &scaled_by_default(config, THETA, 8.0);
    let rotary = Some(Turn { theta: THETA, ..Turn::PLAIN });
    // Its activation is no word of the common table.
    let defaults = Defaults { eps: 1e-5, rotary, activation: ("", "silu"), ..Defaults::of(classes!("Apertus")) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.block = Block::PreNorm { attention: "attention_layernorm", feed_forward: "feedforward_layernorm" };
    recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_norm", "k_norm"]));
    recipe.feed(FeedForward::Xielu { names: ["up_proj", "down_proj"], inner: config.size("intermediate_size")? });
    Ok(recipe)
}
