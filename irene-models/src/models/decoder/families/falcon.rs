//! Falcon, BLOOM and MPT: one projection for queries, keys and values, and scores by distance.

use serde_json::{Value, json};

use super::{
    Block, Config, Decoder, Defaults, FeedForward, Names, NormKind, Projections, Recipe, Result, Turn,
    inside::refuse_others, llama_like,
};
use crate::{
    Activation,
    families::{Family, Plain},
    models::decoder::recipe::{Alibi, Classes, Dropouts, classes},
};

pub(super) const FALCON: Decoder = Decoder {
    family: Family {
        model_type: "falcon",
        classes: &["Falcon"],
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"],
        reads: &[&[
            "num_kv_heads",
            "multi_query",
            "new_decoder_architecture",
            "parallel_attn",
            "num_ln_in_parallel_attn",
            "bias",
            "alibi",
            "layer_norm_epsilon",
            "ffn_hidden_size",
            "activation",
            "max_position_embeddings",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
        ]],
        also: &[
            ("intermediate_size", "ffn_hidden_size"),
            ("num_key_value_heads", "num_kv_heads"),
            ("n_embed", "hidden_size"),
            ("n_layer", "num_hidden_layers"),
            ("n_head", "num_attention_heads"),
            ("n_head_kv", "num_kv_heads"),
        ],
        plain: &[],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: falcon,
};

fn falcon(config: &Config) -> Result<Recipe> {
    let is_new = config.flag_or("new_decoder_architecture", false)?;
    let is_multi_query = config.flag_or("multi_query", true)?;
    let heads = config.size("num_attention_heads")?;
    let groups = groups(config, heads, is_multi_query && !is_new)?;
    let inner = config.size_or("ffn_hidden_size", 4 * config.size("hidden_size")?)?;
    let config = &config.with_default("intermediate_size", inner).with_default("num_key_value_heads", groups);
    let activation = ("activation", "gelu");
    let biased = config.flag_or("bias", false)?;
    let classes = Classes { norm: "LayerNorm", ..classes!("Falcon") };
    let is_by_distance = config.flag_or("alibi", false)?;
    let rotary = (!is_by_distance).then_some(Turn::PLAIN);
    let mut recipe = llama_like(config, &Defaults { activation, is_tied: true, rotary, ..Defaults::of(classes) })?;
    in_one_projection(&mut recipe, config, biased)?;
    recipe.attention.groups = groups;
    let of_norms = if is_new { config.size_or("num_ln_in_parallel_attn", 2)? } else { 1 };
    recipe.block = match (config.flag_or("parallel_attn", true)? || is_new, of_norms) {
        (true, 1) => Block::Parallel { attention: "input_layernorm", feed_forward: None },
        (true, _) => Block::Parallel { attention: "ln_attn", feed_forward: Some("ln_mlp") },
        (false, _) => Block::PreNorm { attention: "input_layernorm", feed_forward: "post_attention_layernorm" },
    };
    recipe.attention.alibi = is_by_distance.then_some(Alibi::BeforeScale);
    let (attention, hidden) = (recipe.attention.dropout, config.probability_or("hidden_dropout", 0.0)?);
    recipe.dropouts = match recipe.block {
        Block::Parallel { .. } => Dropouts { both: hidden, ..Dropouts::default() },
        _ => Dropouts { attention, feed_forward: hidden, ..Dropouts::default() },
    };
    // transformers drops weights of the values in its code for scores by distance alone.
    recipe.attention.dropout = if is_by_distance { attention } else { 0.0 };
    dense(&mut recipe, Activation::from_config(config, "activation", "gelu")?, inner, biased);
    Ok(recipe)
}

/// Heads of keys and values. A single one is not asked for by its field, which published configs leave at that of the queries.
fn groups(config: &Config, heads: usize, is_single: bool) -> Result<usize> {
    const GROUPS: &str = "num_kv_heads";
    let given = config.size_or(GROUPS, heads)?;
    if !is_single {
        return Ok(given);
    }
    if given != 1 && given != heads {
        return Err(config.error(GROUPS, format!("{given} is not supported here, only 1, as `multi_query` says")));
    }
    Ok(1)
}

pub(super) const BLOOM: Decoder = Decoder {
    family: Family {
        model_type: "bloom",
        classes: &["Bloom"],
        sizes: &["hidden_size", "n_layer", "n_head", "vocab_size"],
        reads: &[&["layer_norm_epsilon", "num_hidden_layers", "num_attention_heads"]],
        also: &[("n_embed", "hidden_size"), ("n_layer", "num_hidden_layers"), ("n_head", "num_attention_heads")],
        plain: &[("apply_residual_connection_post_layernorm", Plain::Off), ("n_inner", Plain::Off)],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: bloom,
};

/// Scores by distance and states know no longest sequence; this one is the longest that a size may be.
pub(super) const UNBOUNDED: usize = 1 << 24;

fn bloom(config: &Config) -> Result<Recipe> {
    let inner = 4 * config.size("hidden_size")?;
    let config = &config.with_default("intermediate_size", inner);
    let classes = Classes { layer: "BloomBlock", norm: "LayerNorm", ..classes!("Bloom") };
    let mut recipe = llama_like(config, &Defaults { is_tied: true, rotary: None, ..Defaults::of(classes) })?;
    in_one_projection(&mut recipe, config, true)?;
    recipe.positions = UNBOUNDED;
    recipe.adds_inside = [true; 2];
    recipe.embedding_norm = Some("word_embeddings_layernorm");
    recipe.attention.alibi = Some(Alibi::AfterScale);
    recipe.dropouts = Dropouts::of_branches(0.0, config.probability_or("hidden_dropout", 0.0)?);
    dense(&mut recipe, Activation::GeluFast, inner, true);
    Ok(recipe)
}

/// The names and norms of both.
fn in_one_projection(recipe: &mut Recipe, config: &Config, biased: bool) -> Result<()> {
    recipe.names.tokens = "word_embeddings";
    recipe.names.layers = "h";
    recipe.names.attention = "self_attention";
    recipe.final_norm = Some("ln_f");
    recipe.norm = NormKind::Layer { eps: config.number_or("layer_norm_epsilon", 1e-5)? };
    recipe.attention.projections = Projections::ByGroup { name: "query_key_value", biased };
    recipe.attention.out = ("dense", biased);
    Ok(())
}

fn dense(recipe: &mut Recipe, activation: Activation, inner: usize, biased: bool) {
    let names = ["dense_h_to_4h", "dense_4h_to_h"];
    let feed_forward = FeedForward::Plain { names, inner, activation, biased };
    recipe.feed(feed_forward);
}

pub(super) const MPT: Decoder = Decoder {
    family: Family {
        model_type: "mpt",
        // The code beside the checkpoints has another name.
        classes: &["Mpt", "MPT"],
        sizes: &["d_model", "n_layers", "n_heads", "vocab_size"],
        reads: &[&[
            "attn_config",
            "layer_norm_epsilon",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
            // How gradients of the embeddings are scaled.
            "embedding_fraction",
        ]],
        also: &[
            ("d_model", "hidden_size"),
            ("n_layers", "num_hidden_layers"),
            ("n_heads", "num_attention_heads"),
            ("max_seq_len", "max_position_embeddings"),
        ],
        plain: &[
            ("no_bias", Plain::On),
            ("expansion_ratio", Plain::Number(4.0)),
            ("logit_scale", Plain::Off),
            ("norm_type", Plain::Word("low_precision_layernorm")),
        ],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: mpt,
};

const ATTENTION: &str = "attn_config";

/// Refuses attention's fields that ask for another one than the plain.
fn refuse_other_attention(config: &Config) -> Result<()> {
    // Those that are read, those of rotary positions, which `rope` asks for, and which kernel runs.
    const KNOWN: &[&str] = &[
        "clip_qkv",
        "rope_theta",
        "rope_impl",
        "rope_dail_config",
        "rope_hf_config",
        "attn_impl",
        // Without the ids of sequences, which no request has, nothing changes.
        "attn_uses_sequence_id",
    ];
    let plain = [
        ("attn_type", json!("multihead_attention")),
        ("alibi", json!(true)),
        ("alibi_bias_max", json!(8)),
        ("qk_ln", json!(false)),
        ("prefix_lm", json!(false)),
        ("fused_qkv", json!(true)),
    ];
    refuse_others(config, ATTENTION, KNOWN, &plain)
}

fn mpt(config: &Config) -> Result<Recipe> {
    let field = |name: &str| config.value(ATTENTION).and_then(|fields| fields.get(name));
    let number = |name| field(name).and_then(Value::as_f64);
    refuse_other_attention(config)?;
    let inner = 4 * config.size("hidden_size")?;
    let config = &config.with_default("intermediate_size", inner);
    let classes = Classes { layer: "MptBlock", norm: "LayerNorm", ..classes!("Mpt") };
    let mut recipe = llama_like(config, &Defaults { is_tied: true, rotary: None, ..Defaults::of(classes) })?;
    recipe.names = Names { tokens: "wte", layers: "blocks", attention: "attn", feed_forward: "ffn", ..recipe.names };
    recipe.norm = NormKind::LayerWithoutBias { eps: config.number_or("layer_norm_epsilon", 1e-5)? };
    recipe.block = Block::PreNorm { attention: "norm_1", feed_forward: "norm_2" };
    recipe.final_norm = Some("norm_f");
    recipe.adds_inside = [false, true];
    recipe.attention.projections = Projections::InBlocks { name: "Wqkv", biased: false };
    recipe.attention.out = ("out_proj", false);
    recipe.attention.alibi = Some(Alibi::AfterScale);
    recipe.attention.clip = number("clip_qkv").filter(|most| *most > 0.0);
    recipe.attention.scale = number("softmax_scale").unwrap_or(recipe.attention.scale);
    recipe.attention.dropout = number("attn_pdrop").unwrap_or(0.0);
    recipe.dropouts = Dropouts::of_branches(0.0, recipe.attention.dropout);
    recipe.feed(FeedForward::Plain {
        names: ["up_proj", "down_proj"],
        inner,
        activation: Activation::Gelu,
        biased: false,
    });
    Ok(recipe)
}
