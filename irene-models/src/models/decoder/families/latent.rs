//! DeepSeek-V2 and V3, Kimi K2, GLM-4.7-Flash and Mistral Small 4: latent attention, and mixtures with experts that every token goes to.

use serde_json::{Value, json};

use super::{
    Config, Decoder, Defaults, FeedForward, LLAMA_LIKE, NormKind, Recipe, Result, SHARED, Turn, hidden_act,
    llama::growth_of_queries,
    llama_like,
    mixtures::{CORRECTION, ROUTER, mixture},
    windows::kinds,
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, Latent, Mixture, Router, Scores, Shared, classes},
};

/// The fields of the experts.
pub(super) const MIXTURE_READS: &[&str] = &[
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    DENSE,
    "n_group",
    "topk_group",
    "norm_topk_prob",
    "routed_scaling_factor",
    // Layers that guess further tokens are no part of the model that is run.
    "num_nextn_predict_layers",
];

/// The fields of the attention.
pub(super) const LATENT_READS: &[&str] = &[
    "rope_interleave",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "qk_head_dim",
    "v_head_dim",
];

pub(super) const READS: &[&str] = &["mlp_bias", "topk_method", "scoring_func", "mlp_layer_types"];

pub(super) const DEEPSEEK_V2: Decoder = Decoder {
    family: Family {
        model_type: "deepseek_v2",
        classes: &["DeepseekV2"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, LATENT_READS, READS],
        also: &[("num_local_experts", "n_routed_experts")],
        plain: &[
            ("moe_layer_freq", Plain::Number(1.0)),
            ("partial_rotary_factor", Plain::Number(1.0)),
            ("use_mla", Plain::On),
        ],
        defaults: sizes! {
            vocab_size: 102_400, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32,
            num_attention_heads: 32
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "DeepseekV2Moe",
            router: "DeepseekV2TopkRouter",
            experts: "DeepseekV2Experts",
            ..classes!("DeepseekV2")
        };
        let is_grouped = config.word_or("topk_method", "greedy")? != "greedy";
        let groups = if is_grouped { groups(config)? } else { None };
        let router = Router { groups, normalised: config.flag_or("norm_topk_prob", false)?, ..ROUTER };
        deepseek(config, classes, router)
    },
};

pub(super) const DEEPSEEK_V3: Decoder = Decoder {
    family: Family {
        model_type: "deepseek_v3",
        classes: &["DeepseekV3"],
        defaults: sizes! {
            vocab_size: 129_280, hidden_size: 7168, intermediate_size: 18_432, num_hidden_layers: 61,
            num_attention_heads: 128, max_position_embeddings: 4096
        },
        ..DEEPSEEK_V2.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "DeepseekV3MoE",
            router: "DeepseekV3TopkRouter",
            experts: "DeepseekV3NaiveMoe",
            ..classes!("DeepseekV3")
        };
        deepseek(config, classes, sigmoid_router(config)?)
    },
};

/// DeepSeek-V3 with more experts and fewer heads, and its code.
pub(super) const KIMI_K2: Decoder =
    Decoder { family: Family { model_type: "kimi_k2", ..DEEPSEEK_V3.family }, ..DEEPSEEK_V3 };

pub(super) const GLM4_MOE_LITE: Decoder = Decoder {
    family: Family {
        model_type: "glm4_moe_lite",
        classes: &["Glm4MoeLite"],
        defaults: sizes! {
            vocab_size: 154_880, hidden_size: 2048, intermediate_size: 10_240, num_hidden_layers: 47,
            num_attention_heads: 20, max_position_embeddings: 202_752
        },
        ..DEEPSEEK_V2.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "Glm4MoeLiteMoE",
            router: "Glm4MoeLiteTopkRouter",
            experts: "Glm4MoeLiteExperts",
            ..classes!("Glm4MoeLite")
        };
        let mut recipe = deepseek(&config.with_default(DENSE, 1), classes, sigmoid_router(config)?)?;
        recipe.norm = NormKind::Rms { eps: config.number_or("rms_norm_eps", 1e-5)? };
        Ok(recipe)
    },
};

/// Queries grow with their position, as those of Ministral 3 do.
pub(super) const MISTRAL4: Decoder = Decoder {
    family: Family {
        model_type: "mistral4",
        classes: &["Mistral4"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, LATENT_READS],
        // Its code sums two experts of a group where DeepSeek-V2 takes the best one.
        plain: &[
            ("n_group", Plain::Number(1.0)),
            ("topk_group", Plain::Number(1.0)),
            ("scoring_func", Plain::Word("softmax")),
        ],
        defaults: sizes! {
            vocab_size: 131_072, hidden_size: 4096, intermediate_size: 12_288, num_hidden_layers: 36, num_attention_heads: 32,
            num_key_value_heads: 32, max_position_embeddings: 1_048_576, moe_intermediate_size: 2048, n_routed_experts: 128,
            n_shared_experts: 1, num_experts_per_tok: 4, q_lora_rank: 1024, kv_lora_rank: 256, qk_nope_head_dim: 64,
            qk_rope_head_dim: 64, v_head_dim: 128
        },
        ..DEEPSEEK_V2.family
    },
    trunk: "model",
    recipe: |config| {
        let config = &with_rotated_part(&config.with_default("n_shared_experts", 1))?;
        let classes = Classes { mixture: "Mistral4MoE", router: "Mistral4TopkRouter", ..classes!("Mistral4") };
        let router = Router { normalised: config.flag_or("norm_topk_prob", true)?, ..ROUTER };
        let mut recipe = deepseek(config, classes, router)?;
        recipe.attention.temperature = growth_of_queries(config)?;
        Ok(recipe)
    },
};

/// The config with a head of the rotated part alone, of which `partial_rotary_factor` is the share in a whole head, and with the
/// scaling of its class where it has none.
fn with_rotated_part(config: &Config) -> Result<Config> {
    let mut own = config.clone();
    own.set("head_dim", config.size("qk_rope_head_dim")?.into());
    let places = ["rope_parameters", "rope_scaling"];
    for place in places {
        if let Some(Value::Object(mut scaling)) = config.value(place).cloned() {
            scaling.shift_remove("partial_rotary_factor");
            own.set(place, scaling.into());
        }
    }
    if places.iter().all(|place| config.value(place).is_none()) {
        let scaling = json!({"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 128.0, "original_max_position_embeddings": 8192,
            "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1});
        own.set("rope_parameters", scaling);
    }
    Ok(own)
}

/// The field of how many layers come before those with experts.
pub(super) const DENSE: &str = "first_k_dense_replace";

/// Sigmoids, with numbers that are added for the choice alone.
pub(super) fn sigmoid_router(config: &Config) -> Result<Router> {
    Ok(Router {
        scores: Scores::Sigmoid,
        groups: groups(config)?,
        normalised: config.flag_or("norm_topk_prob", true)?,
        correction: Some(CORRECTION),
        ..ROUTER
    })
}

fn groups(config: &Config) -> Result<Option<[usize; 2]>> {
    const FIELD: &str = "n_routed_experts";
    // Null says that there are none.
    if config.has_field(FIELD) && config.value(FIELD).is_none() {
        return Ok(None);
    }
    let groups = [config.size_or("n_group", 1)?, config.size_or("topk_group", 1)?];
    let experts = config.size(FIELD)?;
    if experts % groups[0] != 0 {
        return Err(config.error("n_group", format!("{} groups do not divide {experts} experts", groups[0])));
    }
    if groups[1] > groups[0] {
        return Err(config.error("topk_group", format!("{} groups are chosen of {}", groups[1], groups[0])));
    }
    Ok(Some(groups))
}

pub(super) fn deepseek(config: &Config, classes: Classes, router: Router) -> Result<Recipe> {
    let rotary_width = config.size("qk_rope_head_dim")?;
    let is_interleaved = config.flag_or("rope_interleave", true)?;
    let pairing = if is_interleaved { Pairing::NeighboursToHalves } else { Pairing::Halves };
    // Whatever a config says, the heads that are rotated have this width.
    let mut config = config.clone();
    config.set("head_dim", rotary_width.into());
    let config = &config;
    let rotary = Some(Turn { pairing, ..Turn::PLAIN });
    let defaults = Defaults { width: Some(rotary_width), rotary, ..Defaults::of(classes) };
    let mut recipe = llama_like(config, &defaults)?;
    let rank = config.value("q_lora_rank").map(|_| config.size("q_lora_rank")).transpose()?;
    let latent = Latent {
        query_rank: rank,
        key_value_rank: config.size("kv_lora_rank")?,
        plain_width: config.size("qk_nope_head_dim")?,
        rotary_width,
        value_width: config.size("v_head_dim")?,
        biased: config.flag_or("attention_bias", false)?,
        indexer: None,
    };
    let growth = recipe.attention.rotary.first().map_or(Ok(1.0), |rotary| rotary.yarn_growth_of_all(config))?;
    recipe.attention.scale = growth * growth / ((latent.plain_width + latent.rotary_width) as f64).sqrt();
    recipe.attention.latent = Some(latent);
    experts(&mut recipe, config, router)?;
    Ok(recipe)
}

/// Gives the layers behind the first dense ones a mixture, if the config has experts.
pub(super) fn experts(recipe: &mut Recipe, config: &Config, router: Router) -> Result<()> {
    let Some(experts) = config.value("n_routed_experts").map(|_| config.size("n_routed_experts")).transpose()? else {
        return Ok(());
    };
    let inner = config.size("moe_intermediate_size")?;
    let shared = config.token_or("n_shared_experts", 0)?;
    let mixture = Mixture {
        inner,
        router: Router { scale: config.number_or("routed_scaling_factor", router.scale)?, ..router },
        shared: (shared > 0).then_some(Shared { name: "shared_experts", inner: shared * inner, gate: None }),
        ..mixture(config, hidden_act(config)?, [experts, config.size("num_experts_per_tok")?])?
    };
    let dense = config.token_or(DENSE, 0)?;
    let behind = || (0..recipe.layers.len()).map(|place| place >= dense).collect();
    let is_sparse: Vec<bool> =
        kinds(config, "mlp_layer_types", &[("dense", false), ("sparse", true)])?.unwrap_or_else(behind);
    for (layer, is_sparse) in recipe.layers.iter_mut().zip(is_sparse) {
        if is_sparse {
            layer.feed_forward = FeedForward::Mixture(mixture);
        }
    }
    Ok(())
}
