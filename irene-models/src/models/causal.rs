//! What decoders share: masks, and heads over the hidden states.

use irene_tree::Level;

use crate::{
    Batch, Config, Cx, Embedding, Label, Linear, Model, ModelOutput, Module, Padding, Result, TaskHead, Tensor,
    Tensors, Weights, labelled,
};

labelled!(WithHead<T>);

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

/// A decoder without its head.
pub(super) trait Trunk: for<'a> Module<Input<'a> = &'a Batch, Output = ModelOutput> {
    /// The table of tokens, which a language model's head is tied to.
    fn tokens(&self) -> &Embedding;
}

/// The classes of a decoder with a head, and the name of what stands below it.
pub(super) struct HeadClasses {
    pub(super) trunk: &'static str,
    pub(super) lm: &'static str,
    pub(super) classification: &'static str,
}

/// A decoder with a linear layer over all its hidden states. For classification transformers picks each sequence's last token of the
/// result, which costs nothing.
pub(super) struct WithHead<T> {
    label: Label,
    trunk: T,
    head: Linear,
}

impl<T: Trunk + 'static> WithHead<T> {
    /// The decoder that `trunk` loads, with the head that is asked for.
    pub(super) fn build(
        config: &Config,
        weights: &Weights<'_>,
        head: TaskHead,
        classes: &HeadClasses,
        trunk: impl FnOnce(&Weights<'_>, Level) -> Result<T>,
    ) -> Result<Box<dyn Model>> {
        if head == TaskHead::None {
            return Ok(Box::new(trunk(weights, Level::Model)?));
        }
        let trunk = trunk(&weights.child(classes.trunk), Level::Module)?;
        let tokens = trunk.tokens();
        let (class, head) = match head {
            TaskHead::Classification => {
                let score = Linear::load_without_bias(&weights.child("score"), tokens.width(), config.num_labels()?)?;
                (classes.classification, score)
            }
            _ if config.flag_or("tie_word_embeddings", true)? => {
                (classes.lm, Linear::tied(&weights.child("lm_head"), tokens)?)
            }
            _ => {
                let head = Linear::load_without_bias(&weights.child("lm_head"), tokens.width(), tokens.rows())?;
                (classes.lm, head)
            }
        };
        Ok(Box::new(Self { label: weights.label(class, Level::Model), trunk, head }))
    }
}

impl<T: Trunk> Module for WithHead<T> {
    type Input<'a> = &'a Batch;
    type Output = ModelOutput;

    fn forward(&self, cx: &mut Cx<'_>, batch: &Batch) -> Result<ModelOutput> {
        let output = cx.call(&self.trunk, batch)?;
        let logits = cx.call(&self.head, &output.last_hidden_state)?;
        Ok(ModelOutput { logits: Some(logits), ..output })
    }
}
