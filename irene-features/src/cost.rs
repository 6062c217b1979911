//! FLOPs, bytes and kernels of one operation.
//!
//! Two conventions stand side by side. [`irene`] is IrEne's, which its published data and every predictor trained on it use; it
//! counts some operands twice and copies not at all. [`physical`] is the work of a machine: each operand of each launched kernel
//! moved once, copies included; products in whole tiles.
//!
//! IrEne's rules follow. E is the elements of the output (of the input, for operations on one operand), w the bytes of an element in
//! its operand's format.
//!
//! | operation | FLOPs | bytes |
//! |---|---|---|
//! | matmul (m x n)(n x p), batched over B | 2·B·m·n·p | B·(mn + np + mp)·w |
//! | Linear on 3-D input: matmul, the weight once a batch entry, then add | 2·B·m·n·p + E | the same two |
//! | Linear on 2-D input, Conv1D on flattened tokens: addmm | 2·n·m·p | (nm + mp + np)·w |
//! | add, sub, div, pow | E | 2·E·w |
//! | mul, rsub | E | 3·E·w |
//! | relu, gelu, tanh, softmax, layer_norm | 1, 6, 4, 5, 8 x E | 2, 2, 1, 3, 4 x E·w |
//! | embedding | 0 | ids·8 + E·w |
//! | where, comparison, cumsum, cast, copy, concat | 0 | 0 |
//!
//! Counts that no machine could hold saturate instead of wrapping.
//!
//! IrEne has no rule for the following; in its manner, each operand and each result counts once. A transform of n points counts
//! 5·n·log₂ n FLOPs, the usual convention for a complex FFT whatever the length; s and d are the last two dimensions, and both
//! transforms run along each of them.
//!
//! | operation | FLOPs | bytes |
//! |---|---|---|
//! | sigmoid, silu | 4, 5 x E | 2·E·w |
//! | convolution by a weight (out, in a group, k) | 2·E·in·k | operands + E·w |
//! | scan of states of n numbers each | 7·E·n | operands + E·w |
//! | dft | 5·E·log₂(s·d) | 2·E·w |
//! | dct: dft, and a rotation and scaling of 4 FLOPs an element along each | 5·E·log₂(s·d) + 8·E | 2·E·w |
//! | unfold, fill | 0 | 0 |
//! | fused attention over P pairs of a query and a key in each of h heads, keys and values d wide | P·h·(4·d + 5) | operands + E·w |
//! | cache write | 0 | operands + E·w |
//! | RMS norm, rotary | 4, 3 x E | operands + E·w |
//! | neg, cos, sin, expm1, softplus | 1, 4, 4, 4, 8 x E | 2·E·w |
//! | sum, scatter | elements of the input | operands + E·w |
//! | topk, gather | 0 | operands + E·w |
//! | grouped linear: rows (r, n) by the experts' weights (experts, p, n) | 2·r·n·p | rows + E·w + the weights and biases of the experts that a row is sent to |
//!
//! Several GPUs exchange what each of them has; the counts are those of one GPU. n GPUs add up n tensors by n - 1 additions a number,
//! which they share as a ring does. [`link_bytes`] has what a GPU sends.
//!
//! | operation of n GPUs, each with b bytes | FLOPs | bytes | bytes that a GPU sends |
//! |---|---|---|---|
//! | all reduce | E·(n - 1)/n | operands + E·w | 2·b·(n - 1)/n |
//! | all gather | 0 | operands + E·w | b·(n - 1) |
//! | reduce and scatter, the gradient of an all gather | E·(n - 1) | operands + E·w | b·(n - 1)/n |
//! | all to all | 0 | operands + E·w | b·(n - 1)/n |
//! | send and receive, of either end | 0 | E·w | b |
//!
//! A step of training has further operations. The gradient of an operation counts its own FLOPs: 8, 8, 4 for each number of a layer norm, an RMS
//! norm and a softmax; 3 for tanh and sigmoid, 1 for relu and expm1, 10, 7 and 5 for gelu, silu and the others; five products for the two of an
//! attention, whose scores it computes again; 20 for each number of a scan's states, which it computes again. Each operand and each result counts
//! once. An update counts E numbers of the weight, and reads and writes the weight and its states.
//!
//! | operation | FLOPs | bytes |
//! |---|---|---|
//! | dropout | 2·E | operands + E·w + a byte a number for the mask |
//! | sgd, adamw | 4, 12 x E | 2·(weight + states) + gradient |
//! | adafactor, in 3 kernels | 12 x E | 3·(weight + states + gradient) |
//!
//! A kernel of several operations counts the FLOPs of each, and moves its operands and its result once. A GELU in one kernel counts 6 FLOPs
//! a number whatever its form.

mod gradient;
mod products;
#[cfg(test)]
mod tests;

use std::{iter::Sum, ops::Add};

use irene_tree::{OpKind, Operand, Operation, Role};

use self::products::{attention_flops, grouped_bytes, grouped_in_tiles, product, touched_bytes};

/// The cost of one run of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating point operations.
    pub flops: u64,
    /// Bytes of memory traffic.
    pub bytes: u64,
    /// Kernels launched.
    pub kernels: u64,
}

/// Saturates instead of wrapping.
impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            flops: self.flops.saturating_add(other.flops),
            bytes: self.bytes.saturating_add(other.bytes),
            kernels: self.kernels.saturating_add(other.kernels),
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::add)
    }
}

/// The cost by IrEne's counting rules. Kernels are those of [`physical`], which IrEne does not count.
pub fn irene(op: &Operation) -> Cost {
    let (flops, bytes) = alone(op);
    let bytes = if op.fused.is_empty() { bytes } else { operand_bytes(op).saturating_add(op.output.bytes()) };
    Cost { flops: flops.saturating_add(fused_flops(op)), bytes, kernels: kernels(op) }
}

/// FLOPs and bytes of an operation as if nothing else were in its kernel.
fn alone(op: &Operation) -> (u64, u64) {
    if op.is_gradient {
        return (gradient::flops(op), gradient::bytes(op));
    }
    let elements = op.output.shape.elements();
    let scaled = |flops: u64, times: u64| (flops.saturating_mul(elements), op.output.bytes().saturating_mul(times));
    let moved_once = || operand_bytes(op).saturating_add(op.output.bytes());
    match op.kind {
        OpKind::MatMul => product(op).counted_once_a_batch(op),
        OpKind::Linear if is_flat(op) => product(op).flattened().counted_once_a_batch(op),
        OpKind::Linear => {
            let (flops, bytes) = product(op).counted_once_a_batch(op);
            let (add_flops, add_bytes) = if op.has_bias() { scaled(1, 2) } else { (0, 0) };
            (flops.saturating_add(add_flops), bytes.saturating_add(add_bytes))
        }
        OpKind::Conv1D => product(op).flattened().counted_once_a_batch(op),
        OpKind::Embedding => (0, id_bytes(op).saturating_add(op.output.bytes())),
        OpKind::Convolution => (elements.saturating_mul(taps(dims(op, 1)).saturating_mul(2)), moved_once()),
        OpKind::Scan => (scan_flops(op, elements, SCAN), moved_once()),
        OpKind::Dft => (transform_flops(op), scaled(0, 2).1),
        OpKind::Dct => (transform_flops(op).saturating_add(scaled(8, 2).0), scaled(8, 2).1),
        OpKind::Attention => (attention_flops(op), moved_once()),
        OpKind::CacheWrite | OpKind::TopK | OpKind::Gather | OpKind::AllGather | OpKind::AllToAll => (0, moved_once()),
        OpKind::AllReduce => (of_others(elements, op.gpus), moved_once()),
        OpKind::SendRecv => (0, op.output.bytes()),
        OpKind::RmsNorm | OpKind::Rotary => (scaled(by_element(op.kind).0, 0).0, moved_once()),
        OpKind::Sum | OpKind::Scatter => (op.inputs.first().map_or(0, |x| x.shape.elements()), moved_once()),
        OpKind::GroupedLinear => (product(op).flops(), grouped_bytes(op)),
        OpKind::Dropout => (elements.saturating_mul(2), moved_once().saturating_add(elements)),
        OpKind::Sgd => (scaled(4, 0).0, update_bytes(op)),
        OpKind::AdamW | OpKind::Adafactor => (scaled(12, 0).0, update_bytes(op)),
        kind => {
            let (flops, times) = by_element(kind);
            scaled(flops, times)
        }
    }
}

/// FLOPs for each number of the output, and how often IrEne counts its bytes.
fn by_element(kind: OpKind) -> (u64, u64) {
    match kind {
        OpKind::Add | OpKind::Sub | OpKind::Div | OpKind::Pow | OpKind::Relu | OpKind::Clamp | OpKind::Neg => (1, 2),
        OpKind::Mul | OpKind::Rsub => (1, 3),
        OpKind::Gelu => (6, 2),
        OpKind::Tanh => (4, 1),
        OpKind::Softmax => (5, 3),
        OpKind::LayerNorm => (8, 4),
        OpKind::RmsNorm => (4, 2),
        OpKind::Rotary => (3, 2),
        OpKind::Sigmoid | OpKind::Erf | OpKind::Cos | OpKind::Sin | OpKind::Expm1 => (4, 2),
        OpKind::Softplus => (8, 2),
        OpKind::Silu => (5, 2),
        _ => (0, 0),
    }
}

/// FLOPs of the operations that a kernel fuses with its main one. A product's own bias is counted with the product, and what a gradient
/// fuses with the gradient.
fn fused_flops(op: &Operation) -> u64 {
    if op.is_gradient {
        return 0;
    }
    let is_bias = |kind: OpKind| kind == OpKind::Add && matches!(op.kind, OpKind::Linear | OpKind::Conv1D);
    let others = op.fused.iter().filter(|&&kind| !is_bias(kind)).map(|&kind| by_element(kind).0).sum::<u64>();
    others.saturating_mul(op.output.shape.elements())
}

/// The cost in FLOPs done, bytes moved (each operand of each kernel once) and kernels launched.
///
/// A Linear with bias on 3-D input is two kernels, the product and the addition, as PyTorch and candle run it, unless the addition
/// is fused.
pub fn physical(op: &Operation) -> Cost {
    if op.on_host {
        return Cost::default();
    }
    let output = op.output.bytes();
    let bytes = match op.kind {
        _ if op.is_gradient => gradient::bytes(op),
        OpKind::Dropout | OpKind::Sgd | OpKind::AdamW | OpKind::Adafactor => alone(op).1,
        // The rows that are looked up, not the table.
        OpKind::Embedding => id_bytes(op).saturating_add(looked_up(op)).saturating_add(output),
        OpKind::Linear if kernels(op) == 2 => operand_bytes(op).saturating_add(output.saturating_mul(3)),
        OpKind::GroupedLinear => grouped_bytes(op),
        OpKind::RmsNorm if op.fused.is_empty() => operand_bytes(op).saturating_add(rms_norm_passes(op)),
        OpKind::SendRecv => output,
        OpKind::Dft => output.saturating_mul(DFT_MOVES),
        OpKind::Dct => output.saturating_mul(DCT_MOVES),
        _ => operand_bytes(op).saturating_add(output),
    };
    let flops = match op.kind {
        _ if op.is_gradient => gradient::in_tiles(op),
        OpKind::MatMul => product(op).in_tiles(),
        OpKind::GroupedLinear => grouped_in_tiles(op),
        OpKind::Linear | OpKind::Conv1D => {
            let is_added = kernels(op) == 2 || op.fused.contains(&OpKind::Add);
            let bias = if is_added { op.output.shape.elements() } else { 0 };
            product(op).flattened().in_tiles().saturating_add(bias).saturating_add(fused_flops(op))
        }
        _ => irene(op).flops,
    };
    Cost { flops, bytes, kernels: kernels(op) }
}

/// The bytes of [`physical`] that are the model's parameters, and those that are cached keys and values; the rest are activations and
/// ids.
pub fn parameter_and_cache_bytes(op: &Operation) -> (u64, u64) {
    if op.on_host {
        return (0, 0);
    }
    let of = |is_it: fn(Role) -> bool| {
        let operands = op.inputs.iter().chain([&op.output]).filter(|operand| is_it(operand.role));
        operands.map(Operand::bytes).fold(0, u64::saturating_add)
    };
    let parameters = match op.kind {
        OpKind::Embedding | OpKind::GroupedLinear if op.is_gradient => 0,
        OpKind::Embedding => looked_up(op),
        OpKind::GroupedLinear => touched_bytes(op),
        _ => of(|role| matches!(role, Role::Parameter(_))),
    };
    (parameters, of(|role| role == Role::Cache))
}

/// Bytes that each GPU sends to others in an exchange by a ring; it receives as many. 0 for an operation of one GPU.
pub fn link_bytes(op: &Operation) -> u64 {
    if op.gpus == 0 {
        return 0;
    }
    let own = operand_bytes(op);
    match op.kind {
        OpKind::AllReduce => of_others(own.saturating_mul(2), op.gpus),
        // Its operand is what was gathered.
        OpKind::AllGather if op.is_gradient => of_others(own, op.gpus),
        OpKind::AllGather => own.saturating_mul(op.gpus.saturating_sub(1)),
        OpKind::AllToAll => of_others(own, op.gpus),
        OpKind::SendRecv => own,
        _ => 0,
    }
}

/// The part of a whole that belongs to the other GPUs, where each has the same: (n - 1)/n, in whole numbers.
fn of_others(whole: u64, gpus: u64) -> u64 {
    let part = u128::from(whole) * u128::from(gpus.saturating_sub(1));
    part.div_ceil(u128::from(gpus.max(1))).try_into().unwrap_or(u64::MAX)
}

/// Further kernels of an RMS norm where numbers are narrower than 32 bits, in which it is computed: one cast there and one back.
const RMS_NORM_CASTS: u64 = 2;

/// Kernels of an RMS norm run operation by operation: power, mean, addition of eps, root, two products, and the casts.
fn rms_norm_kernels(op: &Operation) -> u64 {
    6 + if op.output.format.bytes(1) < 4 { RMS_NORM_CASTS } else { 0 }
}

/// Bytes that those kernels read and write, without the norm's own operands: power, mean and product in 32 bits at least, then the
/// product with the weight.
fn rms_norm_passes(op: &Operation) -> u64 {
    let elements = op.output.shape.elements();
    let (own, wide) = (op.output.format.bytes(1), op.output.format.bytes(1).max(4));
    let casts = if own < wide { RMS_NORM_CASTS * (own + wide) } else { 0 };
    // The first read of x is among the operands.
    elements.saturating_mul(5 * wide + 2 * own + casts - own)
}

/// Real numbers that a two-dimensional transform moves for each input number: real to complex along one dimension, complex to complex
/// along the other.
const DFT_MOVES: u64 = 3 + 4;

/// The same for the cosine transform: along each dimension a reordering, a transform of real to complex and a rotation back to real.
const DCT_MOVES: u64 = 2 * (2 + 3 + 3);

fn kernels(op: &Operation) -> u64 {
    match op.kind {
        _ if op.on_host => 0,
        _ if op.is_gradient => gradient::kernels(op),
        OpKind::Dft => 2,
        OpKind::Dct => 6,
        OpKind::RmsNorm if op.fused.is_empty() => rms_norm_kernels(op),
        OpKind::Linear if op.has_bias() && !is_flat(op) && !op.fused.contains(&OpKind::Add) => 2,
        OpKind::Adafactor => ADAFACTOR_PASSES,
        _ => 1,
    }
}

/// Passes of Adafactor over a weight: the means need the whole gradient, the step's size those of the whole weight and of the whole update,
/// before the first number moves.
const ADAFACTOR_PASSES: u64 = 3;

/// Bytes of an update: weight and states are read and written, the gradient, which stands last, is read. Adafactor reads the gradient in
/// each pass and the weight and the states in two, and writes these two once.
fn update_bytes(op: &Operation) -> u64 {
    if op.kind == OpKind::Adafactor {
        return operand_bytes(op).saturating_mul(3);
    }
    let gradient = op.inputs.last().map_or(0, Operand::bytes);
    operand_bytes(op).saturating_mul(2).saturating_sub(gradient)
}

/// Bytes of all operands.
fn operand_bytes(op: &Operation) -> u64 {
    op.inputs.iter().map(Operand::bytes).fold(0, u64::saturating_add)
}

/// The dimensions of the operand at this place, none if there is no such operand.
fn dims(op: &Operation, place: usize) -> &[usize] {
    op.inputs.get(place).map_or(&[], |operand| operand.shape.dims())
}

/// Inputs of one result of a convolution with a weight (out, in a group, kernel).
fn taps(weight: &[usize]) -> u64 {
    weight.iter().skip(1).fold(1, |product, &dim| product.saturating_mul(dim as u64))
}

/// FLOPs for each number of a scan's states: the step times the decay, e to that power, the product with it, what the token brings (a
/// product and a sum), and the way out (the same).
const SCAN: u64 = 7;

/// FLOPs of a scan that gives so many results, `each` for every number of a result's state.
fn scan_flops(op: &Operation, results: u64, each: u64) -> u64 {
    let state = dims(op, 1).last().map_or(0, |&numbers| numbers as u64);
    results.saturating_mul(state).saturating_mul(each)
}

/// FLOPs of fast complex transforms along the last two dimensions.
fn transform_flops(op: &Operation) -> u64 {
    let shape = op.output.shape;
    let points = shape.dims().iter().rev().take(2).fold(1, |points: u64, &dim| points.saturating_mul(dim as u64));
    let of_one = (5.0 * points as f64 * (points.max(1) as f64).log2()).round() as u64;
    of_one.saturating_mul(shape.elements().checked_div(points).unwrap_or(0))
}

/// Whether the activation is a plain matrix, so that product and bias are one call (addmm).
fn is_flat(op: &Operation) -> bool {
    op.output.shape.rank() <= 2
}

/// Bytes of the ids that choose an embedding's rows.
fn id_bytes(op: &Operation) -> u64 {
    op.inputs.first().map_or(0, Operand::bytes)
}

/// Bytes of the rows that an embedding reads.
fn looked_up(op: &Operation) -> u64 {
    let format = op.inputs.get(1).map_or(op.output.format, |table| table.format);
    format.bytes(op.output.shape.elements())
}
