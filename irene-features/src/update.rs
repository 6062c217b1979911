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

/// The operation that updates a weight: in one kernel, as `fused` optimizers do it; Adafactor's, of which PyTorch has no such form, in as
/// few as it can be done.
pub fn update(training: Training, weight: Operand) -> Operation {
    let gradient = Operand::activation(weight.shape, weight.format);
    let master = training.has_master(weight.format).then(|| Operand::activation(weight.shape, Format::F32));
    let inputs: Vec<Operand> =
        std::iter::once(weight).chain(master).chain(states(training, weight)).chain([gradient]).collect();
    Operation::new(training.optimizer.kind(), &inputs, Operand::activation(weight.shape, weight.format))
}

#[cfg(test)]
mod tests {
    use irene_tree::OpKind;

    use super::*;
    use crate::cost;

    const SHAPE: [usize; 3] = [2, 3, 5];

    fn training(optimizer: Optimizer) -> Training {
        Training { optimizer, ..Training::default() }
    }

    /// States of a weight of 2 x 3 x 5 numbers: of SGD none, or a mean of gradients; of AdamW two means; of Adafactor the means of 2 x 3
    /// rows and 2 x 5 columns, of a vector each number's.
    #[test]
    fn optimizers_keep_as_many_numbers_as_their_papers_say() {
        let weight = Operand::parameter(SHAPE, Format::F32);
        let numbers =
            |optimizer| states(training(optimizer), weight).iter().map(|state| state.shape.elements()).collect();
        let table = [(Optimizer::Sgd, vec![]), (Optimizer::SgdMomentum, vec![30]), (Optimizer::AdamW, vec![30, 30])];
        for (optimizer, expected) in table.into_iter().chain([(Optimizer::Adafactor, vec![6, 10])]) {
            let found: Vec<u64> = numbers(optimizer);
            assert_eq!(found, expected, "{optimizer:?}");
            // A count of steps beside them, where the step depends on it.
            let counter = if matches!(optimizer, Optimizer::Sgd | Optimizer::SgdMomentum) { 0 } else { 4 };
            assert_eq!(state_bytes(training(optimizer), weight), 4 * found.iter().sum::<u64>() + counter);
        }
        let matrix = Operand::parameter([3, 7], Format::F32);
        let shapes: Vec<Shape> =
            states(training(Optimizer::Adafactor), matrix).iter().map(|state| state.shape).collect();
        assert_eq!(shapes, [Shape::from([3, 1]), Shape::from([1, 7])]);
        let vector = Operand::parameter([7], Format::F32);
        assert_eq!(states(training(Optimizer::Adafactor), vector), [Operand::activation([7], Format::F32)]);
    }

    #[test]
    fn a_narrow_weight_has_a_copy_and_states_in_32_bits_unless_it_is_trained_without() {
        let weight = Operand::parameter(SHAPE, Format::BF16);
        let with = training(Optimizer::AdamW);
        let without = Training { master_weights: false, ..with };
        assert_eq!((master_bytes(with, weight), master_bytes(without, weight)), (120, 0));
        assert_eq!((state_bytes(with, weight), state_bytes(without, weight)), (244, 124));
        assert_eq!(master_bytes(with, Operand::parameter(SHAPE, Format::F32)), 0);
        let inputs = |training| update(training, weight).inputs.iter().map(Operand::bytes).collect::<Vec<_>>();
        // Weight, copy, two states, gradient.
        assert_eq!(inputs(with), [60, 120, 120, 120, 60]);
        assert_eq!(inputs(without), [60, 60, 60, 60]);
    }

    #[test]
    fn an_update_reads_and_writes_all_but_the_gradient_which_it_reads() {
        let weight = Operand::parameter(SHAPE, Format::F32);
        for (optimizer, kind, flops, kept) in
            [(Optimizer::Sgd, OpKind::Sgd, 4, 120), (Optimizer::AdamW, OpKind::AdamW, 12, 360)]
        {
            let op = update(training(optimizer), weight);
            let cost = cost::Cost { flops: 30 * flops, bytes: 2 * kept + 120, kernels: 1 };
            assert_eq!((op.kind, cost::irene(&op), cost::physical(&op)), (kind, cost, cost));
        }
    }

    #[test]
    fn adafactor_passes_over_weight_means_and_gradient_three_times() {
        let op = update(training(Optimizer::Adafactor), Operand::parameter(SHAPE, Format::F32));
        // Weight and gradient of 30 numbers, means of 6 rows and 10 columns.
        let cost = cost::Cost { flops: 30 * 12, bytes: 3 * 4 * (30 + 16 + 30), kernels: 3 };
        assert_eq!((op.kind, cost::irene(&op), cost::physical(&op)), (OpKind::Adafactor, cost, cost));
    }
}
