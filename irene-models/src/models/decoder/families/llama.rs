//! Llama (Touvron et al., 2023) and its nearest kin.

use super::{Block, Config, Decoder, Defaults, Projections, READS, Recipe, Result, SIZES, llama_like, windows::window};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{HeadNorms, classes},
};

pub(super) const LLAMA: Decoder = Decoder {
    family: Family {
        model_type: "llama",
        classes: &["Llama"],
        sizes: SIZES,
        reads: READS,
        also: &[],
        // Its code reads no window: a config that sets one means another model.
        plain: &[("sliding_window", Plain::Off)],
    },
    trunk: "model",
    recipe: |config| llama_like(config, &Defaults::of(classes!("Llama"))),
};

pub(super) const MISTRAL: Decoder = Decoder {
    family: Family { model_type: "mistral", classes: &["Mistral"], plain: &[], ..LLAMA.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Mistral")))?;
        recipe.slide(config, window(config, Some(4096))?, |_| true)?;
        Ok(recipe)
    },
};

const QWEN_READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "original_max_position_embeddings",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
];

/// Layers from `max_window_layers` on slide, if the config says so.
pub(super) fn qwen_windows(recipe: &mut Recipe, config: &Config) -> Result<()> {
    let slides = config.flag_or("use_sliding_window", false)?;
    let window = if slides { window(config, Some(4096))? } else { None };
    let first = config.token_or("max_window_layers", 28)?;
    recipe.slide(config, window, |place| place >= first)
}

pub(super) const QWEN2: Decoder = Decoder {
    family: Family { model_type: "qwen2", classes: &["Qwen2"], reads: QWEN_READS, plain: &[], ..LLAMA.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Qwen2")))?;
        recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased: true };
        recipe.attention.out = ("o_proj", false);
        qwen_windows(&mut recipe, config)?;
        Ok(recipe)
    },
};

pub(super) const QWEN3: Decoder = Decoder {
    family: Family { model_type: "qwen3", classes: &["Qwen3"], reads: QWEN_READS, plain: &[], ..LLAMA.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { width: Some(128), ..Defaults::of(classes!("Qwen3")) })?;
        recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
        qwen_windows(&mut recipe, config)?;
        Ok(recipe)
    },
};

/// Granite's factors.
pub(super) fn granite_scales(recipe: &mut Recipe, config: &Config) -> Result<()> {
    recipe.embedding_scale = Some(config.number_or("embedding_multiplier", 1.0)?).filter(|scale| *scale != 1.0);
    recipe.residual_scale = Some(config.number_or("residual_multiplier", 1.0)?).filter(|scale| *scale != 1.0);
    recipe.attention.scale = config.number_or("attention_multiplier", 1.0)?;
    recipe.head.divisor = Some(config.number_or("logits_scaling", 1.0)?).filter(|divisor| *divisor != 1.0);
    Ok(())
}

pub(super) const GRANITE_READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "num_experts_per_tok",
    "num_local_experts",
];

pub(super) const GRANITE: Decoder = Decoder {
    family: Family {
        model_type: "granite",
        classes: &["Granite"],
        reads: GRANITE_READS,
        plain: &[("num_local_experts", Plain::Off)],
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Granite")))?;
        granite_scales(&mut recipe, config)?;
        Ok(recipe)
    },
};

pub(super) const OLMO2: Decoder = Decoder {
    family: Family {
        model_type: "olmo2",
        classes: &["Olmo2"],
        plain: &[("clip_qkv", Plain::Off), ("sliding_window", Plain::Off)],
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Olmo2")) })?;
        recipe.attention.head_norms = Some(HeadNorms::Joint(["q_norm", "k_norm"]));
        recipe.block =
            Block::After { attention: "post_attention_layernorm", feed_forward: "post_feedforward_layernorm" };
        Ok(recipe)
    },
};
