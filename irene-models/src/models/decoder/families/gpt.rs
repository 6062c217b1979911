//! GPT-Neo, GPT-NeoX (and Pythia), GPT-J, OPT, StarCoder 1 and 2: norms with mean and variance, feed-forward parts without a gate.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, Names, NormKind, Projections, Recipe, Result, SHARED, Turn,
    llama_like,
    windows::{WINDOWS, kinds, window},
};
use crate::{
    Activation, Pairing,
    families::{Family, Plain},
    models::decoder::{
        recipe::{Around, Classes, Dropouts, classes},
        rotary::Gives,
    },
};

/// The plain Llama with the parts that these families change.
struct Plainer {
    classes: Classes,
    /// The field of the norms' eps.
    eps: &'static str,
    activation: (&'static str, &'static str),
    names: [&'static str; 2],
    biased: bool,
    is_tied: bool,
    rotary: Option<Turn>,
}

fn plainer(config: &Config, with: &Plainer) -> Result<Recipe> {
    let Plainer { classes, activation, is_tied, rotary, .. } = *with;
    let mut recipe = llama_like(config, &Defaults { activation, is_tied, rotary, ..Defaults::of(classes) })?;
    recipe.norm = NormKind::Layer { eps: config.number_or(with.eps, 1e-5)? };
    let (field, word) = activation;
    recipe.feed(FeedForward::Plain {
        names: with.names,
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, field, word)?,
        biased: with.biased,
    });
    Ok(recipe)
}

pub(super) const GPT_NEOX: Decoder = Decoder {
    family: Family {
        model_type: "gpt_neox",
        classes: &["GPTNeoX"],
        reads: &[&[
            "max_position_embeddings",
            "layer_norm_eps",
            "hidden_act",
            "rotary_pct",
            "rotary_emb_base",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "use_parallel_residual",
            "attention_bias",
        ]],
        plain: &[("is_decoder", Plain::Off)],
        defaults: sizes! {
            vocab_size: 50_432, hidden_size: 6144, intermediate_size: 24_576, num_hidden_layers: 44,
            num_attention_heads: 64
        },
        ..Family::USUAL
    },
    trunk: "gpt_neox",
    recipe: gpt_neox,
};

fn gpt_neox(config: &Config) -> Result<Recipe> {
    let field = if config.value("rotary_emb_base").is_some() { "rotary_emb_base" } else { "rope_theta" };
    let share = config.number_or("rotary_pct", 0.25)?;
    let with = Plainer {
        classes: Classes { layer: "GPTNeoXLayer", norm: "LayerNorm", ..classes!("GPTNeoX") },
        eps: "layer_norm_eps",
        activation: ("hidden_act", "gelu"),
        names: ["dense_h_to_4h", "dense_4h_to_h"],
        biased: true,
        is_tied: false,
        rotary: Some(Turn { field, share, ..Turn::PLAIN }),
    };
    let mut recipe = plainer(config, &with)?;
    recipe.names.tokens = "embed_in";
    recipe.names.attention = "attention";
    recipe.head.key = "embed_out";
    recipe.final_norm = Some("final_layer_norm");
    let biased = config.flag_or("attention_bias", true)?;
    recipe.attention.projections = Projections::ByGroup { name: "query_key_value", biased };
    recipe.attention.out = ("dense", biased);
    let dropout = config.probability_or("hidden_dropout", 0.0)?;
    recipe.dropouts = Dropouts::of_branches(dropout, dropout);
    let (attention, feed_forward) = ("input_layernorm", "post_attention_layernorm");
    recipe.block = if config.flag_or("use_parallel_residual", true)? {
        Block::Parallel { attention, feed_forward: Some(feed_forward) }
    } else {
        Block::PreNorm { attention, feed_forward }
    };
    Ok(recipe)
}

/// Every other layer sees a window alone, and scores are plain products.
pub(super) const GPT_NEO: Decoder = Decoder {
    family: Family {
        model_type: "gpt_neo",
        classes: &["GPTNeo"],
        sizes: &["hidden_size", "num_layers", "num_heads", "vocab_size"],
        reads: &[&[
            "intermediate_size",
            "layer_norm_epsilon",
            "activation_function",
            ROUNDS,
            KINDS,
            "window_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
        ]],
        also: &[("num_layers", "num_hidden_layers"), ("num_heads", "num_attention_heads")],
        plain: &[],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: gpt_neo,
};

fn gpt_neo(config: &Config) -> Result<Recipe> {
    let inner = config.size_or("intermediate_size", 4 * config.size("hidden_size")?)?;
    let config = &config.with_default("intermediate_size", inner);
    let with = Plainer {
        classes: Classes {
            layer: "GPTNeoBlock",
            attention: "GPTNeoSelfAttention",
            norm: "LayerNorm",
            ..classes!("GPTNeo")
        },
        eps: "layer_norm_epsilon",
        activation: ("activation_function", "gelu_new"),
        names: ["c_fc", "c_proj"],
        biased: true,
        is_tied: true,
        rotary: None,
    };
    let mut recipe = plainer(config, &with)?;
    let around = Some(Around { name: "attn", class: "GPTNeoAttention", holds_norms: false });
    recipe.names =
        Names { tokens: "wte", layers: "h", attention: "attention", around_attention: around, ..recipe.names };
    recipe.final_norm = Some("ln_f");
    recipe.learned_positions = Some(("wpe", 0, recipe.positions));
    recipe.block = Block::PreNorm { attention: "ln_1", feed_forward: "ln_2" };
    recipe.bias(false, true);
    recipe.attention.out.0 = "out_proj";
    recipe.attention.scale = 1.0;
    let of_branches = config.probability_or("resid_dropout", 0.0)?;
    recipe.dropouts = Dropouts::of_branches(config.probability_or("embed_dropout", 0.0)?, of_branches);
    let window = config.size_or("window_size", 256)?;
    for (layer, is_local) in recipe.layers.iter_mut().zip(local_layers(config)?) {
        layer.window = is_local.then_some(window);
    }
    Ok(recipe)
}

const ROUNDS: &str = "attention_types";
const KINDS: &str = "attention_layers";

/// Which layers see a window alone: by the words of all layers, else by those of a round of layers and how often it is repeated.
fn local_layers(config: &Config) -> Result<Vec<bool>> {
    let layers = config.layers("num_hidden_layers")?;
    let (mut own, mut field) = (config.clone(), KINDS);
    if config.value(KINDS).is_none() && config.value(ROUNDS).is_some() {
        let rounds: Vec<(Vec<String>, usize)> = config.field(ROUNDS)?;
        let repeated = rounds.into_iter().flat_map(|(words, times)| {
            let all = words.len().saturating_mul(times);
            words.into_iter().cycle().take(all)
        });
        // More than any model has.
        own.set(ROUNDS, repeated.take(1 << 13).collect());
        field = ROUNDS;
    }
    let is_local = kinds(&own, field, &[("global", false), ("local", true)])?;
    Ok(is_local.unwrap_or_else(|| (0..layers).map(|place| place % 2 == 1).collect()))
}

pub(super) const GPT_J: Decoder = Decoder {
    family: Family {
        model_type: "gptj",
        classes: &["GPTJ"],
        sizes: &["n_embd", "n_layer", "n_head", "n_positions", "vocab_size"],
        reads: &[&[
            "n_inner",
            "rotary_dim",
            "layer_norm_epsilon",
            "activation_function",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
        ]],
        also: &[
            ("n_embd", "hidden_size"),
            ("n_layer", "num_hidden_layers"),
            ("n_head", "num_attention_heads"),
            ("n_positions", "max_position_embeddings"),
        ],
        // The mask's length, and how older checkpoints were kept.
        plain: &[("rotary", Plain::On), ("scale_attn_weights", Plain::On)],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: gpt_j,
};

fn gpt_j(config: &Config) -> Result<Recipe> {
    let inner = config.size_or("n_inner", 4 * config.size("hidden_size")?)?;
    let config = &config.with_default("intermediate_size", inner);
    let width = config.width_and_heads("hidden_size", "num_attention_heads").map(|(hidden, heads)| hidden / heads)?;
    let share = config.size_or("rotary_dim", width)? as f64 / width as f64;
    let with = Plainer {
        classes: Classes { layer: "GPTJBlock", norm: "LayerNorm", ..classes!("GPTJ") },
        eps: "layer_norm_epsilon",
        activation: ("activation_function", "gelu_new"),
        names: ["fc_in", "fc_out"],
        biased: true,
        is_tied: false,
        rotary: Some(Turn { share, pairing: Pairing::Neighbours, gives: Gives::SinesFirst, ..Turn::PLAIN }),
    };
    let mut recipe = plainer(config, &with)?;
    recipe.names.tokens = "wte";
    recipe.names.layers = "h";
    recipe.names.attention = "attn";
    recipe.final_norm = Some("ln_f");
    recipe.head.biased = true;
    recipe.attention.out = ("out_proj", false);
    recipe.attention.dropout = config.probability_or("attn_pdrop", 0.0)?;
    let of_branches = config.probability_or("resid_pdrop", 0.0)?;
    recipe.dropouts = Dropouts::of_branches(config.probability_or("embd_pdrop", 0.0)?, of_branches);
    recipe.block = Block::Parallel { attention: "ln_1", feed_forward: None };
    Ok(recipe)
}

pub(super) const OPT: Decoder = Decoder {
    family: Family {
        model_type: "opt",
        classes: &["OPT"],
        sizes: &["hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "vocab_size"],
        reads: &[&[
            "max_position_embeddings",
            "activation_function",
            "do_layer_norm_before",
            "_remove_final_layer_norm",
            "word_embed_proj_dim",
            "enable_bias",
            "intermediate_size",
        ]],
        also: &[("ffn_dim", "intermediate_size")],
        plain: &[("layer_norm_elementwise_affine", Plain::On)],
        defaults: sizes! {
            vocab_size: 50_272, hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12,
            num_attention_heads: 12
        },
    },
    trunk: "model",
    recipe: opt,
};

fn opt(config: &Config) -> Result<Recipe> {
    let biased = config.flag_or("enable_bias", true)?;
    let with = Plainer {
        classes: Classes { norm: "LayerNorm", ..classes!("OPT") },
        // The eps is PyTorch's own.
        eps: "layer_norm_eps",
        activation: ("activation_function", "relu"),
        names: ["fc1", "fc2"],
        biased,
        is_tied: true,
        rotary: None,
    };
    let mut recipe = plainer(config, &with)?;
    recipe.names.inner = Some("decoder");
    recipe.names.feed_forward = "";
    recipe.embedding = config.size_or("word_embed_proj_dim", recipe.hidden)?;
    // Two rows of the table stand before the first position.
    recipe.learned_positions = Some(("embed_positions", 2, recipe.positions + 2));
    recipe.bias(biased, biased);
    recipe.attention.out.0 = "out_proj";
    recipe.dropouts = Dropouts::of_branches(0.0, config.probability_or("dropout", 0.1)?);
    let (attention, feed_forward) = ("self_attn_layer_norm", "final_layer_norm");
    let is_before = config.flag_or("do_layer_norm_before", true)?;
    recipe.block = if is_before {
        Block::PreNorm { attention, feed_forward }
    } else {
        Block::PostNorm { attention, feed_forward }
    };
    let is_removed = config.flag_or("_remove_final_layer_norm", false)?;
    recipe.final_norm = (is_before && !is_removed).then_some("final_layer_norm");
    Ok(recipe)
}

pub(super) const STARCODER2: Decoder = Decoder {
    family: Family {
        model_type: "starcoder2",
        classes: &["Starcoder2"],
        reads: &[SHARED, WINDOWS, &["head_dim", "norm_epsilon", "use_bias"]],
        plain: &[
            ("mlp_type", Plain::Word("default")),
            ("norm_type", Plain::Word("layer_norm")),
            ("scale_attn_weights", Plain::On),
        ],
        defaults: sizes! {
            vocab_size: 49_152, hidden_size: 3072, intermediate_size: 12_288, num_hidden_layers: 30,
            num_attention_heads: 24, num_key_value_heads: 2, max_position_embeddings: 4096
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let biased = config.flag_or("use_bias", true)?;
        let with = Plainer {
            classes: Classes { norm: "LayerNorm", ..classes!("Starcoder2") },
            eps: "norm_epsilon",
            activation: ("hidden_act", "gelu_pytorch_tanh"),
            names: ["c_fc", "c_proj"],
            biased,
            is_tied: true,
            rotary: Some(Turn::PLAIN),
        };
        let mut recipe = plainer(config, &with)?;
        recipe.bias(biased, biased);
        let of_branches = config.probability_or("residual_dropout", 0.0)?;
        recipe.dropouts = Dropouts::of_branches(config.probability_or("embedding_dropout", 0.0)?, of_branches);
        recipe.slide(config, window(config, None)?, |_| true)?;
        Ok(recipe)
    },
};

/// The first StarCoder, SantaCoder and Granite's large code models: GPT-2 with one head of keys and values.
pub(super) const GPT_BIGCODE: Decoder = Decoder {
    family: Family {
        model_type: "gpt_bigcode",
        classes: &["GPTBigCode"],
        reads: &[&[
            "n_inner",
            "layer_norm_epsilon",
            "activation_function",
            "multi_query",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "max_position_embeddings",
        ]],
        plain: &[("scale_attn_weights", Plain::On)],
        ..GPT_J.family
    },
    trunk: "transformer",
    recipe: gpt_bigcode,
};

fn gpt_bigcode(config: &Config) -> Result<Recipe> {
    const GROUPS: &str = "num_key_value_heads";
    let is_multi_query = config.flag_or("multi_query", true)?;
    let groups = if is_multi_query { 1 } else { config.size("num_attention_heads")? };
    let given = config.size_or(GROUPS, groups)?;
    if given != groups {
        let reason = format!("{given} is not supported here, only {groups}, as `multi_query` says");
        return Err(config.error(GROUPS, reason));
    }
    let inner = config.size_or("n_inner", 4 * config.size("hidden_size")?)?;
    let config = &config.with_default("intermediate_size", inner).with_default(GROUPS, groups);
    let with = Plainer {
        classes: Classes { layer: "GPTBigCodeBlock", norm: "LayerNorm", ..classes!("GPTBigCode") },
        eps: "layer_norm_epsilon",
        activation: ("activation_function", "gelu_pytorch_tanh"),
        names: ["c_fc", "c_proj"],
        biased: true,
        is_tied: true,
        rotary: None,
    };
    let mut recipe = plainer(config, &with)?;
    recipe.names.tokens = "wte";
    recipe.names.layers = "h";
    recipe.names.attention = "attn";
    recipe.final_norm = Some("ln_f");
    recipe.learned_positions = Some(("wpe", 0, recipe.positions));
    recipe.block = Block::PreNorm { attention: "ln_1", feed_forward: "ln_2" };
    recipe.attention.groups = groups;
    recipe.attention.projections = if is_multi_query {
        Projections::InBlocks { name: "c_attn", biased: true }
    } else {
        Projections::ByGroup { name: "c_attn", biased: true }
    };
    recipe.attention.out = ("c_proj", true);
    recipe.attention.dropout = config.probability_or("attn_pdrop", 0.1)?;
    let of_branches = config.probability_or("resid_pdrop", 0.1)?;
    recipe.dropouts = Dropouts::of_branches(config.probability_or("embd_pdrop", 0.1)?, of_branches);
    Ok(recipe)
}
