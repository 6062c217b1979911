//! EXAONE 4 (2025): norms behind each branch, and layers that see all tokens and know no positions between those of a window.

use serde_json::Value;

use super::{
    Block, Config, Decoder, Defaults, Recipe, Result, SHARED, llama_like,
    windows::{WINDOWS, window},
};
use crate::{
    families::Family,
    models::decoder::recipe::{HeadNorms, classes},
};

pub(super) const EXAONE4: Decoder = Decoder {
    family: Family {
        model_type: "exaone4",
        classes: &["Exaone4"],
        reads: &[SHARED, WINDOWS, &["head_dim", "rms_norm_eps", "sliding_window_pattern"]],
        defaults: sizes! {
            vocab_size: 102_400, hidden_size: 4096, intermediate_size: 16_384, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: exaone4,
};

fn exaone4(config: &Config) -> Result<Recipe> {
    let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Exaone4")) })?;
    recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_norm", "k_norm"]));
    recipe.block =
        Block::OutputNorm { attention: "post_attention_layernorm", feed_forward: "post_feedforward_layernorm" };
    // A number of layers, or a letter for each of them: LLLG.
    let pattern = match config.value("sliding_window_pattern") {
        Some(Value::String(letters)) => letters.len().max(1),
        _ => config.size_or("sliding_window_pattern", 4)?,
    };
    let window = window(config, Some(4096))?;
    recipe.slide(config, window, |place| (place + 1) % pattern != 0)?;
    for layer in &mut recipe.layers {
        layer.rotary = layer.rotary.filter(|_| window.is_none() || layer.window.is_some());
    }
    Ok(recipe)
}
