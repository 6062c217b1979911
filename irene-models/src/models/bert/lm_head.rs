use irene_tree::Level;

use super::Sizes;
use crate::{
    Config, Cx, Embedding, Label, LayerNorm, Linear, ModelOutput, Module, Result, Tensor, Weights, labelled,
    models::task_head::{HeadLayers, Transform, Transforming, decoder},
};

labelled!(BertOnlyMlmHead, BertLmPredictionHead);

/// The masked language model's head, in transformers' modules.
pub(super) struct BertOnlyMlmHead {
    label: Label,
    predictions: BertLmPredictionHead,
}

struct BertLmPredictionHead {
    label: Label,
    transform: Transform,
    decoder: Linear,
}

impl BertOnlyMlmHead {
    pub(super) fn load(config: &Config, weights: &Weights<'_>, sizes: &Sizes, tokens: &Embedding) -> Result<Self> {
        let below = weights.child("predictions");
        let transform = below.child("transform");
        let layers = Transforming {
            dense: Linear::load(&transform.child("dense"), sizes.hidden, sizes.hidden)?,
            activation: sizes.activation,
            norm: LayerNorm::load(&transform.child("LayerNorm"), sizes.hidden, sizes.eps)?,
        };
        let bias = Some(below.parameter("bias", [sizes.vocabulary])?);
        let predictions = BertLmPredictionHead {
            label: below.label("BertLMPredictionHead", Level::Module),
            transform: Transform::new(transform.label("BertPredictionHeadTransform", Level::Module), layers),
            decoder: decoder(config, &below.child("decoder"), tokens, bias)?,
        };
        Ok(Self { label: weights.label("BertOnlyMLMHead", Level::Module), predictions })
    }
}

impl Module for BertOnlyMlmHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        cx.call(&self.predictions, hidden)
    }
}

impl Module for BertLmPredictionHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let transformed = cx.call(&self.transform, hidden)?;
        cx.call(&self.decoder, &transformed)
    }
}

impl HeadLayers for BertOnlyMlmHead {
    fn logits(&self, cx: &mut Cx<'_>, output: &ModelOutput) -> Result<Tensor> {
        cx.call(self, &output.last_hidden_state)
    }
}
