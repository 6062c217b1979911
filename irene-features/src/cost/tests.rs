use irene_tree::{Format, Shape};

use super::*;

/// An operation of 32-bit floats, and of ids where it looks up rows.
fn op(kind: OpKind, inputs: &[Shape], output: Shape) -> Operation {
    let f32 = |shape: Shape| Operand::activation(shape, Format::F32);
    let mut inputs: Vec<_> = inputs.iter().map(|&shape| f32(shape)).collect();
    if kind == OpKind::Embedding {
        inputs[0] = Operand::ids(inputs[0].shape);
    }
    Operation::new(kind, &inputs, f32(output))
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
    // The rows of all sequences are one matrix; the bias is added to the product.
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
