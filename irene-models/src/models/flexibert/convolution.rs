use irene_tree::Level;

use crate::{Convolution, Cx, Label, Linear, Module, Result, Tensor, Weights, labelled};

labelled!(ConvolutionHead, SeparableConv1D);

/// Span-based dynamic convolution (ConvBERT): convolved keys and the queries give a kernel for each token, which convolves its
/// values.
pub(super) struct ConvolutionHead {
    label: Label,
    key_conv_attn_layer: SeparableConv1D,
    conv_kernel_layer: Linear,
    conv_out_layer: Linear,
    kernel: usize,
}

impl ConvolutionHead {
    /// Loads the convolution head of this number in an attention.
    pub(super) fn load(
        weights: &Weights<'_>,
        label: Label,
        number: usize,
        (width, kernel): (usize, usize),
    ) -> Result<Self> {
        let child = |name| weights.numbered(name, number);
        Ok(Self {
            label,
            key_conv_attn_layer: SeparableConv1D::load(&child("key_conv_attn_layer"), width, kernel)?,
            conv_kernel_layer: Linear::load(&child("conv_kernel_layer"), width, kernel)?,
            conv_out_layer: Linear::load(&child("conv_out_layer"), width, width)?,
            kernel,
        })
    }
}

impl Module for ConvolutionHead {
    /// The head's query and key, its value and its weighted values, (batch, sequence, width).
    type Input<'a> = ((&'a Tensor, &'a Tensor), (&'a Tensor, &'a Tensor));
    type Output = Tensor;

    fn forward(
        &self,
        cx: &mut Cx<'_>,
        ((query, key), (value, weighed)): ((&Tensor, &Tensor), (&Tensor, &Tensor)),
    ) -> Result<Tensor> {
        let (batch, seq_len, width) = (value.dim(0), value.dim(1), value.dim(2));
        let keys = cx.transpose(key, 1, 2)?;
        let keys = cx.call(&self.key_conv_attn_layer, &keys)?;
        let keys = cx.transpose(&keys, 1, 2)?;
        let spans = cx.mul(&keys, query)?;
        let kernels = cx.call(&self.conv_kernel_layer, &spans)?;
        let kernels = cx.softmax(&kernels)?;

        let values = cx.call(&self.conv_out_layer, value)?;
        let values = cx.transpose(&values, 1, 2)?;
        let values = cx.contiguous(&values)?;
        let windows = cx.unfold(&values, self.kernel)?;
        let windows = cx.transpose(&windows, 1, 2)?;
        let windows = cx.contiguous(&windows)?;

        // A product for each token.
        let windows = cx.reshape(&windows, [batch * seq_len, width, self.kernel])?;
        let kernels = cx.reshape(&kernels, [batch * seq_len, self.kernel, 1])?;
        let convolved = cx.matmul(&windows, &kernels)?;
        let convolved = cx.reshape(&convolved, [batch, seq_len, width])?;
        cx.add(weighed, &convolved)
    }
}

/// A convolution of each channel by itself, a mixing of channels, and a bias.
struct SeparableConv1D {
    label: Label,
    depthwise: Convolution,
    pointwise: Convolution,
    bias: Tensor,
}

impl SeparableConv1D {
    fn load(weights: &Weights<'_>, channels: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            label: weights.label("SeparableConv1D", Level::Module),
            depthwise: Convolution::depthwise(&weights.child("depthwise"), channels, kernel)?,
            pointwise: Convolution::pointwise(&weights.child("pointwise"), channels, channels)?,
            bias: weights.parameter("bias", [channels, 1])?,
        })
    }
}

impl Module for SeparableConv1D {
    /// (batch, channels, sequence).
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let x = cx.call(&self.depthwise, x)?;
        let x = cx.call(&self.pointwise, &x)?;
        cx.add(&x, &self.bias)
    }
}
