//! The states that an optimizer keeps of a weight, and the operation that updates it.

use irene_tree::{Format, Operand, Operation, Optimizer, Shape, Training};

/// The states that the optimizer keeps of a weight of this shape and format, step counters apart: for AdamW the running means of the
/// gradient and of its square; for Adafactor the mean squares of a matrix's rows and columns, of a vector each number's.
pub fn states(training: Training, weight: Operand) -> Vec<Operand> {
    let format = training.state_format(weight.format);
    let of = |shape: Shape| Operand::activation(shape, format);
    match training.optimizer {
        Optimizer::Sgd => Vec::new(),
        Optimizer::SgdMomentum => vec![of(weight.shape)],
        Optimizer::Adafactor if weight.shape.rank() > 1 => factored(weight.shape).map(of).to_vec(),
        Optimizer::Adafactor => vec![of(weight.shape)],
        _ => vec![of(weight.shape); 2],
    }
}

/// The rows' and the columns' means of each matrix.
fn factored(shape: Shape) -> [Shape; 2] {
    let (mut by_row, mut by_column) = (shape, shape);
    let rank = shape.rank();
    by_row.dims_mut()[rank - 1] = 1;
    by_column.dims_mut()[rank - 2] = 1;
    [by_row, by_column]
}

/// Bytes of all that PyTorch's optimizer of this name keeps of a weight: its states, and a 32-bit count of steps. The copy of the weight
/// in 32 bits is apart ([`master_bytes`]).
pub fn state_bytes(training: Training, weight: Operand) -> u64 {
    let counter = match training.optimizer {
        Optimizer::Sgd | Optimizer::SgdMomentum => 0,
        _ => Format::F32.bytes(1),
    };
    states(training, weight).iter().map(Operand::bytes).fold(counter, u64::saturating_add)
}

/// Bytes of the copy in 32 bits of a weight.
pub fn master_bytes(training: Training, weight: Operand) -> u64 {
    if training.has_master(weight.format) { Format::F32.bytes(weight.shape.elements()) } else { 0 }
}

/// The operation that updates a weight: in one kernel, as `fused` optimizers do it.
pub fn update(training: Training, weight: Operand) -> Operation {
    let gradient = Operand::activation(weight.shape, weight.format);
    let master = training.has_master(weight.format).then(|| Operand::activation(weight.shape, Format::F32));
    let inputs: Vec<Operand> =
        std::iter::once(weight).chain(master).chain(states(training, weight)).chain([gradient]).collect();
    Operation::new(training.optimizer.kind(), &inputs, Operand::activation(weight.shape, weight.format))
}
