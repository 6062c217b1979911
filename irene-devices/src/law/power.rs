use serde::{Deserialize, Serialize};

use super::PassCost;
use crate::{Device, Work, WorkKind};

/// The power of a device: shares of its TDP that it draws whatever it does, energy by arithmetic and by traffic, and its limit.
///
/// Energy of arithmetic is a share of the TDP at peak, because processors are made for the power that their units take. Energy of traffic is
/// the same for each byte, because memories of a kind are alike: leaving devices out tells both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerLaw {
    /// With a model loaded and no kernel running, of the TDP.
    pub loaded_share: f64,
    /// With a kernel running, beyond that, of the TDP.
    pub running_share: f64,
    /// At the peak of products, beyond that, of the TDP.
    pub arithmetic_share: f64,
    /// The energy of attention's arithmetic over that of products'.
    pub attention: f64,
    /// Rows whose energy a product takes whatever its rows: those of a tile that is hardly filled.
    pub tile_rows: f64,
    /// The same of a mixture's products.
    pub grouped_tile_rows: f64,
    /// A byte of weights and of products' activations, pJ.
    pub weight_pj: f64,
    /// A byte of the cache that attention reads, pJ.
    pub cache_pj: f64,
    /// A byte of norms, element-wise kernels and moves, pJ.
    pub elementwise_pj: f64,
    /// Links at their bandwidth, of the TDP.
    pub link_share: f64,
    /// How sharply the limit takes over.
    pub limit_sharpness: f64,
}

const PJ: f64 = 1e-12;

impl PowerLaw {
    /// Joules of a kernel beyond what the device draws anyway.
    pub fn dynamic_joules(&self, work: &Work, device: &Device) -> f64 {
        let peak = device.arithmetic(work.weights, work.activations).tflop_s * 1e12;
        let in_tiles = |tile: f64| 1.0 + tile / work.rows.max(1.0);
        let (arithmetic, byte_pj) = match work.kind {
            WorkKind::None | WorkKind::Exchange => (0.0, 0.0),
            WorkKind::Product => (in_tiles(self.tile_rows), self.weight_pj),
            WorkKind::Grouped => (in_tiles(self.grouped_tile_rows), self.weight_pj),
            WorkKind::Attention => (self.attention, self.cache_pj),
            WorkKind::Norm | WorkKind::Move | WorkKind::Elementwise => (0.0, self.elementwise_pj),
        };
        let link = work.link_bytes / (device.link_gb_s.unwrap_or(f64::INFINITY) * 1e9);
        device.tdp_w * (self.arithmetic_share * arithmetic * work.flops / peak + self.link_share * link)
            + byte_pj * PJ * work.bytes()
    }

    /// The cost of kernels that take so long and so much, and of a time beside them, with the power limit kept.
    pub fn whole(&self, busy_seconds: f64, dynamic_joules: f64, idle_seconds: f64, device: &Device) -> PassCost {
        let seconds = busy_seconds + idle_seconds;
        let unlimited =
            device.tdp_w * (self.loaded_share * seconds + self.running_share * busy_seconds) + dynamic_joules;
        // The whole is below both the limit and what it would be without.
        let over = unlimited / (device.limit_w() * seconds).max(f64::MIN_POSITIVE);
        let kept = (1.0 + over.powf(self.limit_sharpness)).powf(-self.limit_sharpness.recip());
        // A device whose idle power was measured draws no less.
        let joules = (kept * unlimited).max(device.idle_w.unwrap_or(0.0) * seconds);
        PassCost { seconds, joules, dynamic_joules: kept * dynamic_joules, kept }
    }
}
