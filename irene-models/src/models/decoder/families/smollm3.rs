//! SmolLM3 (2025): a Llama of which every fourth layer knows no positions.

use super::{
    Config, Decoder, Defaults, Recipe, Result, SHARED, Turn, llama_like,
    windows::{WINDOWS, window},
};
use crate::{families::Family, models::decoder::recipe::classes};

const READS: &[&str] = &[
    "head_dim",
    "rms_norm_eps",
    "attention_bias",
    "mlp_bias",
    "use_sliding_window",
    "no_rope_layers",
    "no_rope_layer_interval",
    // Its configs have it, and its code does not read it.
    "max_window_layers",
];

pub(super) const SMOLLM3: Decoder = Decoder {
    family: Family {
        model_type: "smollm3",
        classes: &["SmolLM3"],
        reads: &[SHARED, WINDOWS, READS],
        defaults: sizes! {
            vocab_size: 128_256, hidden_size: 2048, intermediate_size: 11_008, num_hidden_layers: 36,
            num_attention_heads: 16, num_key_value_heads: 4, max_position_embeddings: 32_768
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: smollm3,
};

fn smollm3(config: &Config) -> Result<Recipe> {
    let rotary = Some(Turn { theta: 2_000_000.0, ..Turn::PLAIN });
    let defaults = Defaults { rotary, is_tied: true, ..Defaults::of(classes!("SmolLM3")) };
    let mut recipe = llama_like(config, &defaults)?;
    for (layer, rotates) in recipe.layers.iter_mut().zip(rotating_layers(config)?) {
        layer.rotary = layer.rotary.filter(|_| rotates);
    }
    let window = if config.flag_or("use_sliding_window", false)? { window(config, None)? } else { None };
    let rotates: Vec<bool> = recipe.layers.iter().map(|layer| layer.rotary.is_some()).collect();
    recipe.slide(config, window, |place| !rotates[place])?;
    Ok(recipe)
}

/// Whether each layer rotates its queries and keys: 1 in `no_rope_layers`, or all but every `no_rope_layer_interval`th.
pub(super) fn rotating_layers(config: &Config) -> Result<Vec<bool>> {
    const FIELD: &str = "no_rope_layers";
    let layers = config.layers("num_hidden_layers")?;
    let given: Vec<u8> = config.value(FIELD).map_or(Ok(Vec::new()), |_| config.field(FIELD))?;
    if given.is_empty() {
        let interval = config.size_or("no_rope_layer_interval", 4)?;
        return Ok((1..=layers).map(|place| place % interval != 0).collect());
    }
    if given.len() < layers {
        return Err(config.error(FIELD, format!("names {} of {layers} layers", given.len())));
    }
    Ok(given.iter().map(|rotates| *rotates != 0).collect())
}
