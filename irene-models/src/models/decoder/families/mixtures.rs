//! Mixtures of experts: Mixtral, Qwen2-MoE, Qwen3-MoE, gpt-oss and Granite-MoE.

use super::{
    Config, Decoder, Defaults, FeedForward, Projections, Recipe, Result, SIZES, Turn,
    llama::{GRANITE, granite_scales, qwen_windows},
    llama_like,
    windows::window,
};
use crate::{
    Activation,
    families::{Family, Plain},
    layers::Stacked,
    models::decoder::{
        recipe::{Classes, ExpertKeys, HeadNorms, Mixture, Router, Scores, Shared, classes},
        rotary::Gives,
    },
    trace::LIMITED_SLOPE,
};

/// The keys of transformers 5, and those of each expert in older checkpoints.
pub(super) const EXPERTS: ExpertKeys = ExpertKeys {
    module: "experts",
    gate_up: Stacked::OutputsFirst("gate_up_proj"),
    down: Stacked::OutputsFirst("down_proj"),
    biases: None,
    apart: Some(["gate_proj", "up_proj", "down_proj"]),
    limit: None,
};

/// A softmax over all experts, whose greatest scores weigh the chosen ones.
pub(super) const ROUTER: Router = Router {
    name: "gate",
    weight: "weight",
    biased: false,
    scores: Scores::Softmax,
    normalised: true,
    scale: 1.0,
    groups: None,
    correction: None,
    scales_input: false,
};

/// Gives every layer this mixture.
fn everywhere(recipe: &mut Recipe, mixture: Mixture) {
    recipe.layers.iter_mut().for_each(|layer| layer.feed_forward = FeedForward::Mixture(mixture));
}

/// At most as many experts for a token as there are.
pub(super) fn checked(config: &Config, field: &'static str, mixture: Mixture) -> Result<Mixture> {
    if mixture.per_token <= mixture.experts {
        return Ok(mixture);
    }
    let reason = format!("{} experts for each token, of {}", mixture.per_token, mixture.experts);
    Err(config.error(field, reason))
}

const MIXTRAL_READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "layer_types",
    "num_local_experts",
    "num_experts_per_tok",
    "attention_bias",
];

pub(super) const MIXTRAL: Decoder = Decoder {
    family: Family {
        model_type: "mixtral",
        classes: &["Mixtral"],
        sizes: SIZES,
        reads: MIXTRAL_READS,
        also: &[("num_experts", "num_local_experts")],
        plain: TRAINING,
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 1e6, ..Turn::PLAIN });
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, rotary, ..Defaults::of(classes!("Mixtral")) })?;
        recipe.slide(config, window(config, None)?, |_| true)?;
        let mixture = Mixture {
            name: "mlp",
            key: "block_sparse_moe",
            experts: config.size_or("num_local_experts", 8)?,
            per_token: config.size_or("num_experts_per_tok", 2)?,
            inner: config.size("intermediate_size")?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            router: ROUTER,
            weights: ExpertKeys { apart: Some(["w1", "w3", "w2"]), ..EXPERTS },
            shared: None,
        };
        everywhere(&mut recipe, checked(config, "num_experts_per_tok", mixture)?);
        Ok(recipe)
    },
};

/// Fields of the training's loss.
const TRAINING: &[(&str, Plain)] = &[("router_jitter_noise", Plain::Off), ("output_router_logits", Plain::Off)];

const QWEN_MOE_READS: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "attention_bias",
    "qkv_bias",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "decoder_sparse_step",
    "mlp_only_layers",
    "norm_topk_prob",
];

pub(super) const QWEN2_MOE: Decoder = Decoder {
    family: Family {
        model_type: "qwen2_moe",
        classes: &["Qwen2Moe"],
        sizes: SIZES,
        reads: QWEN_MOE_READS,
        also: &[("num_local_experts", "num_experts")],
        plain: TRAINING,
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Qwen2Moe")))?;
        let biased = config.flag_or("qkv_bias", true)?;
        recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased };
        recipe.attention.out = ("o_proj", false);
        let shared = Shared {
            name: "shared_expert",
            inner: config.size("shared_expert_intermediate_size")?,
            gate: Some("shared_expert_gate"),
        };
        qwen_mixture(&mut recipe, config, Some(shared))?;
        Ok(recipe)
    },
};

pub(super) const QWEN3_MOE: Decoder = Decoder {
    family: Family { model_type: "qwen3_moe", classes: &["Qwen3Moe"], ..QWEN2_MOE.family },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults::of(classes!("Qwen3Moe")))?;
        recipe.attention.head_norms = Some(HeadNorms::PerHead(["q_norm", "k_norm"]));
        qwen_mixture(&mut recipe, config, None)?;
        Ok(recipe)
    },
};

/// The layers that have experts: every `decoder_sparse_step`th, but for those in `mlp_only_layers`.
fn qwen_mixture(recipe: &mut Recipe, config: &Config, shared: Option<Shared>) -> Result<()> {
    qwen_windows(recipe, config)?;
    let mixture = Mixture {
        name: "mlp",
        key: "mlp",
        experts: config.size("num_experts")?,
        per_token: config.size("num_experts_per_tok")?,
        inner: config.size("moe_intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "silu")?,
        router: Router { normalised: config.flag_or("norm_topk_prob", false)?, ..ROUTER },
        weights: EXPERTS,
        shared,
    };
    let mixture = checked(config, "num_experts_per_tok", mixture)?;
    let step = config.size_or("decoder_sparse_step", 1)?;
    let dense: Vec<usize> =
        config.value("mlp_only_layers").map_or(Ok(Vec::new()), |_| config.field("mlp_only_layers"))?;
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        if (place + 1) % step == 0 && !dense.contains(&place) {
            layer.feed_forward = FeedForward::Mixture(mixture);
        }
    }
    Ok(())
}

/// The limit that gpt-oss's code has written in it.
const GPT_OSS_LIMIT: f64 = 7.0;

pub(super) const GPT_OSS: Decoder = Decoder {
    family: Family {
        model_type: "gpt_oss",
        classes: &["GptOss"],
        sizes: SIZES,
        reads: MIXTRAL_READS,
        also: &[("num_experts", "num_local_experts"), ("experts_per_token", "num_experts_per_tok")],
        plain: &[
            ("router_jitter_noise", Plain::Off),
            ("output_router_logits", Plain::Off),
            // The code has these values written in it.
            ("swiglu_limit", Plain::Number(GPT_OSS_LIMIT)),
            ("swiglu_alpha", Plain::Number(LIMITED_SLOPE)),
        ],
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { mixture: "GptOssMLP", ..classes!("GptOss") };
        let rotary = Some(Turn { theta: 150_000.0, gives: Gives::One, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-5, rotary, width: Some(64), ..Defaults::of(classes) };
        let mut recipe = llama_like(config, &defaults)?;
        let biased = config.flag_or("attention_bias", true)?;
        recipe.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased };
        recipe.attention.out = ("o_proj", biased);
        recipe.attention.has_sinks = true;
        recipe.slide(config, window(config, Some(128))?, |place| place % 2 == 0)?;
        let mixture = Mixture {
            name: "mlp",
            key: "mlp",
            experts: config.size_or("num_local_experts", 128)?,
            per_token: config.size_or("num_experts_per_tok", 4)?,
            inner: config.size("intermediate_size")?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            router: Router {
                name: "router",
                biased: true,
                scores: Scores::SoftmaxOfChosen,
                normalised: false,
                ..ROUTER
            },
            weights: ExpertKeys {
                gate_up: Stacked::InputsFirst("gate_up_proj"),
                down: Stacked::InputsFirst("down_proj"),
                biases: Some(["gate_up_proj_bias", "down_proj_bias"]),
                apart: None,
                limit: Some(GPT_OSS_LIMIT),
                ..EXPERTS
            },
            shared: None,
        };
        everywhere(&mut recipe, checked(config, "num_experts_per_tok", mixture)?);
        Ok(recipe)
    },
};

pub(super) const GRANITE_MOE: Decoder = Decoder {
    family: Family { model_type: "granitemoe", classes: &["GraniteMoe"], plain: TRAINING, ..GRANITE.family },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "GraniteMoeMoE",
            router: "GraniteMoeTopKGating",
            experts: "GraniteMoeParallelExperts",
            ..classes!("GraniteMoe")
        };
        let mut recipe = llama_like(config, &Defaults::of(classes))?;
        granite_scales(&mut recipe, config)?;
        let mixture = Mixture {
            name: "block_sparse_moe",
            key: "block_sparse_moe",
            experts: config.size_or("num_local_experts", 8)?,
            per_token: config.size_or("num_experts_per_tok", 2)?,
            inner: config.size("intermediate_size")?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            router: Router {
                name: "router",
                weight: "layer.weight",
                scores: Scores::SoftmaxOfChosen,
                normalised: false,
                ..ROUTER
            },
            weights: ExpertKeys {
                module: "",
                gate_up: Stacked::OutputsFirst("input_linear.weight"),
                down: Stacked::OutputsFirst("output_linear.weight"),
                apart: None,
                ..EXPERTS
            },
            shared: None,
        };
        everywhere(&mut recipe, checked(config, "num_experts_per_tok", mixture)?);
        Ok(recipe)
    },
};
