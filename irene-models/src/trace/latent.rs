use irene_tree::{OpKind, Operand, Operation};

use super::{Attention, Cx, KeyValue, Label, operations::label_of};
use crate::{Result, Tensor};

/// A weight (heads, outputs, inputs) of a product of each head with its own matrix, of which each product reads a part of the outputs.
#[derive(Clone, Debug)]
pub(crate) struct HeadWeight(pub(crate) Tensor);

/// The part of a [`HeadWeight`] that a product reads, from an output on, and its direction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// x W: from the outputs to the inputs.
    Back { start: usize, len: usize },
    /// x Wᵀ: from the inputs to the outputs.
    Forth { start: usize, len: usize },
}

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// The product of each head of (batch, heads, tokens, width) with its own matrix.
    pub(crate) fn product_by_head(
        &mut self,
        name: &'static str,
        x: &Tensor,
        weight: &HeadWeight,
        part: Part,
    ) -> Result<Tensor> {
        let label = || Label { name: name.into(), ..label_of(OpKind::GroupedLinear) };
        let (Part::Back { len, .. } | Part::Forth { len, .. }) = part;
        let describe = |output: &Tensor| {
            let touched = (weight.0.dim(0) * len * weight.0.dim(2)) as u64;
            Operation {
                touched,
                ..Operation::new(OpKind::GroupedLinear, &[x.operand(), weight.0.operand()], output.operand())
            }
        };
        self.operate(label, &[x], || x.product_by_head(&weight.0, part), describe)
    }

    /// Attention over latent vectors (batch, 1, keys, rank) that are keys and values of every head at once, with the rotated part of the
    /// keys (batch, 1, keys, rotated) beside them: one kernel, which reads both once, where keys were chosen those of some query's choice
    /// alone. Queries are (batch, heads, tokens, rank + rotated).
    pub(crate) fn latent_attention(&mut self, query: &Tensor, cached: &KeyValue, how: Attention<'_>) -> Result<Tensor> {
        let (latent, rotated) = (&cached.key, &cached.value);
        let run = || {
            let key = latent.concat(rotated, 3)?;
            Cx::silent().attention(&[query.clone(), key, latent.clone()], how)
        };
        let (queries, keys) = (query.dim(2), latent.dim(2));
        let read = how.chosen.map_or(keys, |places| keys.min(queries.saturating_mul(places.dim(1))));
        let given: Vec<&Tensor> = [query, rotated, latent].into_iter().chain(how.chosen).collect();
        let describe = |output: &Tensor| {
            let of_read = |x: &Tensor| Operand { shape: [x.dim(0), x.dim(1), read, x.dim(3)].into(), ..x.operand() };
            let places = how.chosen.map(Tensor::operand);
            let inputs: Vec<Operand> =
                [query.operand(), of_read(rotated), of_read(latent)].into_iter().chain(places).collect();
            let pairs = how.pairs(queries as u64, keys as u64);
            Operation { pairs, ..Operation::new(OpKind::Attention, &inputs, output.operand()) }
        };
        self.operate(|| label_of(OpKind::Attention), &given, run, describe)
    }
}
