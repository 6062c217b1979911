//! Exchanges between GPUs: nodes where several share the work, nothing on one GPU.

use irene_tree::{OpKind, Operation, Shape};

use super::{Cx, operations::label_of};
#[cfg(feature = "candle")]
use crate::Error;
use crate::{Result, Tensor};

/// # Errors
/// For tensors with data, that only shapes are followed on several GPUs.
impl Cx<'_> {
    /// The sum of what the GPUs that share a layer computed, each a part of it.
    pub fn all_reduce(&mut self, x: &Tensor) -> Result<Tensor> {
        self.exchange(OpKind::AllReduce, self.parallel().tensor, x, x.shape())
    }

    /// Joins the tensors of the GPUs that share a layer along a dimension. The first `all` places count, the rest is padding.
    pub fn all_gather(&mut self, x: &Tensor, dim: usize, all: usize) -> Result<Tensor> {
        let mut shape = x.shape();
        if let Some(places) = shape.dims_mut().get_mut(dim) {
            *places = all;
        }
        self.exchange(OpKind::AllGather, self.parallel().tensor, x, shape)
    }

    /// Sends a tensor from one stage of the pipeline to the next.
    pub fn send_recv(&mut self, x: &Tensor) -> Result<Tensor> {
        const SENDER_AND_RECEIVER: usize = 2;
        self.exchange(OpKind::SendRecv, SENDER_AND_RECEIVER, x, x.shape())
    }

    /// The rows of each GPU sent to the GPUs that have their experts, or back, where experts are on more GPUs than have the same
    /// tokens. Each GPU gets as many rows as it sends: under even routing that is so in expectation.
    pub fn all_to_all(&mut self, x: &Tensor) -> Result<Tensor> {
        let gpus = if self.parallel().exchanges_tokens() { self.parallel().expert } else { 1 };
        self.exchange(OpKind::AllToAll, gpus, x, x.shape())
    }

    fn exchange(&mut self, kind: OpKind, gpus: usize, x: &Tensor, shape: Shape) -> Result<Tensor> {
        if gpus <= 1 {
            return Ok(x.clone());
        }
        let run = || {
            #[cfg(feature = "candle")]
            if !x.is_shape() {
                let reason = "several GPUs are followed by shape alone; nothing runs on them here".into();
                return Err(Error::Shape { operation: kind.name(), reason });
            }
            Ok(Tensor::of_shape(shape, x.format()))
        };
        let describe = |output: &Tensor| Operation::exchange(kind, gpus as u64, x.operand(), output.operand());
        self.operate(|| label_of(kind), &[x], run, describe)
    }
}
