//! The parts that a decoder is made of, as a family's config chooses them.

pub(super) use super::{
    attention_recipe::{
        Alibi, AttentionRecipe, Compression, Grown, HeadNorms, IndexerRecipe, Indexing, Latent, Projections,
        SelectionNorms, SharedKeys, StateKind, States, Temperature,
    },
    feed_forward_recipe::{Correction, ExpertKeys, FeedForward, Mixture, Router, Scores, Shared},
};
use crate::{Activation, Error, Result, models::task_head::HeadClasses};

/// A whole decoder.
pub(crate) struct Recipe {
    pub(super) names: Names,
    pub(super) hidden: usize,
    pub(super) vocabulary: usize,
    /// Tokens of the longest sequence.
    pub(super) positions: usize,
    /// Tokens of the longest sequence that can be run, where a window stands for an attention of another form: longer ones are
    /// followed by shape alone.
    pub(super) runs_to: Option<usize>,
    /// Width of the embeddings where it differs from the hidden states', with a product there and one back (OPT).
    pub(super) embedding: usize,
    /// The factor of the embeddings.
    pub(super) embedding_scale: Option<f64>,
    /// The class of the table of tokens where that scales them itself (Gemma).
    pub(super) scaling_table: Option<&'static str>,
    /// A table of positions: its name, rows before the first, and rows (OPT, StarCoder).
    pub(super) learned_positions: Option<(&'static str, usize, usize)>,
    /// The name of a norm of the embeddings (BLOOM).
    pub(super) embedding_norm: Option<&'static str>,
    pub(super) norm: NormKind,
    pub(super) attention: AttentionRecipe,
    pub(super) block: Block,
    /// Whether the modules of attention and feed-forward part add the stream to their results themselves (BLOOM).
    pub(super) adds_inside: [bool; 2],
    /// The factor of each branch before it is added.
    pub(super) residual_scale: Option<f64>,
    /// A mixture beside each layer's feed-forward part, and the eps of the norm before its router (Gemma 4).
    pub(super) mixture_beside: Option<(Mixture, f64)>,
    /// Numbers of each token that a layer gets beside the stream, and the activation of their gate (Gemma 4).
    pub(super) per_layer: Option<(usize, Activation)>,
    /// The key of the number that each layer scales its result by (Gemma 4).
    pub(super) layer_scale: Option<&'static str>,
    /// Several streams of hidden states in place of one (DeepSeek-V4).
    pub(super) streams: Option<Streams>,
    pub(super) dropouts: Dropouts,
    /// The recipe of each layer.
    pub(super) layers: Vec<LayerRecipe>,
    /// The name of the last norm, if there is one.
    pub(super) final_norm: Option<&'static str>,
    pub(super) head: HeadRecipe,
}

/// The parts that differ from layer to layer.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct LayerRecipe {
    /// The sliding window, if there is one.
    pub(super) window: Option<usize>,
    /// The place of its rotary embedding, if it has one.
    pub(super) rotary: Option<usize>,
    pub(super) parts: Parts,
    pub(super) feed_forward: FeedForward,
    /// Its heads of keys and values, where they are others than the attention's.
    pub(super) heads: Option<OwnHeads>,
    /// Whether each head has a score that weighs no value (gpt-oss).
    pub(super) has_sinks: bool,
    pub(super) keys: Keys,
    /// The entries beside its window, if there are any.
    pub(super) compression: Option<Compression>,
    /// Whether it attends to the tokens that an indexer chose in an earlier layer, and has none of its own (GLM-5.2).
    pub(super) shares_choice: bool,
}

/// Whose keys and values a layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    Own,
    /// Its own, which later layers read too (Gemma 4).
    Lent,
    /// Those of the layer at this place.
    Of(usize),
}

/// The heads of keys and values of some layers (Gemma 4, MiMo-V2-Flash).
#[derive(Clone, Copy, PartialEq)]
pub(super) struct OwnHeads {
    pub(super) groups: usize,
    /// Numbers in a head's key, of queries too.
    pub(super) width: usize,
    /// Numbers in a head's value.
    pub(super) value_width: usize,
    /// Whether the keys, before norm and rotation, are the values too.
    pub(super) are_values: bool,
}

/// The branches of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    AttentionAndFeedForward,
    Attention,
    FeedForward,
    /// States in place of an attention, and nothing else.
    States,
    StatesAndFeedForward,
    /// States and an attention that read the same and whose results are added, and a feed-forward part (Falcon-H1).
    StatesBesideAttention,
}

/// The names of the modules, in checkpoint and tree, and their classes in transformers.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) classes: Classes,
    /// The module in the model that holds its layers, if that is another (OPT).
    pub(super) inner: Option<&'static str>,
    pub(super) tokens: &'static str,
    pub(super) layers: &'static str,
    pub(super) attention: &'static str,
    /// The module in the layer that the attention's module is in, if it is in one.
    pub(super) around_attention: Option<Around>,
    /// The module of the feed-forward part; the layer itself where it is empty (OPT).
    pub(super) feed_forward: &'static str,
}

/// A module around the attention of a layer.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    /// Whether the norms before both branches are in it too (DBRX); else it holds the attention alone (GPT-Neo).
    pub(super) holds_norms: bool,
}

/// The classes of one family.
#[derive(Clone, Copy)]
pub(super) struct Classes {
    pub(super) model: &'static str,
    pub(super) inner: &'static str,
    pub(super) lm: &'static str,
    pub(super) classification: &'static str,
    pub(super) layer: &'static str,
    pub(super) attention: &'static str,
    pub(super) feed_forward: &'static str,
    pub(super) norm: &'static str,
    pub(super) rotary: &'static str,
    pub(super) mixture: &'static str,
    pub(super) states: &'static str,
    pub(super) router: &'static str,
    pub(super) experts: &'static str,
    pub(super) indexer: &'static str,
}

/// The classes whose names begin with the family's.
macro_rules! classes {
    ($family:literal) => {
        $crate::models::decoder::recipe::Classes {
            model: concat!($family, "Model"),
            inner: concat!($family, "Decoder"),
            lm: concat!($family, "ForCausalLM"),
            classification: concat!($family, "ForSequenceClassification"),
            layer: concat!($family, "DecoderLayer"),
            attention: concat!($family, "Attention"),
            feed_forward: concat!($family, "MLP"),
            norm: concat!($family, "RMSNorm"),
            rotary: concat!($family, "RotaryEmbedding"),
            mixture: concat!($family, "SparseMoeBlock"),
            states: concat!($family, "Mixer"),
            router: concat!($family, "TopKRouter"),
            experts: concat!($family, "Experts"),
            indexer: concat!($family, "Indexer"),
        }
    };
}
pub(super) use classes;

/// The norm of every place.
#[derive(Clone, Copy)]
pub(super) enum NormKind {
    Layer {
        eps: f64,
    },
    LayerWithoutBias {
        eps: f64,
    },
    /// Scaled by 1 + weight.
    LayerAroundOne {
        eps: f64,
    },
    /// Scaled by nothing.
    PlainLayer {
        eps: f64,
    },
    Rms {
        eps: f64,
    },
    /// Scaled by 1 + weight.
    RmsAroundOne {
        eps: f64,
    },
}

impl NormKind {
    pub(super) fn eps(self) -> f64 {
        let (Self::Layer { eps }
        | Self::LayerWithoutBias { eps }
        | Self::LayerAroundOne { eps }
        | Self::PlainLayer { eps }
        | Self::Rms { eps }
        | Self::RmsAroundOne { eps }) = self;
        eps
    }
}

/// How a layer adds its two branches to the stream x: the names of its norms in a recipe, the norms themselves in a layer.
#[derive(Clone, Copy)]
pub(super) enum Block<N = &'static str> {
    /// y = x + attention(norm(x)), then y + feed-forward(norm(y)).
    PreNorm { attention: N, feed_forward: N },
    /// y = norm(x + attention(x)), then norm(y + feed-forward(y)) (the post-norm OPT).
    PostNorm { attention: N, feed_forward: N },
    /// y = x + norm(attention(x)), then y + norm(feed-forward(y)) (OLMo 2).
    OutputNorm { attention: N, feed_forward: N },
    /// y = x + norm(attention(norm(x))), then y + norm(feed-forward(norm(y))): the inner norm first (Gemma 2).
    Sandwich { attention: [N; 2], feed_forward: [N; 2] },
    /// x + attention(norm(x)) + feed-forward(norm(x)), through norms of their own or the same one.
    Parallel { attention: N, feed_forward: Option<N> },
    /// x + branch(norm(x)), where each layer has one branch (Nemotron-H).
    Single { norm: N },
}

/// The probabilities of dropouts in training, but for that of an attention's own.
#[derive(Clone, Copy, Default)]
pub(super) struct Dropouts {
    /// For the embeddings.
    pub(super) embeddings: f64,
    /// For each branch before it is added.
    pub(super) attention: f64,
    pub(super) feed_forward: f64,
    /// For the sum of parallel branches.
    pub(super) both: f64,
}

impl Dropouts {
    /// One probability for both branches.
    pub(super) fn of_branches(embeddings: f64, branch: f64) -> Self {
        Self { embeddings, attention: branch, feed_forward: branch, both: 0.0 }
    }
}

/// Manifold-constrained hyper-connections (DeepSeek-V4, section 2.2): layers mix several streams.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub(super) count: usize,
    /// Rounds that make the sums of rows and columns of the mixing matrix one (Sinkhorn and Knopp).
    pub(super) rounds: usize,
    /// A small number that is added to sums and weights.
    pub(super) eps: f64,
}

/// From the last hidden states to logits.
#[derive(Clone, Copy)]
pub(super) struct HeadRecipe {
    /// The name, and another key of older checkpoints.
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) is_tied: bool,
    pub(super) biased: bool,
    /// The divisor of the logits.
    pub(super) divisor: Option<f64>,
    pub(super) soft_cap: Option<f64>,
}

impl Recipe {
    pub(super) fn head_classes(&self, trunk: &'static str) -> HeadClasses {
        let classes = &self.names.classes;
        HeadClasses { trunk, lm: classes.lm, classification: classes.classification }
    }

    /// Refuses to run what is followed by shape alone.
    pub(super) fn check_run(&self) -> Result<()> {
        let Some(layers) = self.layers_by_shape() else { return Ok(()) };
        let reason = format!("its {layers} are followed by shape alone, and cannot be run");
        Err(Error::Input { model: self.names.classes.model.to_owned(), reason })
    }

    fn layers_by_shape(&self) -> Option<&'static str> {
        if self.streams.is_some() {
            return Some("layers with several streams");
        }
        let has_states = |layer: &LayerRecipe| {
            matches!(layer.parts, Parts::States | Parts::StatesAndFeedForward | Parts::StatesBesideAttention)
        };
        let states = self.attention.states.filter(|_| self.layers.iter().any(has_states))?;
        Some(match states.kind {
            StateKind::Mamba { .. } => "Mamba layers",
            StateKind::Mamba2 => "Mamba-2 layers",
            StateKind::Delta { .. } => "gated DeltaNet layers",
            StateKind::KimiDelta => "Kimi Delta Attention layers",
            StateKind::Convolution => "convolution layers",
        })
    }
}
