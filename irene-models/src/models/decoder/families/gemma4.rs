//! The text models of Gemma 4 (2026).

use serde_json::{Value, json};

use super::{
    Block, Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn,
    gemma::cap,
    llama_like,
    mixtures::{EXPERTS, ROUTER},
    windows::{WINDOWS, window},
};
use crate::{
    Activation,
    families::Family,
    models::decoder::recipe::{Classes, FeedForward, HeadNorms, Keys, Mixture, OwnHeads, Router, classes},
};

const READS: &[&str] = &[
    "hidden_activation",
    "final_logit_softcapping",
    "use_bidirectional_attention",
    "per_layer_config",
    "global_head_dim",
    "num_global_key_value_heads",
    "attention_k_eq_v",
    "num_kv_shared_layers",
    "use_double_wide_mlp",
];

const BESIDE_READS: &[&str] = &[
    "enable_moe_block",
    "num_experts",
    "top_k_experts",
    "moe_intermediate_size",
    "hidden_size_per_layer_input",
    "vocab_size_per_layer_input",
];

pub(super) const GEMMA4: Decoder = Decoder {
    family: Family {
        model_type: "gemma4_text",
        classes: &["Gemma4", "Gemma4Text"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, READS, BESIDE_READS],
        defaults: sizes! {
            vocab_size: 262_144, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 30, num_attention_heads: 8,
            num_key_value_heads: 4, max_position_embeddings: 131_072
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            lm: "Gemma4ForCausalLM",
            classification: "Gemma4ForSequenceClassification",
            norm: "Gemma4RMSNorm",
            router: "Gemma4TextRouter",
            ..classes!("Gemma4Text")
        };
        let mut recipe = gemma4(config, classes, 512)?;
        let eps = config.number_or("rms_norm_eps", 1e-6)?;
        recipe.scaling_table = Some("Gemma4TextScaledWordEmbedding");
        recipe.mixture_beside = experts(config, &recipe)?.map(|mixture| (mixture, eps));
        recipe.per_layer = per_layer(config, &recipe)?;
        Ok(recipe)
    },
};

/// Gemma 4 12B: without experts and embeddings for each layer.
pub(super) const GEMMA4_UNIFIED: Decoder = Decoder {
    family: Family {
        model_type: "gemma4_unified_text",
        classes: &["Gemma4Unified", "Gemma4UnifiedText"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, READS],
        defaults: sizes! {
            vocab_size: 262_144, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 30, num_attention_heads: 8,
            num_key_value_heads: 4, max_position_embeddings: 262_144
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes =
            Classes { lm: "Gemma4UnifiedForCausalLM", norm: "Gemma4UnifiedRMSNorm", ..classes!("Gemma4UnifiedText") };
        let scaling_table = Some("Gemma4UnifiedTextScaledWordEmbedding");
        Ok(Recipe { scaling_table, ..gemma4(config, classes, 1024)? })
    },
};

/// The recipe that both share, with windows of so many tokens where a config does not say.
fn gemma4(config: &Config, classes: Classes, window: usize) -> Result<Recipe> {
    let config = &as_published(config)?;
    let activation = ("hidden_activation", "gelu_pytorch_tanh");
    let defaults = Defaults { rotary: None, is_tied: true, width: Some(256), activation, ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    let eps = config.number_or("rms_norm_eps", 1e-6)?;
    recipe.embedding_scale = Some((recipe.hidden as f64).sqrt());
    recipe.layer_scale = Some("layer_scalar");
    recipe.block = Block::Sandwich {
        attention: ["input_layernorm", "post_attention_layernorm"],
        feed_forward: ["pre_feedforward_layernorm", "post_feedforward_layernorm"],
    };
    recipe.head.soft_cap = cap(config, "final_logit_softcapping", None)?;
    recipe.attention.scale = 1.0;
    recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
    recipe.attention.norm_of_values = Some((classes.norm, eps));
    recipe.attention.sees_later |= config.word_or("use_bidirectional_attention", "")? == "all";
    slide(&mut recipe, config, window)?;
    share_keys(&mut recipe, config)?;
    Ok(recipe)
}

/// The config as it was published: with the rotary embeddings of its class if it has none, and with the sizes of its full layers, which
/// transformers writes for each of them.
fn as_published(config: &Config) -> Result<Config> {
    const FIELD: &str = "per_layer_config";
    let mut published = config.clone();
    if config.value("rope_parameters").is_none() {
        let full = json!({"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6});
        let sliding = json!({"rope_type": "default", "rope_theta": 1e4});
        published.set("rope_parameters", json!({"full_attention": full, "sliding_attention": sliding}));
    }
    let Some(layers) = config.value(FIELD).and_then(Value::as_object) else {
        if !config.flag_or("attention_k_eq_v", false)? {
            published.remove("num_global_key_value_heads");
        }
        return Ok(published);
    };
    let mut layers = layers.values();
    let own = layers.next();
    if layers.any(|other| Some(other) != own) {
        return Err(config.error(FIELD, "its layers differ, which is not supported here".into()));
    }
    for (name, of_layer) in [("global_head_dim", "head_dim"), ("num_global_key_value_heads", "num_key_value_heads")] {
        let size = own.and_then(|own| own.get(of_layer)).or(config.value(of_layer));
        published.set(name, size.cloned().unwrap_or_default());
    }
    Ok(published)
}

/// The mixture beside every layer's feed-forward part.
fn experts(config: &Config, recipe: &Recipe) -> Result<Option<Mixture>> {
    if !config.flag_or("enable_moe_block", false)? {
        return Ok(None);
    }
    let (experts, per_token) = (config.size("num_experts")?, config.size("top_k_experts")?);
    if per_token > experts {
        return Err(config.error("top_k_experts", format!("{per_token} experts for each token, of {experts}")));
    }
    let FeedForward::Gated { activation, .. } = recipe.layers[0].feed_forward else { return Ok(None) };
    let router = Router { name: "router", weight: "proj", ..ROUTER };
    let inner = config.size("moe_intermediate_size")?;
    // The experts are modules of the layer itself.
    let (name, key, shared, beside) = ("", "", None, None);
    Ok(Some(Mixture { name, key, experts, per_token, inner, activation, router, weights: EXPERTS, shared, beside }))
}

/// The numbers of each token that every layer gets beside the stream; 0 or null for none.
fn per_layer(config: &Config, recipe: &Recipe) -> Result<Option<(usize, Activation)>> {
    const FIELD: &str = "hidden_size_per_layer_input";
    const ROWS: &str = "vocab_size_per_layer_input";
    let width = if config.has_field(FIELD) { config.token_or(FIELD, 0)? } else { 256 };
    let FeedForward::Gated { activation, .. } = recipe.layers[0].feed_forward else { return Ok(None) };
    if width == 0 {
        return Ok(None);
    }
    let rows = config.size_or(ROWS, 262_144)?;
    if rows != recipe.vocabulary {
        return Err(
            config.error(ROWS, format!("is {rows}, which is supported here only where `vocab_size` is the same"))
        );
    }
    Ok(Some((width, activation)))
}

/// The last layers read the keys and values of the last one of their kind before them.
fn share_keys(recipe: &mut Recipe, config: &Config) -> Result<()> {
    const FIELD: &str = "num_kv_shared_layers";
    let (layers, sharing) = (recipe.layers.len(), config.token_or(FIELD, 0)?);
    let is_wide = config.flag_or("use_double_wide_mlp", false)?;
    for place in layers.saturating_sub(sharing)..layers {
        let window = recipe.layers[place].window;
        let own = &recipe.layers[..layers.saturating_sub(sharing)];
        let Some(lender) = own.iter().rposition(|layer| layer.window == window) else {
            let reason =
                format!("{sharing} of {layers} layers: none of the kind of layer {place} is left that has keys");
            return Err(config.error(FIELD, reason));
        };
        recipe.layers[lender].keys = Keys::Lent;
        recipe.layers[place].keys = Keys::Of(lender);
        if let (true, FeedForward::Gated { inner, .. }) = (is_wide, &mut recipe.layers[place].feed_forward) {
            *inner *= 2;
        }
    }
    Ok(())
}

/// Layers of a window, and full ones with heads and a rotary embedding of their own; the last layer is full.
fn slide(recipe: &mut Recipe, config: &Config, default: usize) -> Result<()> {
    let window = window(config, Some(default))?;
    // A half of it lies on each side of a token that sees both.
    let window = if recipe.attention.sees_later { window.map(|window| window / 2 + 1) } else { window };
    recipe.slide(config, window, |place| (place + 1) % 6 != 0)?;
    if let Some(last) = recipe.layers.last_mut() {
        last.window = None;
    }
    let full = heads_of_full_layers(config, recipe)?;
    for layer in &mut recipe.layers {
        layer.rotary = Some(usize::from(layer.window.is_some()));
        layer.heads = if layer.window.is_none() { Some(full) } else { None };
    }
    let of_full = Turn { theta: 1_000_000.0, ..Turn::PLAIN }.read(config, full.width, recipe.positions)?;
    let of_window = Turn::PLAIN.read_local(config, recipe.attention.width, recipe.positions)?;
    recipe.attention.rotary = vec![of_full, of_window];
    Ok(())
}

fn heads_of_full_layers(config: &Config, recipe: &Recipe) -> Result<OwnHeads> {
    const FIELD: &str = "num_global_key_value_heads";
    let (heads, sliding) = (recipe.attention.heads, recipe.attention.groups);
    let (groups, width) = (config.size_or(FIELD, sliding)?, config.size_or("global_head_dim", 512)?);
    if heads % groups != 0 {
        let reason = format!("{groups} heads of keys and values do not divide {heads} heads of queries");
        return Err(config.error(FIELD, reason));
    }
    Ok(OwnHeads { groups, width, value_width: width, are_values: config.flag_or("attention_k_eq_v", false)? })
}
