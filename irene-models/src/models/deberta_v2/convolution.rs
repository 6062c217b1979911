use irene_tree::{Format, Level};

use super::Sizes;
use crate::{Activation, Config, Convolution, Cx, Label, LayerNorm, Module, Result, Tensor, Weights, labelled};

labelled!(ConvLayer);

/// The convolution that a config asks for.
pub(super) struct Shape {
    kernel: usize,
    groups: usize,
    activation: Activation,
}

impl Shape {
    pub(super) fn read(config: &Config) -> Result<Option<Self>> {
        let (kernel, groups) = (config.token_or("conv_kernel_size", 0)?, config.size_or("conv_groups", 1)?);
        if kernel == 0 {
            return Ok(None);
        }
        let hidden = config.size("hidden_size")?;
        // With an even one the sequence would become shorter than the residual.
        if kernel % 2 == 0 {
            return Err(config.error("conv_kernel_size", format!("expected an odd number, found {kernel}")));
        }
        if hidden % groups != 0 {
            return Err(config.error("conv_groups", format!("{groups} groups do not divide `hidden_size`, {hidden}")));
        }
        Ok(Some(Self { kernel, groups, activation: Activation::from_config(config, "conv_act", "tanh")? }))
    }
}

/// A convolution of the embeddings along the sequence, added to what the first layer gave.
pub(super) struct ConvLayer {
    label: Label,
    conv: Convolution,
    dropout: f64,
    layer_norm: LayerNorm,
    activation: Activation,
    format: Format,
}

impl ConvLayer {
    pub(super) fn load(weights: &Weights<'_>, sizes: &Sizes, shape: &Shape) -> Result<Self> {
        let &Sizes { hidden, eps, dropout, .. } = sizes;
        Ok(Self {
            label: weights.label("ConvLayer", Level::Module),
            conv: Convolution::grouped(&weights.child("conv"), hidden, shape.kernel, shape.groups)?,
            dropout,
            layer_norm: LayerNorm::load(&weights.child("LayerNorm"), hidden, eps)?,
            activation: shape.activation,
            format: weights.activations(),
        })
    }
}

impl Module for ConvLayer {
    /// The embeddings, what the first layer gave, and the mask (batch, sequence).
    type Input<'a> = (&'a Tensor, (&'a Tensor, &'a Tensor));
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (embedded, (hidden, mask)): Self::Input<'_>) -> Result<Tensor> {
        let channels = cx.transpose(embedded, 1, 2)?;
        let channels = cx.contiguous(&channels)?;
        let convolved = cx.call(&self.conv, &channels)?;
        let convolved = cx.transpose(&convolved, 1, 2)?;
        let convolved = cx.contiguous(&convolved)?;
        let is_token = cx.not_equal(mask, 0)?;
        let is_token = cx.reshape(&is_token, [mask.dim(0), mask.dim(1), 1])?;
        let convolved = cx.where_mask(&is_token, &convolved, 0.0)?;
        let convolved = cx.dropout(&convolved, self.dropout)?;
        let activated = self.activation.apply(cx, &convolved)?;
        let normed = cx.add_norm(hidden, &activated, &self.layer_norm)?;
        let factor = cx.cast(&is_token, self.format)?;
        cx.mul(&normed, &factor)
    }
}
