use std::borrow::Cow;

use irene_tree::{Kernels, Level, OpKind, Operation};

use super::{Cx, Label, operations::label_of};
use crate::{Activation, AffineLayer, Labelled, LayerNorm, Linear, Norm, Result, Tensor};

/// The slope of the sigmoid in a gate with a limit.
pub(crate) const LIMITED_SLOPE: f64 = 1.702;

/// As many outputs as there are layers.
fn all<const N: usize>(outputs: Vec<Tensor>) -> Result<[Tensor; N]> {
    outputs.try_into().map_err(|_| crate::Error::Shape { operation: "linear", reason: "an output is missing".into() })
}

/// Sequences of operations that are one kernel where kernels are fused and the tensors allow it. Each gives the same result as its
/// operations one by one, to within 1e-5.
///
/// # Errors
/// As their operations.
impl Cx<'_> {
    /// A linear layer, then an activation of its result.
    #[inline]
    pub fn call_then<L: AffineLayer>(&mut self, layer: &L, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let describe = |output: &Tensor| {
            let operation = layer.operation(x, output)?;
            Some(operation.fused_with(&[&[OpKind::Add], activation.kinds()].concat()))
        };
        let run = || layer.forward_then(x, activation);
        if let Some(output) = self.fused(|| layer.label().clone(), &[x], run, describe) {
            return output;
        }
        let mapped = self.call(layer, x)?;
        activation.apply(self, &mapped)
    }

    /// Linear layers on one input: a single product under `name` where kernels are fused.
    pub fn call_joint<const N: usize>(
        &mut self,
        name: &'static str,
        layers: [&Linear; N],
        x: &Tensor,
    ) -> Result<[Tensor; N]> {
        if self.kernels() == Kernels::Eager || !layers.iter().all(|layer| layer.is_alone()) {
            return all(layers.into_iter().map(|layer| self.call(layer, x)).collect::<Result<_>>()?);
        }
        let label = || Label { name: Cow::Borrowed(name), instance_type: OpKind::Linear.name(), level: Level::Ml };
        let run = || all(Linear::joint(&layers, x)?);
        self.operate(label, &[x], run, |outputs| Linear::joint_operation(&layers, x, outputs))
    }

    /// The activation of a gate times another tensor.
    pub fn gated(&mut self, gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
        let kinds = activation.kinds();
        let describe = |output: &Tensor| {
            let (first, others) = kinds.split_first()?;
            let operation = Operation::new(*first, &[gate.operand(), up.operand()], output.operand());
            Some(operation.fused_with(&[others, &[OpKind::Mul]].concat()))
        };
        let run = || Some(activation.in_one_pass()?.gated(gate, up));
        if let Some(output) = self.fused(|| label_of(kinds[0]), &[gate, up], run, describe) {
            return output;
        }
        let activated = activation.apply(self, gate)?;
        self.mul(&activated, up)
    }

    /// The activation of a gate times another tensor, with the gate no greater than `most` and the other no further than that from 0
    /// (DeepSeek-V4); without limits where there is no `most`.
    pub(crate) fn gated_within(
        &mut self,
        gate: &Tensor,
        up: &Tensor,
        activation: Activation,
        most: Option<f64>,
    ) -> Result<Tensor> {
        let Some(most) = most else { return self.gated(gate, up, activation) };
        let kinds = activation.kinds();
        self.in_one_kernel(
            kinds[0],
            &[gate, up],
            |cx| {
                let gate = cx.clamp(gate, f64::NEG_INFINITY, most)?;
                let up = cx.clamp(up, -most, most)?;
                cx.gated(&gate, &up, activation)
            },
            |output| {
                let others = [&kinds[1..], &[OpKind::Clamp, OpKind::Clamp, OpKind::Mul]].concat();
                Operation::new(kinds[0], &[gate.operand(), up.operand()], output.operand()).fused_with(&others)
            },
        )
    }

    /// The activation of the first half of the last dimension times the second half. With a limit the numbers of both are in turn, and
    /// (up + 1) · gate · sigmoid(1.702 gate) stands for the activation: the gate is at most the limit, and the other at most that far from
    /// 0 (gpt-oss, Phi-3-small).
    pub fn gated_jointly(&mut self, both: &Tensor, activation: Activation, limit: Option<f64>) -> Result<Tensor> {
        let Some(limit) = limit else {
            let last = both.shape().rank() - 1;
            let half = both.dim(last) / 2;
            let (gate, up) = (self.narrow(both, last, 0, half)?, self.narrow(both, last, half, half)?);
            return self.gated(&gate, &up, activation);
        };
        self.in_one_kernel(
            OpKind::Silu,
            &[both],
            |cx| cx.gated_to_limit(both, limit),
            |output| {
                let others = [OpKind::Clamp, OpKind::Clamp, OpKind::Mul, OpKind::Add, OpKind::Mul];
                Operation::new(OpKind::Silu, &[both.operand()], output.operand()).fused_with(&others)
            },
        )
    }

    /// The square of max(x, 0).
    pub(crate) fn relu_squared(&mut self, x: &Tensor) -> Result<Tensor> {
        self.in_one_kernel(
            OpKind::Relu,
            &[x],
            |cx| {
                let positive = cx.relu(x)?;
                cx.pow(&positive, 2.0)
            },
            |output| Operation::new(OpKind::Relu, &[x.operand()], output.operand()).fused_with(&[OpKind::Pow]),
        )
    }

    /// xIELU by its two learned numbers a and b (Huang and Schlag, 2024): x / 2, and softplus(a) · x² where x is positive, elsewhere
    /// (1/2 + softplus(b)) · (eˣ - 1 - x).
    pub(crate) fn xielu(&mut self, x: &Tensor, [a, b]: [&Tensor; 2]) -> Result<Tensor> {
        self.in_one_kernel(
            OpKind::Expm1,
            &[x, a, b],
            |cx| {
                let above = cx.relu(x)?;
                let square = cx.mul(&above, &above)?;
                let a = cx.softplus(a)?;
                let square = cx.mul(&square, &a)?;
                let below = cx.clamp(x, f64::NEG_INFINITY, 0.0)?;
                let power = cx.expm1(&below)?;
                let power = cx.sub(&power, &below)?;
                let b = cx.softplus(b)?;
                let b = cx.add_scalar(&b, 0.5)?;
                let power = cx.mul(&power, &b)?;
                let curve = cx.add(&square, &power)?;
                let line = cx.mul_scalar(x, 0.5)?;
                cx.add(&curve, &line)
            },
            |output| {
                let sums = [OpKind::Mul, OpKind::Mul, OpKind::Add];
                let others = [sums, sums, [OpKind::Relu, OpKind::Clamp, OpKind::Sub]].concat();
                let inputs = [x.operand(), a.operand(), b.operand()];
                Operation::new(OpKind::Expm1, &inputs, output.operand()).fused_with(&others)
            },
        )
    }

    fn gated_to_limit(&mut self, both: &Tensor, limit: f64) -> Result<Tensor> {
        let (mut shape, inner) = (both.shape(), both.shape().last() / 2);
        let rows = shape.elements() as usize / (2 * inner).max(1);
        let pairs = self.reshape(both, [rows, inner, 2])?;
        let (gate, up) = (self.select(&pairs, 2, 0)?, self.select(&pairs, 2, 1)?);
        let gate = self.clamp(&gate, f64::NEG_INFINITY, limit)?;
        let up = self.clamp(&up, -limit, limit)?;
        let steep = self.mul_scalar(&gate, LIMITED_SLOPE)?;
        let sigmoid = self.sigmoid(&steep)?;
        let glu = self.mul(&gate, &sigmoid)?;
        let up = self.add_scalar(&up, 1.0)?;
        let gated = self.mul(&up, &glu)?;
        if let Some(last) = shape.dims_mut().last_mut() {
            *last = inner;
        }
        self.reshape(&gated, shape)
    }

    /// A norm of a sum, and the sum.
    pub fn norm_of_sum(&mut self, x: &Tensor, residual: &Tensor, norm: &Norm) -> Result<(Tensor, Tensor)> {
        if self.kernels() == Kernels::Eager {
            let sum = self.add(x, residual)?;
            return Ok((self.call(norm, &sum)?, sum));
        }
        let run = || norm.with_sum(x, residual);
        let describe = |(normed, sum): &(Tensor, Tensor)| norm.operation_of_sum([x, residual], [normed, sum]);
        self.operate(|| norm.label().clone(), &[x, residual], run, describe)
    }

    /// A sum, then its layer norm.
    #[inline]
    pub fn add_norm(&mut self, x: &Tensor, residual: &Tensor, norm: &LayerNorm) -> Result<Tensor> {
        let describe = |output: &Tensor| Some(norm.operation_of_sum(x, residual, output));
        let run = || norm.of_sum(x, residual);
        if let Some(output) = self.fused(|| norm.label().clone(), &[x, residual], run, describe) {
            return output;
        }
        let sum = self.add(x, residual)?;
        self.call(norm, &sum)
    }
}
