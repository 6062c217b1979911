use irene_tree::Format;

use crate::{Batch, Result, Tensor, Tensors};

/// The inputs of every layer beside the hidden states.
pub(super) struct Surroundings {
    /// Numbers added to scores, (batch, 1, 1, key).
    pub(super) mask: Tensor,
    /// 0, 1, 2 ... for queries, (sequence, 1), and keys, (1, sequence).
    pub(super) places: [Tensor; 2],
}

impl Surroundings {
    pub(super) fn of(batch: &Batch, mask: Tensor) -> Result<Self> {
        let seq_len = batch.new_tokens();
        let queries = batch.buffer([seq_len, 1], Format::I64, |row, _| row as i64)?;
        let keys = batch.buffer([1, seq_len], Format::I64, |_, column| column as i64)?;
        Ok(Self { mask, places: [queries, keys] })
    }
}

impl Tensors for Surroundings {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.mask);
    }
}
