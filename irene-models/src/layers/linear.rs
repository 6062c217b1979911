//! Products with a weight, and the bias that may be beside it.

use irene_tree::{Level, OpKind, Operand, Operation};

use super::{
    Embedding,
    adapter::{Adapter, Relabelled},
    operation,
};
use crate::{
    Activation, Cx, Label, Module, Result, Tensor, Weights, labelled,
    tensor::{Then, Weight},
};

labelled!(Linear, Conv1D);

/// x Wᵀ + b, or x Wᵀ. Weight (out, in), as `torch.nn.Linear`.
#[derive(Clone, Debug)]
pub struct Linear {
    label: Label,
    product: WeightAlone,
    adapter: Option<Box<Adapter<Self>>>,
}

impl Linear {
    /// Loads `weight` (outputs, inputs) and `bias` (outputs).
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = Weight::of_linear(&weights.parameter("weight", [outputs, inputs])?)?;
        let bias = Some(weights.parameter("bias", [outputs])?);
        Self::plain(weights, weight, bias).adapted(weights, [inputs, outputs])
    }

    /// Loads `weight` (outputs, inputs), and `bias` (outputs) if the layer has one.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load_maybe_biased(weights: &Weights<'_>, [inputs, outputs]: [usize; 2], is_biased: bool) -> Result<Self> {
        if is_biased { Self::load(weights, inputs, outputs) } else { Self::load_with(weights, [inputs, outputs], None) }
    }

    /// Loads `weight` (outputs, inputs) alone, beside a bias that was loaded elsewhere or is absent.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load_with(weights: &Weights<'_>, [inputs, outputs]: [usize; 2], bias: Option<Tensor>) -> Result<Self> {
        let weight = Weight::of_linear(&weights.parameter("weight", [outputs, inputs])?)?;
        Self::plain(weights, weight, bias).adapted(weights, [inputs, outputs])
    }

    fn plain(weights: &Weights<'_>, weight: Weight, bias: Option<Tensor>) -> Self {
        Self { label: weights.label("Linear", Level::Ml), product: WeightAlone { weight, bias }, adapter: None }
    }

    /// A thin layer beside another, in the format of the activations however that one is stored.
    pub(super) fn adapter(weights: &Weights<'_>, [inputs, outputs]: [usize; 2]) -> Result<Self> {
        let matrix = weights.adapter("weight", [outputs, inputs])?;
        Ok(Self::plain(weights, Weight::of_linear(&matrix)?, None))
    }

    /// The layer with adapters, if layers here get any.
    fn adapted(self, weights: &Weights<'_>, sizes: [usize; 2]) -> Result<Self> {
        let Some(rank) = weights.lora_rank() else { return Ok(self) };
        let adapter = Adapter::load(weights, self.clone(), sizes, rank)?;
        Ok(Self { label: weights.label("Linear", Level::Module), adapter: Some(Box::new(adapter)), ..self })
    }

    /// The layer without bias, and its weight (outputs, inputs) as a tensor of the same identity.
    pub(crate) fn load_with_matrix(weights: &Weights<'_>, [inputs, outputs]: [usize; 2]) -> Result<(Self, Tensor)> {
        let matrix = weights.parameter("weight", [outputs, inputs])?;
        let weight = Weight::of_linear(&matrix)?;
        Ok((Self::plain(weights, weight, None), matrix))
    }

    /// The layer whose weight is an embedding table (outputs, inputs), as in a tied language model's head.
    ///
    /// # Errors
    /// The device's error.
    pub fn tied(weights: &Weights<'_>, table: &Embedding, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self::plain(weights, Weight::of_linear(&table.weight)?, bias))
    }

    /// Whether a product beside others computes it: not with adapters.
    pub(crate) fn is_alone(&self) -> bool {
        self.adapter.is_none()
    }

    /// The outputs of several layers on one input.
    pub(crate) fn joint(layers: &[&Self], x: &Tensor) -> Result<Vec<Tensor>> {
        let maps: Vec<_> = layers.iter().map(|layer| (&layer.product.weight, layer.product.bias.as_ref())).collect();
        x.affine_jointly(&maps)
    }

    /// The operation of several layers on one input as a single product, with their outputs beside each other.
    pub(crate) fn joint_operation(layers: &[&Self], x: &Tensor, outputs: &[Tensor]) -> Operation {
        let weights = layers.iter().map(|layer| layer.product.weight.operand());
        let biases = layers.iter().filter_map(|layer| layer.product.bias.as_ref()).map(Tensor::operand);
        let inputs: Vec<Operand> = std::iter::once(x.operand()).chain(weights).chain(biases).collect();
        let mut shape = x.shape();
        if let Some(last) = shape.dims_mut().last_mut() {
            *last = outputs.iter().map(|output| output.shape().last()).sum();
        }
        Operation::new(OpKind::Linear, &inputs, Operand::activation(shape, x.format())).in_one_kernel()
    }
}

impl Relabelled for Linear {
    fn relabelled(self, label: Label) -> Self {
        Self { label, ..self }
    }
}

impl Module for Linear {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match &self.adapter {
            Some(adapter) => adapter.run(cx, x),
            None => self.product.product(x),
        }
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        self.is_alone().then(|| self.product.operation(x, output))
    }
}

/// The weight (outputs, inputs) of a product that a module runs itself, perhaps with a bias.
#[derive(Clone, Debug)]
pub(crate) struct WeightAlone {
    weight: Weight,
    bias: Option<Tensor>,
}

impl WeightAlone {
    /// Loads the weight under `key`, and `bias` beside it.
    pub(crate) fn load(
        weights: &Weights<'_>,
        key: &str,
        [inputs, outputs]: [usize; 2],
        is_biased: bool,
    ) -> Result<Self> {
        let weight = Weight::of_linear(&weights.parameter(key, [outputs, inputs])?)?;
        Ok(Self { weight, bias: is_biased.then(|| weights.parameter("bias", [outputs])).transpose()? })
    }

    pub(crate) fn product(&self, x: &Tensor) -> Result<Tensor> {
        x.affine(&self.weight, self.bias.as_ref(), Then::Nothing)
    }

    pub(crate) fn operation(&self, x: &Tensor, output: &Tensor) -> Operation {
        let bias = self.bias.as_ref().map(Tensor::operand);
        let inputs: Vec<Operand> = [x.operand(), self.weight.operand()].into_iter().chain(bias).collect();
        Operation::new(OpKind::Linear, &inputs, output.operand())
    }
}

/// GPT-2's linear layer: x W + b. Weight (in, out).
#[derive(Clone, Debug)]
pub struct Conv1D {
    label: Label,
    weight: Weight,
    bias: Tensor,
    adapter: Option<Box<Adapter<Self>>>,
}

impl Conv1D {
    /// Loads `weight` (inputs, outputs) and `bias` (outputs).
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let plain = Self {
            label: weights.label("Conv1D", Level::Ml),
            weight: Weight::of_conv1d(&weights.parameter("weight", [inputs, outputs])?)?,
            bias: weights.parameter("bias", [outputs])?,
            adapter: None,
        };
        let Some(rank) = weights.lora_rank() else { return Ok(plain) };
        let adapter = Adapter::load(weights, plain.clone(), [inputs, outputs], rank)?;
        Ok(Self { label: weights.label("Conv1D", Level::Module), adapter: Some(Box::new(adapter)), ..plain })
    }
}

impl Relabelled for Conv1D {
    fn relabelled(self, label: Label) -> Self {
        Self { label, ..self }
    }
}

impl Module for Conv1D {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match &self.adapter {
            Some(adapter) => adapter.run(cx, x),
            None => x.affine(&self.weight, Some(&self.bias), Then::Nothing),
        }
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        self.adapter.is_none().then_some(())?;
        operation(OpKind::Conv1D, x, [self.weight.operand(), self.bias.operand()], output)
    }
}

/// A layer that ends in a bias, so that an activation after it needs no pass of its own.
pub trait AffineLayer: for<'a> Module<Input<'a> = &'a Tensor, Output = Tensor> {
    /// The layer and the activation as one, or None where there is no such operation.
    fn forward_then(&self, x: &Tensor, activation: Activation) -> Option<Result<Tensor>>;
}

impl AffineLayer for Linear {
    fn forward_then(&self, x: &Tensor, activation: Activation) -> Option<Result<Tensor>> {
        self.is_alone().then_some(())?;
        Some(x.affine(&self.product.weight, self.product.bias.as_ref(), activation.after_bias()?))
    }
}

impl AffineLayer for Conv1D {
    fn forward_then(&self, x: &Tensor, activation: Activation) -> Option<Result<Tensor>> {
        self.adapter.is_none().then_some(())?;
        Some(x.affine(&self.weight, Some(&self.bias), activation.after_bias()?))
    }
}
