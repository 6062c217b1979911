use irene_tree::Level;

use super::{Head, convolution::ConvolutionHead};
use crate::{Cx, Label, Module, Result, Tensor, Weights, labelled};

labelled!(ScoringHead, TransformHead);

/// The head's own part, by its place in the attention.
pub(super) enum HeadModule {
    /// Scores of queries and keys.
    Scoring(ScoringHead),
    /// A transform of the values, beside the weighted ones.
    Transforming(TransformHead),
    /// A convolution of the values, beside the weighted ones.
    Convolving(Box<ConvolutionHead>),
}

/// How many heads have been loaded: the checkpoint counts each kind with parameters by itself.
#[derive(Default)]
pub(super) struct Place {
    heads: usize,
    weighted: usize,
    convolving: usize,
}

impl HeadModule {
    /// Loads the next head of a self-attention.
    pub(super) fn load(attention: &Weights<'_>, head: Head, width: usize, place: &mut Place) -> Result<Self> {
        let part = attention.part("head_", place.heads);
        place.heads += 1;
        let label = |class| part.label(class, Level::Module);
        Ok(match head {
            Head::ScaledDotProduct => {
                Self::Scoring(ScoringHead { label: label("FlexiBertScaledDotProductHead"), weight: None })
            }
            Head::Weighted => {
                let name = format!("W{}", place.weighted);
                place.weighted += 1;
                let weight = Some(attention.parameter(&name, [width, width])?);
                Self::Scoring(ScoringHead { label: label("FlexiBertWeightedHead"), weight })
            }
            Head::Dft => {
                Self::Transforming(TransformHead { label: label("FlexiBertDftHead"), transform: |cx, x| cx.dft(x) })
            }
            Head::Dct => {
                Self::Transforming(TransformHead { label: label("FlexiBertDctHead"), transform: |cx, x| cx.dct(x) })
            }
            Head::Convolution(kernel) => {
                let number = place.convolving;
                place.convolving += 1;
                let label = label("FlexiBertConvolutionHead");
                Self::Convolving(Box::new(ConvolutionHead::load(&part, label, number, (width, kernel))?))
            }
        })
    }
}

/// q kᵀ, or (q W) kᵀ.
pub(super) struct ScoringHead {
    label: Label,
    weight: Option<Tensor>,
}

impl Module for ScoringHead {
    /// The head's query and key, (batch, sequence, width).
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (query, key): (&Tensor, &Tensor)) -> Result<Tensor> {
        let keys = cx.transpose(key, 1, 2)?;
        match &self.weight {
            Some(weight) => {
                let query = cx.matmul_parameter(query, weight)?;
                cx.matmul(&query, &keys)
            }
            None => cx.matmul(query, &keys),
        }
    }
}

/// The sum of the weighted values and a transform of the values over sequence and width.
pub(super) struct TransformHead {
    label: Label,
    transform: fn(&mut Cx<'_>, &Tensor) -> Result<Tensor>,
}

impl Module for TransformHead {
    /// The head's value and its weighted values, (batch, sequence, width).
    type Input<'a> = (&'a Tensor, &'a Tensor);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (value, weighed): (&Tensor, &Tensor)) -> Result<Tensor> {
        let transformed = (self.transform)(cx, value)?;
        cx.add(weighed, &transformed)
    }
}
