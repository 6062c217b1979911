//! The families of decoders: how each one's config chooses the parts.

/// The sizes that a config class has, by the names of its fields.
macro_rules! sizes {
    ($($field:ident: $size:literal),*) => { &[$((stringify!($field), $size)),*] };
}

mod apertus;
mod cohere;
mod dbrx;
mod deepseek_v4;
mod exaone4;
mod falcon;
mod gemma;
mod gemma4;
mod glm;
mod gpt;
mod granite_hybrid;
mod hunyuan;
mod hy3;
mod inside;
mod kimi_linear;
mod latent;
mod lfm2;
mod llama;
mod llama4;
mod mamba;
mod mamba1;
mod mimo;
mod mixtures;
mod nemotron;
mod phi;
mod qwen;
mod qwen_moe;
mod qwen_next;
mod smollm3;
mod sparse;
mod stablelm;
mod windows;

use super::{
    Decoder,
    recipe::{
        AttentionRecipe, Block, Classes, Dropouts, FeedForward, HeadRecipe, Keys, LayerRecipe, Names, NormKind, Parts,
        Projections, Recipe,
    },
    rotary::{Gives, Rotary, RotaryDefaults},
};
use crate::{Activation, Config, Pairing, Result};

/// Every family, in the order of the registry.
pub(crate) const DECODERS: &[&Decoder] = &[
    &llama::LLAMA,
    &llama::MISTRAL,
    &llama::MINISTRAL3,
    &qwen::QWEN2,
    &qwen::QWEN2_VL,
    &qwen::QWEN2_VL_TEXT,
    &qwen::QWEN2_5_VL,
    &qwen::QWEN2_5_VL_TEXT,
    &qwen::QWEN2_5_OMNI_TEXT,
    &qwen::QWEN3,
    &qwen::QWEN3_VL_TEXT,
    &qwen_next::QWEN3_5_TEXT,
    &llama::GRANITE,
    &llama::OLMO2,
    &llama::OLMO3,
    &llama::ERNIE4_5,
    &llama::SEED_OSS,
    &apertus::APERTUS,
    &llama::ARCEE,
    &llama::CWM,
    &llama::HELIUM,
    &hunyuan::HUNYUAN,
    &llama::MINISTRAL,
    &llama::OLMO,
    &nemotron::NEMOTRON,
    &stablelm::STABLELM,
    &gemma::VAULTGEMMA,
    &gpt::GPT_BIGCODE,
    &falcon::MPT,
    &glm::GLM,
    &glm::GLM4,
    &exaone4::EXAONE4,
    &smollm3::SMOLLM3,
    &gemma::GEMMA,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &gemma4::GEMMA4,
    &gemma4::GEMMA4_UNIFIED,
    &phi::PHI,
    &phi::PHI3,
    &phi::PHI3_SMALL,
    &cohere::COHERE,
    &cohere::COHERE2,
    &gpt::GPT_NEOX,
    &gpt::GPT_NEO,
    &gpt::GPT_J,
    &gpt::OPT,
    &gpt::STARCODER2,
    &falcon::FALCON,
    &falcon::BLOOM,
    &mixtures::MIXTRAL,
    &phi::PHIMOE,
    &dbrx::DBRX,
    &qwen_moe::QWEN2_MOE,
    &qwen_moe::QWEN3_MOE,
    &qwen_moe::QWEN3_VL_MOE_TEXT,
    &qwen_next::QWEN3_NEXT,
    &qwen_next::QWEN3_5_MOE_TEXT,
    &mixtures::OLMOE,
    &mixtures::MINIMAX_M2,
    &mixtures::GPT_OSS,
    &mixtures::GRANITE_MOE,
    &granite_hybrid::GRANITE_HYBRID,
    &glm::GLM4_MOE,
    &llama4::LLAMA4,
    &nemotron::NEMOTRON_H,
    &latent::DEEPSEEK_V2,
    &latent::DEEPSEEK_V3,
    &latent::KIMI_K2,
    &deepseek_v4::DEEPSEEK_V4,
    &latent::GLM4_MOE_LITE,
    &latent::MISTRAL4,
    &mimo::MIMO_V2_FLASH,
    &hy3::HY_V3,
    &sparse::DEEPSEEK_V32,
    &sparse::GLM_MOE_DSA,
    &mixtures::FLEX_OLMO,
    &mixtures::ERNIE4_5_MOE,
    &hunyuan::HUNYUAN_MOE,
    &glm::DOTS1,
    &glm::SOLAR_OPEN,
    &exaone4::EXAONE_MOE,
    &granite_hybrid::GRANITE_SHARED,
    &mamba::BAMBA,
    &mamba::FALCON_H1,
    &mamba::MAMBA2,
    &mamba1::MAMBA,
    &mamba1::FALCON_MAMBA,
    &mamba1::JAMBA,
    &kimi_linear::KIMI_LINEAR,
    &lfm2::LFM2,
    &lfm2::LFM2_MOE,
];

/// The fields that nearly every family reads beside its sizes.
const SHARED: &[&str] =
    &["num_key_value_heads", "max_position_embeddings", "hidden_act", "rope_theta", "rope_scaling", "rope_parameters"];

/// The fields that most families read beside those: of the heads, the norms and the attention.
const LLAMA_LIKE: &[&str] = &["head_dim", "rms_norm_eps", "attention_bias"];

/// A family's changes to the plain Llama before anything is built.
struct Defaults {
    classes: Classes,
    eps: f64,
    /// The rotary embedding; none for models with other positions.
    rotary: Option<Turn>,
    is_tied: bool,
    /// Numbers in a head where a config does not say; the hidden size over the heads if this is none.
    width: Option<usize>,
    activation: (&'static str, &'static str),
}

impl Defaults {
    const fn of(classes: Classes) -> Self {
        let rotary = Some(Turn::PLAIN);
        Self { classes, eps: 1e-6, rotary, is_tied: false, width: None, activation: ("hidden_act", "silu") }
    }
}

/// A family's rotary embedding where a config says nothing.
#[derive(Clone, Copy)]
struct Turn {
    theta: f64,
    /// The field of the base in older configs.
    field: &'static str,
    /// The share of a head that is rotated.
    share: f64,
    pairing: Pairing,
    gives: Gives,
}

impl Turn {
    const PLAIN: Self =
        Self { theta: 10_000.0, field: "rope_theta", share: 1.0, pairing: Pairing::Halves, gives: Gives::Both };

    fn read(self, config: &Config, width: usize, positions: usize) -> Result<Rotary> {
        let Self { theta, field, share, pairing, gives } = self;
        let defaults = RotaryDefaults { width, theta, share, pairing, gives, positions };
        Rotary::read(config, "full_attention", field, defaults)
    }

    /// The same for layers of a window, which no scaling of the others stretches.
    fn read_local(self, config: &Config, width: usize, positions: usize) -> Result<Rotary> {
        let Self { theta, field, share, pairing, gives } = self;
        Rotary::read_local(config, field, RotaryDefaults { width, theta, share, pairing, gives, positions })
    }
}

/// Heads of attention, by the fields of most families.
struct Heads {
    heads: usize,
    groups: usize,
    width: usize,
}

impl Heads {
    fn read(config: &Config, hidden: usize, width: Option<usize>) -> Result<Self> {
        let heads = config.size("num_attention_heads")?;
        let groups = config.size_or("num_key_value_heads", heads)?;
        if heads % groups != 0 {
            let reason = format!("{groups} heads of keys and values do not divide {heads} heads of queries");
            return Err(config.error("num_key_value_heads", reason));
        }
        let width = match (config.value("head_dim"), width) {
            (Some(_), _) => config.size("head_dim")?,
            (None, Some(width)) => width,
            (None, None) => config.width_and_heads("hidden_size", "num_attention_heads").map(|_| hidden / heads)?,
        };
        Ok(Self { heads, groups, width })
    }
}

impl Recipe {
    /// Gives every layer this feed-forward part.
    fn feed(&mut self, feed_forward: FeedForward) {
        self.layers.iter_mut().for_each(|layer| layer.feed_forward = feed_forward);
    }

    /// Whether the projections to queries, keys and values have biases, and whether the one back has.
    fn bias(&mut self, into: bool, out: bool) {
        self.attention.projections = Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased: into };
        self.attention.out = ("o_proj", out);
    }
}

/// The activation of most families.
fn hidden_act(config: &Config) -> Result<Activation> {
    Activation::from_config(config, "hidden_act", "silu")
}

/// Llama's feed-forward part with its first two products in one.
fn gated_jointly(config: &Config) -> Result<FeedForward> {
    Ok(FeedForward::GatedJointly {
        names: ["gate_up_proj", "down_proj"],
        inner: config.size("intermediate_size")?,
        activation: hidden_act(config)?,
        limit: None,
        biased: false,
    })
}

/// Llama's feed-forward part without its gate.
fn ungated(config: &Config) -> Result<FeedForward> {
    Ok(FeedForward::Plain {
        names: ["up_proj", "down_proj"],
        inner: config.size("intermediate_size")?,
        activation: Activation::from_config(config, "hidden_act", "relu2")?,
        biased: config.flag_or("mlp_bias", false)?,
    })
}

/// The plain Llama of a config, which other families start from.
fn llama_like(config: &Config, defaults: &Defaults) -> Result<Recipe> {
    let hidden = config.size("hidden_size")?;
    let heads = Heads::read(config, hidden, defaults.width)?;
    let positions = config.size_or("max_position_embeddings", 2048)?;
    let rotary = defaults.rotary.map(|rotary| rotary.read(config, heads.width, positions)).transpose()?;
    let (field, word) = defaults.activation;
    let layer = LayerRecipe {
        window: None,
        rotary: rotary.as_ref().map(|_| 0),
        parts: Parts::AttentionAndFeedForward,
        feed_forward: FeedForward::Gated {
            names: ["gate_proj", "up_proj", "down_proj"],
            inner: config.size("intermediate_size")?,
            activation: Activation::from_config(config, field, word)?,
            biased: config.flag_or("mlp_bias", false)?,
        },
        heads: None,
        has_sinks: false,
        keys: Keys::Own,
        compression: None,
        shares_choice: false,
    };
    Ok(Recipe {
        names: Names {
            classes: defaults.classes,
            inner: None,
            tokens: "embed_tokens",
            layers: "layers",
            attention: "self_attn",
            around_attention: None,
            feed_forward: "mlp",
        },
        hidden,
        vocabulary: config.size("vocab_size")?,
        positions,
        runs_to: None,
        embedding: hidden,
        embedding_scale: None,
        scaling_table: None,
        learned_positions: None,
        embedding_norm: None,
        norm: NormKind::Rms { eps: config.number_or("rms_norm_eps", defaults.eps)? },
        attention: llama_attention(config, heads, rotary)?,
        block: Block::PreNorm { attention: "input_layernorm", feed_forward: "post_attention_layernorm" },
        adds_inside: [false; 2],
        residual_scale: None,
        mixture_beside: None,
        per_layer: None,
        layer_scale: None,
        streams: None,
        dropouts: Dropouts::default(),
        layers: vec![layer; config.layers("num_hidden_layers")?],
        final_norm: Some("norm"),
        head: HeadRecipe {
            name: "lm_head",
            key: "lm_head",
            is_tied: config.flag_or("tie_word_embeddings", defaults.is_tied)?,
            biased: false,
            divisor: None,
            soft_cap: None,
        },
    })
}

fn llama_attention(config: &Config, heads: Heads, rotary: Option<Rotary>) -> Result<AttentionRecipe> {
    let Heads { heads, groups, width } = heads;
    let biased = config.flag_or("attention_bias", false)?;
    Ok(AttentionRecipe {
        heads,
        groups,
        width,
        value_width: width,
        value_scale: None,
        projections: Projections::Apart { names: ["q_proj", "k_proj", "v_proj"], biased },
        is_gated: false,
        clip: None,
        out: ("o_proj", biased),
        head_norms: None,
        norm_of_values: None,
        norms_of_rotated: None,
        temperature: None,
        sees_later: !config.flag_or("is_causal", true)?,
        scale: 1.0 / (width as f64).sqrt(),
        soft_cap: None,
        dropout: config.probability_or("attention_dropout", 0.0)?,
        alibi: None,
        rotary: rotary.into_iter().collect(),
        latent: None,
        shared_keys: None,
        states: None,
    })
}
