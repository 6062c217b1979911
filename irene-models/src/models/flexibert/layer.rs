use irene_tree::Level;

use super::{LayerDesign, Sizes, attention::FlexiBertSelfAttention, surroundings::Surroundings};
use crate::{
    Activation, Cx, Label, Linear, Module, Result, Tensor, Weights, labelled,
    models::bert::{Attended, ResidualOutput},
};

labelled!(FlexiBertEncoder, FlexiBertLayer, FlexiBertIntermediate, FlexiBertOutput);

/// The layers, one after another.
pub(super) struct FlexiBertEncoder {
    label: Label,
    layers: Vec<FlexiBertLayer>,
}

impl FlexiBertEncoder {
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes) -> Result<Self> {
        let designs = sizes.design.layers();
        let layers = designs.iter().enumerate().map(|(index, design)| {
            let next = designs.get(index + 1).map_or(design.hidden, |next| next.hidden);
            FlexiBertLayer::load(&weights.element("layer", index), design, next, sizes)
        });
        Ok(Self { layers: layers.collect::<Result<_>>()?, label: weights.label("FlexiBertEncoder", Level::Module) })
    }
}

impl Module for FlexiBertEncoder {
    type Input<'a> = (&'a Tensor, &'a Surroundings);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Surroundings)) -> Result<Tensor> {
        cx.chain(&self.layers, hidden, around)
    }
}

struct FlexiBertLayer {
    label: Label,
    attention: Attended<FlexiBertSelfAttention>,
    intermediate: FlexiBertIntermediate,
    output: FlexiBertOutput,
}

impl FlexiBertLayer {
    fn load(weights: &Weights<'_>, design: &LayerDesign, next: usize, sizes: &Sizes) -> Result<Self> {
        let (place, classes) = (weights.child("attention"), ["FlexiBertAttention", "FlexiBertSelfOutput"]);
        let attention = FlexiBertSelfAttention::load(&place.child("self"), design, sizes)?;
        let (widths, rates) = ((design.all_heads_width(), design.hidden), [sizes.eps, sizes.dropout]);
        Ok(Self {
            label: weights.label("FlexiBertLayer", Level::Module),
            attention: Attended::load(&place, classes, attention, widths, rates)?,
            intermediate: FlexiBertIntermediate::load(&weights.child("intermediate"), design, sizes)?,
            output: FlexiBertOutput::load(&weights.child("output"), design, next, sizes)?,
        })
    }
}

impl Module for FlexiBertLayer {
    type Input<'a> = (&'a Tensor, &'a Surroundings);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Surroundings)) -> Result<Tensor> {
        let attended = cx.call(&self.attention, (hidden, around))?;
        let intermediate = cx.call(&self.intermediate, &attended)?;
        cx.call(&self.output, (&intermediate, &attended))
    }
}

/// The stacked feed-forward linears, each with an activation behind it.
struct FlexiBertIntermediate {
    label: Label,
    linears: Vec<Linear>,
    activation: Activation,
}

impl FlexiBertIntermediate {
    fn load(weights: &Weights<'_>, design: &LayerDesign, sizes: &Sizes) -> Result<Self> {
        let mut inputs = design.hidden;
        let linears = design.feed_forward.iter().enumerate().map(|(index, &outputs)| {
            // The first has a name; the others have their places in a sequence of linears and activations.
            let place = if index == 0 { weights.child("dense") } else { weights.element("sequential", 2 * index) };
            let linear = Linear::load(&place, inputs, outputs);
            inputs = outputs;
            linear
        });
        Ok(Self {
            linears: linears.collect::<Result<_>>()?,
            label: weights.label("FlexiBertIntermediate", Level::Module),
            activation: sizes.activation,
        })
    }
}

impl Module for FlexiBertIntermediate {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let mut hidden = hidden.clone();
        for linear in &self.linears {
            hidden = cx.call_then(linear, &hidden, self.activation)?;
        }
        Ok(hidden)
    }
}

/// Maps back to the hidden size, adds the residual and normalises; then maps to the next layer's hidden size if it differs.
struct FlexiBertOutput {
    label: Label,
    normed: ResidualOutput,
    proj_head: Option<Linear>,
}

impl FlexiBertOutput {
    fn load(weights: &Weights<'_>, design: &LayerDesign, next: usize, sizes: &Sizes) -> Result<Self> {
        let inputs = design.feed_forward.last().copied().unwrap_or(design.hidden);
        let project = || Linear::load(&weights.child("proj_head"), design.hidden, next);
        let (class, rates) = ("FlexiBertOutput", [sizes.eps, sizes.dropout]);
        Ok(Self {
            label: weights.label(class, Level::Module),
            normed: ResidualOutput::load(weights, class, (inputs, design.hidden), rates)?,
            proj_head: (next != design.hidden).then(project).transpose()?,
        })
    }
}

impl Module for FlexiBertOutput {
    /// The Linear's input, and the residual.
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, residual): (&Tensor, &Tensor)) -> Result<Tensor> {
        let normed = self.normed.forward(cx, (hidden, residual))?;
        match &self.proj_head {
            Some(project) => cx.call(project, &normed),
            None => Ok(normed),
        }
    }
}
