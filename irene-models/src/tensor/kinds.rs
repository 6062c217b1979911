//! The kinds of operations, apart from their tensors.

use irene_tree::{Format, OpKind, Shape};

/// Operations of one tensor, element by element or along the last dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Softmax,
    Tanh,
    /// The erf form.
    Gelu,
    /// The tanh form in one operation.
    GeluTanh,
    Relu,
    Silu,
    Sigmoid,
    Erf,
    Expm1,
    Softplus,
    Neg,
    Cos,
    Sin,
    /// Over the last dimension, which becomes 1.
    Sum,
    Pow(f64),
    /// Between two numbers.
    Clamp(f64, f64),
    NotEqual(i64),
    CumSum,
    Cast(Format),
    Copy,
}

impl Unary {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Softmax => OpKind::Softmax,
            Self::Tanh => OpKind::Tanh,
            Self::Gelu | Self::GeluTanh => OpKind::Gelu,
            Self::Relu => OpKind::Relu,
            Self::Silu => OpKind::Silu,
            Self::Sigmoid => OpKind::Sigmoid,
            Self::Erf => OpKind::Erf,
            Self::Expm1 => OpKind::Expm1,
            Self::Softplus => OpKind::Softplus,
            Self::Neg => OpKind::Neg,
            Self::Cos => OpKind::Cos,
            Self::Sin => OpKind::Sin,
            Self::Sum => OpKind::Sum,
            Self::Pow(_) => OpKind::Pow,
            Self::Clamp(..) => OpKind::Clamp,
            Self::NotEqual(_) => OpKind::Compare,
            Self::CumSum => OpKind::CumSum,
            Self::Cast(_) => OpKind::Cast,
            Self::Copy => OpKind::Copy,
        }
    }

    pub(super) fn shape(self, mut of: Shape) -> Shape {
        if let (Self::Sum, Some(last)) = (self, of.dims_mut().last_mut()) {
            *last = 1;
        }
        of
    }

    pub(super) fn format(self, of: Format) -> Format {
        match self {
            Self::Cast(to) => to,
            Self::NotEqual(_) => Format::U8,
            _ => of,
        }
    }
}

/// The activation after a linear layer's bias, in the same pass where kernels are fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The erf form.
    Gelu,
    /// The tanh form.
    GeluNew,
    Relu,
}

/// Operations of two tensors, stretched to a common shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

impl Binary {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Add => OpKind::Add,
            Self::Sub => OpKind::Sub,
            Self::Mul => OpKind::Mul,
            Self::Div => OpKind::Div,
        }
    }
}

/// A transform of the last two of three dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// The real part of the discrete Fourier transform.
    Fourier,
    /// The discrete cosine transform, DCT-II.
    Cosine,
}

/// Operations of a tensor and a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Add(f64),
    /// The number minus the tensor.
    Rsub(f64),
    Mul(f64),
    Div(f64),
}

impl Scalar {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Add(_) => OpKind::Add,
            Self::Rsub(_) => OpKind::Rsub,
            Self::Mul(_) => OpKind::Mul,
            Self::Div(_) => OpKind::Div,
        }
    }

    /// The factor and the term that make it x · factor + term.
    #[cfg(feature = "candle")]
    pub(crate) fn as_affine(self) -> (f64, f64) {
        match self {
            Self::Add(value) => (1.0, value),
            Self::Rsub(value) => (-1.0, value),
            Self::Mul(value) => (value, 0.0),
            Self::Div(value) => (1.0 / value, 0.0),
        }
    }
}
