//! DBRX (2024): a module around each attention and its norms, and experts whose weights lie in one matrix.

use serde_json::{Value, json};

use super::{
    Block, Config, Decoder, Defaults, FeedForward, Names, NormKind, Projections, Recipe, Result,
    inside::refuse_others,
    llama_like,
    mixtures::{EXPERTS, ROUTER, mixture},
};
use crate::{
    Activation,
    families::{Family, Plain},
    layers::Stacked,
    models::decoder::recipe::{Around, Classes, Dropouts, ExpertKeys, Mixture, Router, classes},
};

const ATTENTION: &str = "attn_config";
const EXPERT: &str = "ffn_config";

pub(super) const DBRX: Decoder = Decoder {
    family: Family {
        model_type: "dbrx",
        classes: &["Dbrx"],
        sizes: &["d_model", "n_layers", "n_heads", "vocab_size"],
        reads: &[&[
            ATTENTION,
            EXPERT,
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "max_position_embeddings",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
        ]],
        also: &[
            ("d_model", "hidden_size"),
            ("n_layers", "num_hidden_layers"),
            ("n_heads", "num_attention_heads"),
            ("max_seq_len", "max_position_embeddings"),
        ],
        plain: &[("output_router_logits", Plain::Off), ("tie_word_embeddings", Plain::Off)],
        defaults: &[],
    },
    trunk: "transformer",
    recipe: dbrx,
};

/// The fields of the inner objects that are read.
const READ: [(&str, &[&str]); 2] = [
    (ATTENTION, &["kv_n_heads", "clip_qkv", "rope_theta", "attn_pdrop"]),
    (EXPERT, &["ffn_hidden_size", "moe_num_experts", "moe_top_k", NORMALISED]),
];
/// The power of the norm that the weights of a token's experts are divided by; null for none.
const NORMALISED: &str = "moe_normalize_expert_weights";

/// The config with these fields beside those of the whole.
fn flattened(config: &Config) -> Result<Config> {
    refuse_others(config, ATTENTION, READ[0].1, &[])?;
    // The loss of the training, and a copy of the width.
    let known = [READ[1].1, &["moe_loss_weight", "hidden_size"]].concat();
    refuse_others(config, EXPERT, &known, &[("ffn_act_fn", json!({"name": "silu"}))])?;
    let mut own = config.clone();
    for (place, names) in READ {
        let fields = config.value(place).and_then(Value::as_object).into_iter().flatten();
        for (name, value) in fields.filter(|(name, _)| names.contains(&name.as_str()) && config.value(name).is_none()) {
            own.set(name, value.clone());
        }
    }
    Ok(own)
}

fn dbrx(config: &Config) -> Result<Recipe> {
    let mut config = flattened(config)?;
    let groups = config.size_or("kv_n_heads", 1)?;
    if config.size_or("num_key_value_heads", groups)? != groups {
        let reason = format!("is another number than the {groups} of `{ATTENTION}.kv_n_heads`");
        return Err(config.error("num_key_value_heads", reason));
    }
    let inner = config.size_or("ffn_hidden_size", 3584)?;
    config.set("intermediate_size", inner.into());
    let config = &config.with_default("num_key_value_heads", groups);
    let classes =
        Classes { layer: "DbrxBlock", norm: "LayerNorm", mixture: "DbrxFFN", router: "DbrxRouter", ..classes!("Dbrx") };
    let mut recipe = llama_like(config, &Defaults::of(classes))?;
    let around = Around { name: "norm_attn_norm", class: "DbrxNormAttentionNorm", holds_norms: true };
    recipe.names =
        Names { tokens: "wte", layers: "blocks", attention: "attn", around_attention: Some(around), ..recipe.names };
    recipe.norm = NormKind::LayerWithoutBias { eps: 1e-5 };
    recipe.block = Block::PreNorm { attention: "norm_1", feed_forward: "norm_2" };
    recipe.final_norm = Some("norm_f");
    recipe.attention.projections = Projections::InBlocks { name: "Wqkv", biased: false };
    recipe.attention.out = ("out_proj", false);
    recipe.attention.clip = config.value("clip_qkv").map(|_| config.number_or("clip_qkv", 1.0)).transpose()?;
    recipe.attention.dropout = config.probability_or("attn_pdrop", 0.0)?;
    recipe.dropouts = Dropouts::of_branches(0.0, config.probability_or("resid_pdrop", 0.0)?);
    recipe.feed(FeedForward::Mixture(dbrx_mixture(config)?));
    Ok(recipe)
}

fn dbrx_mixture(config: &Config) -> Result<Mixture> {
    let normalised = match (config.value(NORMALISED), config.has_field(NORMALISED)) {
        (None, has_null) => !has_null,
        (Some(power), _) if power.as_f64() == Some(1.0) => true,
        (Some(power), _) => {
            let reason = format!("{power} is not supported here, only 1 and null");
            return Err(config.error(&format!("{EXPERT}.{NORMALISED}"), reason));
        }
    };
    let experts = [config.size_or("moe_num_experts", 4)?, config.size_or("moe_top_k", 1)?];
    Ok(Mixture {
        name: "ffn",
        key: "ffn",
        router: Router { name: "router", weight: "layer.weight", normalised, ..ROUTER },
        weights: ExpertKeys {
            gate_up: Stacked::OutputRows(&["mlp.w1", "mlp.v1"]),
            down: Stacked::InputRows("mlp.w2"),
            apart: None,
            ..EXPERTS
        },
        ..mixture(config, Activation::Silu, experts)?
    })
}
