use std::borrow::Cow;

use irene_tree::{Format, Level, OpKind, Operand, Operation, Role, Shape};

use super::{Cx, Label};
use crate::{
    Result, Tensor,
    layers::WeightAlone,
    tensor::{Binary, Scalar, Transform, Unary},
};

/// MatMul and Softmax are primitives of IrEne's, and so are operations with as much work; the others are single operations of the
/// module that runs them.
pub(crate) fn label_of(kind: OpKind) -> Label {
    let (name, level) = match kind {
        OpKind::MatMul => ("matmul", Level::Ml),
        OpKind::Softmax => ("softmax", Level::Ml),
        OpKind::Unfold => ("unfold", Level::Ml),
        // The one primitive in the module of xIELU.
        OpKind::Expm1 => ("expm1", Level::Ml),
        OpKind::Dft => ("dft", Level::Ml),
        OpKind::Dct => ("dct", Level::Ml),
        OpKind::Attention => ("attention", Level::Ml),
        OpKind::CacheWrite => ("cache_write", Level::Ml),
        OpKind::Linear => ("linear", Level::Ml),
        OpKind::GroupedLinear => ("grouped_linear", Level::Ml),
        OpKind::AllReduce => ("all_reduce", Level::Ml),
        OpKind::AllGather => ("all_gather", Level::Ml),
        OpKind::SendRecv => ("send_recv", Level::Ml),
        OpKind::AllToAll => ("all_to_all", Level::Ml),
        OpKind::Dropout => ("dropout", Level::Math),
        other => (other.name(), Level::Math),
    };
    Label { name: Cow::Borrowed(name), instance_type: kind.name(), level }
}

/// The operations that a module may run itself. Each is a node of the trace.
///
/// Views (transpose, reshape, narrow) move nothing and launch nothing; they are no nodes. A reshape of a tensor that is not
/// contiguous is an error: call [`contiguous`](Self::contiguous) first, so that the copy is in the trace.
///
/// # Errors
/// Every operation gives [`Error::Shape`](crate::Error::Shape) for operands that do not fit together, and the errors of candle and
/// the visitor.
impl Cx<'_> {
    /// Batched matrix product (.., m, n)(.., n, p).
    #[inline]
    pub fn matmul(&mut self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.traced(OpKind::MatMul, &[x, y], || x.matmul(y))
    }

    /// Matrix product (.., n)(n, p) with a parameter of the module's own.
    #[inline]
    pub fn matmul_parameter(&mut self, x: &Tensor, parameter: &Tensor) -> Result<Tensor> {
        self.traced(OpKind::MatMul, &[x, parameter], || x.matmul_matrix(parameter))
    }

    /// The product of a module's own weight.
    pub(crate) fn linear(&mut self, x: &Tensor, weight: &WeightAlone) -> Result<Tensor> {
        self.operate(|| label_of(OpKind::Linear), &[x], || weight.product(x), |output| weight.operation(x, output))
    }

    /// The same numbers in 32 bits, where they have fewer.
    #[inline]
    pub fn cast_up(&mut self, x: &Tensor) -> Result<Tensor> {
        if x.format().bytes(1) < Format::F32.bytes(1) { self.cast(x, Format::F32) } else { Ok(x.clone()) }
    }

    /// x, but no less than `least` and no more than `greatest`.
    #[inline]
    pub fn clamp(&mut self, x: &Tensor, least: f64, greatest: f64) -> Result<Tensor> {
        self.unary(x, Unary::Clamp(least, greatest))
    }

    /// In training, numbers set to zero with this probability and the others scaled up by as much; outside training, or with a
    /// probability of 0, x as it is, which is no node.
    pub fn dropout(&mut self, x: &Tensor, probability: f64) -> Result<Tensor> {
        if !self.is_training() || probability == 0.0 {
            return Ok(x.clone());
        }
        self.traced(OpKind::Dropout, &[x], || x.dropped(probability))
    }

    /// An operation that is followed by shape alone.
    pub(crate) fn follow(&mut self, operation: Operation, inputs: &[&Tensor]) -> Result<Tensor> {
        let output = operation.output;
        let run = || Ok(Tensor::of_shape(output.shape, output.format));
        self.operate(|| label_of(operation.kind), inputs, run, |_| operation.clone())
    }

    /// Enters a table that the module has and does not look up: its parameters count, and nothing runs.
    pub fn unused_table(&mut self, name: &'static str, table: &Tensor) -> Result<()> {
        let label = || Label { name: Cow::Borrowed(name), instance_type: OpKind::Embedding.name(), level: Level::Math };
        let operation = || {
            let nothing = Operand::new([0], table.format(), Role::Activation);
            let inputs = vec![Operand::ids([0]), table.operand()];
            Operation { inputs, output: nothing, ..Operation::on_host(OpKind::Embedding) }
        };
        self.on_host(label, operation)
    }

    /// The real part of the discrete Fourier transform, unscaled, over the last two dimensions of (batch, rows, columns).
    #[inline]
    pub fn dft(&mut self, x: &Tensor) -> Result<Tensor> {
        self.traced(OpKind::Dft, &[x], || x.transform(Transform::Fourier))
    }

    /// The discrete cosine transform (DCT-II, unscaled: twice the sums) over the last two dimensions of (batch, rows, columns).
    #[inline]
    pub fn dct(&mut self, x: &Tensor) -> Result<Tensor> {
        self.traced(OpKind::Dct, &[x], || x.transform(Transform::Cosine))
    }

    /// For each place of (batch, channels, sequence) the window of `kernel` places around it, zeros beyond the ends: (batch,
    /// channels x kernel, sequence).
    #[inline]
    pub fn unfold(&mut self, x: &Tensor, kernel: usize) -> Result<Tensor> {
        self.traced(OpKind::Unfold, &[x], || x.unfold(kernel))
    }

    /// Tensors of one shape beside each other along a new dimension.
    #[inline]
    pub fn stack(&mut self, tensors: &[&Tensor], dim: usize) -> Result<Tensor> {
        self.traced(OpKind::Concat, tensors, || Tensor::stack(tensors, dim))
    }

    /// Zeros of this shape, of the type and on the device of a tensor.
    #[inline]
    pub fn zeros(&mut self, beside: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        self.traced(OpKind::Fill, &[], || beside.zeros(shape))
    }

    /// The same elements without gaps: a copy if there are any, nothing otherwise.
    #[inline]
    pub fn contiguous(&mut self, x: &Tensor) -> Result<Tensor> {
        if x.layout().is_contiguous() { Ok(x.clone()) } else { self.unary(x, Unary::Copy) }
    }

    /// Sum; dimensions of 1 stretch.
    #[inline]
    pub fn add(&mut self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.binary(x, Binary::Add, y)
    }

    /// Difference; dimensions of 1 stretch.
    #[inline]
    pub fn sub(&mut self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.binary(x, Binary::Sub, y)
    }

    /// Product element by element; dimensions of 1 stretch.
    #[inline]
    pub fn mul(&mut self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.binary(x, Binary::Mul, y)
    }

    /// Quotient element by element; dimensions of 1 stretch.
    #[inline]
    pub fn div(&mut self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.binary(x, Binary::Div, y)
    }

    /// Two tensors one behind the other along a dimension, contiguous.
    #[inline]
    pub fn join(&mut self, x: &Tensor, y: &Tensor, dim: usize) -> Result<Tensor> {
        self.traced(OpKind::Concat, &[x, y], || x.concat(y, dim))
    }

    /// x + number.
    #[inline]
    pub fn add_scalar(&mut self, x: &Tensor, number: f64) -> Result<Tensor> {
        self.scalar(x, Scalar::Add(number))
    }

    /// number - x.
    #[inline]
    pub fn rsub_scalar(&mut self, number: f64, x: &Tensor) -> Result<Tensor> {
        self.scalar(x, Scalar::Rsub(number))
    }

    /// x · number.
    #[inline]
    pub fn mul_scalar(&mut self, x: &Tensor, number: f64) -> Result<Tensor> {
        self.scalar(x, Scalar::Mul(number))
    }

    /// x / number.
    #[inline]
    pub fn div_scalar(&mut self, x: &Tensor, number: f64) -> Result<Tensor> {
        self.scalar(x, Scalar::Div(number))
    }

    /// x where the mask is not zero, the number elsewhere; the mask stretches.
    #[inline]
    pub fn where_mask(&mut self, mask: &Tensor, x: &Tensor, otherwise: f64) -> Result<Tensor> {
        self.traced(OpKind::Where, &[x, mask], || x.where_mask(mask, otherwise))
    }

    /// Stretched along dimensions of 1, as a view.
    #[inline]
    pub fn expand(&mut self, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        x.expand(shape.into())
    }

    /// Two dimensions exchanged, as a view.
    #[inline]
    pub fn transpose(&mut self, x: &Tensor, first: usize, second: usize) -> Result<Tensor> {
        x.transpose(first, second)
    }

    /// The elements of a contiguous tensor in another shape, as a view.
    #[inline]
    pub fn reshape(&mut self, x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
        x.reshape(shape.into())
    }

    /// `len` places from `start` along a dimension, as a view.
    #[inline]
    pub fn narrow(&mut self, x: &Tensor, dim: usize, start: usize, len: usize) -> Result<Tensor> {
        x.narrow(dim, start, len)
    }

    /// The place `index` of a dimension, as a view without that dimension.
    #[inline]
    pub fn select(&mut self, x: &Tensor, dim: usize, index: usize) -> Result<Tensor> {
        x.narrow(dim, index, 1)?.squeeze(dim)
    }

    /// Difference of two sizes, as a 64-bit integer on the host.
    ///
    /// # Errors
    /// The visitor's error.
    pub fn sub_sizes(&mut self, x: usize, y: usize) -> Result<usize> {
        self.on_host(|| label_of(OpKind::Sub), || Operation::on_host(OpKind::Sub))?;
        Ok(x.saturating_sub(y))
    }

    /// Product of two sizes, as a 64-bit integer on the host.
    ///
    /// # Errors
    /// The visitor's error.
    pub fn mul_sizes(&mut self, x: usize, y: usize) -> Result<usize> {
        self.on_host(|| label_of(OpKind::Mul), || Operation::on_host(OpKind::Mul))?;
        Ok(x.saturating_mul(y))
    }

    /// Sum of two sizes, as a 64-bit integer on the host.
    ///
    /// # Errors
    /// The visitor's error.
    pub fn add_sizes(&mut self, x: usize, y: usize) -> Result<usize> {
        self.on_host(|| label_of(OpKind::Add), || Operation::on_host(OpKind::Add))?;
        Ok(x.saturating_add(y))
    }

    #[inline]
    pub(super) fn unary(&mut self, x: &Tensor, op: Unary) -> Result<Tensor> {
        self.traced(op.kind(), &[x], || x.unary(op))
    }

    #[inline]
    fn binary(&mut self, x: &Tensor, op: Binary, y: &Tensor) -> Result<Tensor> {
        self.traced(op.kind(), &[x, y], || x.binary(op, y))
    }

    #[inline]
    fn scalar(&mut self, x: &Tensor, op: Scalar) -> Result<Tensor> {
        self.traced(op.kind(), &[x], || x.scalar(op))
    }

    #[inline]
    pub(super) fn traced(
        &mut self,
        kind: OpKind,
        inputs: &[&Tensor],
        run: impl Fn() -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.operate(
            || label_of(kind),
            inputs,
            run,
            |output| {
                let operands: Vec<Operand> = inputs.iter().map(|x| x.operand()).collect();
                Operation::new(kind, &operands, output.operand())
            },
        )
    }
}
