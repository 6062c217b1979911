use irene_tree::Level;

use crate::{
    Activation, Config, Cx, Embedding, Label, LayerNorm, Linear, Module, Result, Tensor, Weights, labelled,
    models::task_head::{Transform, Transforming, decoder},
};

labelled!(OnlyMlmHead<P>, LmPredictionHead);

/// The masked language model's head, in transformers' modules.
pub(in crate::models) struct OnlyMlmHead<P = LmPredictionHead> {
    pub(in crate::models) label: Label,
    pub(in crate::models) predictions: P,
}

pub(in crate::models) struct LmPredictionHead {
    label: Label,
    transform: Transform,
    decoder: Linear,
}

/// The head's classes in transformers, and the name of its norm.
pub(in crate::models) struct MlmClasses {
    pub(in crate::models) head: &'static str,
    pub(in crate::models) predictions: &'static str,
    pub(in crate::models) transform: &'static str,
    pub(in crate::models) norm: &'static str,
}

/// The transform's widths, activation and eps.
pub(in crate::models) struct MlmSizes {
    pub(in crate::models) hidden: usize,
    pub(in crate::models) width: usize,
    pub(in crate::models) activation: Activation,
    pub(in crate::models) eps: f64,
}

impl OnlyMlmHead {
    pub(in crate::models) fn load(
        config: &Config,
        weights: &Weights<'_>,
        classes: &MlmClasses,
        sizes: &MlmSizes,
        tokens: &Embedding,
    ) -> Result<Self> {
        let below = weights.child("predictions");
        let transform = below.child("transform");
        let layers = Transforming {
            dense: Linear::load(&transform.child("dense"), sizes.hidden, sizes.width)?,
            activation: sizes.activation,
            norm: LayerNorm::load(&transform.child(classes.norm), sizes.width, sizes.eps)?,
        };
        let bias = Some(below.parameter("bias", [tokens.rows()])?);
        let predictions = LmPredictionHead {
            label: below.label(classes.predictions, Level::Module),
            transform: Transform::new(transform.label(classes.transform, Level::Module), layers),
            decoder: decoder(config, &below.child("decoder"), tokens, bias)?,
        };
        Ok(Self { label: weights.label(classes.head, Level::Module), predictions })
    }
}

impl<P: for<'a> Module<Input<'a> = &'a Tensor, Output = Tensor>> Module for OnlyMlmHead<P> {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        cx.call(&self.predictions, hidden)
    }
}

impl Module for LmPredictionHead {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let transformed = cx.call(&self.transform, hidden)?;
        cx.call(&self.decoder, &transformed)
    }
}
