use irene_tree::Level;

use crate::{
    Activation, Config, LayerNorm, Pairing, Result, Weights,
    models::decoder::rotary::{Gives, Rotary, RotaryDefaults, RotaryEmbedding},
};

/// The base of rotary angles where a config says nothing, and its name in older configs: of layers that see all, and of those with a
/// window.
const FULL_THETA: (f64, &str) = (160_000.0, "global_rope_theta");
const SLIDING_THETA: (f64, &str) = (10_000.0, "local_rope_theta");

/// How far a layer's attention sees: everything, or a window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Full,
    Sliding,
}

pub(super) struct Sizes {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    /// The sight of each layer, in order.
    pub(super) sights: Vec<Sight>,
    /// A query of a layer with a window sees keys that are fewer than this many places away.
    pub(super) window: usize,
    pub(super) activation: Activation,
    pub(super) eps: f64,
    pub(super) has_attention_bias: bool,
    pub(super) has_mlp_bias: bool,
    pub(super) has_norm_bias: bool,
    pub(super) embedding_dropout: f64,
    /// Dropout of the probabilities, and of the attention's result.
    pub(super) attention_dropout: f64,
    pub(super) mlp_dropout: f64,
}

impl Sizes {
    pub(super) fn read(config: &Config) -> Result<Self> {
        let (hidden, heads) = config.width_and_heads("hidden_size", "num_attention_heads")?;
        Ok(Self {
            hidden,
            heads,
            intermediate: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            positions: config.size("max_position_embeddings")?,
            sights: sights(config)?,
            // Half of it on either side, and the token itself.
            window: config.size_or("local_attention", 128)? / 2 + 1,
            activation: Activation::from_config(config, "hidden_activation", "gelu")?,
            eps: config.number_or("norm_eps", 1e-5)?,
            has_attention_bias: config.flag_or("attention_bias", false)?,
            has_mlp_bias: config.flag_or("mlp_bias", false)?,
            has_norm_bias: config.flag_or("norm_bias", false)?,
            embedding_dropout: config.probability_or("embedding_dropout", 0.0)?,
            attention_dropout: config.probability_or("attention_dropout", 0.0)?,
            mlp_dropout: config.probability_or("mlp_dropout", 0.0)?,
        })
    }

    pub(super) fn norm(&self, weights: &Weights<'_>) -> Result<LayerNorm> {
        if self.has_norm_bias {
            LayerNorm::load(weights, self.hidden, self.eps)
        } else {
            LayerNorm::load_without_bias(weights, self.hidden, self.eps)
        }
    }

    /// The rotary embedding of the layers with this sight.
    pub(super) fn rotary(&self, config: &Config, weights: &Weights<'_>, sight: Sight) -> Result<RotaryEmbedding> {
        let (kind, (theta, field)) = match sight {
            Sight::Full => (FULL, FULL_THETA),
            Sight::Sliding => (SLIDING, SLIDING_THETA),
        };
        let width = self.hidden / self.heads;
        let defaults = RotaryDefaults {
            width,
            theta,
            share: 1.0,
            pairing: Pairing::Halves,
            gives: Gives::Both,
            positions: self.positions,
        };
        let label = weights.child("rotary_emb").label("ModernBertRotaryEmbedding", Level::Module);
        Ok(RotaryEmbedding::new(label, Rotary::read(config, kind, field, defaults)?, weights.activations()))
    }
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// The sight of each layer: by name, or in older configs everything in every third (or so) from the first on.
fn sights(config: &Config) -> Result<Vec<Sight>> {
    const FIELD: &str = "layer_types";
    let layers = config.layers("num_hidden_layers")?;
    if config.value(FIELD).is_none() {
        let every = config.size_or("global_attn_every_n_layers", 3)?;
        let sight = |layer: usize| if layer.is_multiple_of(every) { Sight::Full } else { Sight::Sliding };
        return Ok((0..layers).map(sight).collect());
    }
    let sight = |word: String| match word.as_str() {
        FULL => Ok(Sight::Full),
        SLIDING => Ok(Sight::Sliding),
        other => Err(config.error(FIELD, format!("`{other}` is not supported here; there are {FULL}, {SLIDING}"))),
    };
    let words = config.field::<Vec<String>>(FIELD)?;
    if words.len() != layers {
        return Err(config.error(FIELD, format!("names {} layers of {layers}", words.len())));
    }
    words.into_iter().map(sight).collect()
}
