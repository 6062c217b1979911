use super::Cx;
use crate::{Activation, AffineLayer, LayerNorm, Result, Tensor};

/// What happens to the scores (batch, heads, query, key) of an attention between its products, but for the softmax.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// Scores are multiplied by this first.
    pub scale: f64,
    /// What the score of a key that comes after its query becomes, if a query may not see it.
    pub later: Option<f64>,
    /// Which keys are padding.
    pub padding: Padding<'a>,
}

/// How an attention is told of padding.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    /// There is none.
    None,
    /// Numbers (batch, 1, 1, key) that are added to the scores.
    Added(&'a Tensor),
    /// A mask (batch, key); scores become the lowest number where it is 0.
    Masked(&'a Tensor),
}

/// Sequences of operations that run as one where nobody watches and the tensors allow it. Each gives what its operations give
/// one by one, to within 1e-5.
///
/// # Errors
/// As the operations they are made of.
impl Cx<'_> {
    /// A linear layer, then an activation of its result.
    #[inline]
    pub fn call_then<L: AffineLayer>(&mut self, layer: &L, x: &Tensor, activation: Activation) -> Result<Tensor> {
        if self.fuses()
            && let Some(output) = layer.forward_then(x, activation)
        {
            return output;
        }
        let mapped = self.call(layer, x)?;
        activation.apply(self, &mapped)
    }

    /// A sum, then its layer norm.
    #[inline]
    pub fn add_norm(&mut self, x: &Tensor, residual: &Tensor, norm: &LayerNorm) -> Result<Tensor> {
        if self.fuses()
            && let Some(output) = norm.of_sum(x, residual)
        {
            return output;
        }
        let sum = self.add(x, residual)?;
        self.call(norm, &sum)
    }

    /// The attention of query, key and value, views (batch, heads, sequence, width); `one_by_one` runs its operations on
    /// contiguous copies. Gives (batch, heads, sequence, width).
    #[inline]
    pub fn attention(
        &mut self,
        [query, key, value]: &[Tensor; 3],
        scores: Scores<'_>,
        one_by_one: impl FnOnce(&mut Self, [Tensor; 3]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if self.fuses()
            && let Some(output) = Tensor::attention([query, key, value], scores)
        {
            return output;
        }
        let copies = [self.contiguous(query)?, self.contiguous(key)?, self.contiguous(value)?];
        one_by_one(self, copies)
    }
}
