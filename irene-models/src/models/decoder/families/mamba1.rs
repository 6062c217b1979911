//! The first Mamba (Gu and Dao, 2023), Falcon Mamba (2024), and Jamba (2024), which has its states in place of most attentions and experts in
//! some layers.

use serde_json::Value;

use super::{
    Classes, Config, Decoder, Defaults, FeedForward, Parts, Recipe, Result, hidden_act,
    mamba::{hybrid, of_states_alone},
    mixtures::{ROUTER, mixture},
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{Mixture, Router, SelectionNorms, StateKind, States, classes},
};

const PLAIN: &[(&str, Plain)] =
    &[("use_conv_bias", Plain::On), ("use_bias", Plain::Off), ("hidden_act", Plain::Word("silu"))];

pub(super) const MAMBA: Decoder = Decoder {
    family: Family {
        model_type: "mamba",
        classes: &["Mamba"],
        sizes: &["hidden_size", "num_hidden_layers", "state_size", "vocab_size"],
        reads: &[&[
            "intermediate_size",
            "expand",
            "conv_kernel",
            "time_step_rank",
            "layer_norm_epsilon",
            // Fields of the original code, whose norms are RMS norms.
            "rms_norm",
            "fused_add_norm",
            // How the stream of hidden states is kept: here as engines do, in the format of the activations.
            "residual_in_fp32",
            "rescale_prenorm_residual",
        ]],
        also: &[("d_model", "hidden_size"), ("n_layer", "num_hidden_layers"), ("d_inner", "intermediate_size")],
        plain: PLAIN,
        defaults: sizes! { vocab_size: 50_280, hidden_size: 768, num_hidden_layers: 32, state_size: 16 },
    },
    trunk: "backbone",
    recipe: |config| of_states(config, Classes { layer: "MambaBlock", ..classes!("Mamba") }, SelectionNorms::None),
};

/// Its steps and ways have norms.
pub(super) const FALCON_MAMBA: Decoder = Decoder {
    family: Family { model_type: "falcon_mamba", classes: &["FalconMamba"], ..MAMBA.family },
    trunk: "backbone",
    recipe: |config| {
        let classes = Classes { layer: "FalconMambaBlock", ..classes!("FalconMamba") };
        of_states(config, classes, SelectionNorms::Plain("FalconMambaWeightlessRMSNorm"))
    },
};

fn of_states(config: &Config, classes: Classes, norms: SelectionNorms) -> Result<Recipe> {
    // transformers goes by this field where it is, whatever `expand` says, as in Falcon Mamba's config.
    let inner = config.size_or("intermediate_size", config.size_or("expand", 2)? * config.size("hidden_size")?)?;
    let mut recipe = of_states_alone(config, inner, inner, classes)?;
    recipe.head.is_tied = config.flag_or("tie_word_embeddings", true)?;
    let rank = rank(config, "time_step_rank")?;
    let (size, kernel) = (config.size("state_size")?, config.size_or("conv_kernel", 4)?);
    recipe.attention.states = Some(states(StateKind::Mamba { rank, norms }, "mixer", inner, [size, kernel]));
    Ok(recipe)
}

/// The rank of the steps: a sixteenth of the hidden size, unless the config says another.
fn rank(config: &Config, field: &'static str) -> Result<usize> {
    let auto = config.size("hidden_size")?.div_ceil(16);
    match config.value(field) {
        Some(Value::String(word)) if word == "auto" => Ok(auto),
        _ => config.size_or(field, auto),
    }
}

/// A state of so many numbers for each channel, behind a convolution of so many tokens.
fn states(kind: StateKind, name: &'static str, channels: usize, [size, kernel]: [usize; 2]) -> States {
    States { kind, is_normed: false, name, heads: channels, width: 1, groups: 1, size, kernel, chunk: 1 }
}

pub(super) const JAMBA: Decoder = Decoder {
    family: Family {
        model_type: "jamba",
        classes: &["Jamba"],
        reads: &[&[
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
            "hidden_act",
            "rms_norm_eps",
            "attn_layer_period",
            "attn_layer_offset",
            "expert_layer_period",
            "expert_layer_offset",
            "num_experts",
            "num_experts_per_tok",
            "mamba_d_state",
            "mamba_d_conv",
            "mamba_expand",
            "mamba_dt_rank",
        ]],
        also: &[("num_local_experts", "num_experts")],
        plain: &[
            ("mamba_conv_bias", Plain::On),
            ("mamba_proj_bias", Plain::Off),
            ("mamba_inner_layernorms", Plain::On),
            ("output_router_logits", Plain::Off),
            ("sliding_window", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 65_536, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 262_144
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: jamba,
};

fn jamba(config: &Config) -> Result<Recipe> {
    // Its layers are of two classes in transformers, by what they have in place of an attention.
    let classes = Classes { states: "JambaMambaMixer", ..classes!("Jamba") };
    let mut recipe = hybrid(config, &Defaults { rotary: None, ..Defaults::of(classes) })?;
    let (inner, rank) = (config.size_or("mamba_expand", 2)? * recipe.hidden, rank(config, "mamba_dt_rank")?);
    let (size, kernel) = (config.size_or("mamba_d_state", 16)?, config.size_or("mamba_d_conv", 4)?);
    let kind = StateKind::Mamba { rank, norms: SelectionNorms::Scaled };
    recipe.attention.states = Some(states(kind, "mamba", inner, [size, kernel]));
    let attends = every(config, ["attn_layer_period", "attn_layer_offset"], [8, 4])?;
    let has_experts = every(config, ["expert_layer_period", "expert_layer_offset"], [2, 1])?;
    // One expert is a plain feed-forward part.
    let experts = config.size_or("num_experts", 16)?;
    let mixture = (experts > 1).then(|| jamba_mixture(config, experts)).transpose()?;
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        if !attends(place) {
            layer.parts = Parts::StatesAndFeedForward;
        }
        if let Some(mixture) = mixture.filter(|_| has_experts(place)) {
            layer.feed_forward = FeedForward::Mixture(mixture);
        }
    }
    Ok(recipe)
}

fn jamba_mixture(config: &Config, experts: usize) -> Result<Mixture> {
    Ok(Mixture {
        name: "feed_forward",
        key: "feed_forward",
        router: Router { name: "router", normalised: false, ..ROUTER },
        ..mixture(config, hidden_act(config)?, [experts, config.size_or("num_experts_per_tok", 2)?])?
    })
}

/// Whether a layer is one of those in a period, from a first one on.
fn every(
    config: &Config,
    [field, first_field]: [&'static str; 2],
    [period, first]: [usize; 2],
) -> Result<impl Fn(usize) -> bool + use<>> {
    let (period, first) = (config.size_or(field, period)?, config.token_or(first_field, first)?);
    if first >= period {
        let reason = format!("{first} is no place in a period of {period} layers, as `{field}` has it");
        return Err(config.error(first_field, reason));
    }
    Ok(move |place| place % period == first)
}
