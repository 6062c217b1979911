//! The cost of gradients that are operations of their own; those of products are products.

use irene_tree::{OpKind, Operation, Shape};

use super::{
    by_element, operand_bytes,
    products::{Product, attended_pairs, attended_width, attention_flops},
    rms_norm_kernels, rms_norm_passes, scan_flops, taps,
};

/// FLOPs of a gradient, without what tiles round up.
pub(super) fn flops(op: &Operation) -> u64 {
    let elements = op.output.shape.elements();
    match op.kind {
        OpKind::GroupedLinear => grouped(op).flops(),
        OpKind::Convolution => {
            let of_result = op.inputs.last().map_or(0, |g| g.shape.elements());
            of_result.saturating_mul(taps(op.output.shape.dims()).saturating_mul(2))
        }
        OpKind::Scan => scan_flops(op, op.inputs.last().map_or(0, |g| g.shape.elements()), SCAN),
        OpKind::Attention => attention(op),
        OpKind::Embedding | OpKind::Scatter => elements,
        OpKind::AllGather => elements.saturating_mul(op.gpus.saturating_sub(1)),
        kind => (of_number(kind) + op.fused.iter().map(|kind| of_number(*kind)).sum::<u64>()).saturating_mul(elements),
    }
}

/// FLOPs for each number of a scan's states: 5 that compute the state again, and 15 for its gradient and those of the decay, the step, the way
/// in, the way out and the input.
const SCAN: u64 = 20;

/// FLOPs for each number of the result.
fn of_number(kind: OpKind) -> u64 {
    match kind {
        OpKind::LayerNorm | OpKind::RmsNorm => 8,
        OpKind::Softmax => 4,
        OpKind::Tanh | OpKind::Sigmoid => 3,
        OpKind::Relu | OpKind::Expm1 | OpKind::Clamp | OpKind::Mul | OpKind::Dropout => 1,
        OpKind::Gelu => 10,
        OpKind::Silu => 7,
        OpKind::Erf | OpKind::Softplus | OpKind::Cos | OpKind::Sin | OpKind::Pow | OpKind::Div => 5,
        other => by_element(other).0,
    }
}

/// Three products of queries or keys, two of values, the softmax that is computed again, and its gradient, for each pair.
fn attention(op: &Operation) -> u64 {
    // The forward products twice, the scores once more, and the gradient of the softmax.
    let more_of_pair = attended_width(op, 0).saturating_mul(2).saturating_add(of_number(OpKind::Softmax));
    attention_flops(op).saturating_mul(2).saturating_add(attended_pairs(op).saturating_mul(more_of_pair))
}

/// The weights' gradients of a grouped product: for each expert (outputs x rows)(rows x inputs).
fn grouped(op: &Operation) -> Product {
    let rows = op.inputs.first().map_or(0, |x| x.shape.elements() / x.shape.last().max(1) as u64);
    let size = |shape: Shape| shape.last() as u64;
    let of_inputs = op.inputs.first().map_or(0, |x| size(x.shape));
    let of_outputs = op.inputs.get(1).map_or(0, |g| size(g.shape));
    Product { batch: 1, m: of_outputs, n: rows, p: of_inputs }
}

/// Bytes of a gradient: each operand and each result once, of experts those that have rows.
pub(super) fn bytes(op: &Operation) -> u64 {
    let moved = operand_bytes(op).saturating_add(op.output.bytes());
    match op.kind {
        OpKind::GroupedLinear => operand_bytes(op).saturating_add(op.output.format.bytes(op.touched)),
        // One pass more over the gradients for those of the scale, and the other passes twice.
        OpKind::RmsNorm if op.fused.is_empty() => moved.saturating_add(rms_norm_passes(op).saturating_mul(2)),
        // Rows are added to what is there.
        OpKind::Embedding => moved.saturating_add(op.output.bytes()),
        _ => moved,
    }
}

/// FLOPs of the tiles of a gradient.
pub(super) fn in_tiles(op: &Operation) -> u64 {
    match op.kind {
        OpKind::GroupedLinear => grouped(op).in_tiles(),
        _ => flops(op),
    }
}

pub(super) fn kernels(op: &Operation) -> u64 {
    match op.kind {
        // The gradients of x, and those of the scale and shift.
        OpKind::LayerNorm => 2,
        OpKind::RmsNorm if op.fused.is_empty() => 2 * rms_norm_kernels(op),
        OpKind::RmsNorm => 2,
        _ => 1,
    }
}
