//! Hunyuan (2025) and its mixtures: norms of rotated queries and keys, and a part for every token beside experts of the same width.

use serde_json::Value;

use super::{
    Classes, Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, Recipe, Result, SHARED, hidden_act, llama_like,
    mixtures::{ROUTER, mixture},
};
use crate::{
    families::{Family, Plain},
    models::decoder::recipe::{HeadNorms, Mixture, Router, Shared, classes},
};

/// Fields of parts that other configs of its authors' class have: latent vectors, states, and an encoder of images.
const UNUSED: &[&str] = &[
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "mamba_d_conv",
    "mamba_head_dim",
    "vit_norm_type",
    "vit_used_rms_norm",
    "vit_remove_prenorm",
    "vit_add_patchemb_bias",
];

pub(super) const HUNYUAN: Decoder = Decoder {
    family: Family {
        model_type: "hunyuan_v1_dense",
        classes: &["HunYuanDenseV1"],
        reads: &[SHARED, LLAMA_LIKE, UNUSED],
        also: &[("attention_head_dim", "head_dim")],
        plain: &[
            ("use_qk_norm", Plain::On),
            ("norm_type", Plain::Word("rms")),
            ("use_rotary_pos_emb", Plain::On),
            ("use_cla", Plain::Off),
            ("use_mla", Plain::Off),
            ("mamba", Plain::Off),
            ("moe_layer_num_skipped", Plain::Off),
            ("moe_drop_tokens", Plain::Off),
            ("output_router_logits", Plain::Off),
        ],
        defaults: sizes! {
            vocab_size: 290_943, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32,
            num_attention_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| hunyuan(config, classes!("HunYuanDenseV1")),
};

fn hunyuan(config: &Config, classes: Classes) -> Result<Recipe> {
    let mut recipe = llama_like(config, &Defaults { eps: 1e-5, ..Defaults::of(classes) })?;
    recipe.attention.head_norms = Some(HeadNorms::PerRotatedHead(["query_layernorm", "key_layernorm"]));
    for rotary in &mut recipe.attention.rotary {
        rotary.stretch_by_alpha(config)?;
    }
    Ok(recipe)
}

pub(super) const HUNYUAN_MOE: Decoder = Decoder {
    family: Family {
        model_type: "hunyuan_v1_moe",
        classes: &["HunYuanMoEV1"],
        reads: &[SHARED, LLAMA_LIKE, UNUSED, MIXTURE_READS],
        also: &[
            ("num_experts_per_tok", "moe_topk"),
            ("num_local_experts", "num_experts"),
            ("attention_head_dim", "head_dim"),
        ],
        ..HUNYUAN.family
    },
    trunk: "model",
    recipe: hunyuan_moe,
};

const MIXTURE_READS: &[&str] =
    &["num_experts", "moe_topk", "moe_intermediate_size", "num_shared_expert", "use_mixed_mlp_moe"];

fn hunyuan_moe(config: &Config) -> Result<Recipe> {
    const BESIDE: &str = "use_mixed_mlp_moe";
    if !config.flag_or(BESIDE, true)? {
        return Err(config.error(BESIDE, "`false` is not supported here, only true".into()));
    }
    let classes = Classes { mixture: "HunYuanMoEV1Moe", router: "HunYuanMoEV1Gate", ..classes!("HunYuanMoEV1") };
    let mut recipe = hunyuan(config, classes)?;
    let experts = [of_all_layers(config, "num_experts", 1)?, of_all_layers(config, "moe_topk", 1)?];
    let mixture = mixture(config, hidden_act(config)?, experts)?;
    for (field, only) in [("moe_intermediate_size", mixture.inner), ("num_shared_expert", 1)] {
        let size = of_all_layers(config, field, only)?;
        if size != only {
            return Err(config.error(field, format!("{size} is not supported here, only {only}")));
        }
    }
    recipe.feed(FeedForward::Mixture(Mixture {
        router: Router { weight: "wg.weight", ..ROUTER },
        shared: Some(Shared { name: "shared_mlp", inner: mixture.inner, gate: None }),
        ..mixture
    }));
    Ok(recipe)
}

/// A size of all layers, or a list that has the same one for each.
fn of_all_layers(config: &Config, field: &'static str, default: usize) -> Result<usize> {
    if !config.value(field).is_some_and(Value::is_array) {
        return config.size_or(field, default);
    }
    let sizes: Vec<usize> = config.field(field)?;
    match sizes.split_first() {
        Some((first, rest)) if *first > 0 && rest.iter().all(|size| size == first) => Ok(*first),
        _ => Err(config.error(field, "expected one size above 0 for all layers".into())),
    }
}
