//! Granite 4 (2025): attentions that may know no positions, layers of states, and a feed-forward part for every token, beside experts or alone.

use super::{
    Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Parts, Recipe, Result, SHARED, Turn, hidden_act,
    llama::{GRANITE_READS, LLAMA, granite_scales},
    llama_like,
    mamba::{STATES_READS, states},
    mixtures::{GRANITE_MOE, granite_mixture},
    windows::kinds,
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Classes, classes},
};

const READS: &[&str] = &["position_embedding_type", "shared_intermediate_size", "layer_types"];

pub(super) const GRANITE_HYBRID: Decoder = Decoder {
    family: Family {
        model_type: "granitemoehybrid",
        classes: &["GraniteMoeHybrid"],
        reads: &[SHARED, LLAMA_LIKE, GRANITE_READS, STATES_READS, READS],
        also: &[("layers_block_type", "layer_types"), ("num_experts", "num_local_experts")],
        plain: &[
            ("normalization_function", Plain::Word("rmsnorm")),
            ("mamba_conv_bias", Plain::On),
            ("mamba_proj_bias", Plain::Off),
            ("output_router_logits", Plain::Off),
        ],
        ..LLAMA.family
    },
    trunk: "model",
    recipe: granite_hybrid,
};

fn granite_hybrid(config: &Config) -> Result<Recipe> {
    let classes = Classes {
        states: "GraniteMoeHybridMambaLayer",
        mixture: "GraniteMoeHybridMoE",
        router: "GraniteMoeHybridTopKGating",
        experts: "GraniteMoeHybridParallelExperts",
        ..classes!("GraniteMoeHybrid")
    };
    let rotary = (config.word_or("position_embedding_type", "nope")? == "rope").then_some(Turn::PLAIN);
    let mut recipe = llama_like(config, &Defaults { rotary, ..Defaults::of(classes) })?;
    granite_scales(&mut recipe, config)?;
    recipe.names.feed_forward = "shared_mlp";
    recipe.feed(feed_forward(config)?);
    let words = [("mamba", true), ("attention", false), ("linear_attention", true), ("full_attention", false)];
    let has_states = kinds(config, "layer_types", &words)?.unwrap_or_else(|| vec![true; recipe.layers.len()]);
    if has_states.contains(&true) {
        recipe.attention.states = Some(states(config, None)?);
    }
    for (layer, has_states) in recipe.layers.iter_mut().zip(has_states) {
        if has_states {
            layer.parts = Parts::StatesAndFeedForward;
        }
    }
    Ok(recipe)
}

/// One part alone, or experts with one for every token.
fn feed_forward(config: &Config) -> Result<FeedForward> {
    let inner = config.size_or("shared_intermediate_size", 1024)?;
    if config.token_or("num_local_experts", 8)? > 0 {
        return Ok(FeedForward::Mixture(granite_mixture(config, Some(inner))?));
    }
    Ok(FeedForward::for_every_token(inner, hidden_act(config)?))
}

/// The same feed-forward parts behind an attention in every layer.
pub(super) const GRANITE_SHARED: Decoder = Decoder {
    family: Family {
        model_type: "granitemoeshared",
        classes: &["GraniteMoeShared"],
        reads: &[SHARED, LLAMA_LIKE, GRANITE_READS, &["shared_intermediate_size"]],
        ..GRANITE_MOE.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "GraniteMoeSharedMoE",
            router: "GraniteMoeSharedTopKGating",
            experts: "GraniteMoeSharedParallelExperts",
            ..classes!("GraniteMoeShared")
        };
        let mut recipe = llama_like(config, &Defaults::of(classes))?;
        granite_scales(&mut recipe, config)?;
        recipe.names.feed_forward = "shared_mlp";
        let inner = config.token_or("shared_intermediate_size", 0)?;
        recipe.feed(FeedForward::Mixture(granite_mixture(config, (inner > 0).then_some(inner))?));
        Ok(recipe)
    },
};
