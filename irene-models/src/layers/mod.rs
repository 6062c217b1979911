//! The primitives with parameters.

mod adapter;
mod experts;
mod norms;

use irene_tree::{Format, Level, OpKind, Operand, Operation};

use crate::{
    Activation, Cx, Label, Module, Result, Tensor, Weights, labelled,
    tensor::{Binary, Then, Weight},
};
pub(crate) use adapter::ADAPTERS;
use adapter::{Adapter, Relabelled};
pub use experts::ExpertWeights;
pub(crate) use experts::Stacked;
pub(crate) use norms::PlainRmsNorm;
pub use norms::{LayerNorm, Norm, RmsNorm};

labelled!(Linear, Conv1D, Embedding, Convolution, Tanh);

/// The operation of a primitive, with its parameters among the operands.
fn operation<const N: usize>(
    kind: OpKind,
    input: &Tensor,
    parameters: [Operand; N],
    output: &Tensor,
) -> Option<Operation> {
    let operands: Vec<Operand> = std::iter::once(input.operand()).chain(parameters).collect();
    Some(Operation::new(kind, &operands, output.operand()))
}

/// x Wᵀ + b, or x Wᵀ. Weight (out, in), as `torch.nn.Linear`.
#[derive(Clone, Debug)]
pub struct Linear {
    label: Label,
    weight: Weight,
    bias: Option<Tensor>,
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
        Self { label: weights.label("Linear", Level::Ml), weight, bias, adapter: None }
    }

    /// A thin layer beside another, in the format of the activations however that one is stored.
    fn adapter(weights: &Weights<'_>, [inputs, outputs]: [usize; 2]) -> Result<Self> {
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
}

impl Linear {
    /// Whether a product beside others computes it: not with adapters.
    pub(crate) fn is_alone(&self) -> bool {
        self.adapter.is_none()
    }

    /// The outputs of several layers on one input.
    pub(crate) fn joint(layers: &[&Self], x: &Tensor) -> Result<Vec<Tensor>> {
        let maps: Vec<_> = layers.iter().map(|layer| (&layer.weight, layer.bias.as_ref())).collect();
        x.affine_jointly(&maps)
    }

    /// The operation of several layers on one input as a single product, with their outputs beside each other.
    pub(crate) fn joint_operation(layers: &[&Self], x: &Tensor, outputs: &[Tensor]) -> Operation {
        let weights = layers.iter().map(|layer| layer.weight.operand());
        let biases = layers.iter().filter_map(|layer| layer.bias.as_ref()).map(Tensor::operand);
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
            None => x.affine(&self.weight, self.bias.as_ref(), Then::Nothing),
        }
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        match &self.bias {
            _ if self.adapter.is_some() => None,
            Some(bias) => operation(OpKind::Linear, x, [self.weight.operand(), bias.operand()], output),
            None => operation(OpKind::Linear, x, [self.weight.operand()], output),
        }
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
        self.adapter.is_none().then_some(())?;
        Some(x.affine(&self.weight, self.bias.as_ref(), activation.after_bias()?))
    }
}

impl AffineLayer for Conv1D {
    fn forward_then(&self, x: &Tensor, activation: Activation) -> Option<Result<Tensor>> {
        self.adapter.is_none().then_some(())?;
        Some(x.affine(&self.weight, Some(&self.bias), activation.after_bias()?))
    }
}

/// Rows of a table (rows, width) at integer ids.
#[derive(Clone, Debug)]
pub struct Embedding {
    label: Label,
    weight: Tensor,
    /// The format of the rows that are looked up.
    format: Format,
}

impl Embedding {
    /// Loads `weight` (rows, width).
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load(weights: &Weights<'_>, rows: usize, width: usize) -> Result<Self> {
        let weight = weights.table("weight", [rows, width])?;
        Ok(Self { label: weights.label("Embedding", Level::Ml), weight, format: weights.activations() })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.weight.dim(0)
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.weight.dim(1)
    }

    /// The table as the matrix (width, rows) of a product.
    pub(crate) fn as_matrix(&self) -> Result<Tensor> {
        self.weight.transpose(0, 1)
    }
}

impl Module for Embedding {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, ids: &Tensor) -> Result<Tensor> {
        self.weight.rows(ids, self.format)
    }

    fn operation(&self, ids: &Tensor, output: &Tensor) -> Option<Operation> {
        operation(OpKind::Embedding, ids, [self.weight.operand()], output)
    }
}

/// A `torch.nn.Conv1d` along the sequence of (batch, channels, sequence): one half of a separable one without bias, or a whole one.
#[derive(Clone, Debug)]
pub struct Convolution {
    label: Label,
    weight: Tensor,
    bias: Option<Tensor>,
    run: fn(&Tensor, &Tensor) -> Result<Tensor>,
}

impl Convolution {
    /// Loads `weight` (channels, 1, kernel), a kernel of odd width for each channel; beyond the ends there are zeros.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn depthwise(weights: &Weights<'_>, channels: usize, kernel: usize) -> Result<Self> {
        Self::load(weights, [channels, 1, kernel], Tensor::depthwise)
    }

    /// Loads `weight` (outputs, inputs, 1), which mixes the channels at each place.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn pointwise(weights: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::load(weights, [outputs, inputs, 1], Tensor::pointwise)
    }

    /// Loads `weight` (channels, channels / groups, kernel), of odd width, and `bias` (channels); beyond the ends there are zeros.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn grouped(weights: &Weights<'_>, channels: usize, kernel: usize, groups: usize) -> Result<Self> {
        let whole = Self::load(weights, [channels, channels / groups.max(1), kernel], Tensor::convolved)?;
        Ok(Self { bias: Some(weights.parameter("bias", [channels])?), ..whole })
    }

    fn load(weights: &Weights<'_>, shape: [usize; 3], run: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Self> {
        let weight = weights.parameter("weight", shape)?;
        Ok(Self { label: weights.label(OpKind::Convolution.name(), Level::Ml), weight, bias: None, run })
    }
}

impl Module for Convolution {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let convolved = (self.run)(x, &self.weight)?;
        match &self.bias {
            Some(bias) => convolved.binary(Binary::Add, &bias.reshape([1, bias.dim(0), 1].into())?),
            None => Ok(convolved),
        }
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        match &self.bias {
            Some(bias) => operation(OpKind::Convolution, x, [self.weight.operand(), bias.operand()], output),
            None => operation(OpKind::Convolution, x, [self.weight.operand()], output),
        }
    }
}

/// `torch.nn.Tanh`: a module of its own, unlike the tanh inside an activation.
#[derive(Clone, Debug)]
pub struct Tanh {
    label: Label,
}

impl Tanh {
    /// The module at this place.
    pub fn load(weights: &Weights<'_>) -> Self {
        Self { label: weights.label("Tanh", Level::Ml) }
    }
}

impl Module for Tanh {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        x.unary(crate::tensor::Unary::Tanh)
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        operation(OpKind::Tanh, x, [], output)
    }
}
