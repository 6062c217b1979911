mod kept;

use irene_tree::ParameterId;

use super::*;
use crate::cost;

fn f32(shape: impl Into<Shape>) -> Operand {
    numbers(shape, Format::F32)
}

fn weight(shape: impl Into<Shape>) -> Operand {
    Operand::new(shape, Format::F32, Role::Parameter(Some(ParameterId::new(0))))
}

fn of(op: &Operation, needed: &[usize]) -> Vec<Gradient> {
    gradients(op, &op.inputs, |place| needed.contains(&place))
}

fn flops(all: &[Gradient]) -> u64 {
    all.iter().map(|gradient| cost::irene(&gradient.operation).flops).sum()
}

#[test]
fn an_attention_computes_its_scores_again() {
    let head = f32([2, 4, 16, 8]);
    let op = Operation { pairs: 256, ..Operation::new(OpKind::Attention, &[head; 3], head) };
    let pairs = 2 * 4 * 256;
    assert_eq!(cost::irene(&op).flops, pairs * (4 * 8 + 5));
    assert_eq!(flops(&of(&op, &[0, 1, 2])), pairs * (10 * 8 + 2 * 5 + 4));
}

#[test]
fn a_convolution_and_experts_cost_twice_what_they_do() {
    let depthwise = Operation::new(OpKind::Convolution, &[f32([4, 64, 128]), weight([64, 1, 9])], f32([4, 64, 128]));
    let pointwise = Operation::new(OpKind::Convolution, &[f32([4, 64, 128]), weight([32, 64, 1])], f32([4, 32, 128]));
    let experts = Operation::new(OpKind::GroupedLinear, &[f32([48, 64]), weight([16, 32, 64])], f32([48, 32]));
    let experts = Operation { touched: 10 * 32 * 64, ..experts };
    for op in [depthwise, pointwise, experts] {
        assert_eq!(flops(&of(&op, &[0, 1])), 2 * cost::irene(&op).flops, "{op:?}");
    }
}

/// The name, the kind, and the shapes of operands and of the result.
type Expected<'a> = (&'a str, OpKind, &'a [&'a [usize]], &'a [usize]);

fn assert_gradients(op: &Operation, needed: &[usize], all: &[Expected<'static>]) {
    let found = of(op, needed);
    assert_eq!(found.len(), all.len(), "{op:?} {needed:?}");
    for (one, expected) in found.iter().zip(all) {
        let operation = &one.operation;
        let inputs: Vec<&[usize]> = operation.inputs.iter().map(|operand| operand.shape.dims()).collect();
        let found: Expected<'_> = (one.name, operation.kind, &inputs[..], operation.output.shape.dims());
        assert_eq!(found, *expected, "{op:?} {needed:?}");
    }
}

#[test]
fn each_factor_of_a_product_has_the_other_turned() {
    // For each of 2 x 3 matrices: g (5 x 7) yᵀ (7 x 4), and xᵀ (4 x 5) g.
    let op = Operation::new(OpKind::MatMul, &[f32([2, 3, 5, 4]), f32([2, 3, 4, 7])], f32([2, 3, 5, 7]));
    let of_x: Expected<'_> = ("input", OpKind::MatMul, &[&[2, 3, 5, 7], &[2, 3, 7, 4]], &[2, 3, 5, 4]);
    let of_y: Expected<'_> = ("other", OpKind::MatMul, &[&[2, 3, 4, 5], &[2, 3, 5, 7]], &[2, 3, 4, 7]);
    assert_gradients(&op, &[0], &[of_x]);
    assert_gradients(&op, &[1], &[of_y]);
    assert_gradients(&op, &[0, 1], &[of_x, of_y]);
    // A parameter is one matrix for all rows, and stays a parameter where it is read.
    let op = Operation::new(OpKind::MatMul, &[f32([2, 5, 4]), weight([4, 7])], f32([2, 5, 7]));
    let of_x: Expected<'_> = ("input", OpKind::MatMul, &[&[10, 7], &[7, 4]], &[10, 4]);
    let of_y: Expected<'_> = ("other", OpKind::MatMul, &[&[4, 10], &[10, 7]], &[4, 7]);
    assert_gradients(&op, &[0, 1], &[of_x, of_y]);
    let all = of(&op, &[0, 1]);
    assert_eq!(all[0].operation.inputs[1].role, weight([1]).role);
    assert!(all.iter().all(|one| one.operation.output.role == Role::Activation));
    assert_eq!(all[1].operation.inputs[0].role, Role::Activation);
    // A number from the cache is read as any other.
    let cached = Operand { role: Role::Cache, ..f32([5, 4]) };
    let all = of(&Operation::new(OpKind::MatMul, &[cached, f32([4, 7])], f32([5, 7])), &[1]);
    assert_eq!(all[0].operation.inputs[0], f32([4, 5]));
    // A vector has no other way round.
    let by_vector = Operation::new(OpKind::MatMul, &[f32([5, 4]), f32([4])], f32([5]));
    assert_eq!(of(&by_vector, &[0])[0].operation.inputs[1], f32([4]));
}

#[test]
fn a_linear_layer_is_one_matrix_of_all_rows() {
    let op = Operation::new(OpKind::Linear, &[f32([8, 32, 64]), weight([256, 64]), weight([256])], f32([8, 32, 256]));
    let of_x: Expected<'_> = ("input", OpKind::MatMul, &[&[256, 256], &[256, 64]], &[256, 64]);
    let of_weight: Expected<'_> = ("weight", OpKind::MatMul, &[&[256, 256], &[256, 64]], &[256, 64]);
    let of_bias: Expected<'_> = ("bias", OpKind::Sum, &[&[256, 256]], &[256]);
    assert_gradients(&op, &[0, 1, 2], &[of_x, of_weight, of_bias]);
    assert_gradients(&op, &[1], &[of_weight]);
    assert_gradients(&op, &[2], &[of_bias]);
    assert_gradients(&op, &[], &[]);
    // Three weights side by side, of which the first stands for their identity.
    let side = [f32([4, 8]), weight([2, 8]), weight([2, 8]), weight([2, 8])];
    let op = Operation::new(OpKind::Linear, &side, f32([4, 6]));
    assert_gradients(
        &op,
        &[0, 2],
        &[
            ("input", OpKind::MatMul, &[&[4, 6], &[6, 8]], &[4, 8]),
            ("weight", OpKind::MatMul, &[&[6, 4], &[4, 8]], &[6, 8]),
        ],
    );
    // The numbers before a fused activation have a gradient first; a fused sum passes its own on.
    let op = Operation::new(OpKind::Conv1D, &[f32([4, 8]), weight([8, 6])], f32([4, 6]));
    let op = op.fused_with(&[OpKind::Add, OpKind::Gelu]);
    assert_gradients(
        &op,
        &[0],
        &[
            ("activation", OpKind::Gelu, &[&[4, 6], &[4, 6]], &[4, 6]),
            ("input", OpKind::MatMul, &[&[4, 6], &[6, 8]], &[4, 8]),
        ],
    );
    assert!(of(&op, &[0])[0].operation.is_gradient);
    let norm = Operation::new(OpKind::LayerNorm, &[f32([4, 6])], f32([4, 6])).fused_with(&[OpKind::Gelu]);
    assert_eq!(of(&norm, &[0]).len(), 1);
}

#[test]
fn experts_and_convolutions_have_a_gradient_for_each_operand() {
    let experts = [f32([48, 64]), weight([16, 32, 64]), weight([16, 32])];
    let op = Operation::new(OpKind::GroupedLinear, &experts, f32([48, 32]));
    let op = Operation { touched: 10 * 32 * 64, ..op };
    let of_x: Expected<'_> = ("input", OpKind::GroupedLinear, &[&[48, 32], &[16, 64, 32]], &[48, 64]);
    let of_weight: Expected<'_> = ("weight", OpKind::GroupedLinear, &[&[48, 64], &[48, 32]], &[16, 32, 64]);
    let of_bias: Expected<'_> = ("bias", OpKind::Sum, &[&[48, 32]], &[16, 32]);
    assert_gradients(&op, &[0, 1, 2], &[of_x, of_weight, of_bias]);
    assert_gradients(&op, &[1], &[of_weight]);
    let all = of(&op, &[0, 1, 2]);
    assert_eq!(all.iter().map(|one| one.operation.touched).collect::<Vec<_>>(), [op.touched, op.touched, 0]);
    assert_eq!(all.iter().map(|one| one.operation.is_gradient).collect::<Vec<_>>(), [false, true, false]);

    // Two groups of 3 channels each give 4: turned, two groups of 4 give 3.
    let op = Operation::new(OpKind::Convolution, &[f32([5, 6, 9]), weight([8, 3, 2]), weight([8])], f32([5, 8, 9]));
    let of_x: Expected<'_> = ("input", OpKind::Convolution, &[&[5, 8, 9], &[6, 4, 2]], &[5, 6, 9]);
    let of_weight: Expected<'_> = ("weight", OpKind::Convolution, &[&[5, 6, 9], &[5, 8, 9]], &[8, 3, 2]);
    let of_bias: Expected<'_> = ("bias", OpKind::Sum, &[&[5, 8, 9]], &[8]);
    assert_gradients(&op, &[0, 1, 2], &[of_x, of_weight, of_bias]);
    assert_gradients(&op, &[2], &[of_bias]);
    assert_eq!(of(&op, &[0, 1]).iter().map(|one| one.operation.is_gradient).collect::<Vec<_>>(), [false, true]);
    // The gradient of an activation in its kernel comes first, from 5 x 8 x 9 numbers that are kept.
    let activated = op.fused_with(&[OpKind::Silu]);
    let names: Vec<_> = of(&activated, &[0, 1, 2]).iter().map(|one| one.name).collect();
    assert_eq!(names, ["activation", "input", "weight", "bias"]);
    assert_eq!(kept_of(&activated, &[1]), Kept { beside: 4 * 5 * 8 * 9, ..inputs(&[0]) });
}

#[test]
fn rows_that_were_looked_up_are_added_to_zeros() {
    let op = Operation::new(OpKind::Embedding, &[Operand::ids([2, 3]), weight([100, 8])], f32([2, 3, 8]));
    assert_gradients(
        &op,
        &[1],
        &[("zeros", OpKind::Fill, &[], &[100, 8]), ("weight", OpKind::Embedding, &[&[2, 3], &[2, 3, 8]], &[2, 3, 8])],
    );
    assert_gradients(&op, &[0], &[]);
    let places = Operand::ids([4]);
    let op = Operation::new(OpKind::Gather, &[f32([6, 8]), places], f32([4, 8]));
    let zeros: Expected<'_> = ("zeros", OpKind::Fill, &[], &[6, 8]);
    assert_gradients(&op, &[0], &[zeros, ("input", OpKind::Scatter, &[&[4, 8], &[4]], &[4, 8])]);
    // All rows, or rows more than once, need no zeros.
    for rows in [2, 9] {
        let op = Operation::new(OpKind::Gather, &[f32([4, 8]), Operand::ids([rows, 2])], f32([rows, 2, 8]));
        let all = of(&op, &[0]);
        assert_eq!((all.len(), all[0].operation.output.shape), (1, Shape::from([4, 8])));
    }
    let op = Operation::new(OpKind::Scatter, &[f32([4, 8]), places], f32([6, 8]));
    // Places have none.
    assert_gradients(&op, &[0, 1], &[("input", OpKind::Scatter, &[&[4, 8], &[4], &[6, 8]], &[4, 8])]);
}

#[test]
fn differences_negate_and_stretched_operands_are_summed() {
    let (whole, row) = (f32([4, 8]), f32([1, 8]));
    let neg: Expected<'_> = ("input", OpKind::Neg, &[&[4, 8]], &[4, 8]);
    let sum: Expected<'_> = ("sum", OpKind::Sum, &[&[4, 8]], &[1, 8]);
    let op = |kind| Operation::new(kind, &[whole, row], whole);
    assert_gradients(&op(OpKind::Sub), &[0], &[]);
    assert_gradients(&op(OpKind::Sub), &[0, 1], &[neg, sum]);
    assert_gradients(&op(OpKind::Rsub), &[0], &[neg]);
    assert_gradients(&op(OpKind::Add), &[0], &[]);
    assert_gradients(&op(OpKind::Add), &[0, 1], &[sum]);
    let by_other: Expected<'_> = ("input", OpKind::Mul, &[&[4, 8], &[1, 8]], &[4, 8]);
    let by_first: Expected<'_> = ("input", OpKind::Mul, &[&[4, 8], &[4, 8]], &[4, 8]);
    assert_gradients(&op(OpKind::Mul), &[0, 1], &[by_other, by_first, sum]);
    let by_divisor: Expected<'_> = ("input", OpKind::Div, &[&[4, 8], &[1, 8]], &[4, 8]);
    let of_divisor: Expected<'_> = ("input", OpKind::Div, &[&[4, 8], &[1, 8], &[4, 8]], &[4, 8]);
    assert_gradients(&op(OpKind::Div), &[0, 1], &[by_divisor, of_divisor, sum]);
    assert_eq!(
        of(&op(OpKind::Div), &[0, 1]).iter().map(|one| one.operation.is_gradient).collect::<Vec<_>>(),
        [false, true, false]
    );
    let turned: Expected<'_> = ("input", OpKind::Mul, &[&[4, 8], &[1, 8]], &[4, 8]);
    assert_gradients(&Operation::new(OpKind::Mul, &[row, whole], whole), &[1], &[turned]);
    // By a number: nothing else is read.
    let scaled = Operation::new(OpKind::Mul, &[whole], whole);
    assert_gradients(&scaled, &[0], &[("input", OpKind::Mul, &[&[4, 8]], &[4, 8])]);
}

#[test]
fn one_kernel_reads_what_the_table_says() {
    let x = f32([4, 8]);
    let of_result = [OpKind::Softmax, OpKind::Tanh, OpKind::Sigmoid, OpKind::Relu, OpKind::Expm1];
    let of_operand = [OpKind::Gelu, OpKind::Silu, OpKind::Erf, OpKind::Softplus, OpKind::Pow, OpKind::Clamp];
    for kind in of_result.into_iter().chain(of_operand).chain([OpKind::Cos, OpKind::Sin]) {
        let op = Operation::new(kind, &[x], x);
        assert_gradients(&op, &[0], &[("input", kind, &[&[4, 8], &[4, 8]], &[4, 8])]);
        assert!(of(&op, &[0])[0].operation.is_gradient, "{kind:?}");
    }
    // The result is read in its own format.
    let narrow = numbers([4, 8], Format::BF16);
    let softmax = of(&Operation::new(OpKind::Softmax, &[x], narrow), &[0]);
    assert_eq!(softmax[0].operation.inputs, [narrow, narrow]);
    // A sum before the norm passes the gradient on; the norm reads the sum and its scale.
    let norm = Operation::new(OpKind::RmsNorm, &[x, x, weight([8])], x).fused_with(&[OpKind::Add]);
    let all = of(&norm, &[0, 1, 2]);
    assert_gradients(&norm, &[0, 1, 2], &[("input", OpKind::RmsNorm, &[&[4, 8], &[8], &[4, 8]], &[4, 8])]);
    assert_eq!(all[0].operation.fused, [OpKind::Add]);
    let norm = Operation::new(OpKind::LayerNorm, &[x, weight([8]), weight([8])], x);
    assert_gradients(&norm, &[0], &[("input", OpKind::LayerNorm, &[&[4, 8], &[8], &[8], &[4, 8]], &[4, 8])]);
    // The angles are computed anew from the positions.
    let rotary = Operation::new(OpKind::Rotary, &[x, f32([4, 4])], x);
    assert_gradients(&rotary, &[0], &[("input", OpKind::Rotary, &[&[4, 8]], &[4, 8])]);
    let scan = Operation::new(OpKind::Scan, &[x, weight([8, 3])], x);
    assert_gradients(&scan, &[0, 1], &[("input", OpKind::Scan, &[&[4, 8], &[8, 3], &[4, 8]], &[4, 8])]);
    let windows = Operation::new(OpKind::Unfold, &[x], f32([4, 8, 3]));
    assert_gradients(&windows, &[0], &[("input", OpKind::Unfold, &[&[4, 8], &[4, 8, 3]], &[4, 8])]);
    // The gradients of several operands are written together; parameters have their own.
    let two = Operation::new(OpKind::Pow, &[x, x, weight([8])], x);
    assert_eq!(of(&two, &[0, 1, 2])[0].operation.output.shape, Shape::from([64]));
    assert_eq!(of(&two, &[0, 2])[0].operation.output.shape, Shape::from([4, 8]));
    let mask = of(&Operation::new(OpKind::Dropout, &[x], x), &[0]);
    assert_eq!(mask[0].operation.inputs.iter().map(Operand::bytes).collect::<Vec<_>>(), [32, 128]);
    assert!(mask[0].operation.is_gradient);
    // A softmax that is fused with others is read from its operand.
    let scaled = Operation::new(OpKind::Softmax, &[x, x], x).fused_with(&[OpKind::Mul]);
    assert_eq!(of(&scaled, &[0])[0].operation.inputs.len(), 3);
}

#[test]
fn linear_maps_run_again_on_the_gradient() {
    let (x, whole) = (f32([4, 8]), f32([16, 8]));
    for kind in
        [OpKind::Neg, OpKind::Cast, OpKind::Dft, OpKind::Dct, OpKind::AllReduce, OpKind::AllToAll, OpKind::SendRecv]
    {
        let op = Operation { gpus: 4, ..Operation::new(kind, &[x], x) };
        assert_gradients(&op, &[0], &[("input", kind, &[&[4, 8]], &[4, 8])]);
        let again = &of(&op, &[0])[0].operation;
        assert_eq!((again.gpus, again.is_gradient), (4, false), "{kind:?}");
    }
    let gather = Operation { gpus: 4, ..Operation::new(OpKind::AllGather, &[x], whole) };
    assert_gradients(&gather, &[0], &[("input", OpKind::AllGather, &[&[16, 8]], &[4, 8])]);
    // Three sums of its 32 numbers, and as many bytes as the gather itself sent.
    let scatter = &of(&gather, &[0])[0].operation;
    assert_eq!((scatter.name(), scatter.gpus, cost::irene(scatter).flops), ("ReduceScatter", 4, 3 * 32));
    assert_eq!((cost::link_bytes(scatter), cost::link_bytes(&gather)), (3 * 4 * 32, 3 * 4 * 32));
    let copy = Operation::new(OpKind::Copy, &[x], x);
    assert_gradients(&copy, &[0], &[("input", OpKind::Copy, &[&[4, 8]], &[4, 8])]);
    let repeated = Operation::new(OpKind::Copy, &[x], whole);
    assert_gradients(&repeated, &[0], &[("input", OpKind::Sum, &[&[16, 8]], &[4, 8])]);
    let choice = Operation::new(OpKind::Where, &[x, Operand::ids([4, 8])], x);
    assert_gradients(&choice, &[0], &[("input", OpKind::Where, &[&[4, 8], &[4, 8]], &[4, 8])]);
    assert!(!of(&choice, &[0])[0].operation.is_gradient);
    let none = [OpKind::Concat, OpKind::Sum, OpKind::Fill, OpKind::Compare, OpKind::TopK, OpKind::CacheWrite];
    for kind in none {
        assert_gradients(&Operation::new(kind, &[x], x), &[0], &[]);
    }
    assert!(of(&Operation { on_host: true, ..copy }, &[0]).is_empty());
}

#[test]
fn an_attention_writes_the_gradients_of_queries_keys_and_values_together() {
    let (query, key) = (f32([2, 4, 5, 8]), f32([2, 4, 7, 8]));
    let op = Operation { pairs: 35, ..Operation::new(OpKind::Attention, &[query, key, key], query) };
    let all = of(&op.clone().fused_with(&[OpKind::Mul]), &[0]);
    assert_gradients(
        &op,
        &[0],
        &[(
            "input",
            OpKind::Attention,
            &[&[2, 4, 5, 8], &[2, 4, 7, 8], &[2, 4, 7, 8], &[2, 4, 5, 8], &[2, 4, 5, 8]],
            &[64 * (5 + 7 + 7)],
        )],
    );
    assert_eq!((all[0].operation.pairs, all[0].operation.is_gradient), (35, true));
    assert_eq!(all[0].operation.fused, [OpKind::Mul]);
}

#[test]
fn an_attention_writes_the_gradient_of_a_bias_score_by_score() {
    let (query, key) = (f32([2, 4, 5, 8]), f32([2, 4, 7, 8]));
    // A mask has no gradient; the bias is one for both sequences.
    let inputs = [query, key, key, f32([2, 1, 1, 7]), f32([1, 4, 5, 7])];
    let op = Operation { pairs: 35, ..Operation::new(OpKind::Attention, &inputs, query) };
    let all = of(&op, &[0, 4]);
    assert_eq!(all.iter().map(|one| one.name).collect::<Vec<_>>(), ["input", "sum"]);
    let written = all[0].operation.output.shape.elements();
    assert_eq!(written, of(&op, &[0])[0].operation.output.shape.elements() + 2 * 4 * 5 * 7);
    assert_eq!(all[1].operation.inputs[0].shape, Shape::from([2, 4, 5, 7]));
    assert_eq!(all[1].operation.output.shape, Shape::from([1, 4, 5, 7]));
    // The scores are computed again with it.
    assert_eq!((kept_of(&op, &[0, 4]).inputs, kept_of(&op, &[0]).inputs), (vec![0, 1, 2, 4], vec![0, 1, 2]));
}

#[test]
fn a_gradient_is_in_the_format_of_what_was_given() {
    // The whole tensor was given, and the operation read a part of it.
    let op = Operation::new(OpKind::Neg, &[f32([2, 8])], f32([2, 8]));
    let whole = numbers([4, 8], Format::F16);
    let all = gradients(&op, &[whole], |_| true);
    assert_eq!(all[0].operation.output, whole);
    // Weights in blocks have gradients in the format of the activations.
    let blocks = Operand::new([100, 8], Format::Q4K, Role::Parameter(None));
    let op = Operation::new(OpKind::Embedding, &[Operand::ids([3]), blocks], numbers([3, 8], Format::BF16));
    assert_eq!(of(&op, &[1])[0].operation.output, numbers([100, 8], Format::BF16));
    let op = Operation::new(OpKind::MatMul, &[f32([3, 100]), blocks], f32([3, 8]));
    assert_eq!(of(&op, &[1])[0].operation.output.format, Format::F32);
}

fn kept_of(op: &Operation, needed: &[usize]) -> Kept {
    kept(op, 1, |place| needed.contains(&place))
}

fn inputs(places: &[usize]) -> Kept {
    Kept { inputs: places.to_vec(), ..Kept::default() }
}
