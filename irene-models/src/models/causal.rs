//! Masks, the way through all blocks, and heads, which decoders share.

use super::task_head::{HeadLayers, decoder};
use crate::{
    Batch, Cache, Config, Cx, Embedding, KeyValue, Linear, Module, Padding, Past, Result, TaskHead, Tensor, Tensors,
    Weights,
};

/// The keys that a query may see.
pub(super) struct CausalMasks {
    /// 1 for keys up to the query, (1, 1, query, key).
    pub(super) causal: Tensor,
    /// Added to scores of padding, (batch, 1, 1, key), if any token is padding.
    pub(super) padding: Option<Tensor>,
}

impl CausalMasks {
    pub(super) fn padding(&self) -> Padding<'_> {
        self.padding.as_ref().map_or(Padding::None, Padding::Added)
    }
}

impl Tensors for CausalMasks {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.causal);
        self.padding.list(tensors);
    }
}

/// Hidden states, the masks, and the keys and values of earlier tokens.
pub(super) type Seen<'a> = (&'a Tensor, (&'a CausalMasks, Past<'a>));

/// The hidden states after all blocks, and the cache if one is kept.
pub(super) fn through<B>(
    cx: &mut Cx<'_>,
    blocks: &[B],
    mut hidden: Tensor,
    masks: &CausalMasks,
    batch: &Batch,
) -> Result<(Tensor, Option<Cache>)>
where
    B: for<'a> Module<Input<'a> = Seen<'a>, Output = (Tensor, Option<KeyValue>)>,
{
    let mut layers = Vec::new();
    for (place, block) in blocks.iter().enumerate() {
        let (next, kept) = cx.call(block, (&hidden, (masks, batch.past_of_layer(place))))?;
        hidden = next;
        layers.extend(kept);
    }
    Ok((hidden, batch.cache.as_ref().map(|_| Cache { layers, past: batch.size().keys(), holds_to: None })))
}

/// A linear layer over all hidden states, for either task. For classification transformers picks each sequence's last token of the
/// result, which costs nothing.
pub(super) fn head(
    config: &Config,
    weights: &Weights<'_>,
    head: TaskHead,
    tokens: &Embedding,
) -> Result<Box<dyn HeadLayers>> {
    Ok(Box::new(if head == TaskHead::Classification {
        Linear::load_with(&weights.child("score"), [tokens.width(), config.num_labels()?], None)?
    } else {
        decoder(config, &weights.child("lm_head"), tokens, None)?
    }))
}
