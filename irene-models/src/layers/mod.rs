//! The primitives with parameters.

mod adapter;
mod experts;
mod linear;
mod norms;

use irene_tree::{Format, Level, OpKind, Operand, Operation};

use crate::{
    Cx, Label, Module, Result, Tensor, Weights, labelled,
    tensor::{Binary, Unary},
};
pub(crate) use adapter::ADAPTERS;
pub use experts::ExpertWeights;
pub(crate) use experts::Stacked;
pub(crate) use linear::WeightAlone;
pub use linear::{AffineLayer, Conv1D, Linear};
pub(crate) use norms::PlainRmsNorm;
pub use norms::{LayerNorm, Norm, RmsNorm};

labelled!(Embedding, Convolution, Tanh);

/// The operation of a primitive, with its parameters among the operands.
fn operation(
    kind: OpKind,
    input: &Tensor,
    parameters: impl IntoIterator<Item = Operand>,
    output: &Tensor,
) -> Option<Operation> {
    let operands: Vec<Operand> = std::iter::once(input.operand()).chain(parameters).collect();
    Some(Operation::new(kind, &operands, output.operand()))
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

    /// Whether it is a shape alone.
    pub(crate) fn is_shape(&self) -> bool {
        self.weight.is_shape()
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
        let parameters = std::iter::once(&self.weight).chain(&self.bias).map(Tensor::operand);
        operation(OpKind::Convolution, x, parameters, output)
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
        x.unary(Unary::Tanh)
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        operation(OpKind::Tanh, x, [], output)
    }
}
