//! The feed-forward part of a decoder's layers, as a family's config chooses it.

use crate::{Activation, layers::Stacked};

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
