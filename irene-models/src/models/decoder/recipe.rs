//! The parts that a decoder is made of, as a family's config chooses them.

use super::rotary::Rotary;
use crate::{Activation, Pairing, layers::Stacked, models::task_head::HeadClasses};

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

/// The attention of every layer.
pub(super) struct AttentionRecipe {
    pub(super) heads: usize,
    /// Heads of keys and values.
    pub(super) groups: usize,
    /// Numbers in a head's query and key.
    pub(super) width: usize,
    /// Numbers in a head's value: as many, but where projections are apart and the family says otherwise (MiMo-V2-Flash).
    pub(super) value_width: usize,
    /// The factor of the values.
    pub(super) value_scale: Option<f64>,
    pub(super) projections: Projections,
    /// Whether the projection to the queries also makes a gate of what the attention gives, as wide as they are (Qwen3-Next).
    pub(super) is_gated: bool,
    /// The largest absolute value of queries, keys and values (OLMo, MPT).
    pub(super) clip: Option<f64>,
    /// The projection back, and whether it has a bias.
    pub(super) out: (&'static str, bool),
    /// The norms of queries and keys.
    pub(super) head_norms: Option<HeadNorms>,
    /// The norm of each head's values, which nothing scales: its class and eps (Gemma 4).
    pub(super) norm_of_values: Option<(&'static str, f64)>,
    /// Norms of rotated queries and keys, which nothing scales: their class and eps (Llama 4).
    pub(super) norms_of_rotated: Option<(&'static str, f64)>,
    /// The growth of queries with their position.
    pub(super) temperature: Option<Temperature>,
    /// Whether a token sees those behind it too, as in an embedding model (EmbeddingGemma): then no keys and values are kept.
    pub(super) sees_later: bool,
    /// The factor of the scores.
    pub(super) scale: f64,
    pub(super) soft_cap: Option<f64>,
    /// The probability of the dropout of the weights of the values.
    pub(super) dropout: f64,
    /// Scores by distance in place of positions (Press et al., 2022).
    pub(super) alibi: Option<Alibi>,
    /// Rotary embeddings of positions, which layers choose from.
    pub(super) rotary: Vec<Rotary>,
    /// Latent queries, keys and values in place of the projections (DeepSeek).
    pub(super) latent: Option<Latent>,
    /// One head of keys that are values too, in place of the projections (DeepSeek-V4).
    pub(super) shared_keys: Option<SharedKeys>,
    /// The states of the layers that have them (Nemotron-H).
    pub(super) states: Option<States>,
}

impl AttentionRecipe {
    /// The heads of keys and values of a layer.
    pub(super) fn heads_of(&self, layer: &LayerRecipe) -> OwnHeads {
        let Self { groups, width, value_width, .. } = *self;
        layer.heads.unwrap_or(OwnHeads { groups, width, value_width, are_values: false })
    }
}

/// States in place of keys and values: each head has one (width, size), which every token changes; a channel of a convolution alone has none.
#[derive(Clone, Copy)]
pub(super) struct States {
    pub(super) kind: StateKind,
    /// Whether what they give has a norm.
    pub(super) is_normed: bool,
    /// The module in the layer.
    pub(super) name: &'static str,
    pub(super) heads: usize,
    /// Numbers in a head.
    pub(super) width: usize,
    /// Groups of heads that share their way into the state and out of it.
    pub(super) groups: usize,
    pub(super) size: usize,
    /// Tokens that the convolution before it joins.
    pub(super) kernel: usize,
    /// Tokens of a prompt that products of matrices take at once.
    pub(super) chunk: usize,
}

/// How tokens change a state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StateKind {
    /// Each channel has one, whose step and ways in and out products make, the step's of this rank (Mamba: Gu and Dao, 2023).
    Mamba { rank: usize, norms: SelectionNorms },
    /// It decays and takes what the token brings (Mamba-2: Dao and Gu, 2024).
    Mamba2,
    /// It also loses what it had under the token's key (gated DeltaNet: Yang et al., 2025). Qwen3-Next joins its projections.
    Delta { is_joint: bool },
    /// The same, where each number of a key decays on its own (Kimi Delta Attention: Kimi Team, 2025).
    KimiDelta,
    /// There is none: a convolution of the last tokens alone, with a gate before it and one behind it (LFM2).
    Convolution,
}

/// The norms of the first Mamba's steps and of the ways into its states and out of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SelectionNorms {
    None,
    /// Scaled by nothing, of this class (Falcon Mamba).
    Plain(&'static str),
    /// Scaled (Jamba).
    Scaled,
}

/// The projections to queries, keys and values.
#[derive(Clone, Copy)]
pub(super) enum Projections {
    /// One each, by these names.
    Apart { names: [&'static str; 3], biased: bool },
    /// One for all: queries, then keys, then values.
    InBlocks { name: &'static str, biased: bool },
    /// One for all: for each head of keys its queries, the key and the value.
    ByGroup { name: &'static str, biased: bool },
}

/// Norms of queries and keys, by name.
#[derive(Clone, Copy)]
pub(super) enum HeadNorms {
    /// Norms of each head, before heads and tokens are exchanged.
    PerHead([&'static str; 2]),
    /// Norms of each head, afterwards.
    PerMovedHead([&'static str; 2]),
    /// Norms of each head, after it was rotated (Hunyuan).
    PerRotatedHead([&'static str; 2]),
    /// Norms of all heads together.
    Joint([&'static str; 2]),
}

/// Queries times 1 + scale · ln(1 + ⌊position / floor⌋) (Nakanishi, 2025).
#[derive(Clone, Copy)]
pub(super) struct Temperature {
    pub(super) floor: f64,
    pub(super) scale: f64,
    pub(super) of: Grown,
}

/// The queries that grow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grown {
    /// Those that are not rotated, by the number of tokens up to theirs (Llama 4).
    Unrotated,
    /// Those that are rotated (Ministral 3).
    Rotated,
}

/// How distances become scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Alibi {
    /// Added to the scaled scores (BLOOM).
    AfterScale,
    /// Added before they are scaled (Falcon).
    BeforeScale,
}

/// Multi-head latent attention (DeepSeek-V2, section 2.1).
#[derive(Clone, Copy)]
pub(super) struct Latent {
    /// The rank of the queries; none for a plain projection.
    pub(super) query_rank: Option<usize>,
    pub(super) key_value_rank: usize,
    /// Numbers of a head's query and key that have no position.
    pub(super) plain_width: usize,
    /// Numbers that are rotated.
    pub(super) rotary_width: usize,
    pub(super) value_width: usize,
    pub(super) biased: bool,
    /// The indexer of a sparse attention; none for one to all tokens.
    pub(super) indexer: Option<IndexerRecipe>,
}

/// What chooses the tokens that a query attends to (DeepSeek-V3.2, section 2.1).
#[derive(Clone, Copy)]
pub(super) struct IndexerRecipe {
    pub(super) heads: usize,
    /// Numbers in a head's query, and in the key that its heads share.
    pub(super) width: usize,
    /// Tokens that it chooses at most.
    pub(super) most: usize,
    /// The numbers that rotate together, as many as in the attention itself.
    pub(super) pairing: Pairing,
}

/// One head of keys that are values too, which all heads of queries read, and a projection back in groups of heads (DeepSeek-V4, section
/// 2.3).
#[derive(Clone, Copy)]
pub(super) struct SharedKeys {
    pub(super) query_rank: usize,
    /// Groups of heads, each with a projection of its own.
    pub(super) out_groups: usize,
    /// Numbers that each group gives the last projection.
    pub(super) out_rank: usize,
}

/// Entries that stand for several tokens each, which a layer keeps of all tokens beside the keys in its window (DeepSeek-V4, section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compression {
    /// Tokens between an entry and the next.
    pub(super) rate: usize,
    /// Chooses the entries of each query, and each entry is made of the tokens of the one before it too; without one, a query sees every
    /// entry of the tokens up to its own.
    pub(super) indexer: Option<Indexing>,
}

/// How an indexer chooses entries: by the products of queries and keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Indexing {
    pub(super) heads: usize,
    /// Numbers in a head.
    pub(super) width: usize,
    /// The entries of a query at most.
    pub(super) chosen: usize,
}

/// Manifold-constrained hyper-connections (DeepSeek-V4, section 2.2): layers mix several streams.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    pub(super) count: usize,
    /// Rounds that make the sums of rows and columns of the mixing matrix one (Sinkhorn and Knopp).
    pub(super) rounds: usize,
    /// What is added to sums and weights.
    pub(super) eps: f64,
}

/// The feed-forward part of a layer.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum FeedForward {
    /// activation(x G) * (x U), then D.
    Gated {
        names: [&'static str; 3],
        inner: usize,
        activation: Activation,
        biased: bool,
    },
    /// The same with G and U in one product, with a limit as [`gated_jointly`](crate::Cx::gated_jointly) has it.
    GatedJointly {
        names: [&'static str; 2],
        inner: usize,
        activation: Activation,
        limit: Option<f64>,
        biased: bool,
    },
    /// activation(x U), then D.
    Plain {
        names: [&'static str; 2],
        inner: usize,
        activation: Activation,
        biased: bool,
    },
    /// xIELU(x U), then D: an activation with two numbers of its own (Huang and Schlag, 2024).
    Xielu {
        names: [&'static str; 2],
        inner: usize,
    },
    Mixture(Mixture),
}

/// A mixture of experts.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    /// The module in the layer, and its key in older checkpoints.
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) experts: usize,
    pub(super) per_token: usize,
    pub(super) inner: usize,
    pub(super) activation: Activation,
    pub(super) router: Router,
    pub(super) weights: ExpertKeys,
    /// An expert for every token: its names and width.
    pub(super) shared: Option<Shared>,
    /// The inner size of a part for every token that is the layer's own, beside the experts (Granite).
    pub(super) beside: Option<usize>,
}

/// How experts are chosen and weighed.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Router {
    /// The module, its key in older checkpoints, and the key of its weight in it.
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) weight: &'static str,
    pub(super) biased: bool,
    pub(super) scores: Scores,
    /// Whether the weights of a token's experts are made to add up to one.
    pub(super) normalised: bool,
    /// The factor of the weights.
    pub(super) scale: f64,
    /// Groups of experts, and how many of them a token may choose from.
    pub(super) groups: Option<[usize; 2]>,
    pub(super) correction: Option<Correction>,
    /// The rows of a table with the experts of each token of the vocabulary, in place of a choice (DeepSeek-V4).
    pub(super) table: Option<usize>,
    /// Whether the weight of a token's one expert scales what the expert gets, not what it gives (Llama 4).
    pub(super) scales_input: bool,
}

/// Numbers that are added to the scores for the choice alone (DeepSeek-V3).
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Correction {
    pub(super) key: &'static str,
    /// Whether they stand beside the router's module, not in it (MiniMax).
    pub(super) is_beside: bool,
    /// Whether they are a matrix of one row (ERNIE 4.5).
    pub(super) is_row: bool,
}

/// The numbers that experts are chosen by.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scores {
    /// The softmax over all experts.
    Softmax,
    /// The products; the softmax is over the chosen ones.
    SoftmaxOfChosen,
    /// The sigmoid of each.
    Sigmoid,
    /// The products, then the sigmoid of the chosen ones.
    SigmoidOfChosen,
    /// The root of the softplus of each (DeepSeek-V4), followed by shape alone.
    RootOfSoftplus,
    /// SparseMixer (Liu et al., 2024): the products. Two experts are chosen, each weighed by the softmax over those of the experts left whose
    /// products are below its own by this share at most.
    SparseMixer(f64),
}

/// Where the weights of the experts are in a checkpoint.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct ExpertKeys {
    /// The module in the mixture that holds them; the mixture itself where it is empty.
    pub(super) module: &'static str,
    pub(super) gate_up: Stacked<'static>,
    pub(super) down: Stacked<'static>,
    /// The keys of the biases.
    pub(super) biases: Option<[&'static str; 2]>,
    /// Keys of the weights where a checkpoint has them for each expert: in `experts.N`, the gate, the way up, the way down.
    pub(super) apart: Option<[&'static str; 3]>,
    /// The limit of a gate that is in turn with the way up, as [`gated_jointly`](crate::Cx::gated_jointly) has it.
    pub(super) limit: Option<f64>,
    /// The most of a gate, and the greatest absolute value of the way up, the shared expert's too (DeepSeek-V4).
    pub(super) clip: Option<f64>,
    /// Whether there is a gate; without one the first weight is the way up alone (Nemotron 3).
    pub(super) is_gated: bool,
}

/// The expert that every token is sent to.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) inner: usize,
    /// The name of a product that weighs it by a sigmoid.
    pub(super) gate: Option<&'static str>,
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
}
