//! The attention of a decoder's layers, as a family's config chooses it.

use super::{
    recipe::{LayerRecipe, OwnHeads},
    rotary::Rotary,
};
use crate::Pairing;

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

/// A part that chooses the tokens that a query attends to (DeepSeek-V3.2, section 2.1).
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
