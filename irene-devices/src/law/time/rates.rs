use irene_tree::Format;
use serde::{Deserialize, Serialize};

use super::{KernelLaw, ProductLaw};
use crate::{Device, DeviceClass, Vendor, Work};

/// The share of its bandwidth that a device's memory reaches: 1 - lost · kept_a_year^(year - 2018), and that of 2018 for older ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryLaw {
    /// The share of the bandwidth that devices of 2018 do not reach.
    pub(crate) lost: f64,
    /// How much of that share is left a year later.
    pub(crate) kept_a_year: f64,
}

/// Rates of a maker's devices in single kernels, over those of NVIDIA's with the same data sheet; [`MakerLaw`](crate::MakerLaw) is for passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakerRates {
    /// Rate of the memory.
    pub(crate) memory: f64,
    /// Rate of products.
    pub(crate) arithmetic: f64,
    /// Rate of products where the power is at its limit.
    pub(crate) energy: f64,
    /// Rate of norms and softmax.
    pub(crate) norm: f64,
}

/// Threads that a multiprocessor runs at a time, and the clock, where the data sheet says nothing of them.
const LANES: f64 = 128.0;
const CLOCK_HZ: f64 = 1.5e9;

/// The rates of a device for one kernel.
pub(super) struct Rates {
    /// Bytes of its memory a second.
    pub memory: f64,
    /// FLOPs a second of products, as long as its power lasts.
    pub arithmetic: f64,
    /// FLOPs a second of products without units for matrices.
    pub scalar: f64,
    /// Multiprocessors.
    pub multiprocessors: f64,
    /// Cycles a second.
    pub clock: f64,
    /// Bytes a second to its peers.
    pub link: f64,
    /// The maker's rate of norms.
    pub norm: f64,
}

/// Whether a device multiplies the work's numbers without units for matrices.
pub(super) fn is_scalar(work: &Work, device: &Device) -> bool {
    matches!(device.arithmetic(work.weights, work.activations).format, Format::F32 | Format::F64)
}

impl Rates {
    pub(super) fn of(law: &KernelLaw, work: &Work, device: &Device) -> Self {
        let vendor = match device.vendor {
            Vendor::Amd if device.class != DeviceClass::Cpu => law.amd,
            _ => MakerRates { memory: 1.0, arithmetic: 1.0, energy: 1.0, norm: 1.0 },
        };
        // Whole years: powers of them take a tenth of the time of others.
        let years = i32::from(device.year) - 2020;
        let reached = 1.0 - (law.memory.lost * law.memory.kept_a_year.powi((years + 2).max(0))).clamp(0.0, 0.9);
        let peak = device.arithmetic(work.weights, work.activations).tflop_s * 1e12;
        let clock = device.clock_mhz.map_or(CLOCK_HZ, |mhz| mhz * 1e6);
        let of_peak = || (scalar_peak(device) / (2.0 * LANES * clock)).max(1.0);
        let multiprocessors = device.multiprocessors.map_or_else(of_peak, f64::from);
        Self {
            memory: device.bandwidth_gb_s * 1e9 * (reached * vendor.memory).min(1.0),
            arithmetic: sustained(law.product_law(work, device), peak, &vendor, device, years),
            scalar: law.scalar.share * scalar_peak(device),
            multiprocessors,
            clock,
            link: device.link_gb_s.unwrap_or(PCIE_GB_S) * 1e9,
            norm: vendor.norm,
        }
    }
}

/// FLOPs a second without units for matrices. A data sheet that does not say has units as an A100 (19.5 of 312) or an H100 (66.9 of 989),
/// which multiply numbers of 16 bits about sixteen times as fast, and half as many bits twice as fast.
fn scalar_peak(device: &Device) -> f64 {
    let slower = [(Format::BF16, 16.0), (Format::F16, 16.0), (Format::F8E4M3, 32.0), (Format::Int8, 32.0)];
    let units = || slower.into_iter().find_map(|(format, times)| Some(device.peaks.of(format)? / times));
    let known = device.peaks.f32.or_else(units).or_else(|| Some(device.peaks.fp4? / 64.0));
    1e12 * known.unwrap_or_default()
}

/// A bus of the third generation with sixteen lanes, for devices without a link of their own.
const PCIE_GB_S: f64 = 16.0;

/// The rate of products that the units reach, or that the power allows if that is less.
fn sustained(law: &ProductLaw, peak: f64, vendor: &MakerRates, device: &Device, years: i32) -> f64 {
    /// The lowest base clock of data sheets over the highest clock: the T4's is 0.37, the L4's 0.39.
    const BASE_CLOCK: f64 = 0.37;
    let reached = (law.share * vendor.arithmetic).min(1.0) * peak;
    // A FLOP of narrower numbers takes as much less energy as units do more of them a second.
    let narrower = (peak / (1e12 * device.arithmetic(Format::BF16, Format::BF16).tflop_s)).max(1.0);
    let gflop_a_joule = law.gflop_a_joule * vendor.energy * narrower * law.gain_a_year.powi(years);
    let powered = device.limit_w() * gflop_a_joule * 1e9;
    powered.clamp(BASE_CLOCK * reached, reached)
}
