use irene_tree::OpKind;

use super::Cx;
use crate::{Activation, AffineLayer, Labelled, LayerNorm, Result, Tensor};

/// Sequences of operations that are one kernel where kernels are fused and the tensors allow it. Each gives the same result as its
/// operations one by one, to within 1e-5.
///
/// # Errors
/// Those of their operations.
impl Cx<'_> {
    /// A linear layer, then an activation of its result.
    #[inline]
    pub fn call_then<L: AffineLayer>(&mut self, layer: &L, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let describe = |output: &Tensor| {
            let operation = layer.operation(x, output)?;
            Some(operation.fused_with(&[&[OpKind::Add], activation.kinds()].concat()))
        };
        let run = || layer.forward_then(x, activation);
        if let Some(output) = self.fused(|| layer.label().clone(), &[x], run, describe) {
            return output;
        }
        let mapped = self.call(layer, x)?;
        activation.apply(self, &mapped)
    }

    /// A sum, then its layer norm.
    #[inline]
    pub fn add_norm(&mut self, x: &Tensor, residual: &Tensor, norm: &LayerNorm) -> Result<Tensor> {
        let describe = |output: &Tensor| Some(norm.operation_of_sum(x, residual, output));
        let run = || norm.of_sum(x, residual);
        if let Some(output) = self.fused(|| norm.label().clone(), &[x, residual], run, describe) {
            return output;
        }
        let sum = self.add(x, residual)?;
        self.call(norm, &sum)
    }
}
