//! EXAONE 4 (2025) and its mixtures: layers that see all tokens and know no positions between those of a window.

use serde_json::Value;

use super::{
    Block, Config, Decoder, Defaults, Recipe, Result, SHARED,
    latent::{DENSE, MIXTURE_READS, experts, sigmoid_router},
    llama_like,
    mixtures::CORRECTION,
    windows::{WINDOWS, window},
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, Correction, HeadNorms, Router, classes},
};

pub(super) const EXAONE4: Decoder = Decoder {
    family: Family {
        model_type: "exaone4",
        classes: &["Exaone4"],
        reads: &[SHARED, WINDOWS, READS],
        defaults: sizes! {
            vocab_size: 102_400, hidden_size: 4096, intermediate_size: 16_384, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = exaone(config, classes!("Exaone4"))?;
        recipe.block =
            Block::OutputNorm { attention: "post_attention_layernorm", feed_forward: "post_feedforward_layernorm" };
        Ok(recipe)
    },
};

/// The mixtures of DeepSeek-V3, and norms before each branch.
pub(super) const EXAONE_MOE: Decoder = Decoder {
    family: Family {
        model_type: "exaone_moe",
        // The first configs have another name.
        classes: &["ExaoneMoe", "ExaoneMoE"],
        reads: &[SHARED, WINDOWS, MIXTURE_READS, READS, &["mlp_layer_types", "is_moe_layer"]],
        also: &[("num_experts", "n_routed_experts"), ("num_shared_experts", "n_shared_experts")],
        // Its code has no other way to choose.
        plain: &[("topk_method", Plain::Word("noaux_tc")), ("scoring_func", Plain::Word("sigmoid"))],
        ..EXAONE4.family
    },
    trunk: "model",
    recipe: |config| {
        let (mixture, router) = ("ExaoneMoeSparseMoEBlock", "ExaoneMoeTopkRouter");
        let mut recipe = exaone(config, Classes { mixture, router, ..classes!("ExaoneMoe") })?;
        let config = &with_words(config).with_default(DENSE, 1).with_default("n_shared_experts", 1);
        let correction = Some(Correction { is_beside: true, ..CORRECTION });
        experts(&mut recipe, config, Router { correction, scale: 2.5, ..sigmoid_router(config)? })?;
        Ok(recipe)
    },
};

/// The config with the words of today in place of the first configs' switches.
fn with_words(config: &Config) -> Config {
    let mut own = config.clone();
    if let (Some(Value::Array(switches)), None) = (config.value("is_moe_layer"), config.value("mlp_layer_types")) {
        let word = |has_experts: &Value| if *has_experts == Value::Bool(true) { "sparse" } else { "dense" };
        own.set("mlp_layer_types", switches.iter().map(word).collect());
    }
    own
}

const READS: &[&str] = &["head_dim", "rms_norm_eps", "sliding_window_pattern"];

fn exaone(config: &Config, classes: Classes) -> Result<Recipe> {
    let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes) })?;
    recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_norm", "k_norm"]));
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
