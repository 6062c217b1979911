use irene_tree::Level;

use super::Sizes;
use crate::{Activation, Cx, Label, LayerNorm, Linear, Module, Result, Tensor, Weights, labelled};

labelled!(BertIntermediate, ResidualOutput);

/// The feed-forward part of a BERT-like layer, at the layer's own place.
pub(in crate::models) struct FeedForward {
    intermediate: BertIntermediate,
    output: ResidualOutput,
}

impl FeedForward {
    /// Loads `intermediate` and `output`, of these classes.
    pub(in crate::models) fn load(
        layer: &Weights<'_>,
        sizes: &Sizes,
        [intermediate, output]: [&'static str; 2],
    ) -> Result<Self> {
        let widths = (sizes.intermediate, sizes.hidden);
        Ok(Self {
            intermediate: BertIntermediate::load(&layer.child("intermediate"), sizes, intermediate)?,
            output: ResidualOutput::load(&layer.child("output"), output, widths, [sizes.eps, sizes.dropout])?,
        })
    }

    /// Maps what the attention gave.
    pub(in crate::models) fn run(&self, cx: &mut Cx<'_>, attended: &Tensor) -> Result<Tensor> {
        let intermediate = cx.call(&self.intermediate, attended)?;
        cx.call(&self.output, (&intermediate, attended))
    }
}

struct BertIntermediate {
    label: Label,
    dense: Linear,
    activation: Activation,
}

impl BertIntermediate {
    fn load(weights: &Weights<'_>, sizes: &Sizes, class: &'static str) -> Result<Self> {
        Ok(Self {
            label: weights.label(class, Level::Module),
            dense: Linear::load(&weights.child("dense"), sizes.hidden, sizes.intermediate)?,
            activation: sizes.activation,
        })
    }
}

impl Module for BertIntermediate {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        cx.call_then(&self.dense, hidden, self.activation)
    }
}

/// BertSelfOutput and BertOutput: a Linear whose result is added to the residual and normalised.
pub(in crate::models) struct ResidualOutput {
    label: Label,
    dense: Linear,
    dropout: f64,
    layer_norm: LayerNorm,
}

impl ResidualOutput {
    pub(in crate::models) fn load(
        weights: &Weights<'_>,
        class: &'static str,
        (inputs, outputs): (usize, usize),
        [eps, dropout]: [f64; 2],
    ) -> Result<Self> {
        Ok(Self {
            label: weights.label(class, Level::Module),
            dense: Linear::load(&weights.child("dense"), inputs, outputs)?,
            dropout,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), outputs, eps)?,
        })
    }
}

impl Module for ResidualOutput {
    /// The Linear's input, and the residual.
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, residual): (&Tensor, &Tensor)) -> Result<Tensor> {
        let mapped = cx.call(&self.dense, hidden)?;
        let mapped = cx.dropout(&mapped, self.dropout)?;
        cx.add_norm(&mapped, residual, &self.layer_norm)
    }
}
