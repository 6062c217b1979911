//! DeepSeek-V4: keys that are values too, entries that stand for several tokens, several streams, and mixtures whose first layers choose
//! experts by a table.

use serde_json::{Value, json};

use super::{
    Config, Decoder, Defaults, FeedForward, Recipe, Result, Rotary, RotaryDefaults, SHARED, Turn, hidden_act,
    llama_like,
    mixtures::{CORRECTION, EXPERTS, ROUTER, mixture},
    windows::{WINDOWS, kinds, window},
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::{
        recipe::{Compression, ExpertKeys, Indexing, Mixture, Router, Scores, Shared, SharedKeys, Streams, classes},
        rotary::Gives,
    },
};

const READS: &[&str] = &[
    "head_dim",
    "rms_norm_eps",
    "q_lora_rank",
    "o_lora_rank",
    "o_groups",
    "qk_rope_head_dim",
    "partial_rotary_factor",
    "compress_rope_theta",
    "compress_ratios",
    "compress_rates",
    "compress_rate_csa",
    "compress_rate_hca",
    "index_n_heads",
    "index_head_dim",
    "index_topk",
    "hc_mult",
    "hc_sinkhorn_iters",
    "hc_eps",
    "n_routed_experts",
    "num_experts_per_tok",
    "routed_scaling_factor",
    "swiglu_limit",
    "num_hash_layers",
    "mlp_layer_types",
    // The format of the experts' weights, which is read with the quantisation.
    "expert_dtype",
    // Layers that guess further tokens are no part of the model that is followed.
    "num_nextn_predict_layers",
];

const PLAIN: &[(&str, Plain)] = &[
    ("num_key_value_heads", Plain::Number(1.0)),
    ("n_shared_experts", Plain::Number(1.0)),
    ("norm_topk_prob", Plain::On),
    ("scoring_func", Plain::Word("sqrtsoftplus")),
    ("topk_method", Plain::Word("noaux_tc")),
    ("rope_interleave", Plain::On),
    ("router_jitter_noise", Plain::Off),
    ("output_router_logits", Plain::Off),
];

pub(super) const DEEPSEEK_V4: Decoder = Decoder {
    family: Family {
        model_type: "deepseek_v4",
        classes: &["DeepseekV4"],
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "moe_intermediate_size", "vocab_size"],
        reads: &[SHARED, WINDOWS, READS],
        also: &[("num_local_experts", "n_routed_experts")],
        plain: PLAIN,
        defaults: sizes! {
            vocab_size: 129_280, hidden_size: 4096, moe_intermediate_size: 2048, num_hidden_layers: 43,
            num_attention_heads: 64, num_key_value_heads: 1, max_position_embeddings: 1_048_576
        },
    },
    trunk: "model",
    recipe: deepseek_v4,
};

fn deepseek_v4(config: &Config) -> Result<Recipe> {
    let config = &as_published(config)?;
    let defaults = Defaults { rotary: None, width: Some(512), ..Defaults::of(classes!("DeepseekV4")) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.attention.groups = 1;
    let groups = config.size_or("o_groups", 8)?;
    if recipe.attention.heads % groups != 0 {
        let reason = format!("{groups} groups do not divide {} heads", recipe.attention.heads);
        return Err(config.error("o_groups", reason));
    }
    recipe.attention.shared_keys = Some(SharedKeys {
        query_rank: config.size_or("q_lora_rank", 1024)?,
        out_groups: groups,
        out_rank: config.size_or("o_lora_rank", 1024)?,
    });
    recipe.streams = Some(Streams {
        count: config.size_or("hc_mult", 4)?,
        rounds: config.size_or("hc_sinkhorn_iters", 20)?,
        eps: config.number_or("hc_eps", 1e-6)?,
    });
    let of_window = rotary(config, &recipe, "main")?;
    let of_entries = rotary(config, &recipe, "compress")?;
    let compressions = compressions(config, recipe.layers.len(), of_entries.rotated)?;
    recipe.attention.rotary = vec![of_window, of_entries];
    let window = window(config, Some(128))?;
    for (layer, compression) in recipe.layers.iter_mut().zip(compressions) {
        layer.window = window;
        layer.rotary = Some(usize::from(compression.is_some()));
        layer.compression = compression;
    }
    experts(&mut recipe, config)?;
    Ok(recipe)
}

/// The config with the width of its experts by Llama's name, and with rotary embeddings of both kinds of layers: the scaling is that of layers
/// with entries alone, and scales no cosines.
fn as_published(config: &Config) -> Result<Config> {
    const FIELD: &str = "rope_parameters";
    let mut published = config.clone();
    published.set("intermediate_size", config.size("moe_intermediate_size")?.into());
    let given = config.value(FIELD).or_else(|| config.value("rope_scaling")).filter(|given| given.is_object());
    if given.is_some_and(|given| given.get("main").is_some()) {
        return Ok(published);
    }
    let mut compress = given.cloned().unwrap_or_else(|| json!({}));
    compress["rope_theta"] = json!(config.number_or("compress_rope_theta", 160_000.0)?);
    if compress.get("attention_factor").is_none() {
        compress["attention_factor"] = json!(1.0);
    }
    let main = json!({"rope_theta": config.number_or("rope_theta", 10_000.0)?});
    published.set(FIELD, json!({"main": main, "compress": compress}));
    Ok(published)
}

fn rotary(config: &Config, recipe: &Recipe, kind: &str) -> Result<Rotary> {
    let width = recipe.attention.width;
    let share = match config.value("qk_rope_head_dim") {
        Some(_) => config.size("qk_rope_head_dim")? as f64 / width as f64,
        None => 0.125,
    };
    let (theta, positions) = (Turn::PLAIN.theta, recipe.positions);
    let defaults = RotaryDefaults { width, theta, share, pairing: Pairing::Neighbours, gives: Gives::One, positions };
    Rotary::read(config, kind, "rope_theta", defaults)
}

/// The entries of each layer; none for a layer of a window alone.
fn compressions(config: &Config, layers: usize, rotated: usize) -> Result<Vec<Option<Compression>>> {
    const RATIOS: &str = "compress_ratios";
    let how = Indexing {
        heads: config.size_or("index_n_heads", 64)?,
        width: config.size_or("index_head_dim", 128)?,
        chosen: config.size_or("index_topk", 512)?,
    };
    if how.width < rotated {
        let reason = format!("is {}, of which {rotated} numbers are rotated", how.width);
        return Err(config.error("index_head_dim", reason));
    }
    let rate_of_sparse = rate(config, "compressed_sparse_attention", "compress_rate_csa", 4)?;
    let rate_of_heavy = rate(config, "heavily_compressed_attention", "compress_rate_hca", 128)?;
    let sparse = Some(Compression { rate: rate_of_sparse, indexer: Some(how) });
    let heavy = Some(Compression { rate: rate_of_heavy, indexer: None });
    let words =
        [("sliding_attention", None), ("compressed_sparse_attention", sparse), ("heavily_compressed_attention", heavy)];
    if let Some(named) = kinds(config, "layer_types", &words)? {
        return Ok(named);
    }
    if config.value(RATIOS).is_none() {
        return Ok((0..layers).map(|place| if place > 2 && place % 2 == 1 { sparse } else { heavy }).collect());
    }
    let ratios: Vec<u64> = config.field(RATIOS)?;
    if ratios.len() < layers {
        return Err(config.error(RATIOS, format!("names {} of {layers} layers", ratios.len())));
    }
    let of_ratio = |ratio: &u64| match ratio {
        0 => Ok(None),
        4 => Ok(sparse),
        128 => Ok(heavy),
        other => Err(config.error(RATIOS, format!("{other} is not supported here; there are 0, 4, 128"))),
    };
    // Those behind are of the layers that guess further tokens.
    ratios.iter().take(layers).map(of_ratio).collect()
}

/// Tokens between entries: by the name of the kind of layer, or in a field of older configs, which comes first.
fn rate(config: &Config, kind: &str, older: &'static str, default: usize) -> Result<usize> {
    const FIELD: &str = "compress_rates";
    const MOST: u64 = 1 << 20;
    let Some(rate) = config.value(FIELD).and_then(|rates| rates.get(kind)) else {
        return config.size_or(older, default);
    };
    let known = rate.as_u64().filter(|rate| (1..=MOST).contains(rate)).and_then(|rate| usize::try_from(rate).ok());
    let refuse = |rate: &Value| config.error(FIELD, format!("expected a whole number from 1 to {MOST}, found {rate}"));
    config.size_or(older, known.ok_or_else(|| refuse(rate))?)
}

/// Experts in every layer; those of the first layers are chosen by a table of tokens.
fn experts(recipe: &mut Recipe, config: &Config) -> Result<()> {
    let per_token = config.size_or("num_experts_per_tok", 6)?;
    let router = Router {
        scores: Scores::RootOfSoftplus,
        scale: config.number_or("routed_scaling_factor", 1.5)?,
        correction: Some(CORRECTION),
        ..ROUTER
    };
    let mixture = mixture(config, hidden_act(config)?, [config.size_or("n_routed_experts", 256)?, per_token])?;
    let chosen = Mixture {
        router,
        weights: ExpertKeys { clip: Some(config.number_or("swiglu_limit", 10.0)?), ..EXPERTS },
        shared: Some(Shared { name: "shared_experts", inner: mixture.inner, gate: None }),
        ..mixture
    };
    let of_table = Router { table: Some(recipe.vocabulary), correction: None, ..router };
    let looked_up = Mixture { router: of_table, ..chosen };
    let first = config.token_or("num_hash_layers", 3)?;
    let by_place = || (0..recipe.layers.len()).map(|place| place < first).collect();
    let has_table = kinds(config, "mlp_layer_types", &[("hash_moe", true), ("moe", false)])?.unwrap_or_else(by_place);
    for (layer, has_table) in recipe.layers.iter_mut().zip(has_table) {
        layer.feed_forward = FeedForward::Mixture(if has_table { looked_up } else { chosen });
    }
    Ok(())
}
