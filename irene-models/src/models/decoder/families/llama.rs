//! Llama (Touvron et al., 2023) and its nearest kin.

use serde_json::json;

use super::{
    Block, Classes, Config, Decoder, Defaults, Dropouts, FeedForward, LLAMA_LIKE, NormKind, Recipe, Result, SHARED,
    Turn, llama_like, ungated,
    windows::{WINDOWS, window},
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::{
        recipe::{Grown, HeadNorms, Temperature, classes},
        rotary::Rotary,
    },
};

pub(super) const LLAMA: Decoder = Decoder {
    family: Family {
        model_type: "llama",
        classes: &["Llama"],
        reads: &[
            SHARED,
            LLAMA_LIKE,
            WINDOWS,
            &["mlp_bias", "partial_rotary_factor", "original_max_position_embeddings"],
        ],
        // Its code reads no window: a config that sets one means another model.
        plain: &[("sliding_window", Plain::Off)],
        defaults: sizes! {
            vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32,
            num_attention_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| llama_like(config, &Defaults::of(classes!("Llama"))),
};

pub(super) const MISTRAL: Decoder = Decoder {
    family: Family {
        model_type: "mistral",
        classes: &["Mistral"],
        plain: &[],
        defaults: sizes! {
            vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Mistral")))?;
        recipe.slide(config, window(config, Some(4096))?, |_| true)?;
        Ok(recipe)
    },
};

/// The third generation of small Mistrals, and Devstral 2: queries grow with their position.
pub(super) const MINISTRAL3: Decoder = Decoder {
    family: Family {
        model_type: "ministral3",
        classes: &["Ministral3"],
        defaults: sizes! {
            vocab_size: 131_072, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 34,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 262_144
        },
        ..MISTRAL.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-5, rotary, width: Some(128), ..Defaults::of(classes!("Ministral3")) };
        let mut recipe = llama_like(config, &defaults)?;
        recipe.slide(config, window(config, None)?, |_| true)?;
        recipe.attention.temperature = growth_of_queries(config)?;
        Ok(recipe)
    },
};

/// The growth of rotated queries with their position, if there is one.
pub(super) fn growth_of_queries(config: &Config) -> Result<Option<Temperature>> {
    let growth = Rotary::growth_of_queries(config)?;
    Ok(growth.map(|[scale, floor]| Temperature { floor, scale, of: Grown::Rotated }))
}

/// Granite's factors.
pub(super) fn granite_scales(recipe: &mut Recipe, config: &Config) -> Result<()> {
    recipe.embedding_scale = Some(config.number_or("embedding_multiplier", 1.0)?).filter(|scale| *scale != 1.0);
    recipe.residual_scale = Some(config.number_or("residual_multiplier", 1.0)?).filter(|scale| *scale != 1.0);
    recipe.attention.scale = config.number_or("attention_multiplier", 1.0)?;
    recipe.head.divisor = Some(config.number_or("logits_scaling", 1.0)?).filter(|divisor| *divisor != 1.0);
    Ok(())
}

/// The fields of the factors, and those of the experts that Granite may have.
pub(super) const GRANITE_READS: &[&str] = &[
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
        reads: &[SHARED, LLAMA_LIKE, GRANITE_READS, &["mlp_bias"]],
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
        defaults: sizes! {
            vocab_size: 50_304, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32,
            num_attention_heads: 32
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| olmo(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Olmo2")) }),
};

pub(super) fn olmo(config: &Config, defaults: &Defaults) -> Result<Recipe> {
    let mut recipe = llama_like(config, defaults)?;
    recipe.attention.head_norms = Some(HeadNorms::Joint(["q_norm", "k_norm"]));
    recipe.block =
        Block::OutputNorm { attention: "post_attention_layernorm", feed_forward: "post_feedforward_layernorm" };
    Ok(recipe)
}

/// Three of four layers slide; scalings of positions hold for the others.
pub(super) const OLMO3: Decoder = Decoder {
    family: Family { model_type: "olmo3", classes: &["Olmo3"], plain: &[("clip_qkv", Plain::Off)], ..OLMO2.family },
    trunk: "model",
    recipe: |config| {
        let turn = Turn { theta: 500_000.0, ..Turn::PLAIN };
        let mut recipe = olmo(config, &Defaults { eps: 1e-5, rotary: Some(turn), ..Defaults::of(classes!("Olmo3")) })?;
        let local = turn.read_local(config, recipe.attention.width, recipe.positions)?;
        recipe.attention.rotary.push(local);
        recipe.slide(config, window(config, Some(4096))?, |place| (place + 1) % 4 != 0)?;
        for layer in &mut recipe.layers {
            layer.rotary = Some(usize::from(layer.window.is_some()));
        }
        Ok(recipe)
    },
};

/// Llama with pairs of neighbours, and biases everywhere or nowhere.
pub(super) const ERNIE4_5: Decoder = Decoder {
    family: Family {
        model_type: "ernie4_5",
        // The code beside the checkpoints has another name.
        classes: &["Ernie4_5", "Ernie4_5_"],
        reads: &[SHARED, &["head_dim", "rms_norm_eps", "use_bias"]],
        defaults: sizes! {
            vocab_size: 103_424, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 18,
            num_attention_heads: 16, num_key_value_heads: 2, max_position_embeddings: 131_072
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 500_000.0, pairing: Pairing::Neighbours, ..Turn::PLAIN });
        let defaults =
            Defaults { eps: 1e-5, rotary, is_tied: true, width: Some(128), ..Defaults::of(classes!("Ernie4_5")) };
        let mut recipe = llama_like(config, &defaults)?;
        let has_biases = config.flag_or("use_bias", false)?;
        recipe.bias(has_biases, has_biases);
        for layer in &mut recipe.layers {
            if let FeedForward::Gated { biased, .. } = &mut layer.feed_forward {
                *biased = has_biases;
            }
        }
        Ok(recipe)
    },
};

/// Biases of queries, keys and values have a field of their own.
pub(super) const SEED_OSS: Decoder = Decoder {
    family: Family {
        model_type: "seed_oss",
        classes: &["SeedOss"],
        reads: &[SHARED, LLAMA_LIKE, &["attention_out_bias", "residual_dropout", "mlp_bias"]],
        defaults: sizes! {
            vocab_size: 155_136, hidden_size: 4096, intermediate_size: 27_648, num_hidden_layers: 64,
            num_attention_heads: 80, num_key_value_heads: 8, max_position_embeddings: 524_288
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { width: Some(128), ..Defaults::of(classes!("SeedOss")) })?;
        recipe.bias(config.flag_or("attention_bias", true)?, config.flag_or("attention_out_bias", false)?);
        recipe.attention.dropout = config.probability_or("attention_dropout", 0.1)?;
        recipe.dropouts = Dropouts::of_branches(0.0, config.probability_or("residual_dropout", 0.1)?);
        Ok(recipe)
    },
};

/// Llama without gates.
pub(super) const ARCEE: Decoder = Decoder {
    family: Family {
        model_type: "arcee",
        classes: &["Arcee"],
        reads: &[SHARED, LLAMA_LIKE, &["mlp_bias"]],
        plain: &[],
        defaults: sizes! {
            vocab_size: 32_000, hidden_size: 2560, intermediate_size: 18_432, num_hidden_layers: 32,
            num_attention_heads: 32, max_position_embeddings: 4096
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let activation = ("hidden_act", "relu2");
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, activation, ..Defaults::of(classes!("Arcee")) })?;
        recipe.feed(ungated(config)?);
        Ok(recipe)
    },
};

/// Meta's code world model: three of four layers slide, and Llama 3.1's scaling stretches all of them.
pub(super) const CWM: Decoder = Decoder {
    family: Family {
        model_type: "cwm",
        classes: &["Cwm"],
        reads: &[SHARED, WINDOWS, &["head_dim", "rms_norm_eps", "mlp_bias"]],
        plain: &[],
        defaults: sizes! {
            vocab_size: 128_256, hidden_size: 6144, intermediate_size: 21_504, num_hidden_layers: 64,
            num_attention_heads: 48, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..LLAMA.family
    },
    trunk: "model",
    recipe: |config| {
        let config = scaled_by_default(config, 1e6, 16.0);
        let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-5, rotary, width: Some(128), ..Defaults::of(classes!("Cwm")) };
        let mut recipe = llama_like(&config, &defaults)?;
        recipe.slide(&config, window(&config, Some(8192))?, |place| place % 4 != 0)?;
        Ok(recipe)
    },
};

/// The config with Llama 3.1's scaling by this factor, and this base, where it says nothing of positions.
pub(super) fn scaled_by_default(config: &Config, theta: f64, factor: f64) -> Config {
    let mut config = config.clone();
    if config.value("rope_parameters").is_none() && config.value("rope_scaling").is_none() {
        let scaling = json!({"rope_type": "llama3", "rope_theta": theta, "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
        config.set("rope_parameters", scaling);
    }
    config
}

/// Llama with pairs of neighbours, and no bias behind the attention.
pub(super) const HELIUM: Decoder = Decoder {
    family: Family {
        model_type: "helium",
        classes: &["Helium"],
        defaults: sizes! {
            vocab_size: 48_000, hidden_size: 2560, intermediate_size: 7040, num_hidden_layers: 24,
            num_attention_heads: 20, num_key_value_heads: 20, max_position_embeddings: 4096
        },
        ..ARCEE.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 100_000.0, pairing: Pairing::Neighbours, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-8, rotary, width: Some(128), ..Defaults::of(classes!("Helium")) };
        let mut recipe = llama_like(config, &defaults)?;
        recipe.attention.out = ("o_proj", false);
        Ok(recipe)
    },
};

/// Ministral 8B of 2024, where layers may differ and nothing has a bias.
pub(super) const MINISTRAL: Decoder = Decoder {
    family: Family {
        model_type: "ministral",
        classes: &["Ministral"],
        reads: &[SHARED, WINDOWS, &["head_dim", "rms_norm_eps"]],
        ..MISTRAL.family
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Ministral")))?;
        recipe.slide(config, window(config, Some(4096))?, |_| true)?;
        Ok(recipe)
    },
};

/// The first OLMo: norms that nothing scales.
pub(super) const OLMO: Decoder = Decoder {
    family: Family {
        model_type: "olmo",
        classes: &["Olmo"],
        reads: &[SHARED, &["attention_bias", "clip_qkv"]],
        plain: &[],
        ..OLMO2.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { norm: "OlmoLayerNorm", ..classes!("Olmo") };
        let mut recipe = llama_like(config, &Defaults::of(classes))?;
        recipe.norm = NormKind::PlainLayer { eps: 1e-5 };
        let clip = config.value("clip_qkv").map(|_| config.number_or("clip_qkv", 1.0));
        recipe.attention.clip = clip.transpose()?;
        Ok(recipe)
    },
};
