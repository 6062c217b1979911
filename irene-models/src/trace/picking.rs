use irene_tree::{OpKind, Operand, Operation};

use super::{Cx, operations::label_of};
use crate::{Result, Tensor, tensor::Unary};

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// The numbers of each row at its places (rows, count), in every matrix of (batch, heads, rows, columns).
    pub fn pick_columns(&mut self, x: &Tensor, places: &Tensor) -> Result<Tensor> {
        self.picked(x, places, || x.picked_columns(places))
    }

    /// The row of each sequence (batch, tokens, width) at its place (batch).
    pub fn pick_tokens(&mut self, x: &Tensor, places: &Tensor) -> Result<Tensor> {
        self.picked(x, places, || x.picked_tokens(places))
    }

    fn picked(&mut self, x: &Tensor, places: &Tensor, run: impl Fn() -> Result<Tensor>) -> Result<Tensor> {
        let describe = |output: &Tensor| {
            // Only the numbers that are picked are read.
            let read = Operand::new(output.shape(), x.format(), x.operand().role);
            Operation::new(OpKind::Gather, &[read, places.operand()], output.operand())
        };
        self.operate(|| label_of(OpKind::Gather), &[x, places], run, describe)
    }

    /// x to a power.
    pub fn pow(&mut self, x: &Tensor, exponent: f64) -> Result<Tensor> {
        self.traced(OpKind::Pow, &[x], || x.unary(Unary::Pow(exponent)))
    }

    /// A new dimension of 1 before the others, as a view.
    pub fn unsqueeze(&mut self, x: &Tensor) -> Result<Tensor> {
        x.unsqueezed()
    }
}
