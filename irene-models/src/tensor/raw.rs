//! The operations themselves, in both forms. Only [`Cx`](crate::Cx) calls them.

// Numbers that decide results and not shapes are for candle alone.
#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::{DType, OpKind, Shape};

use super::{Form, Tensor, layout};
#[cfg(feature = "candle")]
use super::{convolution, on_candle, transforms};
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
    Sub,
    Mul,
}

impl Binary {
    pub(crate) fn kind(self) -> OpKind {
        match self {
            Self::Add => OpKind::Add,
            Self::Sub => OpKind::Sub,
            Self::Mul => OpKind::Mul,
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

    /// The product with one matrix (n, p).
    pub(crate) fn matmul_matrix(&self, matrix: &Self) -> Result<Self> {
        let (x, y) = (self, matrix);
        in_form!([x, y]
            layout::mapped("matmul", self.shape(), matrix.dim(0), matrix.dim(1))?, self.dtype(),
            candle: on_candle::matmul_matrix(x, y)?)
    }

    pub(crate) fn transform(&self, transform: Transform) -> Result<Self> {
        let x = self;
        in_form!([x] self.shape(), self.dtype(), candle: transforms::transform(x, transform)?)
    }

    /// A convolution of each channel of (batch, channels, sequence) with a kernel of its own: weight (channels, 1, kernel).
    pub(crate) fn depthwise(&self, weight: &Self) -> Result<Self> {
        let x = self;
        in_form!([x, weight] self.shape(), self.dtype(), candle: convolution::depthwise(x, weight)?)
    }

    /// A convolution of (batch, channels, sequence) that mixes channels at each place: weight (outputs, channels, 1).
    pub(crate) fn pointwise(&self, weight: &Self) -> Result<Self> {
        let x = self;
        in_form!([x, weight] {
            let mut shape = self.shape();
            match shape.dims_mut() {
                [_, channels, _] if *channels == weight.dim(1) => *channels = weight.dim(0),
                _ => return Err(layout::mismatch("pointwise", format!("{} by {}", self.shape(), weight.shape()))),
            }
            shape
        }, self.dtype(), candle: convolution::pointwise(x, weight)?)
    }

    pub(crate) fn unfold(&self, kernel: usize) -> Result<Self> {
        let x = self;
        in_form!([x] {
            let mut shape = self.shape();
            match shape.dims_mut() {
                [_, channels, _] => *channels = channels.saturating_mul(kernel),
                _ => return Err(layout::mismatch("unfold", format!("{shape}"))),
            }
            shape
        }, self.dtype(), candle: convolution::unfold(x, kernel)?)
    }

    pub(crate) fn zeros(&self, shape: Shape) -> Result<Self> {
        let x = self;
        in_form!([x] shape, self.dtype(), candle: on_candle::zeros(x, shape.dims())?)
    }

    /// Tensors of one shape beside each other along a new dimension.
    pub(crate) fn stack(tensors: &[&Self], dim: usize) -> Result<Self> {
        let (shape, dtype) = tensors.first().map_or((Shape::default(), DType::F32), |x| (x.shape(), x.dtype()));
        let other = tensors.iter().map(|x| x.shape()).find(|other| *other != shape);
        let stacked = match (other, shape.dims().split_at_checked(dim)) {
            (None, Some((before, after))) => Shape::new(&[before, &[tensors.len()], after].concat()),
            _ => None,
        };
        let Some(stacked) = stacked else {
            return Err(layout::mismatch("stack", format!("{shape} and {} along {dim}", other.unwrap_or(shape))));
        };
        #[cfg(feature = "candle")]
        if let Some(tensors) = tensors.iter().map(|x| x.candle()).collect::<Option<Vec<_>>>() {
            return Ok(Self(Form::Candle(on_candle::stack(&tensors, dim)?)));
        }
        Ok(Self::of_shape(stacked, dtype))
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
