use irene_tree::Level;

use super::{
    LayerDesign, Sizes,
    heads::{HeadModule, Place},
    surroundings::Surroundings,
};
use crate::{Cx, Embedding, Label, Linear, Module, Result, Tensor, Weights, labelled, models::heads as all_heads};

labelled!(FlexiBertSelfAttention);

/// Every head's own operation, and the steps that all heads share: scores of relative positions, a softmax, and its product with the
/// values.
pub(super) struct FlexiBertSelfAttention {
    label: Label,
    query: Linear,
    key: Linear,
    value: Linear,
    /// A key for each distance, from the farthest before to the farthest behind.
    distance_embedding: Embedding,
    positions: usize,
    heads: Vec<HeadModule>,
    dropout: f64,
}

impl FlexiBertSelfAttention {
    pub(super) fn load(weights: &Weights<'_>, design: &LayerDesign, sizes: &Sizes) -> Result<Self> {
        let linear = |weights: &Weights<'_>| Linear::load(weights, design.hidden, design.all_heads_width());
        let (width, positions, key) = (design.head_width(), sizes.positions, weights.child("key"));
        let mut place = Place::default();
        let heads = design.heads.iter().map(|&head| HeadModule::load(weights, head, width, &mut place));
        Ok(Self {
            label: weights.label("FlexiBertSelfAttention", Level::Module),
            query: linear(&weights.child("query"))?,
            // Transforms take values alone.
            key: linear(&if design.heads.iter().all(|head| head.is_transform()) { key.untrained() } else { key })?,
            value: linear(&weights.child("value"))?,
            distance_embedding: Embedding::load(&weights.child("distance_embedding"), 2 * positions - 1, width)?,
            positions,
            heads: heads.collect::<Result<_>>()?,
            dropout: sizes.attention_dropout,
        })
    }

    /// The heads' own scores (batch, heads, query, key): products of queries and keys, or zeros.
    fn own_scores(&self, cx: &mut Cx<'_>, query: &Tensor, key: &Tensor) -> Result<Tensor> {
        let (batch, seq_len) = (query.dim(0), query.dim(2));
        let scores = self.heads.iter().enumerate().map(|(index, head)| match head {
            HeadModule::Scoring(head) => {
                let (query, key) = (cx.select(query, 1, index)?, cx.select(key, 1, index)?);
                cx.call(head, (&query, &key))
            }
            HeadModule::Transforming(_) | HeadModule::Convolving(_) => cx.zeros(query, [batch, seq_len, seq_len]),
        });
        let scores = scores.collect::<Result<Vec<_>>>()?;
        cx.stack(&scores.iter().collect::<Vec<_>>(), 1)
    }

    /// Scores of distances, a view (batch, heads, query, key): for each query its products with the keys of all distances.
    fn distance_scores(&self, cx: &mut Cx<'_>, query: &Tensor, [rows, columns]: &[Tensor; 2]) -> Result<Tensor> {
        let (batch, heads, seq_len, width) = (query.dim(0), query.dim(1), query.dim(2), query.dim(3));
        let distances = cx.sub(rows, columns)?;
        let distances = cx.add_scalar(&distances, self.positions as f64)?;
        let distances = cx.add_scalar(&distances, -1.0)?;
        let keys = cx.call(&self.distance_embedding, &distances)?;
        let keys = cx.transpose(&keys, 1, 2)?;
        // To (query, batch, heads, width) and back.
        let by_place = cx.transpose(query, 0, 2)?;
        let by_place = cx.transpose(&by_place, 1, 2)?;
        let by_place = cx.contiguous(&by_place)?;
        let by_place = cx.reshape(&by_place, [seq_len, batch * heads, width])?;
        let scores = cx.matmul(&by_place, &keys)?;
        let scores = cx.reshape(&scores, [seq_len, batch, heads, seq_len])?;
        let scores = cx.transpose(&scores, 1, 2)?;
        cx.transpose(&scores, 0, 2)
    }

    /// The context of each head: the weighted values, and the head's own transform or convolution beside them.
    fn mixed(&self, cx: &mut Cx<'_>, [query, key, value]: &[Tensor; 3], weighed: &Tensor) -> Result<Tensor> {
        let contexts = self.heads.iter().enumerate().map(|(index, head)| {
            let weighed = cx.select(weighed, 1, index)?;
            match head {
                HeadModule::Scoring(_) => Ok(weighed),
                HeadModule::Transforming(head) => {
                    let value = cx.select(value, 1, index)?;
                    cx.call(head, (&value, &weighed))
                }
                HeadModule::Convolving(head) => {
                    let (query, key) = (cx.select(query, 1, index)?, cx.select(key, 1, index)?);
                    let value = cx.select(value, 1, index)?;
                    cx.call(&**head, ((&query, &key), (&value, &weighed)))
                }
            }
        });
        let contexts = contexts.collect::<Result<Vec<_>>>()?;
        cx.stack(&contexts.iter().collect::<Vec<_>>(), 1)
    }
}

impl Module for FlexiBertSelfAttention {
    type Input<'a> = (&'a Tensor, &'a Surroundings);
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, (hidden, around): (&Tensor, &Surroundings)) -> Result<Tensor> {
        let layers = [&self.query, &self.key, &self.value];
        let heads = all_heads::project(cx, layers, hidden, self.heads.len())?;
        let [query, key, value] = &heads;
        let scores = self.own_scores(cx, query, key)?;
        let distances = self.distance_scores(cx, query, &around.places)?;
        let scores = cx.add(&scores, &distances)?;
        let scores = cx.div_scalar(&scores, all_heads::root_of_width(&heads))?;
        let scores = cx.add(&scores, &around.mask)?;
        let probabilities = cx.softmax(&scores)?;
        let probabilities = cx.dropout(&probabilities, self.dropout)?;
        let values = cx.contiguous(value)?;
        let weighed = cx.matmul(&probabilities, &values)?;
        let context = self.mixed(cx, &heads, &weighed)?;
        all_heads::merge(cx, &context)
    }
}
