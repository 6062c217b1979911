//! The text models of Llama 4 (2025): one of many experts and one for every token, layers that see chunks of tokens, and layers without
//! positions that see all.

use serde_json::Value;

use super::{
    Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Recipe, Result, SHARED, Turn, hidden_act, llama_like,
    mixtures::{EXPERTS, ROUTER, mixture},
    smollm3::rotating_layers,
};
use crate::{
    Pairing,
    families::{Family, Plain},
    layers::Stacked,
    models::decoder::{
        recipe::{Classes, ExpertKeys, Grown, Mixture, Router, Scores, Shared, Temperature, classes},
        rotary::Gives,
    },
};

const READS: &[&str] = &[
    "layer_types",
    "no_rope_layers",
    "no_rope_layer_interval",
    "attention_chunk_size",
    "attn_temperature_tuning",
    "attn_scale",
    "floor_scale",
    "use_qk_norm",
    "intermediate_size_mlp",
    "num_local_experts",
    "moe_layers",
    "interleave_moe_layer_step",
];

pub(super) const LLAMA4: Decoder = Decoder {
    family: Family {
        model_type: "llama4_text",
        classes: &["Llama4"],
        reads: &[SHARED, LLAMA_LIKE, READS],
        also: &[("num_experts", "num_local_experts")],
        plain: &[
            ("num_experts_per_tok", Plain::Number(1.0)),
            ("router_jitter_noise", Plain::Off),
            ("output_router_logits", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 202_048, hidden_size: 5120, intermediate_size: 8192, num_hidden_layers: 48,
            num_attention_heads: 40, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: llama4,
};

fn llama4(config: &Config) -> Result<Recipe> {
    let classes =
        Classes { lm: "Llama4ForCausalLM", mixture: "Llama4TextMoe", router: "Llama4Router", ..classes!("Llama4Text") };
    let rotary = Some(Turn { theta: 500_000.0, pairing: Pairing::Neighbours, gives: Gives::One, ..Turn::PLAIN });
    let defaults = Defaults { eps: 1e-5, rotary, width: Some(128), ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    recipe.names.feed_forward = "feed_forward";
    positions(&mut recipe, config)?;
    feed_forward(&mut recipe, config)?;
    Ok(recipe)
}

/// The layers that know positions see chunks of tokens, and may norm their queries and keys; the others let queries grow with them.
fn positions(recipe: &mut Recipe, config: &Config) -> Result<()> {
    const CHUNK: &str = "attention_chunk_size";
    let is_whole = config.has_field(CHUNK) && config.value(CHUNK).is_none();
    let chunk = if is_whole { None } else { Some(config.size_or(CHUNK, 8192)?) };
    for (layer, rotates) in recipe.layers.iter_mut().zip(rotating_layers(config)?) {
        layer.rotary = layer.rotary.filter(|_| rotates);
    }
    // A token sees those of its own chunk, which are as many as a window has at the chunk's end.
    let rotates: Vec<bool> = recipe.layers.iter().map(|layer| layer.rotary.is_some()).collect();
    recipe.slide(&with_windows(config), chunk, |place| rotates[place])?;
    recipe.runs_to = chunk.filter(|_| recipe.layers.iter().any(|layer| layer.window.is_some()));
    if config.flag_or("use_qk_norm", true)? {
        recipe.attention.norms_of_rotated = Some(("Llama4TextL2Norm", config.number_or("rms_norm_eps", 1e-5)?));
    }
    // Public configs have a number for this switch.
    let is_on = |value: &Value| value.as_bool().unwrap_or(value.as_f64() != Some(0.0));
    if config.value("attn_temperature_tuning").is_none_or(is_on) {
        let (floor, scale) = (config.number_or("floor_scale", 8192.0)?, config.number_or("attn_scale", 0.1)?);
        recipe.attention.temperature = Some(Temperature { floor, scale, of: Grown::Unrotated });
    }
    Ok(())
}

/// The config with windows in place of chunks in `layer_types`.
fn with_windows(config: &Config) -> Config {
    const FIELD: &str = "layer_types";
    let mut own = config.clone();
    if let Some(Value::Array(types)) = config.value(FIELD) {
        let window = |kind: &Value| if kind == "chunked_attention" { "sliding_attention".into() } else { kind.clone() };
        own.set(FIELD, types.iter().map(window).collect());
    }
    own
}

/// The layers in `moe_layers`, or every `interleave_moe_layer_step`th, have experts; the others a dense part of its own width.
fn feed_forward(recipe: &mut Recipe, config: &Config) -> Result<()> {
    let mixture = mixture(config, hidden_act(config)?, [config.size_or("num_local_experts", 16)?, 1])?;
    let mixture = Mixture {
        name: "feed_forward",
        key: "feed_forward",
        router: Router {
            name: "router",
            scores: Scores::SigmoidOfChosen,
            normalised: false,
            scales_input: true,
            ..ROUTER
        },
        weights: ExpertKeys {
            gate_up: Stacked::InputsFirst("gate_up_proj"),
            down: Stacked::InputsFirst("down_proj"),
            apart: None,
            ..EXPERTS
        },
        shared: Some(Shared { name: "shared_expert", inner: mixture.inner, gate: None }),
        ..mixture
    };
    let dense = config.size_or("intermediate_size_mlp", 16384)?;
    let step = config.size_or("interleave_moe_layer_step", 1)?;
    let named: Option<Vec<usize>> = config.value("moe_layers").map(|_| config.field("moe_layers")).transpose()?;
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        let has_experts = named.as_ref().map_or((place + 1) % step == 0, |named| named.contains(&place));
        match &mut layer.feed_forward {
            _ if has_experts => layer.feed_forward = FeedForward::Mixture(mixture),
            FeedForward::Gated { inner, .. } => *inner = dense,
            _ => {}
        }
    }
    Ok(())
}
