//! MiMo-V2-Flash (2025): values narrower than keys. Five of six layers slide, with more heads of keys and values, and with sinks.

use super::{
    Config, Decoder, Defaults, LLAMA_LIKE, Recipe, Result, SHARED, Turn,
    latent::{DENSE, MIXTURE_READS, experts, sigmoid_router},
    llama_like,
    windows::WINDOWS,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, OwnHeads, classes},
};

const READS: &[&str] = &[
    "partial_rotary_factor",
    "v_head_dim",
    VALUE_SCALE,
    "mlp_layer_types",
    // Those of the config on the hub.
    "swa_rope_theta",
    GROUPS,
    WINDOW,
    "hybrid_layer_pattern",
    "moe_layer_freq",
    // No code reads these.
    "attention_chunk_size",
    "sliding_window_pattern",
];

const VALUE_SCALE: &str = "attention_value_scale";
/// Heads of keys and values in the layers of a window.
const GROUPS: &str = "swa_num_key_value_heads";
/// Tokens before its own that a query sees, where `sliding_window` counts its own too.
const WINDOW: &str = "sliding_window_size";

pub(super) const MIMO_V2_FLASH: Decoder = Decoder {
    family: Family {
        model_type: "mimo_v2_flash",
        classes: &["MiMoV2Flash"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, MIXTURE_READS, READS],
        also: &[("num_local_experts", "n_routed_experts"), ("layernorm_epsilon", "rms_norm_eps")],
        plain: &[
            ("rope_scaling", Plain::Off),
            ("n_shared_experts", Plain::Off),
            ("swa_num_attention_heads", Plain::Same("num_attention_heads")),
            ("swa_head_dim", Plain::Same("head_dim")),
            ("swa_v_head_dim", Plain::Same("v_head_dim")),
            ("add_swa_attention_sink_bias", Plain::On),
            ("add_full_attention_sink_bias", Plain::Off),
            ("topk_method", Plain::Word("noaux_tc")),
            ("scoring_func", Plain::Word("sigmoid")),
            ("output_router_logits", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 152_576, hidden_size: 4096, intermediate_size: 16_384, num_hidden_layers: 48,
            num_attention_heads: 64, num_key_value_heads: 4, max_position_embeddings: 131_072, n_routed_experts: 256,
            num_experts_per_tok: 8, moe_intermediate_size: 2048
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: mimo,
};

fn mimo(config: &Config) -> Result<Recipe> {
    let mut config = config.with_default(DENSE, 1);
    put_in_words(&mut config, "hybrid_layer_pattern", "layer_types", ["full_attention", "sliding_attention"])?;
    put_in_words(&mut config, "moe_layer_freq", "mlp_layer_types", ["dense", "sparse"])?;
    let config = &config;
    let classes = Classes { mixture: "MiMoV2FlashMoE", router: "MiMoV2FlashTopkRouter", ..classes!("MiMoV2Flash") };
    let share = config.number_or("partial_rotary_factor", 0.334)?;
    let turn = Turn { theta: 5_000_000.0, share, ..Turn::PLAIN };
    let defaults = Defaults { eps: 1e-5, rotary: Some(turn), width: Some(192), ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.attention.out = ("o_proj", false);
    recipe.attention.value_width = config.size_or("v_head_dim", 128)?;
    let is_null = config.has_field(VALUE_SCALE) && config.value(VALUE_SCALE).is_none();
    recipe.attention.value_scale = Some(config.number_or(VALUE_SCALE, 0.707)?).filter(|_| !is_null);
    slide(&mut recipe, config, turn)?;
    experts(&mut recipe, config, sigmoid_router(config)?)?;
    Ok(recipe)
}

/// Puts a list with 0 or 1 for each layer, as the hub's config has it, into the words of transformers' field.
fn put_in_words(config: &mut Config, list: &'static str, field: &str, words: [&'static str; 2]) -> Result<()> {
    if config.value(list).is_none() || config.value(field).is_some() {
        return Ok(());
    }
    let (kinds, layers) = (config.field::<Vec<usize>>(list)?, config.layers("num_hidden_layers")?);
    let known: Vec<&str> = kinds.iter().filter_map(|kind| words.get(*kind).copied()).collect();
    if kinds.len() != layers || known.len() != layers {
        return Err(config.error(list, format!("expected 0 or 1 for each of {layers} layers")));
    }
    config.set(field, known.into());
    Ok(())
}

/// Layers of a window, which have heads of keys and values, sinks and angles of their own.
fn slide(recipe: &mut Recipe, config: &Config, turn: Turn) -> Result<()> {
    let window = match config.value(WINDOW) {
        Some(_) => config.size(WINDOW)? + 1,
        None => config.size_or("sliding_window", 129)?,
    };
    recipe.slide(config, Some(window), |place| place > 0 && (place + 1) % 6 != 0)?;
    let attention = &mut recipe.attention;
    let turn = Turn { theta: 10_000.0, field: "swa_rope_theta", ..turn };
    attention.rotary.push(turn.read_local(config, attention.width, recipe.positions)?);
    let groups = config.size_or(GROUPS, 2 * attention.groups)?;
    if !attention.heads.is_multiple_of(groups) {
        let reason = format!("{groups} heads of keys and values do not divide {} heads of queries", attention.heads);
        return Err(config.error(GROUPS, reason));
    }
    let (width, value_width) = (attention.width, attention.value_width);
    for layer in recipe.layers.iter_mut().filter(|layer| layer.window.is_some()) {
        layer.rotary = Some(1);
        layer.heads = Some(OwnHeads { groups, width, value_width, are_values: false });
        layer.has_sinks = true;
    }
    Ok(())
}
