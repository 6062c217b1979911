use serde::{Deserialize, Serialize};

use super::{Law, PassCost};
use crate::{Device, Error, Result, Work, WorkKind};

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
    /// Rows that a product is charged for beside its own: a tile that is hardly filled, or the work on each weight, costs as much as these.
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

/// The least part of the energy of arithmetic and traffic that is left at a lower clock and voltage: an assumption, the square of a lowest voltage
/// of about three quarters of the highest.
const LEAST_DYNAMIC: f64 = 0.6;
/// The least part of a limit that is left for arithmetic and traffic.
const LEAST_LEFT: f64 = 0.02;

impl PowerLaw {
    /// Joules of a kernel beyond what the device draws anyway.
    pub fn dynamic_joules(&self, work: &Work, device: &Device) -> f64 {
        let peak = device.arithmetic(work.weights, work.activations).tflop_s * 1e12;
        // The time of an expert's product is that of the most rows, its energy that of all.
        let rows = || work.flops / (2.0 * work.batch * work.inner * work.columns).max(1.0);
        let in_tiles = |tile: f64| 1.0 + tile / rows().max(1.0);
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

    /// The power with a kernel running that computes and moves nothing, W.
    fn running_w(&self, device: &Device) -> f64 {
        device.tdp_w * (self.loaded_share + self.running_share)
    }

    /// The cost of kernels that take so long and so much, and of a time beside them, with the power limit kept.
    pub(crate) fn whole(&self, busy_seconds: f64, dynamic_joules: f64, idle_seconds: f64, device: &Device) -> PassCost {
        let limit = device.limit_w();
        let standing =
            |busy: f64| device.tdp_w * (self.loaded_share * (busy + idle_seconds) + self.running_share * busy);
        // The whole is below both the limit and what it would be without.
        let kept = |busy: f64, limit: f64| {
            let over = (standing(busy) + dynamic_joules) / (limit * (busy + idle_seconds)).max(f64::MIN_POSITIVE);
            (1.0 + over.powf(self.limit_sharpness)).powf(-self.limit_sharpness.recip())
        };
        // The law was fitted at the TDP. A lower limit saves what a lower voltage can, and the rest takes its time.
        let unlimited = standing(busy_seconds) + dynamic_joules;
        let dynamic = (kept(busy_seconds, device.tdp_w) * unlimited - standing(busy_seconds)).max(0.0);
        let least = |busy: f64| standing(busy) + LEAST_DYNAMIC * dynamic;
        // A device that was measured may draw as much as its limit whatever runs: no time is long enough, and a little is taken to be left.
        let left_w = (limit - self.running_w(device)).max(LEAST_LEFT * limit);
        let powered_s = (least(0.0) - limit * idle_seconds) / left_w;
        let busy = busy_seconds.max(powered_s);
        let (seconds, unlimited) = (busy + idle_seconds, standing(busy) + dynamic_joules);
        let kept = kept(busy, limit).max(least(busy) / unlimited).min(limit * seconds / unlimited);
        // A device whose idle power was measured draws no less.
        let idle_joules = device.idle_w.unwrap_or(0.0) * seconds;
        let joules = (kept * unlimited).max(idle_joules);
        PassCost {
            seconds,
            joules,
            dynamic_joules: kept * dynamic_joules,
            loaded_joules: (self.loaded_share * device.tdp_w * seconds).max(idle_joules).min(joules),
            kept,
            slowed: 1.0 + (busy - busy_seconds) / busy_seconds.max(f64::MIN_POSITIVE),
        }
    }
}

// No figure of a data sheet tells the least limit: the shipped law does.
impl Device {
    /// The device with a limit on its power, as `nvidia-smi --power-limit` sets it.
    ///
    /// # Errors
    /// [`Error::PowerLimit`] at or below the power that it draws whatever it runs, or above one and a half times its TDP, which no board allows.
    pub fn with_power_limit(self, watts: f64) -> Result<Self> {
        let (lowest, highest) = (self.lowest_w(), 1.5 * self.tdp_w);
        if watts > lowest && watts <= highest {
            return Ok(Self { power_limit_w: Some(watts), ..self });
        }
        Err(Error::PowerLimit { device: self.name, found: watts, lowest, highest })
    }

    /// The power that it draws whatever it runs, rounded up to a tenth of a watt: no limit is kept at or below it.
    pub(crate) fn lowest_w(&self) -> f64 {
        let running = Law::shipped().power.running_w(self).max(self.idle_w.unwrap_or(0.0));
        (10.0 * running).ceil() / 10.0
    }
}
