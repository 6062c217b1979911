use irene_tree::Level;

use super::{DebertaSizes, Seen, positions::RelativePositions};
use crate::{Attention, Cx, Label, Linear, Module, Padding, Result, Scaling, Tensor, Weights, labelled, models::heads};

labelled!(DisentangledSelfAttention);

/// Attention by content, by the position of the key as the query's content sees it, and back.
pub(super) struct DisentangledSelfAttention {
    label: Label,
    query_proj: Linear,
    key_proj: Linear,
    value_proj: Linear,
    /// The projections of positions, where they have their own.
    pos_key_proj: Option<Linear>,
    pos_query_proj: Option<Linear>,
    heads: usize,
    relative: RelativePositions,
    /// Dropout of the rows of positions, and of the probabilities.
    dropouts: [f64; 2],
}

impl DisentangledSelfAttention {
    pub(super) fn load(weights: &Weights<'_>, sizes: &DebertaSizes) -> Result<Self> {
        let (hidden, relative) = (sizes.bert.hidden, sizes.relative);
        let width = sizes.bert.heads * sizes.head_width;
        let linear = |name| Linear::load(&weights.child(name), hidden, width);
        let is_own = relative.span().is_some() && !relative.shares_projections;
        let own = |is_asked: bool, name| (is_own && is_asked).then(|| linear(name)).transpose();
        Ok(Self {
            label: weights.label("DisentangledSelfAttention", Level::Module),
            query_proj: linear("query_proj")?,
            key_proj: linear("key_proj")?,
            value_proj: linear("value_proj")?,
            pos_key_proj: own(relative.content_to_position, "pos_key_proj")?,
            pos_query_proj: own(relative.position_to_content, "pos_query_proj")?,
            heads: sizes.bert.heads,
            relative,
            dropouts: [sizes.bert.dropout, sizes.bert.attention_dropout],
        })
    }

    /// Rows of positions as keys and as queries: (batch, heads, rows, width), copied for every sequence.
    fn projected(&self, cx: &mut Cx<'_>, layer: &Linear, rows: &Tensor, sequences: usize) -> Result<Tensor> {
        let rows = cx.reshape(rows, [1, rows.dim(0), rows.dim(1)])?;
        let projected = cx.call(layer, &rows)?;
        let projected = heads::split(cx, &projected, self.heads)?;
        let projected = cx.contiguous(&projected)?;
        let shape = [sequences, projected.dim(1), projected.dim(2), projected.dim(3)];
        let repeated = cx.expand(&projected, shape)?;
        cx.contiguous(&repeated)
    }

    /// The part of the scores (batch, heads, query, key) that positions add, if any.
    fn bias(
        &self,
        cx: &mut Cx<'_>,
        [query, key]: [&Tensor; 2],
        root: f64,
        (_, (_, (places, rows))): Seen<'_>,
    ) -> Result<Option<Tensor>> {
        let Some(rows) = rows else { return Ok(None) };
        let rows = &cx.dropout(rows, self.dropouts[0])?;
        // With shared projections transformers computes both, whichever of them is used.
        let layers = if self.relative.shares_projections {
            [Some(&self.key_proj), Some(&self.query_proj)]
        } else {
            [self.pos_key_proj.as_ref(), self.pos_query_proj.as_ref()]
        };
        let mut project =
            |layer: Option<&Linear>| layer.map(|layer| self.projected(cx, layer, rows, query.dim(0))).transpose();
        let (keys, queries) = (project(layers[0])?, project(layers[1])?);

        let mut bias = None;
        if let (Some(keys), Some(places)) = (&keys, &places.of_keys) {
            bias = Some(looked_up(cx, query, keys, places, root)?);
        }
        if let (Some(queries), Some(places)) = (&queries, &places.of_queries) {
            let from_keys = looked_up(cx, key, queries, places, root)?;
            let from_keys = cx.transpose(&from_keys, 2, 3)?;
            bias = Some(match bias {
                Some(bias) => cx.add(&bias, &from_keys)?,
                None => from_keys,
            });
        }
        Ok(bias)
    }
}

/// The scores of content against every row of positions, each pair's looked up at its place and divided by the root.
fn looked_up(cx: &mut Cx<'_>, content: &Tensor, rows: &Tensor, places: &Tensor, root: f64) -> Result<Tensor> {
    let rows = cx.transpose(rows, 2, 3)?;
    let scores = cx.matmul(content, &rows)?;
    let scores = cx.pick_columns(&scores, places)?;
    cx.div_scalar(&scores, root)
}

impl Module for DisentangledSelfAttention {
    type Input<'a> = Seen<'a>;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, seen: Seen<'_>) -> Result<Tensor> {
        let (hidden, (mask, _)) = seen;
        let layers = [&self.query_proj, &self.key_proj, &self.value_proj];
        let [query, key, value] = heads::project(cx, layers, hidden, self.heads)?;
        let [query, key] = [cx.contiguous(&query)?, cx.contiguous(&key)?];
        let root = ((query.dim(3) * self.relative.summands()) as f64).sqrt();
        let bias = self.bias(cx, [&query, &key], root, seen)?;
        // transformers divides the keys, which are as many numbers.
        let how = Attention {
            scaling: Scaling::Query(root),
            bias: bias.as_ref(),
            padding: Padding::Masked(mask),
            dropout: self.dropouts[1],
            ..Attention::PLAIN
        };
        let context = cx.attention(&[query, key, value], how)?;
        heads::merge(cx, &context)
    }
}
