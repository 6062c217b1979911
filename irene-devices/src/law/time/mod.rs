//! The time of single kernels on a device, from its data sheet alone.

mod attention;
mod link;
mod product;
mod rates;
mod row;
mod spread;

use std::sync::LazyLock;

use attention::AttentionLaw;
use link::LinkLaw;
use product::ProductLaw;
use rates::{MakerRates, MemoryLaw, Rates};
use row::RowLaw;
use serde::{Deserialize, Serialize};
use spread::SpreadLaw;

use crate::{Device, Work, WorkKind};

/// The constants of the time of single kernels, fitted on public measurements.
///
/// Time = launches + a power mean of arithmetic and traffic, which is at least the longer of both:
///
/// | kernels | arithmetic | traffic |
/// |---|---|---|
/// | dense products | whole tiles in whole waves over the multiprocessors | operands once, partial sums where the inner dimension is split |
/// | attention | whole blocks of queries in whole waves | operands once, at a share that grows with the blocks that run at a time |
/// | norms, softmax | none | operands as often as rows are too wide to be kept; numbers a cycle; rows one after another |
/// | element-wise, moves | none | operands once; numbers a cycle |
/// | exchange | none | bytes over the link |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelLaw {
    /// Starting kernels.
    pub(crate) launch: LaunchLaw,
    /// The device's memory.
    pub(crate) memory: MemoryLaw,
    /// Products in 32-bit floats, without units for matrices.
    pub(crate) scalar: ProductLaw,
    /// Products in units for matrices.
    pub(crate) matrix: ProductLaw,
    /// Norms, element-wise kernels and moves.
    pub(crate) row: RowLaw,
    /// Attention in one kernel.
    pub(crate) attention: AttentionLaw,
    /// Exchange between GPUs.
    pub(crate) link: LinkLaw,
    /// Devices of AMD.
    pub(crate) amd: MakerRates,
    /// How far off the law is on devices that it was not fitted on.
    pub(crate) spread: SpreadLaw,
}

/// Seconds that starting kernels takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaunchLaw {
    /// Starting a kernel that follows others, s.
    pub(crate) kernel_s: f64,
    /// The time beyond that if the host measures the kernel alone, s.
    pub(crate) alone_s: f64,
}

/// The time of one kernel, and what it goes to. Arithmetic and traffic overlap: `seconds` is less than the sum of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct KernelTime {
    /// From its start to its end, s.
    pub seconds: f64,
    /// Starting it, s.
    pub launch_s: f64,
    /// Its arithmetic, if nothing else took time, s.
    pub(crate) arithmetic_s: f64,
    /// Its traffic with the memory, if nothing else took time, s.
    pub(crate) memory_s: f64,
}

impl KernelLaw {
    /// The law as it was fitted on the public measurements.
    pub fn shipped() -> &'static Self {
        static LAW: LazyLock<KernelLaw> = LazyLock::new(|| KernelLaw::read(include_str!("../../../data/kernels.json")));
        &LAW
    }

    /// The constants before any measurement, where fits start.
    pub fn prior() -> &'static Self {
        static LAW: LazyLock<KernelLaw> =
            LazyLock::new(|| KernelLaw::read(include_str!("../../../data/kernels_prior.json")));
        &LAW
    }

    /// A fault in these files is ours; a test reads them.
    #[allow(clippy::expect_used)]
    fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("the shipped constants are read")
    }

    /// The time of one run of an operation that follows others on a device.
    pub fn time(&self, work: &Work, device: &Device) -> KernelTime {
        let launch_s = self.launch.kernel_s * work.kernels;
        let rates = Rates::of(self, work, device);
        let busy = match work.kind {
            WorkKind::None => return KernelTime::default(),
            WorkKind::Product | WorkKind::Grouped => self.product_law(work, device).busy(work, &rates),
            WorkKind::Attention => self.attention.busy(work, &rates),
            WorkKind::Norm | WorkKind::Move | WorkKind::Elementwise => self.row.busy(work, &rates),
            WorkKind::Exchange => self.link.busy(work, &rates),
        };
        KernelTime { seconds: busy.seconds + launch_s, launch_s: busy.launch_s + launch_s, ..busy }
    }

    /// The time of one run of an operation that a host starts and waits for.
    pub(crate) fn time_alone(&self, work: &Work, device: &Device) -> KernelTime {
        let time = self.time(work, device);
        KernelTime {
            seconds: time.seconds + self.launch.alone_s,
            launch_s: time.launch_s + self.launch.alone_s,
            ..time
        }
    }

    fn product_law(&self, work: &Work, device: &Device) -> &ProductLaw {
        if rates::is_scalar(work, device) { &self.scalar } else { &self.matrix }
    }
}

/// The power mean of times that overlap: at least the longest of them, at most their sum.
pub(super) fn overlapped(times: &[f64], power: f64) -> f64 {
    let longest = times.iter().copied().fold(0.0, f64::max);
    if longest <= 0.0 || !longest.is_finite() {
        return longest;
    }
    let power = power.max(1.0);
    // A power takes longer than all else here, and those of 0 and 1 are known.
    let raised = |time: &f64| match time / longest {
        share if share == 1.0 || share == 0.0 => share,
        share => share.powf(power),
    };
    match times.iter().map(raised).sum::<f64>() {
        1.0 => longest,
        sum => longest * sum.powf(power.recip()),
    }
}

#[cfg(test)]
mod tests;
