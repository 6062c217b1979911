//! The operations themselves, in both forms. Only [`Cx`](crate::Cx) calls them.

// Numbers that decide results and not shapes are for candle alone.
#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::{DType, OpKind, Shape};

#[cfg(feature = "candle")]
use super::on_candle;
use super::{Form, Tensor, layout};
use crate::{Result, Scores};

/// Operations of one tensor, element by element or along the last dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Softmax,
    Tanh,
    /// The erf form.
    Gelu,
    Relu,
    Silu,
    Sigmoid,
    Pow(f64),
    NotEqual(i64),
    CumSum,
    Cast(DType),
    Copy,
}

impl Unary {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Softmax => OpKind::Softmax,
            Self::Tanh => OpKind::Tanh,
            Self::Gelu => OpKind::Gelu,
            Self::Relu => OpKind::Relu,
            Self::Silu => OpKind::Silu,
            Self::Sigmoid => OpKind::Sigmoid,
            Self::Pow(_) => OpKind::Pow,
            Self::NotEqual(_) => OpKind::Compare,
            Self::CumSum => OpKind::CumSum,
            Self::Cast(_) => OpKind::Cast,
            Self::Copy => OpKind::Copy,
        }
    }

    fn dtype(self, of: DType) -> DType {
        match self {
            Self::Cast(to) => to,
            Self::NotEqual(_) => DType::U8,
            _ => of,
        }
    }
}

/// What follows a linear layer's bias in the same pass, where operations may run as one.
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
    Mul,
}

impl Binary {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Add => OpKind::Add,
            Self::Mul => OpKind::Mul,
        }
    }
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
}

impl Scalar {
    /// The factor and the term that make it x · factor + term.
    #[cfg(feature = "candle")]
    pub(super) fn as_affine(self) -> (f64, f64) {
        match self {
            Self::Add(value) => (1.0, value),
            Self::Rsub(value) => (-1.0, value),
            Self::Mul(value) => (value, 0.0),
            Self::Div(value) => (1.0 / value, 0.0),
        }
    }
}

/// Follows the operation by shape, or runs it on candle if every operand is candle's.
macro_rules! in_form {
    ([$($tensor:ident),+] $shape:expr, $dtype:expr, candle: $run:expr) => {
        match ($(&$tensor.0),+,) {
            #[cfg(feature = "candle")]
            ($(Form::Candle($tensor)),+,) => Ok(Tensor(Form::Candle($run))),
            _ => Ok(Tensor::of_shape($shape, $dtype)),
        }
    };
}

/// The same elements under another layout; nothing is moved.
macro_rules! viewed {
    ($tensor:ident, $layout:ident => $followed:expr, candle: $x:ident => $run:expr) => {{
        let $layout = $tensor.layout();
        let followed = $followed?;
        match &$tensor.0 {
            Form::Shape(_, dtype) => Ok(Tensor(Form::Shape(followed, *dtype))),
            #[cfg(feature = "candle")]
            Form::Candle($x) => Ok(Tensor(Form::Candle($run?))),
        }
    }};
}

impl Tensor {
    pub(crate) fn unary(&self, op: Unary) -> Result<Self> {
        let x = self;
        in_form!([x] self.shape(), op.dtype(self.dtype()), candle: on_candle::unary(x, op)?)
    }

    pub(crate) fn binary(&self, op: Binary, other: &Self) -> Result<Self> {
        let (x, y) = (self, other);
        in_form!([x, y]
            layout::broadcast(op.kind().name(), self.shape(), other.shape())?, self.dtype(),
            candle: on_candle::binary(x, op, y)?)
    }

    pub(crate) fn scalar(&self, op: Scalar) -> Result<Self> {
        let x = self;
        in_form!([x] self.shape(), self.dtype(), candle: on_candle::scalar(x, op)?)
    }

    pub(crate) fn matmul(&self, other: &Self) -> Result<Self> {
        let (x, y) = (self, other);
        in_form!([x, y] layout::product(self.shape(), other.shape())?, self.dtype(), candle: on_candle::matmul(x, y)?)
    }

    /// `self` where the mask is not zero, the number elsewhere; the mask stretches.
    pub(crate) fn where_mask(&self, mask: &Self, otherwise: f64) -> Result<Self> {
        let x = self;
        in_form!([x, mask]
            layout::broadcast("where", self.shape(), mask.shape())?, self.dtype(),
            candle: on_candle::where_mask(x, mask, otherwise)?)
    }

    pub(crate) fn layer_norm(&self, weight: &Self, bias: &Self, eps: f64) -> Result<Self> {
        let x = self;
        in_form!([x, weight, bias]
            layout::mapped("layer_norm", self.shape(), weight.dim(0), weight.dim(0))?, self.dtype(),
            candle: on_candle::layer_norm(x, weight, bias, eps)?)
    }

    /// The layer norm of a sum in one pass, where there is one.
    pub(crate) fn add_norm(&self, residual: &Self, weight: &Self, bias: &Self, eps: f64) -> Option<Result<Self>> {
        match (&self.0, &residual.0, &weight.0, &bias.0) {
            #[cfg(feature = "candle")]
            (Form::Candle(x), Form::Candle(residual), Form::Candle(weight), Form::Candle(bias)) => {
                let sum = on_candle::add_norm(x, residual, weight, bias, eps)?;
                Some(sum.map(|out| Self(Form::Candle(out))).map_err(Into::into))
            }
            _ => None,
        }
    }

    /// The attention of query, key and value (batch, heads, sequence, width) as one operation, where there is one.
    pub(crate) fn attention([query, key, value]: [&Self; 3], scores: Scores<'_>) -> Option<Result<Self>> {
        match (&query.0, &key.0, &value.0) {
            #[cfg(feature = "candle")]
            (Form::Candle(query), Form::Candle(key), Form::Candle(value)) => {
                let context = on_candle::attention([query, key, value], scores)?;
                Some(context.map(|out| Self(Form::Candle(out))).map_err(Into::into))
            }
            _ => None,
        }
    }

    /// The rows of a table (`self`) at these ids.
    pub(crate) fn rows(&self, ids: &Self) -> Result<Self> {
        let table = self;
        in_form!([table, ids] {
            let (outer, width) = (ids.shape(), self.dim(1));
            let dims = [outer.dims(), &[width]].concat();
            Shape::new(&dims).ok_or_else(|| layout::mismatch("embedding", format!("ids of shape {outer}")))?
        }, self.dtype(), candle: on_candle::rows(table, ids)?)
    }

    pub(crate) fn transpose(&self, first: usize, second: usize) -> Result<Self> {
        viewed!(self, layout => layout.transposed(first, second), candle: x => x.transpose(first, second))
    }

    pub(crate) fn reshape(&self, shape: Shape) -> Result<Self> {
        viewed!(self, layout => layout.reshaped(shape), candle: x => x.reshape(shape.dims()))
    }

    pub(crate) fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        viewed!(self, layout => layout.narrowed(dim, start, len), candle: x => x.narrow(dim, start, len))
    }

    pub(crate) fn squeeze(&self, dim: usize) -> Result<Self> {
        viewed!(self, layout => layout.squeezed(dim), candle: x => x.squeeze(dim))
    }
}
