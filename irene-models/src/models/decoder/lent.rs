//! An attention over the keys and values that an earlier layer lends (Gemma 4).

use irene_tree::Level;

use super::{
    attention::Seen,
    recipe::{AttentionRecipe, HeadNorms, LayerRecipe, Names, NormKind, Projections},
};
use crate::{
    Attention, Causal, Cx, Error, KeyValue, Label, Linear, Module, Norm, Past, Result, Scaling, Tensor, Weights,
    labelled, models::heads,
};

labelled!(BorrowingAttention);

pub(super) struct BorrowingAttention {
    label: Label,
    query: Linear,
    norm: Norm,
    out: Linear,
    heads: usize,
    sees_later: bool,
    scale: f64,
    dropout: f64,
    layer: LayerRecipe,
}

impl BorrowingAttention {
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &Names,
        recipe: &AttentionRecipe,
        norm: NormKind,
        hidden: usize,
        layer: LayerRecipe,
    ) -> Result<Self> {
        let &AttentionRecipe { heads, sees_later, scale, dropout, .. } = recipe;
        let (Projections::Apart { names: [query, ..], biased }, Some(HeadNorms::PerHead([of_query, _]))) =
            (recipe.projections, recipe.head_norms)
        else {
            return Err(refused("it needs a projection of queries and a norm of each head"));
        };
        let (width, (out, is_biased)) = (recipe.heads_of(&layer).width, recipe.out);
        Ok(Self {
            label: weights.label(names.classes.attention, Level::Module),
            query: Linear::load_maybe_biased(&weights.child(query), [hidden, heads * width], biased)?,
            norm: norm.load(&weights.child(of_query), names.classes.norm, width)?,
            out: Linear::load_maybe_biased(&weights.child(out), [heads * width, hidden], is_biased)?,
            heads,
            sees_later,
            scale,
            dropout,
            layer,
        })
    }
}

fn refused(reason: &str) -> Error {
    Error::Shape { operation: "attention over lent keys", reason: reason.into() }
}

impl Module for BorrowingAttention {
    /// The lent keys and values stand in the place of earlier tokens'.
    type Input<'a> = Seen<'a>;
    type Output = (Tensor, Option<KeyValue>);

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, _), (positions, past)): Seen<'_>) -> Result<Self::Output> {
        let Past::Tokens(KeyValue { key, value, .. }) = past else { return Err(refused("no layer lends any")) };
        let query = cx.call(&self.query, hidden)?;
        let query = cx.reshape(&query, [query.dim(0), query.dim(1), self.heads, query.dim(2) / self.heads])?;
        let query = cx.call(&self.norm, &query)?;
        let query = cx.transpose(&query, 1, 2)?;
        let query = match positions.angles(self.layer.rotary) {
            Some((angles, pairing)) => cx.rotary_of_queries(&query, angles, *pairing)?,
            None => query,
        };
        let how = Attention {
            scaling: if self.scale == 1.0 { Scaling::None } else { Scaling::Factor(self.scale) },
            causal: if self.sees_later { Causal::No } else { Causal::Hidden },
            padding: positions.mask(self.layer.window).padding(),
            window: self.layer.window,
            wide_softmax: true,
            dropout: self.dropout,
            ..Attention::PLAIN
        };
        let context = cx.attention(&[query, key.clone(), value.clone()], how)?;
        let merged = heads::merge(cx, &context)?;
        Ok((cx.call(&self.out, &merged)?, None))
    }
}
