//! Products of matrices, of rows with the weights of experts, and of an attention.

use irene_tree::{OpKind, Operand, Operation};

use super::{by_element, dims};

/// Rows and columns of the tiles in which libraries compute a product's output (64 to 256 on GPUs): a partly filled tile takes as
/// long as a full one.
const TILE: u64 = 64;

/// A batched product (m x n)(n x p).
pub(super) struct Product {
    pub(super) batch: u64,
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) p: u64,
}

/// The product behind a MatMul, Linear or Conv1D, from the first operand's and the output's dimensions.
pub(super) fn product(op: &Operation) -> Product {
    let shape = op.output.shape;
    let rows = match shape.dims() {
        [.., rows, _] => *rows as u64,
        _ => 1,
    };
    let p = shape.last() as u64;
    let n = op.inputs.first().map_or(0, |x| x.shape.last()) as u64;
    let batch = shape.elements().checked_div(rows.saturating_mul(p)).unwrap_or(0);
    Product { batch, m: rows, n, p }
}

impl Product {
    pub(super) fn flattened(self) -> Self {
        Self { batch: 1, m: self.batch.saturating_mul(self.m), ..self }
    }

    /// FLOPs of the tiles that hold the output.
    pub(super) fn in_tiles(self) -> u64 {
        let up = |size: u64| size.div_ceil(TILE).saturating_mul(TILE);
        [self.batch, up(self.m), self.n, up(self.p)].into_iter().fold(2, u64::saturating_mul)
    }

    pub(super) fn flops(&self) -> u64 {
        [self.batch, self.m, self.n, self.p].into_iter().fold(2, u64::saturating_mul)
    }

    /// FLOPs and bytes with both matrices read for every entry of the batch.
    pub(super) fn counted_once_a_batch(&self, op: &Operation) -> (u64, u64) {
        let Self { batch, m, n, p } = *self;
        let format = |place: usize| op.inputs.get(place).map_or(op.output.format, |operand| operand.format);
        let matrices = [(m, n, format(0)), (n, p, format(1)), (m, p, op.output.format)];
        let bytes = matrices.map(|(rows, columns, format)| format.bytes(rows.saturating_mul(columns)));
        (self.flops(), bytes.into_iter().fold(0, u64::saturating_add).saturating_mul(batch))
    }
}

/// Bytes of the weights that a grouped product reads, and of as large a part of the biases behind them, one row for each expert.
pub(super) fn touched_bytes(op: &Operation) -> u64 {
    let whole = op.inputs.get(1).map_or(1, |weight| weight.shape.elements().max(1));
    let of_biases = |bias: &Operand| {
        let numbers = u128::from(bias.shape.elements()) * u128::from(op.touched) / u128::from(whole);
        bias.format.bytes(numbers.try_into().unwrap_or(u64::MAX))
    };
    let weights = op.inputs.get(1).map_or(0, |weight| weight.format.bytes(op.touched));
    op.inputs.iter().skip(2).map(of_biases).fold(weights, u64::saturating_add)
}

/// Bytes of a grouped product: its rows, its result, and the weights and biases that it reads.
pub(super) fn grouped_bytes(op: &Operation) -> u64 {
    let rows = op.inputs.first().map_or(0, Operand::bytes);
    rows.saturating_add(op.output.bytes()).saturating_add(touched_bytes(op))
}

/// FLOPs of a grouped product's tiles, its rows spread evenly over the experts that are read.
pub(super) fn grouped_in_tiles(op: &Operation) -> u64 {
    let whole = product(op).flattened();
    let experts = op.touched.div_ceil(whole.n.saturating_mul(whole.p).max(1)).max(1);
    Product { batch: experts, m: whole.m.div_ceil(experts), ..whole }.in_tiles()
}

/// FLOPs of the two products and the softmax over the pairs that an attention computes, for query and value (batch, heads, tokens,
/// width).
pub(super) fn attention_flops(op: &Operation) -> u64 {
    let of_pair = attended_width(op, 0).saturating_add(attended_width(op, 2)).saturating_mul(2);
    attended_pairs(op).saturating_mul(of_pair.saturating_add(by_element(OpKind::Softmax).0))
}

/// The pairs that all heads of all sequences compute.
pub(super) fn attended_pairs(op: &Operation) -> u64 {
    dims(op, 0).iter().take(2).fold(op.pairs, |product, &dim| product.saturating_mul(dim as u64))
}

/// Numbers in a head of the operand at this place.
pub(super) fn attended_width(op: &Operation, place: usize) -> u64 {
    dims(op, place).last().map_or(0, |&width| width as u64)
}
