//! Layers in a row, attention heads and masks that several architectures share.

use irene_tree::{Format, Level};

use crate::{Attention, Batch, Cx, Label, Linear, Module, Result, Scaling, Tensor, Weights, labelled};

labelled!(Chain<L>);

/// Layers one after another, each on hidden states and the same second input.
pub(super) struct Chain<L> {
    label: Label,
    layers: Vec<L>,
}

impl<L> Chain<L> {
    /// Loads the elements of a list.
    pub(super) fn load(
        weights: &Weights<'_>,
        class: &'static str,
        (list, len): (&'static str, usize),
        load: impl Fn(&Weights<'_>) -> Result<L>,
    ) -> Result<Self> {
        Ok(Self { label: weights.label(class, Level::Module), layers: weights.list(list, len, load)? })
    }
}

impl<L: for<'a> Module<Input<'a> = (&'a Tensor, &'a Tensor), Output = Tensor>> Module for Chain<L> {
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, second): (&Tensor, &Tensor)) -> Result<Tensor> {
        cx.chain(&self.layers, hidden, second)
    }
}

/// Queries, keys and values of hidden states by a linear layer each, and the attention between them.
pub(super) struct SelfAttention {
    layers: [Linear; 3],
    heads: usize,
    dropout: f64,
}

impl SelfAttention {
    /// Loads the layers, which keep the width, by their names.
    pub(super) fn load(
        weights: &Weights<'_>,
        names: [&'static str; 3],
        width: usize,
        heads: usize,
        dropout: f64,
    ) -> Result<Self> {
        let [query, key, value] = names.map(|name| Linear::load(&weights.child(name), width, width));
        Ok(Self { layers: [query?, key?, value?], heads, dropout })
    }

    /// (batch, sequence, width) to the same shape; the scaling is by √width of a head.
    pub(super) fn run(
        &self,
        cx: &mut Cx<'_>,
        hidden: &Tensor,
        scaling: fn(f64) -> Scaling,
        how: Attention<'_>,
    ) -> Result<Tensor> {
        let heads = project(cx, self.layers.each_ref(), hidden, self.heads)?;
        let how = Attention { scaling: scaling(root_of_width(&heads)), dropout: self.dropout, ..how };
        let context = cx.attention(&heads, how)?;
        merge(cx, &context)
    }
}

/// Query, key and value of hidden states by a linear layer each, as views (batch, heads, sequence, width).
pub(super) fn project(cx: &mut Cx<'_>, layers: [&Linear; 3], hidden: &Tensor, heads: usize) -> Result<[Tensor; 3]> {
    // All three before the first is split, as the original code runs them.
    let [query, key, value] = layers;
    let [query, key, value] = [cx.call(query, hidden)?, cx.call(key, hidden)?, cx.call(value, hidden)?];
    Ok([split(cx, &query, heads)?, split(cx, &key, heads)?, split(cx, &value, heads)?])
}

/// (batch, sequence, heads x width) to a view (batch, heads, sequence, width).
pub(super) fn split(cx: &mut Cx<'_>, x: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, seq_len, hidden) = (x.dim(0), x.dim(1), x.dim(2));
    let x = cx.reshape(x, [batch, seq_len, heads, hidden / heads])?;
    cx.transpose(&x, 1, 2)
}

/// Query, key and value beside each other (batch, sequence, 3 x heads x width), each as a view (batch, heads, sequence, width).
pub(super) fn split_joint(cx: &mut Cx<'_>, joint: &Tensor, heads: usize) -> Result<[Tensor; 3]> {
    let (batch, seq_len, width) = (joint.dim(0), joint.dim(1), joint.dim(2) / 3 / heads);
    let joint = cx.reshape(joint, [batch, seq_len, 3, heads, width])?;
    let mut third = |place| {
        let part = cx.select(&joint, 2, place)?;
        cx.transpose(&part, 1, 2)
    };
    Ok([third(0)?, third(1)?, third(2)?])
}

/// (batch, heads, sequence, width) to (batch, sequence, heads, width), copied to lie contiguous.
pub(super) fn from_heads(cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
    let x = cx.transpose(x, 1, 2)?;
    cx.contiguous(&x)
}

/// (batch, heads, sequence, width) to (batch, sequence, heads x width).
pub(super) fn merge(cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
    let x = from_heads(cx, x)?;
    cx.reshape(&x, [x.dim(0), x.dim(1), x.dim(2) * x.dim(3)])
}

/// √width of queries (batch, heads, sequence, width), which scores are divided by.
pub(super) fn root_of_width([query, ..]: &[Tensor; 3]) -> f64 {
    (query.dim(3) as f64).sqrt()
}

/// Score of a masked key, or the number added to it, in the first models' code.
pub(super) const MASKED: f64 = -10_000.0;

/// (1 - mask) · -10000, as (batch, 1, 1, key).
pub(super) fn additive_mask(cx: &mut Cx<'_>, mask: &Tensor, format: Format) -> Result<Tensor> {
    let mask = cx.reshape(mask, [mask.dim(0), 1, 1, mask.dim(1)])?;
    let mask = cx.cast(&mask, format)?;
    let masked = cx.rsub_scalar(1.0, &mask)?;
    cx.mul_scalar(&masked, MASKED)
}

/// Numbers added to scores of padding, if the batch has a mask.
pub(super) fn padding(cx: &mut Cx<'_>, batch: &Batch, format: Format) -> Result<Option<Tensor>> {
    batch.attention_mask.as_ref().map(|mask| additive_mask(cx, mask, format)).transpose()
}

/// 1 where a query may see a key, 0 where the key comes later: (1, 1, query, key).
pub(super) fn causal_mask(batch: &Batch, format: Format) -> Result<Tensor> {
    let size = batch.size();
    batch.buffer([1, 1, size.new, size.keys()], format, |query, key| i64::from(key <= size.past + query))
}
