use irene_tree::{NodeId, OpKind, Quantity, Tree};

/// A count or cost of a design. All but the logarithms that surrogates take of them add up over its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Feature {
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
    /// Millions.
    Flops,
    /// MiB, each operand moved once.
    MovedBytes,
    /// Kernels launched.
    Kernels,
    /// Parameters of the encoder layers.
    EncoderParameters,
    /// Parameters of the tables of relative positions.
    PositionParameters,
    /// Of queries, keys, values and the output, MFLOP.
    AttentionLinearFlops,
    /// Of the products that all heads of a layer share: scores of positions, and probabilities times values, MFLOP.
    SharedAttentionFlops,
    /// Of scaled dot products and weighted ones, MFLOP.
    ScoreFlops,
    /// Of the weight in weighted multiplication, MFLOP.
    WeightFlops,
    /// Of Fourier transforms, MFLOP.
    DftFlops,
    /// Of cosine transforms, MFLOP.
    DctFlops,
    /// Of convolving heads, MFLOP.
    ConvolutionFlops,
    /// Of feed-forward linears, MFLOP.
    FeedForwardFlops,
    /// Of the projections between hidden sizes, MFLOP.
    ProjectionFlops,
    /// Of softmax, MFLOP.
    SoftmaxFlops,
    /// Of LayerNorm, MFLOP.
    NormFlops,
    /// Of the activations between feed-forward linears, MFLOP.
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

impl Feature {
    /// How many there are.
    pub const COUNT: usize = Self::HeadKernels as usize + 1;
}

/// Tells what a node spends itself, children apart.
pub(super) fn of_node(tree: &Tree, id: NodeId, mut tell: impl FnMut(Feature, f64)) {
    let node = tree.node(id);
    match node.instance_type() {
        "FlexiBertLayer" => tell(Feature::Layers, 1.0),
        "FlexiBertScaledDotProductHead" => tell(Feature::ScaledDotProductHeads, 1.0),
        "FlexiBertWeightedHead" => tell(Feature::WeightedHeads, 1.0),
        "FlexiBertDftHead" => tell(Feature::DftHeads, 1.0),
        "FlexiBertDctHead" => tell(Feature::DctHeads, 1.0),
        "FlexiBertConvolutionHead" => tell(Feature::ConvolutionHeads, 1.0),
        _ => {}
    }
    let is_in = |class: &str| tree.ancestors(id).any(|above| tree.node(above).is_instance_of(class));
    let is_in_head = || tree.ancestors(id).any(|above| is_head(tree.node(above).instance_type()));
    if is_head(node.instance_type()) {
        tell(Feature::Heads, 1.0);
    }
    if !tree.is_leaf(id) {
        return;
    }
    let get = |quantity| node.get(quantity).unwrap_or_default();
    let (parameters, flops, kernels) = (get(Quantity::NumParameters), get(Quantity::Flops), get(Quantity::Kernels));
    tell(Feature::Parameters, parameters);
    tell(Feature::Flops, flops);
    tell(Feature::MovedBytes, get(Quantity::MovedBytes));
    tell(Feature::Kernels, kernels);
    if is_in("FlexiBertEncoder") {
        tell(Feature::EncoderParameters, parameters);
    }
    if node.name() == "word_embeddings" {
        tell(Feature::WordParameters, parameters);
    }
    if node.name() == "distance_embedding" {
        tell(Feature::PositionParameters, parameters);
    }
    if is_in_head() {
        tell(Feature::HeadKernels, kernels);
    }
    let Some(operation) = &node.operation else { return };
    if operation.kind == OpKind::Linear {
        tell(Feature::Linears, 1.0);
    }
    let spent_on = match operation.kind {
        _ if is_in("FlexiBertConvolutionHead") => Feature::ConvolutionFlops,
        OpKind::Dft => Feature::DftFlops,
        OpKind::Dct => Feature::DctFlops,
        OpKind::MatMul if is_in_head() && operation.num_parameters > 0 => Feature::WeightFlops,
        OpKind::MatMul if is_in_head() => Feature::ScoreFlops,
        OpKind::MatMul => Feature::SharedAttentionFlops,
        OpKind::Linear if node.name() == "proj_head" => Feature::ProjectionFlops,
        OpKind::Linear if is_in("FlexiBertAttention") => Feature::AttentionLinearFlops,
        OpKind::Linear if is_in("FlexiBertLayer") => Feature::FeedForwardFlops,
        OpKind::Softmax => Feature::SoftmaxFlops,
        OpKind::LayerNorm => Feature::NormFlops,
        OpKind::Gelu => Feature::ActivationFlops,
        _ => return,
    };
    tell(spent_on, flops);
}

fn is_head(class: &str) -> bool {
    class.starts_with("FlexiBert") && class.ends_with("Head")
}
