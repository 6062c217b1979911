//! Gemma (2024), Gemma 2, VaultGemma and the text models of Gemma 3.

use super::{
    Block, Config, Decoder, Defaults, LLAMA_LIKE, NormKind, Recipe, Result, SHARED, Turn, llama_like,
    windows::{WINDOWS, window},
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, HeadNorms, classes},
};

const READS: &[&str] = &[
    "hidden_activation",
    "rope_local_base_freq",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "sliding_window_pattern",
    "use_bidirectional_attention",
];

/// The parts that all three share.
fn gemma_like(config: &Config, classes: Classes, theta: f64) -> Result<Recipe> {
    // Google's first configs have no `hidden_activation`, and say `gelu` where they mean the tanh formula.
    let has_own = config.value("hidden_activation").is_some();
    let means_tanh = config.value("hidden_act").is_some_and(|word| word == "gelu");
    let field = if has_own || means_tanh { "hidden_activation" } else { "hidden_act" };
    let activation = (field, "gelu_pytorch_tanh");
    let rotary = Some(Turn { theta, ..Turn::PLAIN });
    let defaults = Defaults { rotary, is_tied: true, width: Some(256), activation, ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.norm = NormKind::RmsAroundOne { eps: config.number_or("rms_norm_eps", 1e-6)? };
    recipe.attention.sees_later |= config.flag_or("use_bidirectional_attention", false)?;
    recipe.embedding_scale = Some((recipe.hidden as f64).sqrt());
    recipe.scaling_table = Some("GemmaTextScaledWordEmbedding");
    Ok(recipe)
}

/// The second's and the third's own parts: norms on both sides of each branch, and scores scaled by a size of their own.
fn with_norms_around(recipe: &mut Recipe, config: &Config) -> Result<()> {
    recipe.block = Block::Sandwich {
        attention: ["input_layernorm", "post_attention_layernorm"],
        feed_forward: ["pre_feedforward_layernorm", "post_feedforward_layernorm"],
    };
    recipe.attention.scale = 1.0 / config.number_or("query_pre_attn_scalar", 256.0)?.sqrt();
    Ok(())
}

/// A cap that null turns off.
pub(super) fn cap(config: &Config, field: &'static str, default: Option<f64>) -> Result<Option<f64>> {
    match (config.value(field), config.has_field(field)) {
        (Some(_), _) => Ok(Some(config.number_or(field, 1.0)?)),
        (None, true) => Ok(None),
        (None, false) => Ok(default),
    }
}

pub(super) const GEMMA: Decoder = Decoder {
    family: Family {
        model_type: "gemma",
        classes: &["Gemma"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, READS],
        defaults: sizes! {
            vocab_size: 256_000, hidden_size: 3072, intermediate_size: 24_576, num_hidden_layers: 28,
            num_attention_heads: 16, num_key_value_heads: 16, max_position_embeddings: 8192
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| gemma_like(config, classes!("Gemma"), 10_000.0),
};

pub(super) const GEMMA2: Decoder = Decoder {
    family: Family {
        model_type: "gemma2",
        classes: &["Gemma2"],
        // Its first configs have the window's size by two names.
        plain: &[("sliding_window_size", Plain::Same("sliding_window"))],
        defaults: sizes! {
            vocab_size: 256_000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, num_attention_heads: 8,
            num_key_value_heads: 4, max_position_embeddings: 8192
        },
        ..GEMMA.family
    },
    trunk: "model",
    recipe: |config| gemma2(config, classes!("Gemma2"), "Gemma2TextScaledWordEmbedding"),
};

fn gemma2(config: &Config, classes: Classes, scaling_table: &'static str) -> Result<Recipe> {
    let mut recipe = gemma_like(config, classes, 10_000.0)?;
    recipe.scaling_table = Some(scaling_table);
    with_norms_around(&mut recipe, config)?;
    recipe.attention.soft_cap = cap(config, "attn_logit_softcapping", Some(50.0))?;
    recipe.head.soft_cap = cap(config, "final_logit_softcapping", Some(30.0))?;
    recipe.slide(config, window(config, Some(4096))?, |place| place % 2 == 0)?;
    Ok(recipe)
}

pub(super) const GEMMA3: Decoder = Decoder {
    family: Family {
        model_type: "gemma3_text",
        classes: &["Gemma3", "Gemma3Text"],
        defaults: sizes! {
            vocab_size: 262_208, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, num_attention_heads: 8,
            num_key_value_heads: 4, max_position_embeddings: 131_072
        },
        ..GEMMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = gemma_like(config, classes!("Gemma3"), 1_000_000.0)?;
        recipe.names.classes.model = "Gemma3TextModel";
        recipe.scaling_table = Some("Gemma3TextScaledWordEmbedding");
        recipe.names.classes.classification = "Gemma3TextForSequenceClassification";
        with_norms_around(&mut recipe, config)?;
        recipe.attention.head_norms = Some(HeadNorms::PerMovedHead(["q_norm", "k_norm"]));
        recipe.attention.soft_cap = cap(config, "attn_logit_softcapping", None)?;
        recipe.head.soft_cap = cap(config, "final_logit_softcapping", None)?;
        // The layers of a window turn faster, and no scaling stretches them.
        let local = Turn { theta: 10_000.0, field: "rope_local_base_freq", ..Turn::PLAIN };
        let local = local.read_local(config, recipe.attention.width, recipe.positions)?;
        recipe.attention.rotary.push(local);
        let pattern = config.size_or("sliding_window_pattern", 6)?;
        let window = window(config, Some(4096))?;
        // A half of it lies on each side of a token that sees both.
        let window = if recipe.attention.sees_later { window.map(|window| window / 2 + 1) } else { window };
        recipe.slide(config, window, |place| (place + 1) % pattern != 0)?;
        for layer in &mut recipe.layers {
            layer.rotary = Some(usize::from(layer.window.is_some()));
        }
        Ok(recipe)
    },
};

/// Gemma 2 without the norms behind its branches.
pub(super) const VAULTGEMMA: Decoder = Decoder {
    family: Family { model_type: "vaultgemma", classes: &["VaultGemma"], plain: &[], ..GEMMA2.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = gemma2(config, classes!("VaultGemma"), "VaultGemmaTextScaledWordEmbedding")?;
        recipe.block = Block::PreNorm { attention: "input_layernorm", feed_forward: "pre_feedforward_layernorm" };
        Ok(recipe)
    },
};
