use irene_tree::{Format, Level, OpKind, Operand, Operation};

use super::operation;
use crate::{
    Cx, Error, Label, Module, Result, Tensor, Weights, labelled,
    tensor::{Scalar, Unary},
};

labelled!(LayerNorm, RmsNorm, PlainRmsNorm);

/// (x - mean) / √(variance + eps) · weight + bias over the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    label: Label,
    /// Weight and bias as the norm scales by them: zeros for a norm without bias, and none where it has neither.
    scales: Option<[Tensor; 2]>,
    /// Those that the checkpoint has, as it has them.
    parameters: Vec<Operand>,
    eps: f64,
}

impl LayerNorm {
    /// Loads `weight` and `bias` (width), which checkpoints converted from TensorFlow call `gamma` and `beta`.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load(weights: &Weights<'_>, width: usize, eps: f64) -> Result<Self> {
        let weight = weights.parameter_also_named("weight", "gamma", [width])?;
        let bias = weights.parameter_also_named("bias", "beta", [width])?;
        let parameters = vec![weight.operand(), bias.operand()];
        Ok(Self { label: weights.label("LayerNorm", Level::Ml), scales: Some([weight, bias]), parameters, eps })
    }

    /// Loads `weight` (width) of a norm without bias.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load_without_bias(weights: &Weights<'_>, width: usize, eps: f64) -> Result<Self> {
        let weight = weights.parameter("weight", [width])?;
        let (bias, parameters) = (weight.zeros([width].into())?, vec![weight.operand()]);
        Ok(Self { label: weights.label("LayerNorm", Level::Ml), scales: Some([weight, bias]), parameters, eps })
    }

    /// Loads a norm that scales by 1 + weight (Nemotron); `class` is its class in transformers.
    pub(crate) fn load_around_one(weights: &Weights<'_>, class: &'static str, width: usize, eps: f64) -> Result<Self> {
        let norm = Self::load(weights, width, eps)?;
        let around_one = |[weight, bias]: [Tensor; 2]| Ok::<_, Error>([weight.scalar(Scalar::Add(1.0))?, bias]);
        let scales = norm.scales.map(around_one).transpose()?;
        Ok(Self { label: weights.label(class, Level::Ml), scales, ..norm })
    }

    /// A norm that nothing scales (OLMo).
    pub(crate) fn plain(weights: &Weights<'_>, class: &'static str, eps: f64) -> Self {
        Self { label: weights.label(class, Level::Ml), scales: None, parameters: Vec::new(), eps }
    }

    /// Weight and bias; ones and zeros beside `x` where there are none.
    fn scales(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        if let Some(scales) = &self.scales {
            return Ok(scales.clone());
        }
        let zeros = x.zeros([x.shape().last()].into())?;
        Ok([zeros.scalar(Scalar::Add(1.0))?, zeros])
    }
}

impl LayerNorm {
    /// The norm of a sum as one operation, or None where there is none.
    pub(crate) fn of_sum(&self, x: &Tensor, residual: &Tensor) -> Option<Result<Tensor>> {
        let [weight, bias] = self.scales.as_ref()?;
        x.add_norm(residual, weight, bias, self.eps)
    }

    /// That operation's description.
    pub(crate) fn operation_of_sum(&self, x: &Tensor, residual: &Tensor, output: &Tensor) -> Operation {
        let inputs = [&[x.operand(), residual.operand()], &*self.parameters].concat();
        Operation::new(OpKind::LayerNorm, &inputs, output.operand()).fused_with(&[OpKind::Add])
    }
}

impl Module for LayerNorm {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let [weight, bias] = self.scales(x)?;
        x.layer_norm(&weight, &bias, self.eps)
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        let inputs = [&[x.operand()], &*self.parameters].concat();
        Some(Operation::new(OpKind::LayerNorm, &inputs, output.operand()))
    }
}

/// x / √(mean of x² + eps) · weight over the last dimension (Zhang and Sennrich, 2019).
#[derive(Clone, Debug)]
pub struct RmsNorm {
    label: Label,
    /// As the norm scales by it.
    weight: Tensor,
    /// As the checkpoint has it.
    operand: Operand,
    eps: f64,
}

impl RmsNorm {
    /// Loads `weight` (width); `class` is the norm's in transformers.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load(weights: &Weights<'_>, class: &'static str, width: usize, eps: f64) -> Result<Self> {
        let weight = weights.parameter("weight", [width])?;
        let operand = weight.operand();
        Ok(Self { label: weights.label(class, Level::Ml), weight, operand, eps })
    }

    /// The same for a norm that scales by 1 + weight (Gemma), in 32 bits at least.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub fn load_around_one(weights: &Weights<'_>, class: &'static str, width: usize, eps: f64) -> Result<Self> {
        let norm = Self::load(weights, class, width, eps)?;
        let narrow = norm.weight.format().bytes(1) < Format::F32.bytes(1);
        let wide = if narrow { norm.weight.unary(Unary::Cast(Format::F32))? } else { norm.weight };
        Ok(Self { weight: wide.scalar(Scalar::Add(1.0))?, ..norm })
    }
}

impl Module for RmsNorm {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        x.rms_norm(&self.weight, self.eps)
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        operation(OpKind::RmsNorm, x, [self.operand], output)
    }
}

/// x / √(mean of x² + eps) over the last dimension, which nothing scales.
#[derive(Clone, Debug)]
pub(crate) struct PlainRmsNorm {
    label: Label,
    eps: f64,
}

impl PlainRmsNorm {
    pub(crate) fn new(weights: &Weights<'_>, class: &'static str, eps: f64) -> Self {
        Self { label: weights.label(class, Level::Ml), eps }
    }
}

impl Module for PlainRmsNorm {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, _cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let ones = x.zeros([x.shape().last()].into())?.scalar(Scalar::Add(1.0))?;
        x.rms_norm(&ones, self.eps)
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        operation(OpKind::RmsNorm, x, [], output)
    }
}

/// The norm of a model, of either kind.
#[derive(Clone, Debug)]
pub enum Norm {
    /// With mean and variance.
    Layer(LayerNorm),
    /// With the mean square.
    Rms(RmsNorm),
}

impl Norm {
    /// The norm of a sum, and the sum.
    pub(crate) fn with_sum(&self, x: &Tensor, residual: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Layer(norm) => {
                let [weight, bias] = norm.scales(x)?;
                x.norm_and_sum(residual, &weight, Some(&bias), norm.eps)
            }
            Self::Rms(norm) => x.norm_and_sum(residual, &norm.weight, None, norm.eps),
        }
    }

    /// The operation of a sum and its norm in one kernel, which writes both.
    pub(crate) fn operation_of_sum(&self, [x, residual]: [&Tensor; 2], [normed, sum]: [&Tensor; 2]) -> Operation {
        let (kind, parameters) = match self {
            Self::Layer(norm) => (OpKind::LayerNorm, norm.parameters.clone()),
            Self::Rms(norm) => (OpKind::RmsNorm, vec![norm.operand]),
        };
        // The sum is written as often as it would be read.
        let inputs = [vec![x.operand(), residual.operand(), sum.operand()], parameters].concat();
        Operation::new(kind, &inputs, normed.operand()).fused_with(&[OpKind::Add])
    }
}

impl crate::Labelled for Norm {
    fn label(&self) -> &Label {
        match self {
            Self::Layer(norm) => &norm.label,
            Self::Rms(norm) => &norm.label,
        }
    }
}

impl Module for Norm {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Layer(norm) => norm.forward(cx, x),
            Self::Rms(norm) => norm.forward(cx, x),
        }
    }

    fn operation(&self, x: &Tensor, output: &Tensor) -> Option<Operation> {
        match self {
            Self::Layer(norm) => norm.operation(x, output),
            Self::Rms(norm) => norm.operation(x, output),
        }
    }
}
