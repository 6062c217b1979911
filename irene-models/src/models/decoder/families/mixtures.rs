//! Mixtures of experts: Mixtral, OLMoE, FlexOlmo, ERNIE 4.5, MiniMax-M2, gpt-oss and Granite-MoE.

use serde_json::Value;

use super::{
    Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Recipe, Result, SHARED, Turn, hidden_act,
    llama::{GRANITE, granite_scales, olmo},
    llama_like,
    windows::{WINDOWS, window},
};
use crate::{
    Activation, Pairing,
    families::{Family, Plain},
    layers::Stacked,
    models::decoder::{
        recipe::{Classes, Correction, ExpertKeys, HeadNorms, Mixture, Router, Scores, Shared, classes},
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
    clip: None,
    is_gated: true,
};

/// A softmax over all experts, whose greatest scores weigh the chosen ones.
pub(super) const ROUTER: Router = Router {
    name: "gate",
    key: "gate",
    weight: "weight",
    biased: false,
    scores: Scores::Softmax,
    normalised: true,
    scale: 1.0,
    groups: None,
    correction: None,
    table: None,
    scales_input: false,
};

/// The numbers that DeepSeek-V3 adds for the choice.
pub(super) const CORRECTION: Correction =
    Correction { key: "e_score_correction_bias", is_beside: false, is_row: false };

/// The fields of the number of experts, and of those of a token.
const EXPERT_READS: &[&str] = &["num_local_experts", "num_experts_per_tok"];

/// So many experts, and so many of them for each token, as most families have them; the others change parts.
pub(super) fn mixture(config: &Config, activation: Activation, [experts, per_token]: [usize; 2]) -> Result<Mixture> {
    if per_token > experts {
        let reason = format!("{per_token} experts for each token, of {experts}");
        return Err(config.error("num_experts_per_tok", reason));
    }
    let inner = config.size("intermediate_size")?;
    let (name, key) = ("mlp", "mlp");
    Ok(Mixture {
        name,
        key,
        experts,
        per_token,
        inner,
        activation,
        router: ROUTER,
        weights: EXPERTS,
        shared: None,
        beside: None,
    })
}

pub(super) const MIXTRAL: Decoder = Decoder {
    family: Family {
        model_type: "mixtral",
        classes: &["Mixtral"],
        reads: &[SHARED, LLAMA_LIKE, WINDOWS, EXPERT_READS],
        also: &[("num_experts", "num_local_experts")],
        plain: TRAINING,
        defaults: sizes! {
            vocab_size: 32_000, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32,
            num_attention_heads: 32, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 1e6, ..Turn::PLAIN });
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, rotary, ..Defaults::of(classes!("Mixtral")) })?;
        recipe.slide(config, window(config, None)?, |_| true)?;
        let experts = [config.size_or("num_local_experts", 8)?, config.size_or("num_experts_per_tok", 2)?];
        recipe.feed(FeedForward::Mixture(Mixture {
            key: "block_sparse_moe",
            weights: ExpertKeys { apart: Some(["w1", "w3", "w2"]), ..EXPERTS },
            ..mixture(config, hidden_act(config)?, experts)?
        }));
        Ok(recipe)
    },
};

/// Fields of the training's loss.
pub(super) const TRAINING: &[(&str, Plain)] =
    &[("router_jitter_noise", Plain::Off), ("output_router_logits", Plain::Off)];

pub(super) const OLMOE: Decoder = Decoder {
    family: Family {
        model_type: "olmoe",
        classes: &["Olmoe"],
        reads: &[SHARED, &["rms_norm_eps", "attention_bias", "num_experts", "num_experts_per_tok", "norm_topk_prob"]],
        also: &[("num_local_experts", "num_experts")],
        plain: &[("clip_qkv", Plain::Off), ("output_router_logits", Plain::Off)],
        defaults: sizes! {
            vocab_size: 50_304, hidden_size: 2048, intermediate_size: 2048, num_hidden_layers: 16,
            num_attention_heads: 16, max_position_embeddings: 4096
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes!("Olmoe")) })?;
        recipe.attention.head_norms = Some(HeadNorms::Joint(["q_norm", "k_norm"]));
        olmo_experts(&mut recipe, config, [64, 8])?;
        Ok(recipe)
    },
};

/// OLMoE's experts; so many, and so many of them for each token, where a config does not say.
fn olmo_experts(recipe: &mut Recipe, config: &Config, [experts, per_token]: [usize; 2]) -> Result<()> {
    let experts = [config.size_or("num_experts", experts)?, config.size_or("num_experts_per_tok", per_token)?];
    recipe.feed(FeedForward::Mixture(Mixture {
        router: Router { normalised: config.flag_or("norm_topk_prob", false)?, ..ROUTER },
        ..mixture(config, hidden_act(config)?, experts)?
    }));
    Ok(())
}

/// OLMoE's experts in the layers of OLMo 2.
pub(super) const FLEX_OLMO: Decoder = Decoder {
    family: Family {
        model_type: "flex_olmo",
        classes: &["FlexOlmo"],
        defaults: sizes! {
            vocab_size: 100_352, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32,
            num_attention_heads: 32, max_position_embeddings: 4096
        },
        ..OLMOE.family
    },
    trunk: "model",
    recipe: |config| {
        let rotary = Some(Turn { theta: 500_000.0, ..Turn::PLAIN });
        let mut recipe = olmo(config, &Defaults { rotary, ..Defaults::of(classes!("FlexOlmo")) })?;
        olmo_experts(&mut recipe, config, [7, 5])?;
        Ok(recipe)
    },
};

const ERNIE_READS: &[&str] = &[
    "head_dim",
    "rms_norm_eps",
    "moe_intermediate_size",
    "moe_num_experts",
    "moe_num_shared_experts",
    "moe_k",
    "moe_layer_start_index",
    "moe_layer_end_index",
    "moe_layer_interval",
    // The least that the weights are divided by, which the chosen experts' never reach, and the tokens that an expert takes in training.
    "moe_norm_min",
    "moe_capacity",
];

pub(super) const ERNIE4_5_MOE: Decoder = Decoder {
    family: Family {
        model_type: "ernie4_5_moe",
        classes: &["Ernie4_5_Moe"],
        reads: &[SHARED, ERNIE_READS],
        also: &[("num_experts", "moe_num_experts"), ("num_experts_per_tok", "moe_k")],
        plain: &[
            ("output_router_logits", Plain::Off),
            ("use_rmsnorm", Plain::On),
            ("moe_use_aux_free", Plain::On),
            ("moe_gate", Plain::Word("topk")),
        ],
        defaults: sizes! {
            vocab_size: 103_424, hidden_size: 2560, intermediate_size: 12_288, num_hidden_layers: 28,
            num_attention_heads: 20, num_key_value_heads: 4, max_position_embeddings: 131_072
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: ernie4_5_moe,
};

fn ernie4_5_moe(config: &Config) -> Result<Recipe> {
    const LAST: &str = "moe_layer_end_index";
    let rotary = Some(Turn { theta: 500_000.0, pairing: Pairing::Neighbours, ..Turn::PLAIN });
    let defaults = Defaults { eps: 1e-5, rotary, is_tied: true, ..Defaults::of(classes!("Ernie4_5_Moe")) };
    let mut recipe = llama_like(config, &defaults)?;
    let experts = [config.size_or("moe_num_experts", 64)?, config.size_or("moe_k", 6)?];
    let inner = config.size_or("moe_intermediate_size", 1536)?;
    let shared = config.token_or("moe_num_shared_experts", 2)?;
    let correction = Correction { key: "moe_statics.e_score_correction_bias", is_beside: true, is_row: true };
    let mixture = Mixture {
        inner,
        router: Router { correction: Some(correction), ..ROUTER },
        shared: (shared > 0).then_some(Shared { name: "shared_experts", inner: shared * inner, gate: None }),
        ..mixture(config, hidden_act(config)?, experts)?
    };
    let (first, step) = (config.token_or("moe_layer_start_index", 1)?, config.size_or("moe_layer_interval", 1)?);
    // -1 stands for the last layer.
    let last = match config.value(LAST) {
        Some(value) if *value != -1 => config.token_or(LAST, 0)?,
        _ => usize::MAX,
    };
    for (place, layer) in recipe.layers.iter_mut().enumerate() {
        if (place + 1) % step == 0 && (first..=last).contains(&place) {
            layer.feed_forward = FeedForward::Mixture(mixture);
        }
    }
    Ok(recipe)
}

const MINIMAX_READS: &[&str] = &[
    "head_dim",
    "rms_norm_eps",
    "partial_rotary_factor",
    "rotary_dim",
    "attn_type_list",
    // Its first configs have those of MiniMax-01, which its code does not read.
    "mlp_intermediate_size",
    "shared_moe_mode",
];

pub(super) const MINIMAX_M2: Decoder = Decoder {
    family: Family {
        model_type: "minimax_m2",
        classes: &["MiniMaxM2"],
        reads: &[SHARED, EXPERT_READS, MINIMAX_READS],
        also: &[("num_experts", "num_local_experts")],
        plain: &[
            ("router_jitter_noise", Plain::Off),
            ("output_router_logits", Plain::Off),
            ("use_qk_norm", Plain::On),
            ("qk_norm_type", Plain::Word("per_layer")),
            ("scoring_func", Plain::Word("sigmoid")),
            ("use_routing_bias", Plain::On),
            ("shared_intermediate_size", Plain::Off),
            ("layernorm_full_attention_beta", Plain::Number(1.0)),
            ("layernorm_linear_attention_beta", Plain::Number(1.0)),
            ("layernorm_mlp_beta", Plain::Number(1.0)),
        ],
        defaults: sizes! {
            vocab_size: 200_064, hidden_size: 3072, intermediate_size: 1536, num_hidden_layers: 62,
            num_attention_heads: 48, num_key_value_heads: 8, max_position_embeddings: 196_608
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: minimax_m2,
};

fn minimax_m2(config: &Config) -> Result<Recipe> {
    const ATTENTIONS: &str = "attn_type_list";
    // A layer of another type has linear attention, as in MiniMax-01.
    if let Some(kind) =
        config.value(ATTENTIONS).and_then(Value::as_array).and_then(|list| list.iter().find(|kind| **kind != 1))
    {
        return Err(config.error(ATTENTIONS, format!("a layer is `{kind}`, which is not supported here, only 1")));
    }
    let width = config.size_or("head_dim", 128)?;
    let share = config.size_or("rotary_dim", width)? as f64 / width as f64;
    let rotary = Some(Turn { theta: 5_000_000.0, share, ..Turn::PLAIN });
    let mut recipe =
        llama_like(config, &Defaults { rotary, width: Some(width), ..Defaults::of(classes!("MiniMaxM2")) })?;
    recipe.attention.head_norms = Some(HeadNorms::Joint(["q_norm", "k_norm"]));
    let experts = [config.size_or("num_local_experts", 256)?, config.size_or("num_experts_per_tok", 8)?];
    recipe.feed(FeedForward::Mixture(Mixture {
        key: "block_sparse_moe",
        router: Router {
            scores: Scores::Sigmoid,
            correction: Some(Correction { is_beside: true, ..CORRECTION }),
            ..ROUTER
        },
        weights: ExpertKeys { apart: Some(["w1", "w3", "w2"]), ..EXPERTS },
        ..mixture(config, hidden_act(config)?, experts)?
    }));
    Ok(recipe)
}

/// The limit that gpt-oss's code has written in it.
const GPT_OSS_LIMIT: f64 = 7.0;

pub(super) const GPT_OSS: Decoder = Decoder {
    family: Family {
        model_type: "gpt_oss",
        classes: &["GptOss"],
        also: &[("num_experts", "num_local_experts"), ("experts_per_token", "num_experts_per_tok")],
        plain: &[
            ("router_jitter_noise", Plain::Off),
            ("output_router_logits", Plain::Off),
            // The code has these values written in it.
            ("swiglu_limit", Plain::Number(GPT_OSS_LIMIT)),
            ("swiglu_alpha", Plain::Number(LIMITED_SLOPE)),
        ],
        defaults: sizes! {
            vocab_size: 201_088, hidden_size: 2880, intermediate_size: 2880, num_hidden_layers: 36,
            num_attention_heads: 64, num_key_value_heads: 8, max_position_embeddings: 131_072
        },
        ..MIXTRAL.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes { mixture: "GptOssMLP", ..classes!("GptOss") };
        let rotary = Some(Turn { theta: 150_000.0, gives: Gives::One, ..Turn::PLAIN });
        let defaults = Defaults { eps: 1e-5, rotary, width: Some(64), ..Defaults::of(classes) };
        let mut recipe = llama_like(config, &defaults)?;
        let biased = config.flag_or("attention_bias", true)?;
        recipe.bias(biased, biased);
        recipe.layers.iter_mut().for_each(|layer| layer.has_sinks = true);
        recipe.slide(config, window(config, Some(128))?, |place| place % 2 == 0)?;
        let experts = [config.size_or("num_local_experts", 128)?, config.size_or("num_experts_per_tok", 4)?];
        recipe.feed(FeedForward::Mixture(Mixture {
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
            ..mixture(config, hidden_act(config)?, experts)?
        }));
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
        recipe.feed(FeedForward::Mixture(granite_mixture(config, None)?));
        Ok(recipe)
    },
};

/// Granite's experts, and perhaps a part for every token beside them.
pub(super) fn granite_mixture(config: &Config, beside: Option<usize>) -> Result<Mixture> {
    let experts = [config.size_or("num_local_experts", 8)?, config.size_or("num_experts_per_tok", 2)?];
    Ok(Mixture {
        name: "block_sparse_moe",
        key: "block_sparse_moe",
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
        beside,
        ..mixture(config, hidden_act(config)?, experts)?
    })
}
