//! The stream of hidden states from layer to layer.

use irene_tree::Kernels;

use super::attention::Residual;
use crate::{Cx, Norm, Result, Tensor, Tensors};

/// The hidden states between layers. Fused kernels add a branch where the next norm reads the sum.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) hidden: Tensor,
    /// The last branch, where it is not added yet.
    branch: Option<Tensor>,
}

impl Stream {
    pub(super) fn new(hidden: Tensor) -> Self {
        Self { hidden, branch: None }
    }

    /// The hidden states with every branch added.
    pub(super) fn sum(self, cx: &mut Cx<'_>) -> Result<Tensor> {
        match self.branch {
            Some(branch) => cx.add(&self.hidden, &branch),
            None => Ok(self.hidden),
        }
    }

    pub(super) fn has_branch(&self) -> bool {
        self.branch.is_some()
    }

    /// Whether there are no numbers.
    pub(super) fn is_shape(&self) -> bool {
        self.hidden.is_shape()
    }

    /// The same on the next stage of a pipeline.
    pub(super) fn sent(self, cx: &mut Cx<'_>) -> Result<Self> {
        let hidden = cx.send_recv(&self.hidden)?;
        Ok(Self { hidden, branch: self.branch.map(|branch| cx.send_recv(&branch)).transpose()? })
    }

    /// The norm of the sum, and the stream with everything added.
    pub(super) fn normed(self, cx: &mut Cx<'_>, norm: &Norm) -> Result<(Tensor, Self)> {
        match self.branch {
            Some(branch) => {
                let (normed, sum) = cx.norm_of_sum(&branch, &self.hidden, norm)?;
                Ok((normed, Self::new(sum)))
            }
            None => Ok((cx.call(norm, &self.hidden)?, self)),
        }
    }

    /// The stream, where a branch's module adds it itself and kernels are eager: fused ones add later.
    pub(super) fn added_inside(&self, cx: &Cx<'_>, dropout: Option<f64>) -> Option<Residual<'_>> {
        let dropout = dropout.filter(|_| cx.kernels() == Kernels::Eager)?;
        Some(Residual { stream: &self.hidden, dropout })
    }

    pub(super) fn with(self, cx: &mut Cx<'_>, branch: Tensor) -> Result<Self> {
        let hidden = self.sum(cx)?;
        if cx.kernels() == Kernels::Fused {
            return Ok(Self { hidden, branch: Some(branch) });
        }
        Ok(Self::new(cx.add(&hidden, &branch)?))
    }
}

impl Tensors for Stream {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        tensors.push(&self.hidden);
        self.branch.list(tensors);
    }
}
