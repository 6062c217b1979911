//! The operations themselves, in both forms. Only [`Cx`](crate::Cx) calls them.

// Numbers that decide results and not shapes are for candle alone.
#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::{Format, Shape};

use super::{Binary, Form, Scalar, Tensor, Transform, Unary, layout};
#[cfg(feature = "candle")]
use crate::candle::{autograd, convolution, operations, transforms};
use crate::{Angles, Attention, Pairing, Result};

/// Follows the operation by shape, or runs it on candle if every operand is candle's.
macro_rules! in_form {
    ($this:ident as $x:ident $(, $other:ident)*; $shape:expr, $format:expr, candle: $run:expr) => {
        match (&$this.form, $(&$other.form),*) {
            #[cfg(feature = "candle")]
            (Form::Candle($x), $(Form::Candle($other)),*) => Ok(Form::Candle($run).into()),
            #[cfg(feature = "candle")]
            _ if [$this $(, $other)*].iter().any(|tensor| tensor.is_in_blocks()) => Err(in_blocks()),
            _ => Ok(Tensor::of_shape($shape, $format)),
        }
    };
}

/// The same elements under another layout; nothing is moved.
macro_rules! viewed {
    ($tensor:ident, $layout:ident => $followed:expr, candle: $x:ident => $run:expr) => {{
        let $layout = $tensor.layout();
        let followed = $followed?;
        let form = match &$tensor.form {
            Form::Shape(_, format) => Form::Shape(followed, *format),
            #[cfg(feature = "candle")]
            Form::Candle($x) => Form::Candle($run?),
            #[cfg(feature = "candle")]
            Form::Blocks(..) => return Err(in_blocks()),
        };
        Ok(Tensor { form, role: $tensor.role, value: $tensor.value })
    }};
}

#[cfg(feature = "candle")]
fn in_blocks() -> crate::Error {
    layout::mismatch("quantised weight", "only products and look-ups take it".into())
}

impl Unary {
    /// The operation on a gate, times another tensor.
    pub(crate) fn gated(self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "candle")]
        if let (Form::Candle(gate), Form::Candle(up)) = (&gate.form, &up.form)
            && let Some(gated) = operations::gated(self, gate, up)
        {
            return Ok(Form::Candle(gated?).into());
        }
        gate.unary(self)?.binary(Binary::Mul, up)
    }
}

impl Tensor {
    pub(crate) fn unary(&self, op: Unary) -> Result<Self> {
        in_form!(self as x; op.shape(self.shape()), op.format(self.format()), candle: operations::unary(x, op)?)
    }

    /// Numbers set to zero with this probability, the others scaled up by as much.
    pub(crate) fn dropped(&self, probability: f64) -> Result<Self> {
        in_form!(self as x; self.shape(), self.format(), candle: autograd::dropped(x, probability)?)
    }

    pub(crate) fn binary(&self, op: Binary, y: &Self) -> Result<Self> {
        in_form!(self as x, y;
            layout::broadcast(op.kind().name(), self.shape(), y.shape())?, self.format(),
            candle: operations::binary(x, op, y)?)
    }

    pub(crate) fn scalar(&self, op: Scalar) -> Result<Self> {
        in_form!(self as x; self.shape(), self.format(), candle: operations::scalar(x, op)?)
    }

    pub(crate) fn matmul(&self, y: &Self) -> Result<Self> {
        in_form!(self as x, y; layout::product(self.shape(), y.shape())?, self.format(), candle: operations::matmul(x, y)?)
    }

    /// The product with one matrix (n, p).
    pub(crate) fn matmul_matrix(&self, matrix: &Self) -> Result<Self> {
        in_form!(self as x, matrix;
            layout::mapped("matmul", self.shape(), matrix.dim(0), matrix.dim(1))?, self.format(),
            candle: operations::matmul_matrix(x, matrix)?)
    }

    pub(crate) fn transform(&self, transform: Transform) -> Result<Self> {
        in_form!(self as x; self.shape(), self.format(), candle: transforms::transform(x, transform)?)
    }

    /// A convolution of each channel of (batch, channels, sequence) with a kernel of its own: weight (channels, 1, kernel).
    pub(crate) fn depthwise(&self, weight: &Self) -> Result<Self> {
        in_form!(self as x, weight; self.shape(), self.format(), candle: convolution::depthwise(x, weight)?)
    }

    /// A convolution of (batch, channels, sequence) in groups of channels: weight (channels, channels in a group, kernel).
    pub(crate) fn convolved(&self, weight: &Self) -> Result<Self> {
        in_form!(self as x, weight; self.shape(), self.format(), candle: convolution::grouped(x, weight)?)
    }

    /// A convolution of (batch, channels, sequence) that mixes channels at each place: weight (outputs, channels, 1).
    pub(crate) fn pointwise(&self, weight: &Self) -> Result<Self> {
        in_form!(self as x, weight; {
            let mut shape = self.shape();
            match shape.dims_mut() {
                [_, channels, _] if *channels == weight.dim(1) => *channels = weight.dim(0),
                _ => return Err(layout::mismatch("pointwise", format!("{} by {}", self.shape(), weight.shape()))),
            }
            shape
        }, self.format(), candle: convolution::pointwise(x, weight)?)
    }

    pub(crate) fn unfold(&self, kernel: usize) -> Result<Self> {
        in_form!(self as x; {
            let mut shape = self.shape();
            match shape.dims_mut() {
                [_, channels, _] => *channels = channels.saturating_mul(kernel),
                _ => return Err(layout::mismatch("unfold", format!("{shape}"))),
            }
            shape
        }, self.format(), candle: convolution::unfold(x, kernel)?)
    }

    pub(crate) fn zeros(&self, shape: Shape) -> Result<Self> {
        in_form!(self as x; shape, self.format(), candle: operations::zeros(x, shape.dims())?)
    }

    /// Tensors of one shape beside each other along a new dimension.
    pub(crate) fn stack(tensors: &[&Self], dim: usize) -> Result<Self> {
        let (shape, format) = tensors.first().map_or((Shape::default(), Format::F32), |x| (x.shape(), x.format()));
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
            return Ok(Form::Candle(operations::stack(&tensors, dim)?).into());
        }
        Ok(Self::of_shape(stacked, format))
    }

    /// `self` where the mask is not zero, the number elsewhere; the mask stretches.
    pub(crate) fn where_mask(&self, mask: &Self, otherwise: f64) -> Result<Self> {
        in_form!(self as x, mask;
            layout::broadcast("where", self.shape(), mask.shape())?, self.format(),
            candle: operations::where_mask(x, mask, otherwise)?)
    }

    pub(crate) fn layer_norm(&self, weight: &Self, bias: &Self, eps: f64) -> Result<Self> {
        in_form!(self as x, weight, bias;
            layout::mapped("layer_norm", self.shape(), weight.dim(0), weight.dim(0))?, self.format(),
            candle: operations::layer_norm(x, weight, bias, eps)?)
    }

    /// The layer norm of a sum in one pass, where there is a kernel for it.
    pub(crate) fn add_norm(&self, residual: &Self, weight: &Self, bias: &Self, eps: f64) -> Option<Result<Self>> {
        match (&self.form, &residual.form, &weight.form, &bias.form) {
            #[cfg(feature = "candle")]
            (Form::Candle(x), Form::Candle(residual), Form::Candle(weight), Form::Candle(bias)) => {
                let normed = operations::norm_of_sum([x, residual], weight, bias, eps)?;
                Some(normed.map(|out| Form::Candle(out).into()).map_err(Into::into))
            }
            _ => Some(self.binary(Binary::Add, residual)),
        }
    }

    /// The norm of a sum, and the sum: with a bias a layer norm, without one a root mean square norm.
    pub(crate) fn norm_and_sum(
        &self,
        residual: &Self,
        weight: &Self,
        bias: Option<&Self>,
        eps: f64,
    ) -> Result<(Self, Self)> {
        #[cfg(feature = "candle")]
        if let (Form::Candle(x), Form::Candle(residual), Form::Candle(weight)) =
            (&self.form, &residual.form, &weight.form)
        {
            let bias = bias.and_then(Self::candle);
            let (normed, sum) = operations::norm_and_sum([x, residual], weight, bias, eps)?;
            return Ok((Form::Candle(normed).into(), Form::Candle(sum).into()));
        }
        let sum = self.binary(Binary::Add, residual)?;
        Ok((Self::of_shape(sum.shape(), sum.format()), sum))
    }

    /// Each head of (batch, heads, tokens, width) this many times after itself, contiguous.
    pub(crate) fn repeated_heads(&self, times: usize) -> Result<Self> {
        in_form!(self as x; {
            let mut shape = self.shape();
            match shape.dims_mut() {
                [_, heads, _, _] => *heads = heads.saturating_mul(times),
                _ => return Err(layout::mismatch("repeat_heads", format!("{shape}"))),
            }
            shape
        }, self.format(), candle: operations::repeated_heads(x, times)?)
    }

    /// Beside scores (.., query, key): 1 where the query sees the key, (1, 1, query, key).
    pub(crate) fn seen_places(&self, is_causal: bool, window: Option<usize>) -> Result<Self> {
        let (queries, keys) = (self.dim(2), self.dim(3));
        in_form!(self as scores; [1, 1, queries, keys], Format::U8, candle: {
            let first = keys.saturating_sub(queries);
            let window = window.unwrap_or(usize::MAX);
            let sees = |query: usize, key: usize| (!is_causal || key <= query) && key.abs_diff(query) < window;
            let places: Vec<u8> = (first..first + queries)
                .flat_map(|query| (0..keys).map(move |key| u8::from(sees(query, key))))
                .collect();
            candle_core::Tensor::from_vec(places, (1, 1, queries, keys), scores.device())?
        })
    }

    /// The first numbers of each head rotated by their angles, contiguous.
    pub(crate) fn rotated(&self, angles: &Angles, pairing: Pairing) -> Result<Self> {
        let Angles { cos, sin } = angles;
        in_form!(self as x, cos, sin; {
            let (width, rotated) = (self.dim(3), cos.dim(3));
            if rotated > width || self.dim(2) != cos.dim(2) {
                return Err(layout::mismatch("rotary", format!("{} by angles {}", self.shape(), cos.shape())));
            }
            self.shape()
        }, self.format(), candle: operations::rotated(x, [cos, sin], pairing)?)
    }

    /// The root mean square norm over the last dimension.
    pub(crate) fn rms_norm(&self, weight: &Self, eps: f64) -> Result<Self> {
        in_form!(self as x, weight;
            layout::mapped("rms_norm", self.shape(), weight.dim(0), weight.dim(0))?, self.format(),
            candle: operations::rms_norm(x, weight, eps)?)
    }

    /// The attention of query, key and value (batch, heads, tokens, width) as one operation, where there is one: a view of memory in
    /// the order (batch, tokens, heads, width).
    pub(crate) fn attention([query, key, value]: [&Self; 3], how: Attention<'_>) -> Option<Result<Self>> {
        match (&query.form, &key.form, &value.form) {
            #[cfg(feature = "candle")]
            (Form::Candle(query), Form::Candle(key), Form::Candle(value)) => {
                let context = operations::attention([query, key, value], &how)?;
                Some(context.map(|out| Form::Candle(out).into()).map_err(Into::into))
            }
            _ => {
                let shape = [query.dim(0), query.dim(2), query.dim(1), value.dim(3)];
                Some(Self::of_shape(shape, query.format()).transpose(1, 2))
            }
        }
    }

    /// This tensor with another behind it along a dimension, contiguous.
    pub(crate) fn concat(&self, y: &Self, dim: usize) -> Result<Self> {
        in_form!(self as x, y; layout::beside(self.shape(), y.shape(), dim)?, self.format(), candle: operations::concat(x, y, dim)?)
    }

    /// The rows of a table (`self`) at these ids, as numbers of this format where the table is followed by its shape.
    pub(crate) fn rows(&self, ids: &Self, format: Format) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let (Form::Blocks(table, _), Form::Candle(ids)) = (&self.form, &ids.form) {
            let dtype = operations::candle_dtype(format).unwrap_or(candle_core::DType::F32);
            return Ok(Form::Candle(table.rows(ids, dtype)?).into());
        }
        in_form!(self as table, ids; {
            let (outer, width) = (ids.shape(), self.dim(1));
            let dims = [outer.dims(), &[width]].concat();
            Shape::new(&dims).ok_or_else(|| layout::mismatch("embedding", format!("ids of shape {outer}")))?
        }, format, candle: operations::rows(table, ids)?)
    }

    pub(crate) fn transpose(&self, first: usize, second: usize) -> Result<Self> {
        #[cfg(feature = "candle")]
        if let Form::Blocks(matrix, layout) = &self.form {
            let form = Form::Blocks(matrix.clone(), layout.transposed(first, second)?);
            return Ok(Self { form, role: self.role, value: self.value });
        }
        viewed!(self, layout => layout.transposed(first, second), candle: x => x.transpose(first, second))
    }

    pub(crate) fn reshape(&self, shape: Shape) -> Result<Self> {
        viewed!(self, layout => layout.reshaped(shape), candle: x => x.reshape(shape.dims()))
    }

    /// The same elements stretched along dimensions of 1.
    pub(crate) fn expand(&self, shape: Shape) -> Result<Self> {
        viewed!(self, layout => layout.expanded(shape), candle: x => x.broadcast_as(shape.dims()))
    }

    pub(crate) fn narrow(&self, dim: usize, start: usize, len: usize) -> Result<Self> {
        viewed!(self, layout => layout.narrowed(dim, start, len), candle: x => x.narrow(dim, start, len))
    }

    /// A new dimension of 1 before the others, as a view.
    pub(crate) fn unsqueezed(&self) -> Result<Self> {
        viewed!(self, layout => layout.unsqueezed(), candle: x => x.unsqueeze(0))
    }

    pub(crate) fn squeeze(&self, dim: usize) -> Result<Self> {
        viewed!(self, layout => layout.squeezed(dim), candle: x => x.squeeze(dim))
    }
}
