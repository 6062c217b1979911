//! FLOPs, bytes and kernels of one operation.
//!
//! Two conventions stand side by side. [`irene`] is IrEne's, which its published data and every predictor trained on it
//! use; it counts some operands twice and copies not at all. [`physical`] is what a machine has to do: each operand of
//! each launched kernel moved once, copies included; products in whole tiles.
//!
//! With E the elements of the output (of the input, for operations of one operand) and w the bytes of an element, IrEne's
//! rules are:
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
//! IrEne does not know the following; they are counted in its manner, each operand and each result once. A transform of n
//! points counts 5·n·log₂ n FLOPs, the usual convention for a complex FFT whatever the length; s and d are the last two
//! dimensions, and both transforms run along each of them.
//!
//! | operation | FLOPs | bytes |
//! |---|---|---|
//! | sigmoid, silu | 4, 5 x E | 2·E·w |
//! | convolution by a weight (out, in a group, k) | 2·E·in·k | operands + E·w |
//! | dft | 5·E·log₂(s·d) | 2·E·w |
//! | dct: dft, and a rotation and scaling of 4 FLOPs an element along each | 5·E·log₂(s·d) + 8·E | 2·E·w |
//! | unfold, fill | 0 | 0 |

use irene_tree::{OpKind, Operation, Shape};

/// Bytes of a token id.
const ID_BYTES: u64 = 8;

/// What one run of an operation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating point operations.
    pub flops: u64,
    /// Bytes of memory traffic.
    pub bytes: u64,
    /// Kernels launched.
    pub kernels: u64,
}

/// The cost by IrEne's counting rules. Kernels are those of [`physical`], which IrEne does not count.
pub fn irene(op: &Operation) -> Cost {
    let width = op.dtype.size();
    let elements = op.output.elements();
    let scaled = |flops: u64, bytes: u64| (flops.saturating_mul(elements), elements.saturating_mul(bytes * width));
    let (flops, bytes) = match op.kind {
        OpKind::MatMul => product(op).counted_once_a_batch(width),
        OpKind::Linear if is_flat(op) => product(op).flattened().counted_once_a_batch(width),
        OpKind::Linear => {
            let (flops, bytes) = product(op).counted_once_a_batch(width);
            let (add_flops, add_bytes) = if has_bias(op) { scaled(1, 2) } else { (0, 0) };
            (flops.saturating_add(add_flops), bytes.saturating_add(add_bytes))
        }
        OpKind::Conv1D => product(op).flattened().counted_once_a_batch(width),
        OpKind::Embedding => (0, ids(op).saturating_mul(ID_BYTES).saturating_add(elements.saturating_mul(width))),
        OpKind::Add | OpKind::Sub | OpKind::Div | OpKind::Pow => scaled(1, 2),
        OpKind::Mul | OpKind::Rsub => scaled(1, 3),
        OpKind::Relu => scaled(1, 2),
        OpKind::Gelu => scaled(6, 2),
        OpKind::Tanh => scaled(4, 1),
        OpKind::Softmax => scaled(5, 3),
        OpKind::LayerNorm => scaled(8, 4),
        OpKind::Sigmoid => scaled(4, 2),
        OpKind::Silu => scaled(5, 2),
        OpKind::Convolution => {
            let bytes = operands(op).saturating_add(elements).saturating_mul(width);
            (elements.saturating_mul(2 * taps(op)), bytes)
        }
        OpKind::Dft => (transform_flops(op), scaled(0, 2).1),
        OpKind::Dct => (transform_flops(op).saturating_add(scaled(8, 2).0), scaled(8, 2).1),
        _ => (0, 0),
    };
    Cost { flops, bytes, kernels: kernels(op) }
}

/// Rows and columns of the tiles in which libraries compute a product's output (64 to 256 on GPUs): a tile that is not filled
/// takes as long as a full one.
const TILE: u64 = 64;

/// The cost in FLOPs that are done, bytes that are moved (each operand of each kernel once) and kernels that are launched.
///
/// A Linear with bias on 3-D input is two kernels, the product and the addition, as PyTorch and candle run it.
pub fn physical(op: &Operation) -> Cost {
    if op.on_host {
        return Cost::default();
    }
    let width = op.dtype.size();
    let output = op.output.elements();
    let operands = operands(op);
    let bytes = match op.kind {
        OpKind::Embedding => ids(op).saturating_mul(ID_BYTES).saturating_add(output.saturating_mul(2 * width)),
        OpKind::Linear if kernels(op) == 2 => operands.saturating_add(output.saturating_mul(3)).saturating_mul(width),
        OpKind::Dft => output.saturating_mul(DFT_MOVES * width),
        OpKind::Dct => output.saturating_mul(DCT_MOVES * width),
        _ => operands.saturating_add(output).saturating_mul(width),
    };
    let flops = match op.kind {
        OpKind::MatMul => product(op).in_tiles(),
        OpKind::Linear | OpKind::Conv1D => {
            let bias = if kernels(op) == 2 { output } else { 0 };
            product(op).flattened().in_tiles().saturating_add(bias)
        }
        _ => irene(op).flops,
    };
    Cost { flops, bytes, kernels: kernels(op) }
}

/// Real numbers moved by a two-dimensional transform for each of its own: along the one dimension real to complex, along the
/// other complex to complex.
const DFT_MOVES: u64 = 3 + 4;

/// Along each dimension a reordering, a transform of real to complex and a rotation back to real.
const DCT_MOVES: u64 = 2 * (2 + 3 + 3);

fn kernels(op: &Operation) -> u64 {
    match op.kind {
        _ if op.on_host => 0,
        OpKind::Dft => 2,
        OpKind::Dct => 6,
        OpKind::Linear if has_bias(op) && !is_flat(op) => 2,
        _ => 1,
    }
}

/// Elements of all operands.
fn operands(op: &Operation) -> u64 {
    op.inputs.iter().map(Shape::elements).fold(0, u64::saturating_add)
}

/// Numbers that a convolution's weight (out, in a group, kernel) makes one of its results from.
fn taps(op: &Operation) -> u64 {
    let weight = op.inputs.get(1).map_or(&[][..], Shape::dims);
    weight.iter().skip(1).fold(1, |product, &dim| product.saturating_mul(dim as u64))
}

/// FLOPs of fast complex transforms along the last two dimensions.
fn transform_flops(op: &Operation) -> u64 {
    let points = op.output.dims().iter().rev().take(2).fold(1, |points: u64, &dim| points.saturating_mul(dim as u64));
    let of_one = (5.0 * points as f64 * (points.max(1) as f64).log2()).round() as u64;
    of_one.saturating_mul(op.output.elements().checked_div(points).unwrap_or(0))
}

fn has_bias(op: &Operation) -> bool {
    op.inputs.len() > 2
}

/// Whether the activation is a plain matrix, so that product and bias are one call (addmm).
fn is_flat(op: &Operation) -> bool {
    op.output.rank() <= 2
}

/// Elements of the ids that choose an embedding's rows.
fn ids(op: &Operation) -> u64 {
    op.inputs.first().map_or(0, Shape::elements)
}

/// A batched product (m x n)(n x p).
struct Product {
    batch: u64,
    m: u64,
    n: u64,
    p: u64,
}

/// The product behind a MatMul, Linear or Conv1D, from the first operand's and the output's dimensions.
fn product(op: &Operation) -> Product {
    let rows = match op.output.dims() {
        [.., rows, _] => *rows as u64,
        _ => 1,
    };
    let p = op.output.last() as u64;
    let n = op.inputs.first().map_or(0, Shape::last) as u64;
    let batch = op.output.elements().checked_div(rows.saturating_mul(p)).unwrap_or(0);
    Product { batch, m: rows, n, p }
}

impl Product {
    fn flattened(self) -> Self {
        Self { batch: 1, m: self.batch.saturating_mul(self.m), ..self }
    }

    /// FLOPs of the tiles that hold the output.
    fn in_tiles(self) -> u64 {
        let up = |size: u64| size.div_ceil(TILE).saturating_mul(TILE);
        [self.batch, up(self.m), self.n, up(self.p)].into_iter().fold(2, u64::saturating_mul)
    }

    /// FLOPs and bytes with both matrices read for every entry of the batch.
    fn counted_once_a_batch(self, width: u64) -> (u64, u64) {
        let Self { batch, m, n, p } = self;
        let times = |factors: [u64; 4]| factors.into_iter().fold(1, u64::saturating_mul);
        let elements = [m.saturating_mul(n), n.saturating_mul(p), m.saturating_mul(p)];
        let elements = elements.into_iter().fold(0, u64::saturating_add);
        (times([batch, m, n, p]).saturating_mul(2), times([batch, elements, width, 1]))
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::DType;

    use super::*;

    fn op(kind: OpKind, inputs: &[Shape], output: Shape) -> Operation {
        Operation::new(kind, inputs, output, DType::F32)
    }

    const MIB: f64 = 1048576.0;

    /// Expected figures: rows of the public device_1 measurements at batch 8, sequence 32.
    #[test]
    fn primitives_cost_what_irene_published() {
        let hidden = Shape::from([8, 32, 768]);
        let query = op(OpKind::Linear, &[hidden, [768, 768].into(), [768].into()], hidden);
        assert_eq!(irene(&query).flops, 302_186_496);
        assert_eq!(irene(&query).bytes as f64 / MIB, 21.0);

        let pooled = Shape::from([8, 768]);
        let pooler = op(OpKind::Linear, &[pooled, [768, 768].into(), [768].into()], pooled);
        assert_eq!(irene(&pooler).flops, 9_437_184);
        assert_eq!(irene(&pooler).bytes as f64 / MIB, 2.296875);

        let c_proj = op(OpKind::Conv1D, &[hidden, [768, 768].into(), [768].into()], hidden);
        assert_eq!(irene(&c_proj).flops, 301_989_888);
        assert_eq!(irene(&c_proj).bytes as f64 / MIB, 3.75);

        let heads = Shape::from([8, 12, 32, 64]);
        let scores = op(OpKind::MatMul, &[heads, [8, 12, 64, 32].into()], [8, 12, 32, 32].into());
        assert_eq!(irene(&scores).flops, 12_582_912);
        assert_eq!(irene(&scores).bytes as f64 / MIB, 1.875);

        let words = op(OpKind::Embedding, &[[8, 32].into(), [30522, 768].into()], hidden);
        assert_eq!(irene(&words).flops, 0);
        assert_eq!(irene(&words).bytes as f64 / MIB, 0.751953125);

        let norm = op(OpKind::LayerNorm, &[hidden, [768].into(), [768].into()], hidden);
        assert_eq!((irene(&norm).flops, irene(&norm).bytes as f64 / MIB), (1_572_864, 3.0));

        let tanh = op(OpKind::Tanh, &[pooled], pooled);
        assert_eq!((irene(&tanh).flops, irene(&tanh).bytes as f64 / MIB), (24_576, 0.0234375));
    }

    #[test]
    fn physically_a_product_fills_its_tiles() {
        let heads = Shape::from([8, 12, 40, 64]);
        let scores = op(OpKind::MatMul, &[heads, [8, 12, 64, 40].into()], [8, 12, 40, 40].into());
        assert_eq!(physical(&scores).flops, 2 * 96 * 64 * 64 * 64);
        let context = op(OpKind::MatMul, &[[8, 12, 40, 40].into(), heads], heads);
        assert_eq!(physical(&context).flops, 2 * 96 * 64 * 40 * 64);
        // The rows of all sequences are one matrix; the bias is added to what is there.
        let hidden = Shape::from([8, 40, 768]);
        let query = op(OpKind::Linear, &[hidden, [768, 768].into(), [768].into()], hidden);
        assert_eq!(physical(&query).flops, 2 * 320 * 768 * 768 + 320 * 768);
        let pooled = Shape::from([8, 768]);
        let pooler = op(OpKind::Linear, &[pooled, [768, 768].into(), [768].into()], pooled);
        assert_eq!(physical(&pooler).flops, 2 * 64 * 768 * 768);
    }

    #[test]
    fn physically_a_copy_moves_bytes_and_host_arithmetic_does_not() {
        let heads = Shape::from([8, 12, 32, 64]);
        let copy = op(OpKind::Copy, &[heads], heads);
        assert_eq!(irene(&copy), Cost { flops: 0, bytes: 0, kernels: 1 });
        assert_eq!(physical(&copy).bytes, 2 * heads.elements() * 4);
        let host = Operation::on_host(OpKind::Mul);
        assert_eq!(irene(&host), Cost { flops: 1, bytes: 24, kernels: 0 });
        assert_eq!(physical(&host), Cost::default());
    }

    /// 64 is 2⁶ and 128 is 2⁷: 13 · 5 FLOPs a number.
    #[test]
    fn transforms_count_as_fast_ones_along_both_dimensions() {
        let values = Shape::from([4, 128, 64]);
        let (dft, dct) = (op(OpKind::Dft, &[values], values), op(OpKind::Dct, &[values], values));
        let numbers = 4 * 128 * 64;
        assert_eq!((irene(&dft).flops, irene(&dct).flops), (65 * numbers, 73 * numbers));
        assert_eq!((physical(&dft).bytes, physical(&dct).bytes), (7 * 4 * numbers, 16 * 4 * numbers));
        let one = Shape::from([1, 1, 1]);
        assert_eq!(irene(&op(OpKind::Dft, &[one], one)).flops, 0);
    }

    #[test]
    fn a_separable_convolution_counts_its_taps() {
        let keys = Shape::from([4, 64, 128]);
        let depthwise = op(OpKind::Convolution, &[keys, [64, 1, 9].into()], keys);
        assert_eq!(irene(&depthwise).flops, 2 * 9 * keys.elements());
        let pointwise = op(OpKind::Convolution, &[keys, [64, 64, 1].into()], keys);
        assert_eq!(irene(&pointwise).flops, 2 * 64 * keys.elements());
        assert_eq!(physical(&pointwise).bytes, 4 * (2 * keys.elements() + 64 * 64));
    }

    #[test]
    fn physically_a_weight_moves_once_whatever_the_batch() {
        let cost = |batch: usize| {
            let x = Shape::from([batch, 32, 768]);
            physical(&op(OpKind::Linear, &[x, [768, 768].into()], x)).bytes
        };
        assert_eq!(cost(2) - cost(1), cost(3) - cost(2));
        assert_eq!(cost(1), (2 * 32 * 768 + 768 * 768) * 4);
    }
}
