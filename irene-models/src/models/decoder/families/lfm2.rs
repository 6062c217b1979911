//! LFM2 (2025) and its mixtures: convolutions of a few tokens between layers of attention.

use super::{
    Block, Config, Decoder, Defaults, FeedForward, NormKind, Parts, Recipe, Result, SHARED, Turn, llama_like,
    mixtures::{EXPERTS, ROUTER, mixture},
    windows::kinds,
};
use crate::{
    Activation,
    families::{Family, Plain},
    models::decoder::recipe::{
        Classes, Correction, ExpertKeys, HeadNorms, Mixture, Router, Scores, StateKind, States, classes,
    },
};

const READS: &[&str] = &["head_dim", "norm_eps", "layer_types", "full_attn_idxs", "conv_L_cache"];
const INNER_READS: &[&str] = &["block_multiple_of", "block_ffn_dim_multiplier", "block_auto_adjust_ff_dim"];
const TIED: (&str, &str) = ("tie_embedding", "tie_word_embeddings");

pub(super) const LFM2: Decoder = Decoder {
    family: Family {
        model_type: "lfm2",
        classes: &["Lfm2"],
        reads: &[SHARED, READS, INNER_READS],
        also: &[("block_ff_dim", "intermediate_size"), TIED],
        plain: &[
            ("conv_bias", Plain::Off),
            ("conv_dim", Plain::Same("hidden_size")),
            ("conv_dim_out", Plain::Same("hidden_size")),
            ("num_heads", Plain::Same("num_attention_heads")),
            ("block_use_swiglu", Plain::On),
            // The code has it written in it.
            ("hidden_act", Plain::Word("silu")),
            ("output_router_logits", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 65_536, hidden_size: 2560, intermediate_size: 12_288, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 128_000
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let inner = adjusted(config)?;
        lfm2(config, Classes { states: "Lfm2ShortConv", ..classes!("Lfm2") }, inner)
    },
};

/// The inner size, which is two thirds of what the config says, in whole blocks unless the multiplier is null.
fn adjusted(config: &Config) -> Result<usize> {
    const MULTIPLIER: &str = "block_ffn_dim_multiplier";
    let inner = config.size("intermediate_size")?;
    if !config.flag_or("block_auto_adjust_ff_dim", true)? {
        return Ok(inner);
    }
    if config.has_field(MULTIPLIER) && config.value(MULTIPLIER).is_none() {
        return Ok(2 * inner / 3);
    }
    let wanted = config.number_or(MULTIPLIER, 1.0)? * (2 * inner / 3) as f64;
    let whole = (wanted as usize).checked_next_multiple_of(config.size_or("block_multiple_of", 256)?);
    whole.ok_or_else(|| config.error(MULTIPLIER, format!("makes {wanted} of {inner} inner numbers, which is too much")))
}

/// Layers behind the first dense ones have experts.
pub(super) const LFM2_MOE: Decoder = Decoder {
    family: Family {
        model_type: "lfm2_moe",
        classes: &["Lfm2Moe"],
        reads: &[SHARED, READS, MIXTURE_READS],
        also: &[TIED],
        defaults: sizes! {
            vocab_size: 65_536, hidden_size: 2048, intermediate_size: 7168, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 128_000
        },
        ..LFM2.family
    },
    trunk: "model",
    recipe: lfm2_moe,
};

const MIXTURE_READS: &[&str] = &[
    "moe_intermediate_size",
    "num_experts",
    "num_experts_per_tok",
    "num_dense_layers",
    "use_expert_bias",
    "norm_topk_prob",
    "routed_scaling_factor",
];

fn lfm2_moe(config: &Config) -> Result<Recipe> {
    let classes = Classes { states: "Lfm2MoeShortConv", ..classes!("Lfm2Moe") };
    let mut recipe = lfm2(config, classes, config.size("intermediate_size")?)?;
    let experts = [config.size_or("num_experts", 32)?, config.size_or("num_experts_per_tok", 4)?];
    let correction = Correction { key: "expert_bias", is_beside: true, is_row: false };
    let mixture = Mixture {
        name: "feed_forward",
        key: "feed_forward",
        inner: config.size_or("moe_intermediate_size", 1792)?,
        router: Router {
            scores: Scores::Sigmoid,
            normalised: config.flag_or("norm_topk_prob", true)?,
            scale: config.number_or("routed_scaling_factor", 1.0)?,
            correction: config.flag_or("use_expert_bias", true)?.then_some(correction),
            ..ROUTER
        },
        weights: ExpertKeys { apart: Some(["w1", "w3", "w2"]), ..EXPERTS },
        ..mixture(config, Activation::Silu, experts)?
    };
    for layer in recipe.layers.iter_mut().skip(config.token_or("num_dense_layers", 2)?) {
        layer.feed_forward = FeedForward::Mixture(mixture);
    }
    Ok(recipe)
}

fn lfm2(config: &Config, classes: Classes, inner: usize) -> Result<Recipe> {
    let rotary = Some(Turn { theta: 1_000_000.0, ..Turn::PLAIN });
    let mut recipe = llama_like(config, &Defaults { rotary, is_tied: true, ..Defaults::of(classes) })?;
    recipe.norm = NormKind::Rms { eps: config.number_or("norm_eps", 1e-5)? };
    recipe.names.feed_forward = "feed_forward";
    recipe.block = Block::PreNorm { attention: "operator_norm", feed_forward: "ffn_norm" };
    recipe.final_norm = Some("embedding_norm");
    recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_layernorm", "k_layernorm"]));
    recipe.attention.out = ("out_proj", false);
    let (names, activation) = (["w1", "w3", "w2"], Activation::Silu);
    recipe.feed(FeedForward::Gated { names, inner, activation, biased: false });
    recipe.attention.states = Some(States {
        kind: StateKind::Convolution,
        is_normed: false,
        name: "conv",
        heads: recipe.hidden,
        width: 1,
        groups: 1,
        size: 0,
        kernel: config.size_or("conv_L_cache", 3)?,
        chunk: 1,
    });
    let attends: Option<Vec<usize>> =
        config.value("full_attn_idxs").map(|_| config.field("full_attn_idxs")).transpose()?;
    let by_place = || {
        let convolves = |place| attends.as_ref().is_some_and(|attends| !attends.contains(&place));
        (0..recipe.layers.len()).map(convolves).collect()
    };
    let words = [("conv", true), ("full_attention", false)];
    let convolves: Vec<bool> = kinds(config, "layer_types", &words)?.unwrap_or_else(by_place);
    for (layer, convolves) in recipe.layers.iter_mut().zip(convolves) {
        if convolves {
            layer.parts = Parts::StatesAndFeedForward;
        }
    }
    Ok(recipe)
}
