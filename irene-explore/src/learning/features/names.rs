use irene_tree::{NodeId, OpKind, Operation, Quantity, Tree};

/// A count or cost of a design. All but the logarithms that surrogates take of them add up over its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DesignFeature {
    /// Encoder layers.
    Layers,
    /// Attention heads of all layers.
    Heads,
    /// Linear layers.
    Linears,
    /// Parameters of the table of word embeddings, which loading pays and a forward pass does not.
    WordParameters,
    /// All parameters.
    Parameters,
    /// FLOPs, millions.
    Flops,
    /// Bytes moved, each operand once, MiB.
    MovedBytes,
    /// Kernels launched.
    Kernels,
    /// Parameters of the encoder layers.
    EncoderParameters,
    /// Parameters of the tables of relative positions.
    PositionParameters,
    /// FLOPs of queries, keys, values and the output, millions.
    AttentionLinearFlops,
    /// FLOPs of the products that all heads of a layer share (scores of positions, probabilities times values), millions.
    SharedAttentionFlops,
    /// FLOPs of scaled dot products and weighted ones, millions.
    ScoreFlops,
    /// FLOPs of the weight in weighted multiplication, millions.
    WeightFlops,
    /// FLOPs of Fourier transforms, millions.
    DftFlops,
    /// FLOPs of cosine transforms, millions.
    DctFlops,
    /// FLOPs of convolving heads, millions.
    ConvolutionFlops,
    /// FLOPs of feed-forward linears, millions.
    FeedForwardFlops,
    /// FLOPs of the projections between hidden sizes, millions.
    ProjectionFlops,
    /// FLOPs of softmax, millions.
    SoftmaxFlops,
    /// FLOPs of LayerNorm, millions.
    NormFlops,
    /// FLOPs of the activations between feed-forward linears, millions.
    ActivationFlops,
    /// Heads with scaled dot products.
    ScaledDotProductHeads,
    /// Heads with weighted multiplication.
    WeightedHeads,
    /// Heads with Fourier transforms.
    DftHeads,
    /// Heads with cosine transforms.
    DctHeads,
    /// Heads with convolutions.
    ConvolutionHeads,
    /// Kernels that heads launch one by one.
    HeadKernels,
}

impl DesignFeature {
    /// How many there are.
    pub const COUNT: usize = Self::HeadKernels as usize + 1;
}

/// Tells the features of a node itself, its children apart.
pub(super) fn of_node(tree: &Tree, id: NodeId, mut tell: impl FnMut(DesignFeature, f64)) {
    let node = tree.node(id);
    let class = node.instance_type();
    if class == "FlexiBertLayer" {
        tell(DesignFeature::Layers, 1.0);
    }
    if is_head(class) {
        tell(DesignFeature::Heads, 1.0);
        kind_of_head(class).into_iter().for_each(|kind| tell(kind, 1.0));
    }
    if !tree.is_leaf(id) {
        return;
    }
    let get = |quantity| node.get(quantity).unwrap_or_default();
    let (parameters, flops, kernels) = (get(Quantity::NumParameters), get(Quantity::Flops), get(Quantity::Kernels));
    tell(DesignFeature::Parameters, parameters);
    tell(DesignFeature::Flops, flops);
    tell(DesignFeature::MovedBytes, get(Quantity::MovedBytes));
    tell(DesignFeature::Kernels, kernels);
    if is_in(tree, id, "FlexiBertEncoder") {
        tell(DesignFeature::EncoderParameters, parameters);
    }
    match node.name() {
        "word_embeddings" => tell(DesignFeature::WordParameters, parameters),
        "distance_embedding" => tell(DesignFeature::PositionParameters, parameters),
        _ => {}
    }
    if is_in_head(tree, id) {
        tell(DesignFeature::HeadKernels, kernels);
    }
    if let Some(operation) = &node.operation {
        if operation.kind == OpKind::Linear {
            tell(DesignFeature::Linears, 1.0);
        }
        work_of(tree, id, operation).into_iter().for_each(|work| tell(work, flops));
    }
}

/// The kind of work that an operation's FLOPs count as; None for elementwise operations.
fn work_of(tree: &Tree, id: NodeId, operation: &Operation) -> Option<DesignFeature> {
    let name = tree.node(id).name();
    Some(match operation.kind {
        _ if is_in(tree, id, "FlexiBertConvolutionHead") => DesignFeature::ConvolutionFlops,
        OpKind::Dft => DesignFeature::DftFlops,
        OpKind::Dct => DesignFeature::DctFlops,
        OpKind::MatMul if is_in_head(tree, id) && operation.parameters().next().is_some() => DesignFeature::WeightFlops,
        OpKind::MatMul if is_in_head(tree, id) => DesignFeature::ScoreFlops,
        OpKind::MatMul => DesignFeature::SharedAttentionFlops,
        OpKind::Linear if name == "proj_head" => DesignFeature::ProjectionFlops,
        OpKind::Linear if is_in(tree, id, "FlexiBertAttention") => DesignFeature::AttentionLinearFlops,
        OpKind::Linear if is_in(tree, id, "FlexiBertLayer") => DesignFeature::FeedForwardFlops,
        OpKind::Softmax => DesignFeature::SoftmaxFlops,
        OpKind::LayerNorm => DesignFeature::NormFlops,
        OpKind::Gelu => DesignFeature::ActivationFlops,
        _ => return None,
    })
}

fn kind_of_head(class: &str) -> Option<DesignFeature> {
    match class {
        "FlexiBertScaledDotProductHead" => Some(DesignFeature::ScaledDotProductHeads),
        "FlexiBertWeightedHead" => Some(DesignFeature::WeightedHeads),
        "FlexiBertDftHead" => Some(DesignFeature::DftHeads),
        "FlexiBertDctHead" => Some(DesignFeature::DctHeads),
        "FlexiBertConvolutionHead" => Some(DesignFeature::ConvolutionHeads),
        _ => None,
    }
}

fn is_head(class: &str) -> bool {
    class.starts_with("FlexiBert") && class.ends_with("Head")
}

fn is_in(tree: &Tree, id: NodeId, class: &str) -> bool {
    tree.ancestors(id).any(|above| tree.node(above).is_instance_of(class))
}

fn is_in_head(tree: &Tree, id: NodeId) -> bool {
    tree.ancestors(id).any(|above| is_head(tree.node(above).instance_type()))
}
