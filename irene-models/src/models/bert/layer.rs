use irene_tree::Level;

use super::Sizes;
use crate::{Activation, Cx, Label, LayerNorm, Linear, Module, Result, Tensor, Weights, labelled};

labelled!(Layer<A>, Attended<S>, BertIntermediate, ResidualOutput);

/// A BERT-like layer: an attention, and a feed-forward part at the layer's own place.
pub(in crate::models) struct Layer<A> {
    label: Label,
    attention: A,
    intermediate: BertIntermediate,
    output: ResidualOutput,
}

impl<A> Layer<A> {
    /// Loads `intermediate` and `output` around an attention; the classes are those of the layer and of these.
    pub(in crate::models) fn load(
        weights: &Weights<'_>,
        sizes: &Sizes,
        [layer, intermediate, output]: [&'static str; 3],
        attention: A,
    ) -> Result<Self> {
        let widths = (sizes.intermediate, sizes.hidden);
        Ok(Self {
            label: weights.label(layer, Level::Module),
            attention,
            intermediate: BertIntermediate::load(&weights.child("intermediate"), sizes, intermediate)?,
            output: ResidualOutput::load(&weights.child("output"), output, widths, [sizes.eps, sizes.dropout])?,
        })
    }
}

impl<A: Module<Output = Tensor>> Module for Layer<A> {
    type Input<'a> = A::Input<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, input: A::Input<'_>) -> Result<Tensor> {
        let attended = cx.call(&self.attention, input)?;
        let intermediate = cx.call(&self.intermediate, &attended)?;
        cx.call(&self.output, (&intermediate, &attended))
    }
}

/// An attention without its last product, and that product with the residual.
pub(in crate::models) struct Attended<S> {
    label: Label,
    self_attention: S,
    output: ResidualOutput,
}

impl<S> Attended<S> {
    /// Loads `output` beside an attention; the classes are those of both together and of the output, the numbers as in
    /// [`ResidualOutput::load`].
    pub(in crate::models) fn load(
        weights: &Weights<'_>,
        [class, output]: [&'static str; 2],
        self_attention: S,
        widths: (usize, usize),
        rates: [f64; 2],
    ) -> Result<Self> {
        let label = weights.label(class, Level::Module);
        Ok(Self {
            label,
            self_attention,
            output: ResidualOutput::load(&weights.child("output"), output, widths, rates)?,
        })
    }
}

/// An attention's input, which begins with the hidden states.
pub(in crate::models) trait Seen {
    fn hidden(&self) -> &Tensor;
}

impl<T> Seen for (&Tensor, T) {
    fn hidden(&self) -> &Tensor {
        self.0
    }
}

impl<S> Module for Attended<S>
where
    S: Module<Output = Tensor>,
    for<'a> S::Input<'a>: Seen,
{
    type Input<'a> = S::Input<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, input: S::Input<'_>) -> Result<Tensor> {
        let context = cx.call(&self.self_attention, input)?;
        cx.call(&self.output, (&context, input.hidden()))
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
