//! The gradient of every operation: the operations that compute it, and what a forward pass keeps for them.
//!
//! The table follows PyTorch's autograd (torch 2, `derivatives.yaml`). g is the gradient of the result.
//!
//! | operation | its gradients | what is kept |
//! |---|---|---|
//! | x Wᵀ + b (Linear, Conv1D) | of x: g W; of W: gᵀ x; of b: the sum of g's rows | x |
//! | x y (MatMul) | g yᵀ, xᵀ g | both |
//! | rows by experts' weights | the same two for each expert | the rows |
//! | convolution | one of g by the weight, one of x by g | x |
//! | scan of states | one kernel that computes the states again | what it reads |
//! | table look-up | zeros for the whole table, then g's rows added to them | nothing but the ids |
//! | layer norm, RMS norm | one kernel from x, the statistics and g | x and 32-bit statistics of each row |
//! | softmax, tanh, sigmoid, relu, expm1 | one kernel from the result and g | the result |
//! | gelu, silu, erf, softplus, sin, cos, pow, clamp | one kernel from x and g | x |
//! | x · y, x / y | g y and g x; g / y and -g x / y² | the other one |
//! | sum, difference, stretched operands | nothing; a negation; the sum of g where it was stretched | nothing |
//! | where, cast, copy, transforms, rotation, running sum | the same on g | the mask of a choice |
//! | look-up of rows, their sum by place | the other of the two | the places |
//! | attention in one kernel | one kernel that computes the scores again: five products for two | queries, keys, values, a trained bias, result, and a 32-bit number a query |
//! | dropout | one kernel | a byte for each number |
//! | all reduce, all gather, all to all, send | the same exchange of g | nothing |
//!
//! An operation fused with an activation keeps the number before the activation, and one kernel more computes the activation's gradient.

mod kept;
mod products;
#[cfg(test)]
mod tests;

use irene_tree::{Format, OpKind, Operand, Operation, Role, Shape};
pub use kept::{Kept, kept};

/// An operation of a backward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// The part whose gradient it is (`input`, `weight`, `bias`), or its further task.
    pub name: &'static str,
    /// The operation.
    pub operation: Operation,
}

/// The operations that compute the gradients of an operation's operands, those where `needs` says so, from the gradient of its result.
/// `sources` are the tensors that the operation was given, in the order of its operands: where it reads a part of one, the whole.
///
/// No operation is needed where a gradient is that of the result itself, as for a sum.
pub fn gradients(op: &Operation, sources: &[Operand], needs: impl Fn(usize) -> bool) -> Vec<Gradient> {
    let of = Of { op, sources, wanted: (0..op.inputs.len()).map(needs).collect() };
    if op.on_host || !of.wanted.contains(&true) {
        return Vec::new();
    }
    let mut all = Vec::new();
    of.through_fused(&mut all);
    of.list(&mut all);
    all
}

/// An operation, and the operands whose gradients are wanted.
struct Of<'a> {
    op: &'a Operation,
    sources: &'a [Operand],
    wanted: Vec<bool>,
}

/// A result or a gradient.
fn numbers(shape: impl Into<Shape>, format: Format) -> Operand {
    Operand::activation(shape, format)
}

/// Whether a kind keeps its result rather than its operand.
fn keeps_result(kind: OpKind) -> bool {
    matches!(kind, OpKind::Softmax | OpKind::Tanh | OpKind::Sigmoid | OpKind::Relu | OpKind::Expm1)
}

/// Whether a kind is a nonlinear function of each number.
fn is_activation(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Gelu
            | OpKind::Silu
            | OpKind::Relu
            | OpKind::Tanh
            | OpKind::Sigmoid
            | OpKind::Erf
            | OpKind::Expm1
            | OpKind::Softplus
            | OpKind::Pow
            | OpKind::Clamp
    )
}

impl Of<'_> {
    /// The gradient of the result.
    fn g(&self) -> Operand {
        numbers(self.op.output.shape, self.op.output.format)
    }

    fn is_wanted(&self, place: usize) -> bool {
        self.wanted.get(place).copied().unwrap_or(false)
    }

    /// The operand at a place, as it was given.
    fn source(&self, place: usize) -> Operand {
        let operand = self.sources.get(place).or_else(|| self.op.inputs.get(place));
        operand.copied().unwrap_or_else(|| self.g())
    }

    /// The gradient of the operand at a place.
    fn gradient_of(&self, place: usize) -> Operand {
        let operand = self.source(place);
        // Parameters in blocks have no gradients; those of others are in the format of the activations.
        numbers(operand.shape, if operand.format.holds_activations() { operand.format } else { self.op.output.format })
    }

    /// Activations in the kernel of a product: their gradient comes first, from the numbers that they were given.
    fn through_fused(&self, all: &mut Vec<Gradient>) {
        if !matches!(self.op.kind, OpKind::Linear | OpKind::Conv1D | OpKind::Convolution) {
            return;
        }
        if let Some(&kind) = self.op.fused.iter().find(|kind| is_activation(**kind)) {
            all.push(self.own("activation", Operation::new(kind, &[self.g(), self.g()], self.g())));
        }
    }

    fn own(&self, name: &'static str, operation: Operation) -> Gradient {
        Gradient { name, operation: Operation { is_gradient: true, ..operation } }
    }

    fn list(&self, all: &mut Vec<Gradient>) {
        let op = self.op;
        match op.kind {
            OpKind::Linear | OpKind::Conv1D => self.of_linear(all),
            OpKind::MatMul => self.of_matmul(all),
            OpKind::GroupedLinear => self.of_grouped(all),
            OpKind::Convolution => self.of_convolution(all),
            OpKind::Embedding => self.of_embedding(all),
            OpKind::Gather => self.of_gather(all),
            OpKind::Add | OpKind::Sub | OpKind::Rsub => self.of_sum(all),
            OpKind::Mul | OpKind::Div => self.of_factors(all),
            OpKind::Copy => self.of_copy(all),
            OpKind::Attention => self.of_attention(all),
            OpKind::Scatter => {
                let inputs = [self.source(0), self.source(1), self.g()];
                all.push(self.own("input", Operation::new(op.kind, &inputs, self.gradient_of(0))));
            }
            OpKind::Neg | OpKind::Cast | OpKind::Dft | OpKind::Dct | OpKind::AllReduce | OpKind::AllToAll => {
                all.push(self.again("input", self.gradient_of(0)));
            }
            OpKind::SendRecv => all.push(self.again("input", self.g())),
            // Each GPU gets the sum of its own part from all.
            OpKind::AllGather => {
                let Gradient { operation, .. } = self.again("input", self.gradient_of(0));
                all.push(self.own("input", operation));
            }
            OpKind::Where => {
                let inputs = [self.g(), self.source(1)];
                all.push(Gradient { name: "input", operation: Operation::new(op.kind, &inputs, self.gradient_of(0)) });
            }
            OpKind::Dropout => {
                let mask = Operand::new(op.output.shape, Format::U8, Role::Activation);
                all.push(self.own("input", Operation::new(op.kind, &[mask, self.g()], self.gradient_of(0))));
            }
            kind if keeps_result(kind) && op.fused.is_empty() => {
                all.push(self.own("input", Operation::new(kind, &[op.output, self.g()], self.gradient_of(0))));
            }
            OpKind::Concat | OpKind::Sum => {}
            // Nothing of integers, masks or places has a gradient.
            OpKind::Fill | OpKind::Compare | OpKind::TopK | OpKind::CacheWrite => {}
            _ => self.of_one_kernel(all),
        }
    }

    /// The same operation on the gradient of the result.
    fn again(&self, name: &'static str, output: Operand) -> Gradient {
        let g = self.g();
        let gpus = self.op.gpus;
        Gradient { name, operation: Operation { gpus, ..Operation::new(self.op.kind, &[g], output) } }
    }

    /// One kernel that reads what the operation read, and the gradient of its result, and writes the gradients of all activations.
    fn of_one_kernel(&self, all: &mut Vec<Gradient>) {
        let op = self.op;
        let (mut inputs, output) = match op.kind {
            OpKind::LayerNorm | OpKind::RmsNorm => {
                // A sum before the norm passes the gradient on; the norm reads the sum once.
                let parameters = op.inputs.iter().filter(|operand| matches!(operand.role, Role::Parameter(_)));
                (std::iter::once(self.source(0)).chain(parameters.copied()).collect(), self.g())
            }
            OpKind::Rotary => (Vec::new(), self.g()),
            _ => {
                let wanted = (0..op.inputs.len()).filter(|place| self.is_activation_wanted(*place));
                (op.inputs.clone(), joined(wanted.map(|place| self.source(place)), self.g()))
            }
        };
        inputs.push(self.g());
        let operation = Operation::new(op.kind, &inputs, output).fused_with(&op.fused);
        all.push(self.own("input", operation));
    }

    fn is_activation_wanted(&self, place: usize) -> bool {
        self.is_wanted(place) && !matches!(self.source(place).role, Role::Parameter(_))
    }

    fn of_embedding(&self, all: &mut Vec<Gradient>) {
        if self.is_wanted(1) {
            let whole = self.gradient_of(1);
            all.push(Gradient { name: "zeros", operation: Operation::new(OpKind::Fill, &[], whole) });
            let added = Operation::new(OpKind::Embedding, &[self.source(0), self.g()], self.g());
            all.push(self.own("weight", added));
        }
    }

    fn of_gather(&self, all: &mut Vec<Gradient>) {
        let mut output = self.gradient_of(0);
        if output.shape.elements() > self.op.output.shape.elements() {
            all.push(Gradient { name: "zeros", operation: Operation::new(OpKind::Fill, &[], output) });
            output = self.g();
        }
        let inputs: Vec<Operand> = std::iter::once(self.g()).chain(self.op.inputs.iter().skip(1).copied()).collect();
        all.push(Gradient { name: "input", operation: Operation::new(OpKind::Scatter, &inputs, output) });
    }

    /// The gradient of an operand that was stretched to a whole is a sum of the whole's.
    fn summed(&self, place: usize, whole: Operand, all: &mut Vec<Gradient>) {
        let own = self.gradient_of(place);
        if own.shape.elements() < whole.shape.elements() {
            all.push(Gradient { name: "sum", operation: Operation::new(OpKind::Sum, &[whole], own) });
        }
    }

    fn of_sum(&self, all: &mut Vec<Gradient>) {
        for place in (0..2).filter(|place| self.is_wanted(*place)) {
            let is_negative = self.op.kind == OpKind::Rsub || (self.op.kind == OpKind::Sub && place == 1);
            if is_negative {
                all.push(Gradient { name: "input", operation: Operation::new(OpKind::Neg, &[self.g()], self.g()) });
            }
            self.summed(place, self.g(), all);
        }
    }

    fn of_factors(&self, all: &mut Vec<Gradient>) {
        let op = self.op;
        for place in (0..2).filter(|place| self.is_wanted(*place)) {
            let other = (op.inputs.len() > 1).then(|| self.source(1 - place));
            let inputs: Vec<Operand> = std::iter::once(self.g()).chain(other).collect();
            all.push(match (op.kind, place) {
                (OpKind::Div, 1) => {
                    self.own("input", Operation::new(op.kind, &[self.source(0), self.source(1), self.g()], self.g()))
                }
                _ => Gradient { name: "input", operation: Operation::new(op.kind, &inputs, self.g()) },
            });
            self.summed(place, self.g(), all);
        }
    }

    /// Where heads were repeated, their gradients add up.
    fn of_copy(&self, all: &mut Vec<Gradient>) {
        let own = self.gradient_of(0);
        let is_repeated = own.shape.elements() < self.op.output.shape.elements();
        let kind = if is_repeated { OpKind::Sum } else { OpKind::Copy };
        all.push(Gradient { name: "input", operation: Operation::new(kind, &[self.g()], own) });
    }

    fn of_attention(&self, all: &mut Vec<Gradient>) {
        let op = self.op;
        let inputs: Vec<Operand> = op.inputs.iter().copied().chain([op.output, self.g()]).collect();
        // A bias of the scores has one of each score, whatever it was stretched from.
        let biases: Vec<usize> = (3..op.inputs.len()).filter(|place| self.is_activation_wanted(*place)).collect();
        let of_biases = biases.iter().map(|_| self.scores());
        let output = joined((0..3).map(|place| self.source(place)).chain(of_biases), self.g());
        let operation = Operation::new(op.kind, &inputs, output).fused_with(&op.fused);
        all.push(self.own("input", Operation { pairs: op.pairs, ..operation }));
        biases.into_iter().for_each(|place| self.summed(place, self.scores(), all));
    }

    /// The scores of an attention: (batch, heads, query, key).
    fn scores(&self) -> Operand {
        let keys = self.op.inputs.get(1).and_then(|key| key.shape.dims().iter().nth_back(1));
        let mut shape = self.source(0).shape;
        if let (Some(last), Some(keys)) = (shape.dims_mut().last_mut(), keys) {
            *last = *keys;
        }
        numbers(shape, self.op.output.format)
    }
}

/// The numbers of all of them in one tensor.
fn joined(operands: impl Iterator<Item = Operand>, or: Operand) -> Operand {
    let all: Vec<Operand> = operands.collect();
    match &all[..] {
        [] => or,
        [one] => numbers(one.shape, one.format),
        [first, ..] => {
            let elements: u64 = all.iter().map(|operand| operand.shape.elements()).fold(0, u64::saturating_add);
            numbers([usize::try_from(elements).unwrap_or(usize::MAX)], first.format)
        }
    }
}
