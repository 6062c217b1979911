//! The affine map x W + b, in both forms.

// What follows it decides results and not shapes.
#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::Shape;

use super::{Form, Tensor, Then, layout};
#[cfg(feature = "candle")]
use super::{on_candle, panels};
use crate::Result;

/// The weight of an affine map, laid out in memory as its product wants it.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// As the checkpoint has it.
    shape: Shape,
    inputs: usize,
    outputs: usize,
    stored: Stored,
}

#[derive(Clone, Debug)]
enum Stored {
    ShapeAlone,
    /// (inputs, outputs).
    #[cfg(feature = "candle")]
    Plain(candle_core::Tensor),
    #[cfg(feature = "candle")]
    Panels(candle_core::Tensor),
}

impl Weight {
    /// The weight (outputs, inputs) of `torch.nn.Linear`.
    pub(crate) fn of_linear(weight: &Tensor) -> Result<Self> {
        Self::new(weight.shape(), &weight.transpose(0, 1)?)
    }

    /// The weight (inputs, outputs) of GPT-2's Conv1D.
    pub(crate) fn of_conv1d(weight: &Tensor) -> Result<Self> {
        Self::new(weight.shape(), weight)
    }

    fn new(shape: Shape, matrix: &Tensor) -> Result<Self> {
        let stored = match &matrix.0 {
            Form::Shape(..) => Stored::ShapeAlone,
            #[cfg(feature = "candle")]
            Form::Candle(matrix) => match panels::of(matrix) {
                Some(panels) => Stored::Panels(panels?),
                None => Stored::Plain(matrix.contiguous()?),
            },
        };
        Ok(Self { shape, inputs: matrix.dim(0), outputs: matrix.dim(1), stored })
    }

    /// As the checkpoint has it.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }
}

impl Tensor {
    /// x W + b and what follows.
    pub(crate) fn affine(&self, weight: &Weight, bias: &Self, then: Then) -> Result<Self> {
        let shape = layout::mapped("linear", self.shape(), weight.inputs, weight.outputs)?;
        match (&self.0, &weight.stored, &bias.0) {
            #[cfg(feature = "candle")]
            (Form::Candle(x), Stored::Panels(weight), Form::Candle(bias)) => {
                Ok(Self(Form::Candle(panels::affine(x, weight, bias, then)?)))
            }
            #[cfg(feature = "candle")]
            (Form::Candle(x), Stored::Plain(weight), Form::Candle(bias)) => {
                Ok(Self(Form::Candle(on_candle::affine(x, weight, bias, then)?)))
            }
            _ => Ok(Self::of_shape(shape, self.dtype())),
        }
    }
}
