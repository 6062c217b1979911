//! Masks and heads, as decoders share them.

use super::task_head::{HeadLayers, OverAll, decoder};
use crate::Embedding;
use crate::{Config, Linear, Padding, Result, TaskHead, Tensor, Tensors, Weights};

/// What a query may see.
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

/// A linear layer over all hidden states, for either task.
pub(super) fn head(
    config: &Config,
    weights: &Weights<'_>,
    head: TaskHead,
    tokens: &Embedding,
) -> Result<Box<dyn HeadLayers>> {
    Ok(Box::new(OverAll(if head == TaskHead::Classification {
        Linear::load_with(&weights.child("score"), [tokens.width(), config.num_labels()?], None)?
    } else {
        decoder(config, &weights.child("lm_head"), tokens, None)?
    })))
}
