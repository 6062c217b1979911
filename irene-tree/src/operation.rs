mod stored;

use serde::{Deserialize, Serialize};

use crate::{Format, Operand, ParameterId, Role, Shape};

/// The kinds of computation.
///
/// The architectures of irene-models consist of these; irene-features has the cost of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OpKind {
    /// Matrix product of two activations, batched over the leading dimensions.
    MatMul,
    /// `x Wᵀ + b`, weight stored (out, in).
    Linear,
    /// GPT-2's linear layer: `x W + b` on flattened tokens, weight stored (in, out).
    Conv1D,
    /// Rows of a table chosen by integer ids.
    Embedding,
    /// Normalisation over the last dimension, with scale and shift.
    LayerNorm,
    /// Division by the root of the mean square over the last dimension, with scale. Eager kernels run it operation by operation.
    RmsNorm,
    /// `x Wᵀ` by the weight of the expert that each row was sent to: rows (rows, in), weight (experts, out, in).
    GroupedLinear,
    /// Rotation of queries and keys by their positions' angles.
    Rotary,
    /// Softmax over the last dimension.
    Softmax,
    /// Convolution along the last dimension: a weight (channels out, channels in a group, kernel).
    Convolution,
    /// States of channels from token to token in one kernel (Gu and Dao, 2023, section 3.3): numbers (batch, tokens, channels), and decays
    /// (channels, numbers of a state) second among the operands.
    Scan,
    /// The windows of a sequence, beside each other.
    Unfold,
    /// The real part of the discrete Fourier transform over the last two dimensions.
    Dft,
    /// The discrete cosine transform (DCT-II) over the last two dimensions.
    Dct,
    /// Hyperbolic tangent.
    Tanh,
    /// GELU, in one operation whatever its form.
    Gelu,
    /// max(x, 0).
    Relu,
    /// x · sigmoid(x).
    Silu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// The error function.
    Erf,
    /// eˣ - 1.
    Expm1,
    /// ln(1 + eˣ).
    Softplus,
    /// -x.
    Neg,
    /// Cosine.
    Cos,
    /// Sine.
    Sin,
    /// Sum over the last dimension.
    Sum,
    /// The greatest numbers of the last dimension, and their places.
    TopK,
    /// Rows of an activation in another order, each as often as it is asked for.
    Gather,
    /// Rows added to the places that they came from.
    Scatter,
    /// Sum of two tensors, or of a tensor and a number.
    Add,
    /// Difference of two tensors, or of a tensor and a number.
    Sub,
    /// A number minus a tensor.
    Rsub,
    /// Product of two tensors, or of a tensor and a number.
    Mul,
    /// Quotient of two tensors, or of a tensor and a number.
    Div,
    /// Power with a fixed exponent.
    Pow,
    /// Numbers kept between two bounds.
    Clamp,
    /// Choice between two tensors by a mask (where, masked_fill).
    Where,
    /// Comparison with a number, giving a mask.
    Compare,
    /// Running sum along a dimension.
    CumSum,
    /// Change of element type.
    Cast,
    /// A strided tensor made contiguous.
    Copy,
    /// Concatenation along a dimension, old or new.
    Concat,
    /// A tensor filled with one number.
    Fill,
    /// Softmax of scaled and masked products of queries and keys, times values, with no scores in memory: query, key and value, each
    /// (batch, heads, tokens, width).
    Attention,
    /// New keys and values stored behind those in the cache.
    CacheWrite,
    /// The sum of the GPUs' tensors, which each of them gets.
    AllReduce,
    /// The GPUs' tensors beside each other, which each of them gets.
    AllGather,
    /// A tensor sent from one stage of a pipeline to the next.
    SendRecv,
    /// Rows of each GPU sent to the GPUs that have their experts, or back.
    AllToAll,
    /// Numbers set to zero by chance, the others scaled up, in training.
    Dropout,
    /// A weight moved against its gradient, or against the running mean of its gradients.
    Sgd,
    /// A weight moved by Adam with decoupled weight decay.
    AdamW,
    /// A weight moved by Adafactor.
    Adafactor,
}

impl OpKind {
    /// The name, as the node's instance type at the math level (`add`) or ML level (`MatMul`).
    pub fn name(self) -> &'static str {
        match self {
            Self::MatMul => "MatMul",
            Self::Linear => "Linear",
            Self::Conv1D => "Conv1D",
            Self::Embedding => "Embedding",
            Self::LayerNorm => "LayerNorm",
            Self::RmsNorm => "RMSNorm",
            Self::GroupedLinear => "GroupedLinear",
            Self::Rotary => "rotary",
            Self::Softmax => "Softmax",
            Self::Convolution => "Convolution",
            Self::Scan => "scan",
            Self::Unfold => "Unfold",
            Self::Dft => "DFT",
            Self::Dct => "DCT",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Erf => "erf",
            Self::Expm1 => "expm1",
            Self::Softplus => "softplus",
            Self::Neg => "neg",
            Self::Cos => "cos",
            Self::Sin => "sin",
            Self::Sum => "sum",
            Self::TopK => "topk",
            Self::Gather => "gather",
            Self::Scatter => "scatter",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Rsub => "rsub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Pow => "pow",
            Self::Clamp => "clamp",
            Self::Where => "where",
            Self::Compare => "compare",
            Self::CumSum => "cumsum",
            Self::Cast => "cast",
            Self::Copy => "copy",
            Self::Concat => "concat",
            Self::Fill => "fill",
            Self::Attention => "FusedAttention",
            Self::CacheWrite => "CacheWrite",
            Self::AllReduce => "AllReduce",
            Self::AllGather => "AllGather",
            Self::SendRecv => "SendRecv",
            Self::AllToAll => "AllToAll",
            Self::Dropout => "Dropout",
            Self::Sgd => "SGD",
            Self::AdamW => "AdamW",
            Self::Adafactor => "Adafactor",
        }
    }

    /// The class name of its gradient's own kernel, for kinds whose gradient is not made of other operations.
    fn gradient_name(self) -> &'static str {
        match self {
            Self::LayerNorm => "LayerNormBackward",
            Self::RmsNorm => "RMSNormBackward",
            Self::Rotary => "rotaryBackward",
            Self::Softmax => "SoftmaxBackward",
            Self::Scan => "scanBackward",
            Self::Unfold => "UnfoldBackward",
            Self::Convolution => "ConvolutionBackward",
            Self::Tanh => "tanhBackward",
            Self::Gelu => "geluBackward",
            Self::Relu => "reluBackward",
            Self::Silu => "siluBackward",
            Self::Sigmoid => "sigmoidBackward",
            Self::Erf => "erfBackward",
            Self::Expm1 => "expm1Backward",
            Self::Softplus => "softplusBackward",
            Self::Cos => "cosBackward",
            Self::Sin => "sinBackward",
            Self::Pow => "powBackward",
            Self::Div => "divBackward",
            Self::Clamp => "clampBackward",
            Self::CumSum => "cumsumBackward",
            Self::Attention => "FusedAttentionBackward",
            Self::Embedding => "EmbeddingBackward",
            Self::Dropout => "DropoutBackward",
            Self::Scatter => "scatterBackward",
            Self::AllGather => "ReduceScatter",
            other => other.name(),
        }
    }
}

/// One tensor operation: everything that its cost depends on.
///
/// ```
/// use irene_tree::{Format, OpKind, Operand, Operation};
/// // softmax over the scores of 12 heads
/// let scores = Operand::activation([8, 12, 128, 128], Format::F32);
/// let op = Operation::new(OpKind::Softmax, &[scores], scores);
/// assert_eq!(op.output.shape.elements(), 1_572_864);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "stored::Stored")]
pub struct Operation {
    /// The kind of computation.
    pub kind: OpKind,
    /// The tensors that are read, parameters last (`[x, weight, bias]`).
    pub inputs: Vec<Operand>,
    /// The result.
    pub output: Operand,
    /// Element-wise operations in the same kernel: the activation of a product, the sum before a norm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fused: Vec<OpKind>,
    /// Pairs of a query and a key that each head of an attention computes: all, or those that a causal mask or a window leaves; 0 for
    /// other kinds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pairs: u64,
    /// Numbers of a [`GroupedLinear`](OpKind::GroupedLinear)'s weight that are read: those of the experts that some row is sent to; 0 for
    /// other kinds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub touched: u64,
    /// GPUs that exchange their tensors; 0 for an operation of one GPU.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u64,
    /// True for the gradient of the operation, where that is an operation of its own: of its inputs the last is the gradient of its result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gradient: bool,
    /// True for arithmetic on sizes that runs on the host and launches nothing (GPT-2's `ns - nd`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_host: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Operation {
    /// An operation of one GPU.
    ///
    /// An attention computes all pairs of its queries and keys, and a product by experts' weights reads all of them. Set
    /// [`pairs`](Self::pairs) where a mask hides some, and [`touched`](Self::touched) where no row is sent to some experts.
    pub fn new(kind: OpKind, inputs: &[Operand], output: Operand) -> Self {
        let shape = |place: usize| inputs.get(place).map(|operand| operand.shape);
        let tokens =
            |place| shape(place).and_then(|shape| shape.dims().iter().nth_back(1).copied()).unwrap_or(0) as u64;
        let pairs = if kind == OpKind::Attention { tokens(0).saturating_mul(tokens(1)) } else { 0 };
        let weight = shape(1).filter(|_| kind == OpKind::GroupedLinear);
        let touched = weight.map_or(0, |weight| weight.elements());
        let (inputs, fused) = (inputs.to_vec(), Vec::new());
        Self { kind, inputs, output, fused, pairs, touched, gpus: 0, is_gradient: false, on_host: false }
    }

    /// An exchange between GPUs: an all reduce, an all gather, an all to all, or a tensor that is sent and received. `gpus` take part, two
    /// in the last; each gives an input like this one, and gets an output like this one.
    ///
    /// ```
    /// use irene_tree::{Format, OpKind, Operand, Operation};
    /// // the sums of 4 GPUs' parts of 8 tokens
    /// let part = Operand::activation([8, 4096], Format::BF16);
    /// assert_eq!(Operation::exchange(OpKind::AllReduce, 4, part, part).gpus, 4);
    /// ```
    pub fn exchange(kind: OpKind, gpus: u64, input: Operand, output: Operand) -> Self {
        Self { gpus, ..Self::new(kind, &[input], output) }
    }

    /// Arithmetic on one 64-bit integer on the host.
    pub fn on_host(kind: OpKind) -> Self {
        Self { on_host: true, ..Self::new(kind, &[], Operand::activation(Shape::default(), Format::I64)) }
    }

    /// The name of what it computes: of its kind, or of the kind's gradient.
    pub fn name(&self) -> &'static str {
        if self.is_gradient { self.kind.gradient_name() } else { self.kind.name() }
    }

    /// The same operation in one kernel with these element-wise ones.
    pub fn fused_with(self, others: &[OpKind]) -> Self {
        Self { fused: others.to_vec(), ..self }
    }

    /// The same operation in the one kernel that engines have for it: a product adds its own bias, an RMS norm scales its own result.
    pub fn in_one_kernel(self) -> Self {
        let within = match self.kind {
            OpKind::Linear | OpKind::Conv1D if self.has_bias() => OpKind::Add,
            OpKind::RmsNorm => OpKind::Mul,
            _ => return self,
        };
        if self.fused.is_empty() { self.fused_with(&[within]) } else { self }
    }

    /// Whether a product adds a vector to its result.
    pub fn has_bias(&self) -> bool {
        let last = self.inputs.last();
        self.inputs.len() > 2 && last.is_some_and(|last| last.shape.rank() == 1)
    }

    /// The same operation without parameter ids: equal for all operations that cost the same.
    pub fn without_identities(mut self) -> Self {
        for operand in &mut self.inputs {
            if let Role::Parameter(id) = &mut operand.role {
                *id = None;
            }
        }
        self
    }

    /// The parameters among the operands: the id of each, and its count of numbers.
    pub fn parameters(&self) -> impl Iterator<Item = (Option<ParameterId>, u64)> {
        self.inputs.iter().filter_map(|operand| match operand.role {
            Role::Parameter(id) => Some((id, operand.shape.elements())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attention_has_all_its_pairs_and_a_product_by_experts_reads_all_of_them() {
        let of = |shape: &[usize]| Operand::activation(Shape::new(shape).unwrap(), Format::BF16);
        let (query, key) = (of(&[2, 32, 5, 128]), of(&[2, 8, 7, 128]));
        let attention = Operation::new(OpKind::Attention, &[query, key, key], query);
        assert_eq!((attention.pairs, attention.touched, attention.gpus), (5 * 7, 0, 0));
        let experts = Operand::parameter([16, 48, 32], Format::BF16);
        let grouped = Operation::new(OpKind::GroupedLinear, &[of(&[100, 32]), experts], of(&[100, 48]));
        assert_eq!((grouped.pairs, grouped.touched), (0, 16 * 48 * 32));
        // Shapes that are not theirs count as nothing.
        assert_eq!(Operation::new(OpKind::Attention, &[of(&[4])], of(&[4])).pairs, 0);
        assert_eq!(Operation::new(OpKind::GroupedLinear, &[of(&[4])], of(&[4])).touched, 0);
        let product = Operation::new(OpKind::MatMul, &[query, key], query);
        assert_eq!((product.pairs, product.touched), (0, 0));
    }
}
