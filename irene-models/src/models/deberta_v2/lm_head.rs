use irene_tree::Level;

use super::DebertaSizes;
use crate::{
    Cx, Embedding, Label, LayerNorm, Linear, Module, Result, Tensor, Weights, labelled,
    models::{bert::OnlyMlmHead, task_head::Transforming},
};

labelled!(DebertaLmPredictionHead);

pub(super) struct DebertaLmPredictionHead {
    label: Label,
    layers: Transforming,
    /// The table of tokens, (hidden, vocabulary): the product with it is no module of transformers'.
    tokens: Tensor,
    bias: Tensor,
}

/// The masked language model's head of a config whose `legacy` is false: that of DeBERTa's own code.
pub(super) fn load(
    weights: &Weights<'_>,
    sizes: &DebertaSizes,
    tokens: &Embedding,
) -> Result<OnlyMlmHead<DebertaLmPredictionHead>> {
    let (place, hidden) = (weights.child("lm_head"), sizes.bert.hidden);
    let layers = Transforming {
        dense: Linear::load(&place.child("dense"), hidden, hidden)?,
        activation: sizes.bert.activation,
        norm: LayerNorm::load(&place.child("LayerNorm"), hidden, sizes.bert.eps)?,
    };
    let predictions = DebertaLmPredictionHead {
        label: place.label("DebertaV2LMPredictionHead", Level::Module),
        layers,
        tokens: tokens.as_matrix()?,
        bias: place.parameter("bias", [tokens.rows()])?,
    };
    Ok(OnlyMlmHead { label: weights.label("DebertaV2OnlyMLMHead", Level::Module), predictions })
}

impl Module for DebertaLmPredictionHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let transformed = self.layers.run(cx, hidden)?;
        let scores = cx.matmul_parameter(&transformed, &self.tokens)?;
        cx.add(&scores, &self.bias)
    }
}
