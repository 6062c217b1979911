use irene_tree::{Kernels, OpKind, Operand, Operation};

use super::{Attention, Cx, Label, Padding, operations::label_of};
use crate::{Result, Tensor};

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// The scores (batch, 1, queries, keys) by which an indexer chooses keys, in 32 bits at least: for each head the product of query and
    /// key, scaled and no less than 0, weighed by head and added up (DeepSeek-V3.2, section 2.1). Queries are (batch, heads, queries, width),
    /// keys (batch, 1, keys, width) and weights (batch, queries, heads). Fused kernels compute no score of a key after its query.
    pub(crate) fn index_scores(&mut self, given: [&Tensor; 3], how: Attention<'_>) -> Result<Tensor> {
        if self.kernels() == Kernels::Eager {
            return self.index_scores_by_operations(given, how);
        }
        let [query, key, weights] = given;
        let inputs = how.inputs(given);
        let describe = |output: &Tensor| {
            let mut operands: Vec<Operand> = inputs.iter().map(|x| x.operand()).collect();
            // It is an attention without a softmax, whose values are these weights, one for each head and query.
            operands[2].shape = [query.dim(0), query.dim(1), query.dim(2), 1].into();
            let pairs = how.pairs(query.dim(2) as u64, key.dim(2) as u64);
            Operation { pairs, ..Operation::new(OpKind::Attention, &operands, output.operand()) }
        };
        let label = || Label { name: "scores".into(), ..label_of(OpKind::Attention) };
        let run = || Cx::silent().index_scores_by_operations([query, key, weights], how);
        self.operate(label, &inputs, run, describe)
    }

    fn index_scores_by_operations(
        &mut self,
        [query, key, weights]: [&Tensor; 3],
        how: Attention<'_>,
    ) -> Result<Tensor> {
        let [batch, heads, queries, width] = [0, 1, 2, 3].map(|place| query.dim(place));
        let keys = key.dim(2);
        let query = self.transpose(query, 1, 2)?;
        let query = self.contiguous(&query)?;
        let query = self.reshape(&query, [batch, queries * heads, width])?;
        let key = self.select(key, 1, 0)?;
        let [query, key, weights] = [self.cast_up(&query)?, self.cast_up(&key)?, self.cast_up(weights)?];
        let key = self.transpose(&key, 1, 2)?;
        let scores = self.matmul(&query, &key)?;
        let scores = self.mul_scalar(&scores, how.scale())?;
        let scores = self.relu(&scores)?;
        let scores = self.reshape(&scores, [batch, queries, heads, keys])?;
        let weights = self.mul_scalar(&weights, 1.0 / (heads as f64).sqrt())?;
        let weights = self.reshape(&weights, [batch, queries, 1, heads])?;
        let scores = self.matmul(&weights, &scores)?;
        let scores = self.reshape(&scores, [batch, 1, queries, keys])?;
        let scores = match how.padding {
            // PyTorch widens what it adds within the sum.
            Padding::Added(numbers) => {
                let numbers = self.untraced(|cx| cx.cast_up(numbers))?;
                self.add(&scores, &numbers)?
            }
            padding => self.without_padding(scores, padding)?,
        };
        self.without_hidden_keys(scores, how)
    }
}
