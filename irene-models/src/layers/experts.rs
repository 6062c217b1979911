// Without candle, weights are shapes alone.
#![cfg_attr(not(feature = "candle"), allow(dead_code, unused_mut, unused_variables))]

use irene_tree::{Level, OpKind, Operand};

#[cfg(feature = "candle")]
use crate::tensor::Then;
use crate::{Error, Label, Labelled, Result, Tensor, Weights, tensor::Weight};

/// One linear layer of every expert: weight (experts, outputs, inputs), perhaps bias (experts, outputs).
#[derive(Clone, Debug)]
pub struct ExpertWeights {
    label: Label,
    /// As the checkpoint has it.
    operand: Operand,
    bias: Option<Tensor>,
    /// One for each expert; none where the weights are shapes alone.
    each: Vec<Weight>,
    /// Whether each is a parameter of its own.
    is_apart: bool,
}

/// How a checkpoint stores the layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stacked<'a> {
    /// One tensor (experts, outputs, inputs) under this key.
    OutputsFirst(&'a str),
    /// One tensor (experts, inputs, outputs) under this key.
    InputsFirst(&'a str),
    /// A tensor (outputs of one, inputs) for each expert and each of these keys, whose outputs lie behind each other.
    Apart(&'a [&'a str]),
    /// The same with all experts of a key in one matrix (experts x outputs of one, inputs).
    OutputRows(&'a [&'a str]),
    /// All experts in one matrix (experts x inputs, outputs) under this key.
    InputRows(&'a str),
}

impl Stacked<'_> {
    /// The key of the whole, if there is one.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::OutputsFirst(key) | Self::InputsFirst(key) | Self::InputRows(key) => key,
            Self::Apart(_) | Self::OutputRows(_) => "",
        }
    }
}

impl ExpertWeights {
    /// Loads the layer of `experts` under the name `name`; `bias` is the key of (experts, outputs), if there is one.
    ///
    /// # Errors
    /// The error of the weights' source.
    pub(crate) fn load(
        weights: &Weights<'_>,
        name: &'static str,
        stacked: Stacked<'_>,
        [experts, inputs, outputs]: [usize; 3],
        bias: Option<&str>,
    ) -> Result<Self> {
        let label = Label { level: Level::Ml, ..weights.child(name).label(OpKind::GroupedLinear.name(), Level::Ml) };
        let shape = [experts, outputs, inputs];
        let (operand, each) = match stacked {
            Stacked::OutputsFirst(key) => {
                let all = weights.parameter(key, shape)?;
                (all.operand(), of_each(&all, Weight::of_linear)?)
            }
            Stacked::InputsFirst(key) => inputs_first(&weights.parameter(key, [experts, inputs, outputs])?, shape)?,
            Stacked::InputRows(key) => {
                let rows = weights.parameter(key, [experts * inputs, outputs])?;
                inputs_first(&rows.reshape([experts, inputs, outputs].into())?, shape)?
            }
            Stacked::Apart(keys) => apart(weights, keys, shape)?,
            Stacked::OutputRows(keys) => in_rows(weights, keys, shape)?,
        };
        let bias = bias.map(|key| weights.parameter(key, [experts, outputs])).transpose()?;
        Ok(Self { label, operand, bias, each, is_apart: matches!(stacked, Stacked::Apart(_)) })
    }

    pub(crate) fn operands(&self) -> impl Iterator<Item = Operand> {
        std::iter::once(self.operand).chain(self.bias.as_ref().map(Tensor::operand))
    }

    /// How many experts there are, on one GPU.
    pub(crate) fn experts(&self) -> f64 {
        self.operand.shape.dims().first().map_or(0.0, |&experts| experts as f64)
    }

    /// Numbers in the weight of one expert.
    pub(crate) fn numbers_of_one(&self) -> f64 {
        let dims = self.operand.shape.dims();
        dims.iter().skip(1).map(|&dim| dim as f64).product()
    }

    /// Each row's product with its own expert's weight. `counts` are the rows of each expert, one after another.
    pub(crate) fn product(&self, rows: &Tensor, counts: Option<&[usize]>) -> Result<Tensor> {
        let outputs = self.operand.shape.dims().get(1).copied().unwrap_or(1);
        #[cfg(feature = "candle")]
        if let Some(counts) = counts {
            let mut start = 0;
            let mut products = Vec::new();
            // Without a row a parameter of its own would have no gradient; with none of its rows, its gradient is zero.
            let runs = |expert: usize, count: usize| count > 0 || (self.is_apart && self.each[expert].is_trained());
            for (expert, &count) in counts.iter().enumerate().filter(|(expert, count)| runs(*expert, **count)) {
                let own = rows.narrow(0, start, count)?;
                let bias = self.bias.as_ref().map(|bias| bias.narrow(0, expert, 1)?.squeeze(0)).transpose()?;
                products.push(own.affine(&self.each[expert], bias.as_ref(), Then::Nothing)?);
                start += count;
            }
            return Tensor::below_each_other(&products);
        }
        Ok(Tensor::of_shape([rows.dim(0), outputs], rows.format()))
    }
}

impl Labelled for ExpertWeights {
    fn label(&self) -> &Label {
        &self.label
    }
}

/// The weight of each expert out of all (experts, rows, columns).
fn of_each(all: &Tensor, weight: impl Fn(&Tensor) -> Result<Weight>) -> Result<Vec<Weight>> {
    #[cfg(feature = "candle")]
    if all.candle().is_some() {
        return (0..all.dim(0)).map(|expert| weight(&all.narrow(0, expert, 1)?.squeeze(0)?)).collect();
    }
    Ok(Vec::new())
}

/// The weights of all experts (experts, inputs, outputs).
fn inputs_first(all: &Tensor, shape: [usize; 3]) -> Result<(Operand, Vec<Weight>)> {
    let operand = all.operand();
    Ok((Operand::new(shape, operand.format, operand.role), of_each(all, Weight::of_conv1d)?))
}

/// The weights of experts that lie below each other in one matrix for each key.
fn in_rows(weights: &Weights<'_>, keys: &[&str], shape: [usize; 3]) -> Result<(Operand, Vec<Weight>)> {
    let [experts, outputs, inputs] = shape;
    let of_one = outputs / keys.len().max(1);
    let load = |key: &&str| weights.parameter(key, [experts * of_one, inputs]);
    let parts = keys.iter().map(load).collect::<Result<Vec<_>>>()?;
    let mut each = Vec::new();
    #[cfg(feature = "candle")]
    if parts.iter().all(|part| !part.is_shape()) {
        for expert in 0..experts {
            let own = parts.iter().map(|part| part.narrow(0, expert * of_one, of_one)).collect::<Result<Vec<_>>>()?;
            each.push(Weight::of_linear(&Tensor::below_each_other(&own)?)?);
        }
    }
    Ok((counted_together(parts.into_iter().next(), shape)?, each))
}

/// The weights of experts that a checkpoint has one by one, `experts.3.up_proj.weight`.
fn apart(weights: &Weights<'_>, keys: &[&str], shape: [usize; 3]) -> Result<(Operand, Vec<Weight>)> {
    let [experts, outputs, inputs] = shape;
    let of_one = outputs / keys.len().max(1);
    let mut each = Vec::new();
    let mut first: Option<Tensor> = None;
    for expert in 0..experts {
        let load = |key: &&str| weights.parameter(&format!("{expert}.{key}.weight"), [of_one, inputs]);
        let parts = keys.iter().map(load).collect::<Result<Vec<_>>>()?;
        #[cfg(feature = "candle")]
        if !parts.iter().any(Tensor::is_shape) {
            each.push(Weight::of_linear(&Tensor::below_each_other(&parts)?)?);
        }
        first = first.or(parts.into_iter().next());
    }
    Ok((counted_together(first, shape)?, each))
}

/// The experts' weights count as one parameter, as in checkpoints that have them in one tensor.
fn counted_together(first: Option<Tensor>, shape: [usize; 3]) -> Result<Operand> {
    let operand = first.map(|first| Operand::new(shape, first.format(), first.operand().role));
    operand.ok_or_else(|| Error::Shape { operation: "grouped_linear", reason: "no experts".into() })
}
