use irene_tree::OpKind;
use serde::{Deserialize, Serialize};

use super::{KernelLaw, rates, row};
use crate::{Device, Vendor, Work, WorkKind};

/// Standard deviations of the logarithm of the time on devices that the law was not fitted on: 90% lie within 1.645 of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpreadLaw {
    /// Products in 32-bit floats.
    pub(crate) scalar: f64,
    /// Products in units for matrices.
    pub(crate) matrix: f64,
    /// Norms and softmax.
    pub(crate) norm: f64,
    /// Element-wise kernels and moves.
    pub(crate) element_wise: f64,
    /// Kernels that give each row to one block, and rows that are looked up.
    pub(crate) row: f64,
    /// Exchange between GPUs.
    pub(crate) link: f64,
    /// Launches: of their share of the time.
    pub(crate) launch: f64,
    /// Whole steps of training, forward and backward.
    pub(crate) step: f64,
    /// How much wider they are for devices of makers that no measurement is of, as a factor.
    pub(crate) unknown_maker: f64,
}

impl KernelLaw {
    /// The standard deviation of the logarithm of a kernel's time.
    pub fn spread(&self, device: &Device, work: &Work) -> f64 {
        let spread = &self.spread;
        let of_kind = match work.kind {
            WorkKind::Product | WorkKind::Grouped if rates::is_scalar(work, device) => spread.scalar,
            WorkKind::Product | WorkKind::Grouped | WorkKind::Attention => spread.matrix,
            WorkKind::Norm if work.op != OpKind::RmsNorm => spread.norm,
            WorkKind::Exchange => spread.link,
            _ if row::is_by_row(work.op) => spread.row,
            _ => spread.element_wise,
        };
        let time = self.time(work, device);
        let of_launch = spread.launch * time.launch_s / time.seconds.max(f64::MIN_POSITIVE);
        let of_kind = of_kind.hypot(of_launch);
        let is_known = matches!(device.vendor, Vendor::Nvidia | Vendor::Amd);
        if is_known { of_kind } else { of_kind * spread.unknown_maker }
    }
}
