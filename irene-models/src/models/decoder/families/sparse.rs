//! DeepSeek-V3.2 and GLM-5: DeepSeek-V3's layers, whose attention sees the tokens alone that an indexer chooses.

use serde_json::Value;

use super::{
    Config, Decoder, LLAMA_LIKE, NormKind, Recipe, Result, SHARED,
    latent::{DENSE, LATENT_READS, MIXTURE_READS, READS, deepseek, sigmoid_router},
    windows::kinds,
};
use crate::{
    Pairing,
    families::{Family, Plain},
    models::decoder::recipe::{Classes, IndexerRecipe, Router, classes},
};

const INDEXER_READS: &[&str] = &["index_n_heads", WIDTH, "index_topk", "indexer_rope_interleave", "layer_types"];
const WIDTH: &str = "index_head_dim";

/// The fields of the layers that have no indexer of their own.
const SHARING_READS: &[&str] = &[KINDS, PATTERN, "index_topk_freq", "index_skip_topk_offset"];
const KINDS: &str = "indexer_types";
const PATTERN: &str = "index_topk_pattern";

/// Fields whose other values the code does not run.
const ALWAYS: &[(&str, Plain)] = &[
    ("topk_method", Plain::Word("noaux_tc")),
    ("scoring_func", Plain::Word("sigmoid")),
    ("moe_layer_freq", Plain::Number(1.0)),
    ("partial_rotary_factor", Plain::Number(1.0)),
    ("rope_interleave", Plain::On),
    ("mlp_bias", Plain::Off),
    ("use_mla", Plain::On),
    ("output_router_logits", Plain::Off),
];

pub(super) const DEEPSEEK_V32: Decoder = Decoder {
    family: Family {
        model_type: "deepseek_v32",
        classes: &["DeepseekV32"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, LATENT_READS, READS, INDEXER_READS],
        also: &[("num_local_experts", "n_routed_experts"), ("num_experts", "n_routed_experts")],
        plain: ALWAYS,
        defaults: sizes! {
            vocab_size: 129_280, hidden_size: 7168, intermediate_size: 18_432, num_hidden_layers: 61,
            num_attention_heads: 128, max_position_embeddings: 163_840
        },
        ..Family::USUAL
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "DeepseekV32MoE",
            router: "DeepseekV32TopkRouter",
            experts: "DeepseekV32Experts",
            ..classes!("DeepseekV32")
        };
        let config = config.with_default("n_group", 8).with_default("topk_group", 4);
        sparse(&config, classes, (64, false))
    },
};

/// The same with other sizes, another rotation of the indexer's heads, and indexers that further layers share.
pub(super) const GLM_MOE_DSA: Decoder = Decoder {
    family: Family {
        model_type: "glm_moe_dsa",
        classes: &["GlmMoeDsa"],
        reads: &[SHARED, LLAMA_LIKE, MIXTURE_READS, LATENT_READS, READS, INDEXER_READS, SHARING_READS],
        defaults: sizes! {
            vocab_size: 154_880, hidden_size: 6144, intermediate_size: 12_288, num_hidden_layers: 78,
            num_attention_heads: 64, max_position_embeddings: 202_752
        },
        ..DEEPSEEK_V32.family
    },
    trunk: "model",
    recipe: |config| {
        let classes = Classes {
            mixture: "GlmMoeDsaMoE",
            router: "GlmMoeDsaTopkRouter",
            experts: "GlmMoeDsaExperts",
            ..classes!("GlmMoeDsa")
        };
        let mut recipe = sparse(config, classes, (32, true))?;
        recipe.norm = NormKind::Rms { eps: config.number_or("rms_norm_eps", 1e-5)? };
        for (layer, shares) in recipe.layers.iter_mut().zip(sharing_layers(config)?) {
            layer.shares_choice = shares;
        }
        Ok(recipe)
    },
};

/// DeepSeek-V3 with an indexer; the number of its heads and whether neighbours rotate together in them, where a config does not say.
fn sparse(config: &Config, classes: Classes, (heads, interleaves): (usize, bool)) -> Result<Recipe> {
    let config = config.with_default(DENSE, 3).with_default("n_shared_experts", 1);
    // Every layer is of this kind, and its indexer reads the latent vectors of queries.
    kinds(&config, "layer_types", &[("indexed_attention", ())])?;
    config.size("q_lora_rank")?;
    let heads = config.size_or("index_n_heads", heads)?;
    let (width, most) = (config.size_or(WIDTH, 128)?, config.size_or("index_topk", 2048)?);
    let interleaves = config.flag_or("indexer_rope_interleave", interleaves)?;
    let pairing = if interleaves { Pairing::NeighboursToHalves } else { Pairing::Halves };
    let rotary_width = config.size("qk_rope_head_dim")?;
    if width < rotary_width {
        let reason = format!("{width} numbers are fewer than the {rotary_width} that are rotated (`qk_rope_head_dim`)");
        return Err(config.error(WIDTH, reason));
    }
    let mut recipe = deepseek(&config, classes, Router { scale: 2.5, ..sigmoid_router(&config)? })?;
    if let Some(latent) = &mut recipe.attention.latent {
        latent.indexer = Some(IndexerRecipe { heads, width, most, pairing });
    }
    Ok(recipe)
}

/// Whether each layer takes over the choice of the one before: by a word for each layer, by a letter for each, or all layers behind the first
/// ones but every so many.
fn sharing_layers(config: &Config) -> Result<Vec<bool>> {
    const WORDS: [(&str, bool); 2] = [("full", false), ("shared", true)];
    let layers = config.layers("num_hidden_layers")?;
    let (field, shares) = match (kinds(config, KINDS, &WORDS)?, config.value(PATTERN)) {
        (Some(shares), _) => (KINDS, shares),
        (None, Some(Value::String(letters))) => {
            let shares = |letter: char| ['F', 'S'].contains(&letter).then_some(letter == 'S');
            // Another letter leaves none.
            (PATTERN, letters.chars().map(shares).collect::<Option<Vec<bool>>>().unwrap_or_default())
        }
        (None, Some(_)) => (PATTERN, kinds(config, PATTERN, &WORDS)?.unwrap_or_default()),
        (None, None) => {
            let (every, first) =
                (config.token_or("index_topk_freq", 1)?, config.token_or("index_skip_topk_offset", 2)?);
            let shares = |place: usize| !(place + 1).saturating_sub(first).is_multiple_of(every.max(1));
            (KINDS, (0..layers).map(shares).collect())
        }
    };
    if shares.len() != layers || shares.first() == Some(&true) {
        let reason = format!("expected `F` (full) or `S` (shared) for each of {layers} layers, `F` for the first");
        return Err(config.error(field, reason));
    }
    Ok(shares)
}
