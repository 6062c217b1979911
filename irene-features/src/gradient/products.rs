//! The gradients of products: of each factor, by the other.

use irene_tree::{OpKind, Operand, Operation, Role, Shape};

use super::{Gradient, Of, numbers};

impl Of<'_> {
    /// x Wᵀ + b over all rows at once, for one weight or several side by side.
    pub(super) fn of_linear(&self, all: &mut Vec<Gradient>) {
        let (x, op) = (self.source(0), self.op);
        let inner = op.inputs.first().map_or(1, |x| x.shape.last());
        let outputs = op.output.shape.last();
        let rows = rows(op.output.shape);
        let (g, x) = (numbers([rows, outputs], op.output.format), numbers([rows, inner], x.format));
        if let (true, Some(weight)) = (self.is_wanted(0), op.inputs.get(1)) {
            // Several weights are read as one; the first stands for their identity.
            let role = weight.role;
            let weight = Operand::new([outputs, inner], weight.format, role);
            all.push(product("input", &[g, weight], numbers([rows, inner], x.format)));
        }
        let wants = |is_it: fn(&Operand) -> bool| {
            op.inputs.iter().enumerate().skip(1).any(|(place, operand)| is_it(operand) && self.is_wanted(place))
        };
        if wants(|operand| operand.shape.rank() > 1) {
            let turned = numbers([outputs, rows], op.output.format);
            all.push(product("weight", &[turned, x], numbers([outputs, inner], x.format)));
        }
        if wants(|operand| operand.shape.rank() < 2) {
            let sum = Operation::new(OpKind::Sum, &[g], numbers([outputs], g.format));
            all.push(Gradient { name: "bias", operation: sum });
        }
    }

    /// x y for each matrix of a batch; a parameter is one matrix for all.
    pub(super) fn of_matmul(&self, all: &mut Vec<Gradient>) {
        let (x, y, g) = (self.op.inputs[0], self.op.inputs.get(1).copied().unwrap_or(self.op.inputs[0]), self.g());
        let is_one = y.shape.rank() < x.shape.rank();
        let flat = |operand: Operand| {
            if is_one {
                Operand { shape: [rows(operand.shape), operand.shape.last()].into(), ..operand }
            } else {
                operand
            }
        };
        let (x, g) = (flat(x), flat(g));
        if self.is_wanted(0) {
            all.push(product("input", &[g, turned(y)], numbers(x.shape, x.format)));
        }
        if self.is_wanted(1) {
            let output = numbers(y.shape, if y.format.holds_activations() { y.format } else { g.format });
            all.push(product("other", &[Operand { role: Role::Activation, ..turned(x) }, g], output));
        }
    }

    /// Each row by the weight of its own expert, and the weight's gradient from the rows that were sent to it.
    pub(super) fn of_grouped(&self, all: &mut Vec<Gradient>) {
        let (op, x, g) = (self.op, self.source(0), self.g());
        let weight = self.source(1);
        let [experts, outputs, inner] = match weight.shape.dims() {
            [experts, outputs, inner] => [*experts, *outputs, *inner],
            _ => return,
        };
        if self.is_wanted(0) {
            let weight = Operand { shape: [experts, inner, outputs].into(), ..weight };
            let operation = Operation::new(op.kind, &[g, weight], numbers(x.shape, x.format));
            all.push(Gradient { name: "input", operation: Operation { touched: op.touched, ..operation } });
        }
        if self.is_wanted(1) {
            let operation = Operation::new(op.kind, &[x, g], numbers(weight.shape, g.format));
            all.push(self.own("weight", Operation { touched: op.touched, ..operation }));
        }
        if self.is_wanted(2) {
            let sum = Operation::new(OpKind::Sum, &[g], numbers([experts, outputs], g.format));
            all.push(Gradient { name: "bias", operation: sum });
        }
    }

    /// A convolution of g by the weight, and one of x by g.
    pub(super) fn of_convolution(&self, all: &mut Vec<Gradient>) {
        let (op, x, g) = (self.op, self.source(0), self.g());
        let weight = self.source(1);
        if self.is_wanted(0) {
            // In each group, inputs and outputs change places.
            let [outputs, of_group, kernel] = match weight.shape.dims() {
                [outputs, of_group, kernel] => [*outputs, *of_group, *kernel],
                _ => return,
            };
            let inputs = x.shape.dims().get(1).copied().unwrap_or(1);
            let groups = (inputs / of_group.max(1)).max(1);
            let turned = Operand { shape: [inputs, outputs / groups, kernel].into(), ..weight };
            let operation = Operation::new(op.kind, &[g, turned], numbers(x.shape, x.format));
            all.push(Gradient { name: "input", operation });
        }
        if self.is_wanted(1) {
            let output = numbers(weight.shape, g.format);
            all.push(self.own("weight", Operation::new(op.kind, &[x, g], output)));
        }
        if self.is_wanted(2) {
            let sum = Operation::new(OpKind::Sum, &[g], numbers(self.source(2).shape, g.format));
            all.push(Gradient { name: "bias", operation: sum });
        }
    }
}

fn product(name: &'static str, factors: &[Operand], output: Operand) -> Gradient {
    Gradient { name, operation: Operation::new(OpKind::MatMul, factors, output) }
}

/// The rows of a tensor, its last dimension apart.
fn rows(shape: Shape) -> usize {
    let last = shape.last().max(1) as u64;
    usize::try_from(shape.elements() / last).unwrap_or(usize::MAX)
}

/// The last two dimensions exchanged.
fn turned(operand: Operand) -> Operand {
    let mut shape = operand.shape;
    let rank = shape.rank();
    if rank > 1 {
        shape.dims_mut().swap(rank - 1, rank - 2);
    }
    Operand { shape, ..operand }
}
