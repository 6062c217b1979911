use irene_tree::{Kernels, OpKind, Operand, Operation};

use super::{Cx, Tensors, operations::label_of};
use crate::{Result, Tensor};

/// The cosines and sines of a rotary position embedding's angles.
#[derive(Clone, Debug)]
pub struct Angles {
    /// Cosines (batch or 1, 1, tokens, rotated), each angle at both numbers of its pair.
    pub cos: Tensor,
    /// Sines in the same places.
    pub sin: Tensor,
}

impl Tensors for Angles {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.extend([&self.cos, &self.sin]);
    }
}

/// The numbers of a head that rotate together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// One of the first half and one of the second (Llama, GPT-NeoX).
    Halves,
    /// Each even number and the next (GPT-J).
    Neighbours,
    /// The same, but the results are left in halves (DeepSeek): scores do not depend on the order.
    NeighboursToHalves,
}

/// # Errors
/// Tensors that do not fit; errors of candle and the visitor.
impl Cx<'_> {
    /// Queries and keys (batch, heads, tokens, width) with their first numbers rotated, as many as there are angles: one kernel for both
    /// where kernels are fused. The results are contiguous.
    pub fn rotary(&mut self, [query, key]: [&Tensor; 2], angles: &Angles, pairing: Pairing) -> Result<[Tensor; 2]> {
        if self.kernels() == Kernels::Eager {
            return Ok([
                self.rotary_by_operations(query, angles, pairing)?,
                self.rotary_by_operations(key, angles, pairing)?,
            ]);
        }
        let run = || Ok((query.rotated(angles, pairing)?, key.rotated(angles, pairing)?));
        let describe = |(query, key): &(Tensor, Tensor)| {
            let mut shape = query.shape();
            if let [_, heads, _, _] = shape.dims_mut() {
                *heads += key.dim(1);
            }
            let output = Operand::activation(shape, query.format());
            Operation::new(OpKind::Rotary, &[query.operand(), key.operand()], output)
        };
        let (query, key) = self.operate(|| label_of(OpKind::Rotary), &[query, key], run, describe)?;
        Ok([query, key])
    }

    /// The same for queries alone, whose keys are another layer's.
    pub(crate) fn rotary_of_queries(&mut self, query: &Tensor, angles: &Angles, pairing: Pairing) -> Result<Tensor> {
        if self.kernels() == Kernels::Eager {
            return self.rotary_by_operations(query, angles, pairing);
        }
        let describe = |output: &Tensor| Operation::new(OpKind::Rotary, &[query.operand()], output.operand());
        self.operate(|| label_of(OpKind::Rotary), &[query], || query.rotated(angles, pairing), describe)
    }

    fn rotary_by_operations(&mut self, x: &Tensor, angles: &Angles, pairing: Pairing) -> Result<Tensor> {
        let (width, rotated) = (x.dim(3), angles.cos.dim(3));
        let turned = self.narrow(x, 3, 0, rotated)?;
        let turned = if pairing == Pairing::NeighboursToHalves { self.in_halves(&turned)? } else { turned };
        let straight = self.mul(&turned, &angles.cos)?;
        let swapped = self.with_pairs_swapped(&turned, pairing)?;
        let crossed = self.mul(&swapped, &angles.sin)?;
        let turned = self.add(&straight, &crossed)?;
        if rotated == width {
            return Ok(turned);
        }
        let rest = self.narrow(x, 3, rotated, width - rotated)?;
        self.join(&turned, &rest, 3)
    }

    /// The even numbers of the last dimension, then the odd ones.
    fn in_halves(&mut self, x: &Tensor) -> Result<Tensor> {
        let (shape, x) = (x.shape(), self.contiguous(x)?);
        let pairs = self.reshape(&x, [x.dim(0), x.dim(1), x.dim(2), x.dim(3) / 2, 2])?;
        let halves = self.transpose(&pairs, 3, 4)?;
        let halves = self.contiguous(&halves)?;
        self.reshape(&halves, shape)
    }

    /// (-second, first) in place of each pair.
    fn with_pairs_swapped(&mut self, x: &Tensor, pairing: Pairing) -> Result<Tensor> {
        let (rotated, half) = (x.dim(3), x.dim(3) / 2);
        match pairing {
            Pairing::Halves | Pairing::NeighboursToHalves => {
                let [first, second] = [self.narrow(x, 3, 0, half)?, self.narrow(x, 3, half, half)?];
                let negative = self.neg(&second)?;
                self.join(&negative, &first, 3)
            }
            Pairing::Neighbours => {
                let x = self.contiguous(x)?;
                let outer = [x.dim(0), x.dim(1), x.dim(2)];
                let pairs = self.reshape(&x, [outer[0], outer[1], outer[2], half, 2])?;
                let [first, second] = [self.select(&pairs, 4, 0)?, self.select(&pairs, 4, 1)?];
                let negative = self.neg(&second)?;
                let swapped = self.stack(&[&negative, &first], 4)?;
                self.reshape(&swapped, [outer[0], outer[1], outer[2], rotated])
            }
        }
    }
}
