//! Qwen2 and Qwen3, and the text models of those that see.

use super::{Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn, llama_like, windows::window};
use crate::{
    families::Family,
    models::decoder::recipe::{Classes, HeadNorms, classes},
};

/// The fields that [`qwen_windows`] reads.
pub(super) const QWEN_WINDOWS: &[&str] = &["sliding_window", "layer_types", "use_sliding_window", "max_window_layers"];

/// Layers from `max_window_layers` on slide, if the config says so.
pub(super) fn qwen_windows(recipe: &mut Recipe, config: &Config) -> Result<()> {
    let slides = config.flag_or("use_sliding_window", false)?;
    let window = if slides { window(config, Some(4096))? } else { None };
    let first = config.token_or("max_window_layers", 28)?;
    recipe.slide(config, window, |place| place >= first)
}

pub(super) const QWEN2: Decoder = Decoder {
    family: Family {
        model_type: "qwen2",
        classes: &["Qwen2"],
        reads: &[SHARED, LLAMA_LIKE, QWEN_WINDOWS, &["partial_rotary_factor", "original_max_position_embeddings"]],
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 4096, intermediate_size: 22_016, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 32, max_position_embeddings: 32_768
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| qwen2(config, &Defaults::of(classes!("Qwen2"))),
};

fn qwen2(config: &Config, defaults: &Defaults) -> Result<Recipe> {
    let mut recipe = llama_like(config, defaults)?;
    recipe.bias(true, false);
    qwen_windows(&mut recipe, config)?;
    Ok(recipe)
}

/// The text model of Qwen2-VL, in the whole's config or in one inside it. The three positions of a token of text are one.
pub(super) const QWEN2_VL: Decoder = Decoder {
    family: Family {
        model_type: "qwen2_vl",
        classes: &["Qwen2VL"],
        defaults: sizes! {
            vocab_size: 152_064, hidden_size: 8192, intermediate_size: 29_568, num_hidden_layers: 80,
            num_attention_heads: 64, num_key_value_heads: 8, max_position_embeddings: 32_768
        },
        ..QWEN2.family
    },
    trunk: "model",
    recipe: |config| {
        let (model, lm) = ("Qwen2VLTextModel", "Qwen2VLForConditionalGeneration");
        qwen2(config, &of_vision(Classes { model, lm, ..classes!("Qwen2VL") }))
    },
};

pub(super) const QWEN2_VL_TEXT: Decoder =
    Decoder { family: Family { model_type: "qwen2_vl_text", ..QWEN2_VL.family }, ..QWEN2_VL };

pub(super) const QWEN2_5_VL: Decoder = Decoder {
    family: Family { model_type: "qwen2_5_vl", classes: &["Qwen2_5_VL"], ..QWEN2_VL.family },
    trunk: "model",
    recipe: |config| {
        let (model, lm) = ("Qwen2_5_VLTextModel", "Qwen2_5_VLForConditionalGeneration");
        qwen2(config, &of_vision(Classes { model, lm, ..classes!("Qwen2_5_VL") }))
    },
};

pub(super) const QWEN2_5_VL_TEXT: Decoder =
    Decoder { family: Family { model_type: "qwen2_5_vl_text", ..QWEN2_5_VL.family }, ..QWEN2_5_VL };

/// The text model of Qwen2.5-Omni's thinker.
pub(super) const QWEN2_5_OMNI_TEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen2_5_omni_text",
        defaults: sizes! {
            vocab_size: 152_064, hidden_size: 3584, intermediate_size: 18_944, num_hidden_layers: 28,
            num_attention_heads: 28, num_key_value_heads: 4, max_position_embeddings: 32_768
        },
        ..QWEN2_5_VL.family
    },
    ..QWEN2_5_VL
};

/// The defaults of Qwen2-VL's text models.
fn of_vision(classes: Classes) -> Defaults {
    let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
    Defaults { eps: 1e-5, rotary, ..Defaults::of(classes) }
}

pub(super) const QWEN3: Decoder = Decoder {
    family: Family { model_type: "qwen3", classes: &["Qwen3"], ..QWEN2.family },
    trunk: "model",
    recipe: |config| qwen3(config, &Defaults { width: Some(128), ..Defaults::of(classes!("Qwen3")) }),
};

fn qwen3(config: &Config, defaults: &Defaults) -> Result<Recipe> {
    let mut recipe = llama_like(config, defaults)?;
    recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
    qwen_windows(&mut recipe, config)?;
    Ok(recipe)
}

pub(super) const QWEN3_VL_TEXT: Decoder = Decoder {
    family: Family {
        model_type: "qwen3_vl_text",
        classes: &["Qwen3VLText", "Qwen3VL"],
        defaults: sizes! {
            vocab_size: 151_936, hidden_size: 4096, intermediate_size: 22_016, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 32, max_position_embeddings: 128_000
        },
        ..QWEN3.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 500_000.0, ..Turn::PLAIN });
        let classes = Classes { lm: "Qwen3VLForConditionalGeneration", ..classes!("Qwen3VLText") };
        qwen3(config, &Defaults { rotary, width: Some(128), ..Defaults::of(classes) })
    },
};
