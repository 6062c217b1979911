//! The lightning indexer of DeepSeek-V4 (section 2.3.1): small heads of its own choose the entries that each query sees.

use irene_tree::{Format, Kernels, Level, OpKind, Operand, Operation, Shape};

use super::super::{
    masks::Positions,
    recipe::{Compression, Indexing},
};
use super::pool::{Pass, Pool, entries_seen};
use crate::{Cx, Label, Linear, Module, Past, Result, Tensor, Weights, labelled, models::heads};

labelled!(Indexer, Scorer);

pub(super) struct Indexer {
    label: Label,
    pool: Pool,
    q_b_proj: Linear,
    scorer: Scorer,
    how: Indexing,
    rotary: Option<usize>,
}

impl Indexer {
    pub(super) fn load(
        weights: &Weights<'_>,
        how: Indexing,
        of: Compression,
        rotary: Option<usize>,
        [hidden, query_rank]: [usize; 2],
    ) -> Result<Self> {
        let place = weights.child("scorer");
        let weights_proj = Linear::load_with(&place.child("weights_proj"), [hidden, how.heads], None)?;
        // The scores are for every entry, whatever is chosen of them.
        let every = Compression { indexer: Some(Indexing { chosen: usize::MAX, ..how }), ..of };
        Ok(Self {
            label: weights.label("DeepseekV4Indexer", Level::Module),
            pool: Pool::load(weights, of, hidden, how.width)?,
            q_b_proj: Linear::load_with(&weights.child("q_b_proj"), [query_rank, how.heads * how.width], None)?,
            scorer: Scorer { label: place.label("DeepseekV4IndexerScorer", Level::Module), weights_proj, every },
            how,
            rotary,
        })
    }
}

impl Module for Indexer {
    /// Hidden states and the latent vectors of the queries, the positions, and the cache.
    type Input<'a> = ((&'a Tensor, &'a Tensor), (&'a Positions, Past<'a>));
    /// The places of each token's entries (tokens, chosen).
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, ((hidden, latent), (positions, past)): Self::Input<'_>) -> Result<Tensor> {
        let pass = Pass::of(cx, positions.size, past, hidden.format());
        let keys = self.pool.run(cx, hidden, pass)?;
        let query = cx.call(&self.q_b_proj, latent)?;
        let query = heads::split(cx, &query, self.how.heads)?;
        let query = match positions.angles(self.rotary) {
            Some((angles, pairing)) => cx.rotary_of_queries(&query, angles, *pairing)?,
            None => query,
        };
        let scores = cx.call(&self.scorer, ((&query, &keys), (hidden, positions)))?;
        let (rows, entries) = (scores.dim(0) * scores.dim(1), scores.dim(2));
        let scores = cx.reshape(&scores, [rows, entries])?;
        if entries == 0 {
            return Ok(scores);
        }
        Ok(cx.top_k(&scores, self.how.chosen.min(entries))?.1)
    }
}

/// Scores of a token and an entry: the products of the heads' queries and the entry's key, each no less than 0, weighed and summed.
struct Scorer {
    label: Label,
    weights_proj: Linear,
    every: Compression,
}

impl Scorer {
    /// The one kernel that engines have for it, which skips the entries of later tokens: an attention's products without values.
    fn operation(&self, [query, keys, weights]: [&Tensor; 3], scores: Operand, positions: &Positions) -> Operation {
        let nothing = Operand::activation([keys.dim(0), 1, keys.dim(2), 0], keys.format());
        let inputs = [query.operand(), keys.operand(), nothing, weights.operand()];
        let pairs = entries_seen(positions.size, self.every);
        Operation { pairs, ..Operation::new(OpKind::Attention, &inputs, scores) }
    }

    fn by_operations(&self, cx: &mut Cx<'_>, [query, keys, weights]: [&Tensor; 3], scores: Operand) -> Result<()> {
        let query = cx.cast_up(query)?;
        let wide = cx.cast_up(keys)?;
        let (batch, heads, tokens, entries) = (query.dim(0), query.dim(1), query.dim(2), keys.dim(2));
        let by_token = |last: usize| Operand::activation([batch, tokens, heads, last], Format::F32);
        let of_heads = by_token(entries);
        let weights = cx.cast_up(weights)?;
        let mut step = |kind: OpKind, inputs: &[Operand], output: Operand| {
            cx.follow(Operation::new(kind, inputs, output), &[&query, &wide, &weights]).map(drop)
        };
        step(OpKind::MatMul, &[by_token(query.dim(3)), wide.operand()], of_heads)?;
        step(OpKind::Relu, &[of_heads], of_heads)?;
        step(OpKind::Mul, &[of_heads], of_heads)?;
        step(OpKind::Mul, &[weights.operand()], weights.operand())?;
        step(OpKind::Mul, &[of_heads, weights.operand()], of_heads)?;
        step(OpKind::Sum, &[of_heads], scores)
    }
}

impl Module for Scorer {
    /// Queries (batch, heads, tokens, width) and keys (batch, 1, entries, width), hidden states, and the positions.
    type Input<'a> = ((&'a Tensor, &'a Tensor), (&'a Tensor, &'a Positions));
    /// (batch, tokens, entries)
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, ((query, keys), (hidden, positions)): Self::Input<'_>) -> Result<Tensor> {
        let weights = cx.call(&self.weights_proj, hidden)?;
        let shape = Shape::from([hidden.dim(0), hidden.dim(1), keys.dim(2)]);
        let scores = Operand::activation(shape, Format::F32);
        if keys.dim(2) == 0 {
            return Ok(Tensor::of_shape(shape, Format::F32));
        }
        match cx.kernels() {
            Kernels::Eager => {
                self.by_operations(cx, [query, keys, &weights], scores)?;
                Ok(Tensor::of_shape(shape, Format::F32))
            }
            Kernels::Fused => {
                let scoring = self.operation([query, keys, &weights], scores, positions);
                cx.follow(scoring, &[query, keys, &weights])
            }
        }
    }
}
