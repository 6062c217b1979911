//! The affine map x W + b, in both forms.

// The activation decides results and not shapes.
#![cfg_attr(not(feature = "candle"), allow(unused_variables))]

use irene_tree::Operand;

use super::{Form, Tensor, Then, layout};
use crate::Result;
#[cfg(feature = "candle")]
use crate::candle::{autograd, operations, panels, quantised::Quantised};

/// The weight of an affine map, laid out in memory as its product reads it.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// As the checkpoint has it.
    operand: Operand,
    inputs: usize,
    outputs: usize,
    #[cfg_attr(not(feature = "candle"), allow(dead_code))]
    stored: Stored,
}

#[derive(Clone, Debug)]
enum Stored {
    ShapeAlone,
    /// (inputs, outputs).
    #[cfg(feature = "candle")]
    Plain(candle_core::Tensor),
    /// See [`panels`].
    #[cfg(feature = "candle")]
    Panels(panels::Panels),
    /// (outputs, inputs), in blocks along the inputs.
    #[cfg(feature = "candle")]
    Blocks(Quantised),
}

impl Weight {
    /// The weight (outputs, inputs) of `torch.nn.Linear`.
    pub(crate) fn of_linear(weight: &Tensor) -> Result<Self> {
        Self::new(weight.operand(), &weight.transpose(0, 1)?)
    }

    /// The weight (inputs, outputs) of GPT-2's Conv1D.
    pub(crate) fn of_conv1d(weight: &Tensor) -> Result<Self> {
        Self::new(weight.operand(), weight)
    }

    fn new(operand: Operand, matrix: &Tensor) -> Result<Self> {
        let stored = match &matrix.form {
            Form::Shape(..) => Stored::ShapeAlone,
            #[cfg(feature = "candle")]
            Form::Candle(matrix) => match panels::of(matrix) {
                Some(panels) => Stored::Panels(panels?),
                // A copy would not change with the variable.
                None if matrix.track_op() => Stored::Plain(matrix.clone()),
                None => Stored::Plain(matrix.contiguous()?),
            },
            #[cfg(feature = "candle")]
            Form::Blocks(matrix, layout) if layout.strides.dims().first() == Some(&1) => Stored::Blocks(matrix.clone()),
            #[cfg(feature = "candle")]
            Form::Blocks(..) => return Err(layout::mismatch("linear", "blocks do not lie along the inputs".into())),
        };
        Ok(Self { operand, inputs: matrix.dim(0), outputs: matrix.dim(1), stored })
    }

    /// As the checkpoint has it.
    pub(crate) fn operand(&self) -> Operand {
        self.operand
    }

    /// Whether its gradient is wanted.
    #[cfg(feature = "candle")]
    pub(crate) fn is_trained(&self) -> bool {
        matches!(&self.stored, Stored::Plain(matrix) if matrix.track_op())
    }

    #[cfg(feature = "candle")]
    fn panels(&self) -> Option<&panels::Panels> {
        match &self.stored {
            Stored::Panels(panels) => Some(panels),
            _ => None,
        }
    }
}

impl Tensor {
    /// x W + b and the activation.
    pub(crate) fn affine(&self, weight: &Weight, bias: Option<&Self>, then: Then) -> Result<Self> {
        let shape = layout::mapped("linear", self.shape(), weight.inputs, weight.outputs)?;
        #[cfg(feature = "candle")]
        if let Form::Candle(x) = &self.form {
            let bias = bias.and_then(Self::candle);
            let tracks = x.track_op() || bias.is_some_and(candle_core::Tensor::track_op);
            return Ok(match &weight.stored {
                Stored::ShapeAlone => Self::of_shape(shape, self.format()),
                Stored::Panels(panels) if tracks => {
                    let product = autograd::product_with_frozen(x, panels)?;
                    Form::Candle(operations::finished(product, bias, then)?).into()
                }
                Stored::Panels(panels) => {
                    Form::Candle(panels::affine(x, &[(panels, bias)], then)?.swap_remove(0)).into()
                }
                Stored::Blocks(weight) => Form::Candle(weight.affine(x, bias, then)?).into(),
                Stored::Plain(weight) => Form::Candle(operations::affine(x, weight, bias, then)?).into(),
            });
        }
        Ok(Self::of_shape(shape, self.format()))
    }

    /// x W + b for several weights: one pass over x where all are in panels.
    pub(crate) fn affine_jointly(&self, maps: &[(&Weight, Option<&Self>)]) -> Result<Vec<Self>> {
        #[cfg(feature = "candle")]
        if let Form::Candle(x) = &self.form {
            let in_panels = maps.iter().map(|(weight, bias)| Some((weight.panels()?, bias.and_then(Self::candle))));
            let is_free = |bias: Option<&candle_core::Tensor>| !bias.is_some_and(candle_core::Tensor::track_op);
            let in_panels = in_panels.collect::<Option<Vec<_>>>().filter(|maps| maps.iter().all(|map| is_free(map.1)));
            if let Some(maps) = in_panels.filter(|_| !x.track_op()) {
                let mapped = panels::affine(x, &maps, Then::Nothing)?;
                return Ok(mapped.into_iter().map(|out| Form::Candle(out).into()).collect());
            }
        }
        maps.iter().map(|(weight, bias)| self.affine(weight, *bias, Then::Nothing)).collect()
    }
}
