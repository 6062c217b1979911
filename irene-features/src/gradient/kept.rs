use irene_tree::{Format, OpKind, Operand, Operation, Role};

use super::{is_activation, keeps_result};

/// The tensors that the forward pass keeps of an operation for its gradients.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Kept {
    /// Places of kept operands. Parameters are not among them: they are there anyway.
    pub inputs: Vec<usize>,
    /// Places of results that are kept.
    pub outputs: Vec<usize>,
    /// Bytes of what is kept beside operands and result: statistics, masks, the numbers before a fused activation.
    pub beside: u64,
}

/// The tensors that are kept of an operation whose operands have gradients where `needs` says so; nothing if none has. A norm of a sum
/// that has two `results` gives the sum as the second.
pub fn kept(op: &Operation, results: usize, needs: impl Fn(usize) -> bool) -> Kept {
    let of = |place: usize| op.inputs.get(place).is_some() && needs(place);
    if op.on_host || !(0..op.inputs.len()).any(&needs) {
        return Kept::default();
    }
    let output = op.output.bytes();
    let rows = op.output.shape.elements() / op.output.shape.last().max(1) as u64;
    let inputs = |places: &[usize]| Kept {
        inputs: places.iter().copied().filter(|place| is_activation_at(op, *place)).collect(),
        ..Kept::default()
    };
    let weights = |from: usize| (from..op.inputs.len()).any(&needs);
    let one_of_two = || inputs(&[of(1).then_some(0), of(0).then_some(1)].into_iter().flatten().collect::<Vec<_>>());
    let activated = if op.fused.iter().any(|kind| is_activation(*kind)) { output } else { 0 };
    match op.kind {
        OpKind::Linear | OpKind::Conv1D => Kept { beside: activated, ..inputs(if weights(1) { &[0] } else { &[] }) },
        OpKind::GroupedLinear => inputs(if weights(1) { &[0] } else { &[] }),
        // One operation computes all its gradients, so its input is kept whichever are wanted.
        OpKind::Convolution => Kept { beside: activated, ..inputs(&[0]) },
        OpKind::Scan => inputs(&(0..op.inputs.len()).collect::<Vec<_>>()),
        OpKind::MatMul | OpKind::Mul => one_of_two(),
        OpKind::Div if of(1) => inputs(&[0, 1]),
        OpKind::Div => inputs(&[1]),
        OpKind::RmsNorm if op.fused.is_empty() => by_operation(op, rows, of(1)),
        OpKind::LayerNorm | OpKind::RmsNorm => {
            let statistics = if op.kind == OpKind::LayerNorm { 2 } else { 1 };
            let statistics = Format::F32.bytes(rows.saturating_mul(statistics));
            let beside = statistics.saturating_add(sum_bytes(op, results));
            Kept { beside, ..of_norm(op, results, inputs(&[0])) }
        }
        OpKind::Attention => {
            let biases = (3..op.inputs.len()).filter(|place| of(*place));
            let places: Vec<usize> = (0..3).chain(biases).collect();
            Kept { outputs: vec![0], beside: Format::F32.bytes(queries(op)), ..inputs(&places) }
        }
        OpKind::Dropout => Kept { beside: op.output.shape.elements(), ..Kept::default() },
        OpKind::Where => inputs(&[1]),
        OpKind::Scatter => inputs(&[0, 1]),
        kind if keeps_result(kind) && op.fused.is_empty() => Kept { outputs: vec![0], ..Kept::default() },
        kind if is_activation(kind) || matches!(kind, OpKind::Cos | OpKind::Sin) => inputs(&[0, 1]),
        _ => Kept::default(),
    }
}

/// Operands that exist after the pass anyway are no activations.
fn is_activation_at(op: &Operation, place: usize) -> bool {
    op.inputs.get(place).is_some_and(|operand| !matches!(operand.role, Role::Parameter(_)))
}

/// A norm of a sum keeps the sum, which is none of its operands.
fn of_norm(op: &Operation, results: usize, alone: Kept) -> Kept {
    match (op.fused.contains(&OpKind::Add), results) {
        (false, _) => alone,
        (true, 2..) => Kept { outputs: vec![1], ..Kept::default() },
        (true, _) => Kept::default(),
    }
}

/// Bytes of the sum that a norm keeps where the sum is no result that others read.
fn sum_bytes(op: &Operation, results: usize) -> u64 {
    if op.fused.contains(&OpKind::Add) && results < 2 { op.output.bytes() } else { 0 }
}

/// An RMS norm run operation by operation: x in 32 bits, the root of each row, and for a scale that is trained the quotient before it.
/// Narrower numbers are cast, and it is the cast that is kept.
fn by_operation(op: &Operation, rows: u64, trains_scale: bool) -> Kept {
    let quotient = if trains_scale { op.output.bytes() } else { 0 };
    let beside = quotient.saturating_add(Format::F32.bytes(rows));
    if op.output.format.bytes(1) < 4 {
        let wide = Format::F32.bytes(op.output.shape.elements());
        return Kept { beside: beside.saturating_add(wide), ..Kept::default() };
    }
    Kept { inputs: vec![0], beside, ..Kept::default() }
}

/// Queries of all heads.
fn queries(op: &Operation) -> u64 {
    let query: Option<&Operand> = op.inputs.first();
    query.map_or(0, |query| query.shape.elements() / query.shape.last().max(1) as u64)
}
