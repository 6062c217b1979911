//! Attention as one operation, for 32-bit floats on the CPU: scores stay in the processor's cache, and heads are read in place.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::kernels;
use super::product::{Matrix, Tile};

/// Softmax(query keyᵀ · scale + masks) value.
struct Attention {
    scale: f32,
    /// Score given to keys after the query (causal masking).
    later: Option<f32>,
    /// (batch, 1, 1, key), contiguous.
    added: Option<Tensor>,
}

/// Whether the operation can take these heads (batch, heads, sequence, width).
fn takes(heads: &Tensor) -> bool {
    matches!(heads.device(), Device::Cpu)
        && heads.dtype() == DType::F32
        && heads.rank() == 4
        && heads.stride()[3] == 1
        && heads.elem_count() > 0
}

/// The context as a view (batch, heads, sequence, width) of memory in the order (batch, sequence, heads, width), or None for tensors
/// that this operation cannot take.
pub(super) fn attention(
    [query, key, value]: [&Tensor; 3],
    scale: f64,
    later: Option<f64>,
    added: Option<&Tensor>,
) -> Option<Result<Tensor>> {
    let (batch, heads, queries, width) = query.dims4().ok()?;
    let keys = key.dim(2).ok()?;
    let is_one_of = |x: &Tensor| takes(x) && x.dims() == [batch, heads, keys, width];
    let fits = takes(query) && is_one_of(key) && is_one_of(value) && keys >= queries;
    if !fits || added.is_some_and(|mask| mask.dtype() != DType::F32) {
        return None;
    }
    let run = || {
        let added = added.map(|mask| mask.broadcast_as((batch, 1, 1, keys))?.contiguous()).transpose()?;
        let op = Attention { scale: scale as f32, later: later.map(|score| score as f32), added };
        query.apply_op3_no_bwd(key, value, &op)?.transpose(1, 2)
    };
    Some(run())
}

/// One operand: its numbers from its first on, and the steps between batch entries, heads and rows.
struct Heads<'a> {
    values: &'a [f32],
    steps: [usize; 3],
}

impl<'a> Heads<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        match (storage, layout.stride()) {
            (CpuStorage::F32(values), &[batch, head, row, 1]) => {
                Ok(Self { values: &values[layout.start_offset()..], steps: [batch, head, row] })
            }
            _ => bail!("expected heads of 32-bit floats"),
        }
    }

    /// Some rows of one head.
    fn of(&self, batch: usize, head: usize, rows: Range<usize>, width: usize) -> Matrix<'a> {
        let [batch_step, head_step, row_step] = self.steps;
        let first = batch * batch_step + head * head_step + rows.start * row_step;
        Matrix::new(&self.values[first..], (rows.len(), width), row_step)
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, heads, rows, width) = layout.shape().dims4()?;
        let keys = key_layout.shape().dims4()?.2;
        // The queries belong to the last tokens of the keys.
        let past = keys - rows;
        let query = Heads::new(query, layout)?;
        let (key, value) = (Heads::new(key, key_layout)?, Heads::new(value, value_layout)?);
        let added = self.added.as_ref().map(Tensor::storage_and_layout);
        let added = match &added {
            None => None,
            Some((storage, layout)) => match (&**storage, layout.contiguous_offsets()) {
                (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) => Some(&values[from..to]),
                _ => bail!("expected a contiguous mask of 32-bit floats"),
            },
        };

        // A task is a block of queries with all its heads, which is one piece of the output.
        let block =
            (batch * rows).div_ceil(4 * rayon::current_num_threads()).clamp(LEAST_BLOCK, GREATEST_BLOCK).min(rows);
        let mut out = vec![0.0; batch * rows * heads * width];
        out.par_chunks_mut(rows * heads * width).enumerate().for_each(|(entry, out)| {
            let added = added.map(|added| &added[entry * keys..][..keys]);
            out.par_chunks_mut(block * heads * width).enumerate().for_each_init(
                || vec![0.0; block * keys],
                |scores, (number, out)| {
                    let first = number * block;
                    let queries = out.len() / (heads * width);
                    // Keys that no query of the block may see are skipped, unless a query might see nothing but padding.
                    let keys = if self.later.is_some() && added.is_none() { past + first + queries } else { keys };
                    let scores = &mut scores[..queries * keys];
                    for head in 0..heads {
                        let queries_here = query.of(entry, head, first..first + queries, width);
                        let keys_here = key.of(entry, head, 0..keys, width).transposed();
                        Tile::new(scores, (queries, keys), keys).fill_with_product(queries_here, keys_here, self.scale);
                        kernels::softmax_rows(scores, keys, self.later.map(|later| (later, past + first)), added);
                        let probabilities = Matrix::new(scores, (queries, keys), keys);
                        let values = value.of(entry, head, 0..keys, width);
                        let context = &mut out[head * width..];
                        Tile::new(context, (queries, width), heads * width).fill_with_product(
                            probabilities,
                            values,
                            1.0,
                        );
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), Shape::from((batch, rows, heads, width))))
    }
}

/// Bounds on the queries of a task: fewer would pack the keys too often, more would not fit into the cache.
const LEAST_BLOCK: usize = 16;
const GREATEST_BLOCK: usize = 128;
