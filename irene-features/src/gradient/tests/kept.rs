//! The tensors that a forward pass keeps.

use super::*;

#[test]
fn a_product_keeps_the_other_factor_alone() {
    let (x, y) = (f32([4, 8]), f32([8, 8]));
    for kind in [OpKind::MatMul, OpKind::Mul] {
        let op = Operation::new(kind, &[x, y], x);
        assert_eq!((kept_of(&op, &[0]), kept_of(&op, &[1])), (inputs(&[1]), inputs(&[0])));
        assert_eq!(kept_of(&op, &[0, 1]), inputs(&[0, 1]));
        // A parameter is there anyway.
        assert_eq!(kept_of(&Operation::new(kind, &[x, weight([8, 8])], x), &[0, 1]), inputs(&[0]));
    }
    let quotient = Operation::new(OpKind::Div, &[x, y], x);
    assert_eq!((kept_of(&quotient, &[0]), kept_of(&quotient, &[1])), (inputs(&[1]), inputs(&[0, 1])));
    // There is no second operand to divide by.
    assert_eq!(kept_of(&Operation::new(OpKind::Div, &[x], x), &[0, 1]), inputs(&[]));
    let linear = Operation::new(OpKind::Linear, &[x, weight([2, 8]), weight([2])], f32([4, 2]));
    // A frozen weight needs nothing of its input.
    assert_eq!([0, 1, 2].map(|place| kept_of(&linear, &[place])), [inputs(&[]), inputs(&[0]), inputs(&[0])]);
    let gelu = linear.fused_with(&[OpKind::Add, OpKind::Gelu]);
    // The numbers before the activation: 4 x 2 of 4 bytes.
    assert_eq!(kept_of(&gelu, &[0]), Kept { beside: 32, ..Kept::default() });
    assert_eq!(kept_of(&gelu, &[0, 1]), Kept { beside: 32, ..inputs(&[0]) });
    let experts = Operation::new(OpKind::GroupedLinear, &[x, weight([3, 2, 8])], f32([4, 2]));
    assert_eq!((kept_of(&experts, &[0]), kept_of(&experts, &[1])), (inputs(&[]), inputs(&[0])));
    let convolution = Operation::new(OpKind::Convolution, &[x, weight([4, 1, 3])], x);
    assert_eq!(kept_of(&convolution, &[0]), inputs(&[0]));
    let scan = Operation::new(OpKind::Scan, &[x, weight([8, 3]), x], x);
    assert_eq!(kept_of(&scan, &[0]), inputs(&[0, 2]));
}

#[test]
fn functions_of_each_number_keep_the_operand_or_the_result() {
    let x = f32([4, 8]);
    let result = Kept { outputs: vec![0], ..Kept::default() };
    for kind in [OpKind::Softmax, OpKind::Tanh, OpKind::Sigmoid, OpKind::Relu, OpKind::Expm1] {
        let op = Operation::new(kind, &[x], x);
        assert_eq!((kept_of(&op, &[0]), kept_of(&op, &[])), (result.clone(), inputs(&[])), "{kind:?}");
    }
    let of_operand = [OpKind::Gelu, OpKind::Silu, OpKind::Erf, OpKind::Softplus, OpKind::Pow, OpKind::Clamp];
    for kind in of_operand.into_iter().chain([OpKind::Cos, OpKind::Sin]) {
        assert_eq!(kept_of(&Operation::new(kind, &[x], x), &[0]), inputs(&[0]), "{kind:?}");
    }
    // The product of two numbers in the kernel: the operands of both are needed.
    let gated = Operation::new(OpKind::Relu, &[x, x], x).fused_with(&[OpKind::Mul]);
    assert_eq!(kept_of(&gated, &[0]), inputs(&[0, 1]));
    for kind in [OpKind::Add, OpKind::Neg, OpKind::Copy, OpKind::Rotary, OpKind::Sum, OpKind::AllReduce] {
        assert_eq!(kept_of(&Operation::new(kind, &[x, x], x), &[0]), Kept::default(), "{kind:?}");
    }
    let ids = Operand::ids([4]);
    assert_eq!(kept_of(&Operation::new(OpKind::Where, &[x, ids], x), &[0]), inputs(&[1]));
    assert_eq!(kept_of(&Operation::new(OpKind::Scatter, &[x, ids], x), &[0]), inputs(&[0, 1]));
    let dropout = Operation::new(OpKind::Dropout, &[x], x);
    assert_eq!(kept_of(&dropout, &[0]), Kept { beside: 32, ..Kept::default() });
    assert_eq!(kept_of(&Operation { on_host: true, ..dropout }, &[0]), Kept::default());
    // A 32-bit number for each of 2 x 3 x 5 queries.
    let (query, key) = (f32([2, 3, 5, 8]), f32([2, 3, 7, 8]));
    let attention = Operation::new(OpKind::Attention, &[query, key, key], query);
    assert_eq!(kept_of(&attention, &[1]), Kept { outputs: vec![0], beside: 4 * 30, ..inputs(&[0, 1, 2]) });
}

/// Statistics are 32-bit numbers of each of 4 rows: mean and deviation of a layer norm, the root of an RMS norm.
#[test]
fn a_norm_keeps_its_statistics_and_a_sum_that_nobody_else_reads() {
    let (x, scale) = (f32([4, 8]), weight([8]));
    let layer = Operation::new(OpKind::LayerNorm, &[x, scale], x);
    assert_eq!(kept_of(&layer, &[0]), Kept { beside: 32, ..inputs(&[0]) });
    let of_sum = |kind, results| {
        let op = Operation::new(kind, &[x, x, scale], x).fused_with(&[OpKind::Add]);
        kept(&op, results, |_| true)
    };
    let result = Kept { outputs: vec![1], ..Kept::default() };
    for (kind, statistics) in [(OpKind::LayerNorm, 32), (OpKind::RmsNorm, 16)] {
        assert_eq!(of_sum(kind, 1), Kept { beside: statistics + 128, ..Kept::default() });
        assert_eq!(of_sum(kind, 2), Kept { beside: statistics, ..result.clone() });
    }
    let one_kernel = Operation::new(OpKind::RmsNorm, &[x, scale], x).fused_with(&[OpKind::Mul]);
    assert_eq!(kept_of(&one_kernel, &[0]), Kept { beside: 16, ..inputs(&[0]) });
    // Operation by operation: x in 32 bits, the roots, and what a trained scale multiplies.
    let norm =
        |format: Format| Operation::new(OpKind::RmsNorm, &[numbers([4, 8], format), scale], numbers([4, 8], format));
    assert_eq!(kept_of(&norm(Format::F32), &[0]), Kept { beside: 16, ..inputs(&[0]) });
    assert_eq!(kept_of(&norm(Format::F32), &[0, 1]), Kept { beside: 16 + 128, ..inputs(&[0]) });
    assert_eq!(kept_of(&norm(Format::BF16), &[0]), Kept { beside: 16 + 128, ..Kept::default() });
    assert_eq!(kept_of(&norm(Format::BF16), &[0, 1]), Kept { beside: 16 + 128 + 64, ..Kept::default() });
    // More than any memory saturates.
    let beyond = numbers([usize::MAX, 1], Format::BF16);
    for kind in [OpKind::LayerNorm, OpKind::RmsNorm] {
        assert_eq!(kept_of(&Operation::new(kind, &[beyond, scale], beyond), &[0]).beside, u64::MAX, "{kind:?}");
    }
}
