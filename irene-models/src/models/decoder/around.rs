//! Modules that hold others and compute nothing themselves.

use irene_tree::Level;

use super::{
    layer::{DecoderLayer, Kept},
    masks::Positions,
    stream::Stream,
};
use crate::{Cx, Label, Labelled, Module, Norm, Past, Result, Tensor, Weights, labelled};

labelled!(Wrapped<M>);

/// A module around another one that is a module in checkpoints too: OPT's decoder, GPT-Neo's attention.
pub(super) struct Wrapped<M> {
    label: Label,
    pub(super) inner: M,
}

impl<M> Wrapped<M> {
    pub(super) fn new(weights: &Weights<'_>, class: &'static str, level: Level, inner: M) -> Self {
        Self { label: weights.label(class, level), inner }
    }
}

impl<M: Module> Module for Wrapped<M> {
    type Input<'a> = M::Input<'a>;
    type Output = M::Output;

    fn forward(&self, cx: &mut Cx<'_>, input: Self::Input<'_>) -> Result<Self::Output> {
        cx.call(&self.inner, input)
    }
}

/// The attention of a layer with the norms before both of its branches (DBRX).
pub(super) struct BetweenNorms<'l> {
    pub(super) label: &'l Label,
    pub(super) layer: &'l DecoderLayer,
    pub(super) norms: [&'l Norm; 2],
}

impl Labelled for BetweenNorms<'_> {
    fn label(&self) -> &Label {
        self.label
    }
}

impl Module for BetweenNorms<'_> {
    type Input<'a> = (&'a Stream, (&'a Positions, Past<'a>));
    /// The stream with the attention's branch, what the feed-forward part reads, and what is kept.
    type Output = (Stream, (Tensor, Kept));

    fn forward(&self, cx: &mut Cx<'_>, (stream, around): Self::Input<'_>) -> Result<Self::Output> {
        self.layer.attended(cx, stream, around, self.norms)
    }
}
