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
    let (hidden, pooled) = (Shape::from([8, 32, 768]), Shape::from([8, 768]));
    let mapped = |kind, x| op(kind, &[x, [768, 768].into(), [768].into()], x);
    let heads = Shape::from([8, 12, 32, 64]);
    let cases = [
        (mapped(OpKind::Linear, hidden), 302_186_496, 21.0),
        (mapped(OpKind::Linear, pooled), 9_437_184, 2.296875),
        (mapped(OpKind::Conv1D, hidden), 301_989_888, 3.75),
        (op(OpKind::MatMul, &[heads, [8, 12, 64, 32].into()], [8, 12, 32, 32].into()), 12_582_912, 1.875),
        (op(OpKind::Embedding, &[[8, 32].into(), [30522, 768].into()], hidden), 0, 0.751953125),
        (op(OpKind::LayerNorm, &[hidden, [768].into(), [768].into()], hidden), 1_572_864, 3.0),
        (op(OpKind::Tanh, &[pooled], pooled), 24_576, 0.0234375),
    ];
    for (op, flops, mib) in cases {
        assert_eq!((irene(&op).flops, irene(&op).bytes as f64 / MIB), (flops, mib), "{:?}", op.kind);
    }
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
    assert_eq!((physical(&dft).kernels, physical(&dct).kernels), (2, 6));
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

/// Two sequences of 5 tokens, and 8 channels with a state of 16 numbers each.
#[test]
fn a_scan_counts_the_numbers_of_its_states() {
    let results = Shape::from([2, 5, 8]);
    let scan = op(OpKind::Scan, &[results, [8, 16].into(), results], results);
    let moved = 4 * (3 * 80 + 8 * 16);
    assert_eq!(irene(&scan), Cost { flops: 7 * 80 * 16, bytes: moved, kernels: 1 });
    assert_eq!(physical(&scan), irene(&scan));
    let skipping = scan.clone().fused_with(&[OpKind::Mul, OpKind::Add]);
    assert_eq!(irene(&skipping).flops, 7 * 80 * 16 + 2 * 80);
    let gradient = Operation { is_gradient: true, ..scan };
    assert_eq!((irene(&gradient).flops, physical(&gradient).flops), (20 * 80 * 16, 20 * 80 * 16));
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

/// A tensor of 2 x 3 x 4 numbers: E is 24.
const SMALL: [usize; 3] = [2, 3, 4];

/// The rows of the module's tables for operations on each number: FLOPs a number, and times that the bytes of the result count.
#[test]
fn operations_on_each_number_count_as_the_table_says() {
    let small = Shape::from(SMALL);
    let table = [
        (&[OpKind::Add, OpKind::Sub, OpKind::Div, OpKind::Pow, OpKind::Relu, OpKind::Clamp, OpKind::Neg][..], 1, 2),
        (&[OpKind::Mul, OpKind::Rsub], 1, 3),
        (&[OpKind::Gelu], 6, 2),
        (&[OpKind::Tanh], 4, 1),
        (&[OpKind::Softmax], 5, 3),
        (&[OpKind::LayerNorm], 8, 4),
        (&[OpKind::Sigmoid, OpKind::Erf, OpKind::Cos, OpKind::Sin, OpKind::Expm1], 4, 2),
        (&[OpKind::Softplus], 8, 2),
        (&[OpKind::Silu], 5, 2),
        (&[OpKind::Where, OpKind::Compare, OpKind::CumSum, OpKind::Cast, OpKind::Copy], 0, 0),
        (&[OpKind::Concat, OpKind::Unfold, OpKind::Fill], 0, 0),
    ];
    for (kinds, flops, times) in table {
        for &kind in kinds {
            let op = op(kind, &[small, small], small);
            assert_eq!(irene(&op), Cost { flops: 24 * flops, bytes: 96 * times, kernels: 1 }, "{kind:?}");
            assert_eq!(physical(&op), Cost { flops: 24 * flops, bytes: 3 * 96, kernels: 1 }, "{kind:?}");
        }
    }
}

#[test]
fn what_irene_has_no_rule_for_moves_each_operand_and_its_result_once() {
    let (small, rows) = (Shape::from(SMALL), Shape::from([2, 3]));
    let moved = 4 * (24 + 6 + 24);
    let table = [
        (OpKind::CacheWrite, 0),
        (OpKind::TopK, 0),
        (OpKind::Gather, 0),
        (OpKind::AllGather, 0),
        (OpKind::AllToAll, 0),
        (OpKind::Rotary, 3 * 24),
        (OpKind::Sum, 24),
        (OpKind::Scatter, 24),
        (OpKind::RmsNorm, 4 * 24),
    ];
    for (kind, flops) in table {
        let cost = irene(&op(kind, &[small, rows], small));
        assert_eq!((cost.flops, cost.bytes), (flops, moved), "{kind:?}");
    }
    // A mask of a byte for each number stands beside a dropout's result.
    let dropout = op(OpKind::Dropout, &[small], small);
    assert_eq!((irene(&dropout).flops, irene(&dropout).bytes), (48, 96 + 96 + 24));
    assert_eq!(physical(&dropout).bytes, 96 + 96 + 24);
}

#[test]
fn an_attention_counts_two_products_and_a_softmax_for_each_pair() {
    let f32 = |shape: [usize; 4]| Operand::activation(shape, Format::F32);
    let (query, key, value) = (f32([2, 3, 5, 8]), f32([2, 3, 7, 8]), f32([2, 3, 7, 16]));
    let op = Operation { pairs: 35, ..Operation::new(OpKind::Attention, &[query, key, value], f32([2, 3, 5, 16])) };
    assert_eq!(irene(&op).flops, 2 * 3 * 35 * (2 * 8 + 2 * 16 + 5));
    assert_eq!(irene(&op).bytes, 4 * 6 * (5 * 8 + 7 * 8 + 7 * 16 + 5 * 16));
}

#[test]
fn costs_add_up_and_saturate() {
    let costs = [Cost { flops: 3, bytes: u64::MAX, kernels: 1 }, Cost { flops: 4, bytes: 1, kernels: 2 }];
    assert_eq!(costs.into_iter().sum::<Cost>(), Cost { flops: 7, bytes: u64::MAX, kernels: 3 });
    assert_eq!(std::iter::empty::<Cost>().sum::<Cost>(), Cost::default());
    // As a file may say it: the gradient of an attention whose heads are as wide as no machine's.
    let wide = Operand::activation([1, 1, 1, usize::MAX], Format::F32);
    let attention = Operation::new(OpKind::Attention, &[wide; 3], wide);
    assert_eq!(irene(&Operation { is_gradient: true, ..attention }).flops, u64::MAX);
}

#[test]
fn operations_whose_counts_nobody_set_do_all_that_their_shapes_allow() {
    let f32 = |shape: [usize; 4]| Operand::activation(shape, Format::F32);
    let (query, key, value) = (f32([2, 3, 5, 8]), f32([2, 3, 7, 8]), f32([2, 3, 7, 16]));
    let attention = Operation::new(OpKind::Attention, &[query, key, value], f32([2, 3, 5, 16]));
    assert_eq!(irene(&attention).flops, 2 * 3 * (5 * 7) * (2 * 8 + 2 * 16 + 5));
    let (x, weight) = (Operand::activation([100, 32], Format::F32), Operand::parameter([16, 48, 32], Format::F16));
    let experts = Operation::new(OpKind::GroupedLinear, &[x, weight], Operand::activation([100, 48], Format::F32));
    assert_eq!(parameter_and_cache_bytes(&experts).0, 2 * 16 * 48 * 32);
    let sum = Operation::exchange(OpKind::AllReduce, 4, x, x);
    assert_eq!(link_bytes(&sum), 2 * 4 * 100 * 32 * 3 / 4);
}

/// A ring of n GPUs sends (n - 1)/n of the numbers once to add them and once to hand them round.
#[test]
fn gpus_exchange_what_a_ring_sends() {
    let numbers = Shape::from([5]);
    let of = |kind, gpus| Operation { gpus, ..op(kind, &[numbers], numbers) };
    let sent = |kind| [1, 2, 4].map(|gpus| link_bytes(&of(kind, gpus)));
    assert_eq!(sent(OpKind::AllReduce), [0, 20, 30]);
    assert_eq!(sent(OpKind::AllGather), [0, 20, 60]);
    assert_eq!(sent(OpKind::AllToAll), [0, 10, 15]);
    assert_eq!(sent(OpKind::SendRecv), [20, 20, 20]);
    assert_eq!(sent(OpKind::Add), [0, 0, 0]);
    assert_eq!(link_bytes(&of(OpKind::SendRecv, 0)), 0);
    // Three quarters of 5 additions, rounded up.
    assert_eq!(irene(&of(OpKind::AllReduce, 4)), Cost { flops: 4, bytes: 40, kernels: 1 });
    let one_end = Cost { flops: 0, bytes: 20, kernels: 1 };
    assert_eq!((irene(&of(OpKind::SendRecv, 2)), physical(&of(OpKind::SendRecv, 2))), (one_end, one_end));
}

#[test]
fn a_fused_kernel_does_all_the_work_and_moves_its_operands_once() {
    let hidden = Shape::from([2, 64, 64]);
    let inputs = [hidden, [64, 64].into(), [64].into()];
    let (product, numbers) = (2 * 128 * 64 * 64, 8192);
    let moved = 4 * (numbers + 64 * 64 + 64 + numbers);
    let linear = |fused: &[OpKind]| op(OpKind::Linear, &inputs, hidden).fused_with(fused);
    let apart = linear(&[]);
    assert_eq!(irene(&apart).flops, product + numbers);
    // The sum reads the product and writes anew.
    let two = Cost { flops: product + numbers, bytes: moved + 4 * 2 * numbers, kernels: 2 };
    assert_eq!(physical(&apart), two);
    for (fused, more) in [(&[OpKind::Add][..], 0), (&[OpKind::Add, OpKind::Gelu], 6 * numbers)] {
        let one = Cost { flops: product + numbers + more, bytes: moved, kernels: 1 };
        assert_eq!((irene(&linear(fused)), physical(&linear(fused))), (one, one), "{fused:?}");
    }
    let without_bias = op(OpKind::Linear, &inputs[..2], hidden);
    let one = Cost { flops: product, bytes: moved - 4 * 64, kernels: 1 };
    assert_eq!(physical(&without_bias), one);
    assert_eq!(irene(&without_bias).flops, product);
    // The sum before a norm is a further operation on each number.
    let norm = op(OpKind::LayerNorm, &[hidden, hidden], hidden).fused_with(&[OpKind::Add]);
    assert_eq!(irene(&norm), Cost { flops: 9 * numbers, bytes: 4 * 3 * numbers, kernels: 1 });
    let conv = op(OpKind::Conv1D, &[hidden, [64, 64].into(), [64].into()], hidden).fused_with(&[OpKind::Add]);
    assert_eq!((irene(&conv).flops, physical(&conv).flops), (product, product + numbers));
}

/// Passes over the numbers, counted by hand: power, mean, product with the root, product with the scale, each reading and writing
/// 4 bytes (the mean only reads, the first read is the operand's); at 16 bits a cast each way, and the last product in 2 bytes.
#[test]
fn an_rms_norm_runs_operation_by_operation_unless_it_is_one_kernel() {
    let norm = |format: Format, fused: &[OpKind]| {
        let x = Operand::activation([2, 8], format);
        let op = Operation::new(OpKind::RmsNorm, &[x, Operand::parameter([8], format)], x).fused_with(fused);
        physical(&op)
    };
    let flops = 4 * 16;
    assert_eq!(norm(Format::F32, &[]), Cost { flops, bytes: 4 * (16 + 8) + 16 * (4 + 4 + 8 + 8), kernels: 6 });
    let narrow = 2 * (16 + 8) + 16 * (4 + 8 + 4 + 8 + 6 + 4);
    assert_eq!(norm(Format::BF16, &[]), Cost { flops, bytes: narrow, kernels: 8 });
    assert_eq!(norm(Format::F64, &[]), Cost { flops, bytes: 8 * (16 + 8) + 16 * 6 * 8, kernels: 6 });
    assert_eq!(norm(Format::F32, &[OpKind::Mul]), Cost { flops: flops + 16, bytes: 4 * (16 + 8 + 16), kernels: 1 });
}

#[test]
fn a_look_up_moves_ids_and_the_rows_that_are_asked_for() {
    let table = Operand::parameter([1000, 8], Format::F16);
    let op =
        Operation::new(OpKind::Embedding, &[Operand::ids([2, 3]), table], Operand::activation([2, 3, 8], Format::F32));
    assert_eq!(irene(&op).bytes, 6 * 8 + 48 * 4);
    assert_eq!(physical(&op), Cost { flops: 0, bytes: 6 * 8 + 48 * 2 + 48 * 4, kernels: 1 });
    assert_eq!(parameter_and_cache_bytes(&op), (48 * 2, 0));
    let gradient = Operation { is_gradient: true, ..op };
    assert_eq!(parameter_and_cache_bytes(&gradient), (0, 0));
}

/// 10 of 16 experts are read; 100 rows are 10 for each of them, in one tile of 64 x 64.
#[test]
fn experts_count_their_rows_and_the_weights_and_biases_that_are_read() {
    let (x, bias) = (Operand::activation([100, 32], Format::F32), Operand::parameter([16, 48], Format::F32));
    let weight = Operand::parameter([16, 48, 32], Format::F16);
    let op = Operation::new(OpKind::GroupedLinear, &[x, weight, bias], Operand::activation([100, 48], Format::F32));
    let op = Operation { touched: 10 * 48 * 32, ..op };
    let read = 2 * 10 * 48 * 32 + 4 * 10 * 48;
    let bytes = 4 * (100 * 32 + 100 * 48) + read;
    assert_eq!(irene(&op), Cost { flops: 2 * 100 * 32 * 48, bytes, kernels: 1 });
    assert_eq!(physical(&op), Cost { flops: 2 * 10 * 64 * 32 * 64, bytes, kernels: 1 });
    assert_eq!(parameter_and_cache_bytes(&op).0, read);
    assert_eq!(parameter_and_cache_bytes(&Operation { is_gradient: true, ..op }).0, 0);
}

#[test]
fn parameters_and_cache_are_told_from_activations() {
    let x = Operand::activation([4, 8], Format::F32);
    let cache = Operand::new([16, 8], Format::F16, Role::Cache);
    let op = Operation::new(OpKind::Add, &[x, Operand::parameter([8], Format::F32), cache], cache);
    assert_eq!(parameter_and_cache_bytes(&op), (32, 2 * 256));
    assert_eq!(parameter_and_cache_bytes(&Operation { on_host: true, ..op }), (0, 0));
}

#[test]
fn products_read_each_factor_in_its_own_format() {
    let x = Operand::activation([3, 4], Format::F32);
    let weight = Operand::parameter([5, 4], Format::F16);
    let linear = Operation::new(OpKind::Linear, &[x, weight], Operand::activation([3, 5], Format::F64));
    assert_eq!(irene(&linear), Cost { flops: 2 * 3 * 4 * 5, bytes: 4 * 12 + 2 * 20 + 8 * 15, kernels: 1 });
    // A vector is one row.
    let vector = op(OpKind::MatMul, &[[4].into(), [4, 5].into()], [5].into());
    assert_eq!(irene(&vector).flops, 2 * 4 * 5);
}

/// A gradient's FLOPs a number of its result, by the module's text.
#[test]
fn gradients_of_operations_on_each_number_count_as_the_text_says() {
    let small = Shape::from(SMALL);
    let gradient = |kind| Operation { is_gradient: true, ..op(kind, &[small, small], small) };
    let table = [
        (&[OpKind::LayerNorm, OpKind::RmsNorm][..], 8),
        (&[OpKind::Softmax], 4),
        (&[OpKind::Tanh, OpKind::Sigmoid], 3),
        (&[OpKind::Relu, OpKind::Expm1, OpKind::Clamp, OpKind::Mul, OpKind::Dropout, OpKind::Add], 1),
        (&[OpKind::Gelu], 10),
        (&[OpKind::Silu], 7),
        (&[OpKind::Erf, OpKind::Softplus, OpKind::Cos, OpKind::Sin, OpKind::Pow, OpKind::Div], 5),
        (&[OpKind::Rotary], 3),
        (&[OpKind::Embedding, OpKind::Scatter], 1),
    ];
    for (kinds, flops) in table {
        for &kind in kinds {
            let op = gradient(kind);
            assert_eq!((irene(&op).flops, physical(&op).flops), (24 * flops, 24 * flops), "{kind:?}");
        }
    }
    // The operand before a fused activation has a gradient too.
    let fused = gradient(OpKind::Add).fused_with(&[OpKind::Gelu, OpKind::Relu]);
    assert_eq!((irene(&fused).flops, physical(&fused).flops), (24 * (1 + 10 + 1), 24 * (1 + 10 + 1)));
}

#[test]
fn gradients_move_their_operands_and_result_once() {
    let small = Shape::from(SMALL);
    let gradient = |kind| Operation { is_gradient: true, ..op(kind, &[small, small], small) };
    assert_eq!(physical(&gradient(OpKind::Gelu)), Cost { flops: 240, bytes: 3 * 96, kernels: 1 });
    // One kernel for the gradient of x, then one for scale and shift.
    assert_eq!(physical(&gradient(OpKind::LayerNorm)).kernels, 2);
    assert_eq!(physical(&gradient(OpKind::RmsNorm).fused_with(&[OpKind::Mul])).kernels, 2);
    assert_eq!(physical(&gradient(OpKind::RmsNorm).fused_with(&[OpKind::Mul])).bytes, 3 * 96);
    // Every pass of the norm has two in its gradient.
    assert_eq!(physical(&gradient(OpKind::RmsNorm)), Cost { flops: 192, bytes: 3 * 96 + 2 * 24 * 24, kernels: 12 });
    let x = Operand::activation([4], Format::F16);
    let narrow = Operation { is_gradient: true, ..Operation::new(OpKind::RmsNorm, &[x], x) };
    assert_eq!(physical(&narrow).kernels, 16);
    // The rows are read, and written where they were added.
    let look_up = Operation { is_gradient: true, ..op(OpKind::Embedding, &[[2, 3].into(), small], small) };
    assert_eq!(physical(&look_up).bytes, 6 * 8 + 3 * 96);
}

/// The weight's gradient of experts, (out x rows)(rows x in), in tiles of 64 x 64; only the weights of experts that have rows are written.
#[test]
fn the_gradient_of_experts_weights_is_a_product_over_the_rows() {
    let f32 = |shape: &[usize]| Operand::activation(Shape::new(shape).unwrap(), Format::F32);
    let weight = Operand::activation([16, 48, 32], Format::F16);
    let op = Operation::new(OpKind::GroupedLinear, &[f32(&[100, 32]), f32(&[100, 48])], weight);
    let op = Operation { touched: 10 * 48 * 32, is_gradient: true, ..op };
    let bytes = 4 * 100 * (32 + 48) + 2 * 10 * 48 * 32;
    assert_eq!(irene(&op), Cost { flops: 2 * 100 * 32 * 48, bytes, kernels: 1 });
    assert_eq!(physical(&op), Cost { flops: 2 * 100 * 64 * 64, bytes, kernels: 1 });
}
