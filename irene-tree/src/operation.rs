use serde::{Deserialize, Serialize};

use crate::{DType, Shape};

/// What an [`Operation`] computes.
///
/// The kinds are those that the architectures of irene-models are made of; a cost for each is in irene-features.
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
    /// Softmax over the last dimension.
    Softmax,
    /// Convolution along the last dimension: a weight (channels out, channels in a group, kernel).
    Convolution,
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
            Self::Softmax => "Softmax",
            Self::Convolution => "Convolution",
            Self::Unfold => "Unfold",
            Self::Dft => "DFT",
            Self::Dct => "DCT",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::Relu => "relu",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Rsub => "rsub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Pow => "pow",
            Self::Where => "where",
            Self::Compare => "compare",
            Self::CumSum => "cumsum",
            Self::Cast => "cast",
            Self::Copy => "copy",
            Self::Concat => "concat",
            Self::Fill => "fill",
        }
    }
}

/// One tensor operation as its shapes tell it: everything that its cost depends on.
///
/// ```
/// use irene_tree::{DType, OpKind, Operation};
/// // softmax over the scores of 12 heads
/// let scores = [8, 12, 128, 128].into();
/// let op = Operation::new(OpKind::Softmax, &[scores], scores, DType::F32);
/// assert_eq!(op.output.elements(), 1_572_864);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// What is computed.
    pub kind: OpKind,
    /// Shapes of the tensor operands, parameters last (`[x, weight, bias]`).
    pub inputs: Vec<Shape>,
    /// Shape of the result.
    pub output: Shape,
    /// Element type of the result.
    pub dtype: DType,
    /// Numbers among the inputs that are parameters of the model.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_parameters: u64,
    /// True for arithmetic on sizes that runs on the host and launches nothing (GPT-2's `ns - nd`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_host: bool,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Operation {
    /// An operation without parameters, run on the device.
    pub fn new(kind: OpKind, inputs: &[Shape], output: Shape, dtype: DType) -> Self {
        Self { kind, inputs: inputs.to_vec(), output, dtype, num_parameters: 0, on_host: false }
    }

    /// Arithmetic on one 64-bit integer on the host.
    pub fn on_host(kind: OpKind) -> Self {
        Self { on_host: true, ..Self::new(kind, &[], Shape::default(), DType::I64) }
    }

    /// The same operation with this many parameters.
    pub fn with_parameters(self, num_parameters: u64) -> Self {
        Self { num_parameters, ..self }
    }
}
