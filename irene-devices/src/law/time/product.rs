use serde::{Deserialize, Serialize};

use super::rates::Rates;
use super::{KernelTime, overlapped};
use crate::Work;

/// Dense products: output tiles, whole waves of them over the multiprocessors, and the best of a few tile sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductLaw {
    /// The share of the peak that the largest tile reaches.
    pub(crate) share: f64,
    /// FLOPs that a joule pays for on a device of 2020 whose power is at its limit, 10⁹.
    pub(crate) gflop_a_joule: f64,
    /// How much more a joule pays for a year later, as a factor.
    pub(crate) gain_a_year: f64,
    /// How much smaller tiles lose, by the inverses of their sides.
    pub(crate) edge: f64,
    /// Steps along the inner dimension that starting and ending a tile takes as long as.
    pub(crate) prologue: f64,
    /// Filling and draining the pipeline of loads, s.
    pub(crate) start_s: f64,
    /// The share of the memory's rate that operands are read at.
    pub(crate) memory_share: f64,
    /// The power of the mean of arithmetic and traffic.
    pub(crate) overlap: f64,
}

/// Rows and columns of the tiles that libraries have.
const TILES: [(f64, f64); 7] =
    [(128.0, 256.0), (128.0, 128.0), (128.0, 64.0), (64.0, 64.0), (32.0, 64.0), (16.0, 64.0), (LEAST_ROWS, 64.0)];

/// Rows of the smallest tile.
const LEAST_ROWS: f64 = 4.0;

/// Into how many parts the inner dimension may be split, if there are fewer tiles than multiprocessors.
const SPLITS: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 8.0];

/// The least inner dimension of a part.
const LEAST_PART: f64 = 256.0;

impl ProductLaw {
    pub(super) fn busy(&self, work: &Work, rates: &Rates) -> KernelTime {
        let memory_rate = rates.memory * self.memory_share.min(1.0);
        let operands = work.bytes() / memory_rate;
        let mut best = KernelTime { seconds: f64::INFINITY, ..KernelTime::default() };
        for parts in SPLITS {
            // Traffic does not depend on the tile: among tiles the least arithmetic is the best.
            let Some(arithmetic_s) = self.arithmetic_s(work, rates, parts) else { continue };
            let partial = if parts > 1.0 { work.batch * work.rows * work.columns * 4.0 * (parts + 1.0) } else { 0.0 };
            let memory_s = operands + partial / memory_rate;
            if arithmetic_s.max(memory_s) >= best.seconds {
                continue;
            }
            let seconds = overlapped(&[arithmetic_s, memory_s], self.overlap);
            if seconds < best.seconds {
                best = KernelTime { seconds, arithmetic_s, memory_s, ..best };
            }
        }
        KernelTime { seconds: best.seconds + self.start_s, launch_s: self.start_s, ..best }
    }

    /// The arithmetic with the inner dimension in so many parts and the tiles that suit it best, s; None where there are enough tiles without
    /// splitting it.
    fn arithmetic_s(&self, work: &Work, rates: &Rates, parts: f64) -> Option<f64> {
        let steps = (work.inner / parts).max(work.inner.min(LEAST_PART)) + self.prologue;
        let of_tile = |(rows, columns): (f64, f64)| {
            let tiles = work.batch * (work.rows / rows).ceil() * (work.columns / columns).ceil();
            let rate = rates.arithmetic / rates.multiprocessors * self.tile_share(rows, columns);
            let waves = (tiles * parts / rates.multiprocessors).ceil();
            let is_tried = parts <= 1.0 || tiles < rates.multiprocessors;
            is_tried.then_some(waves * 2.0 * rows * columns * steps / rate)
        };
        // Few rows need no units for matrices, and so no tiles.
        let without_tiles = || 2.0 * work.batch * work.rows * work.columns * work.inner / rates.scalar;
        let without_tiles = (parts <= 1.0 && work.rows < LEAST_ROWS).then(without_tiles);
        TILES.into_iter().filter_map(of_tile).chain(without_tiles).reduce(f64::min)
    }

    /// The rate of a tile over that of the largest.
    fn tile_share(&self, rows: f64, columns: f64) -> f64 {
        let (largest_rows, largest_columns) = TILES[0];
        let excess = rows.recip() + columns.recip() - largest_rows.recip() - largest_columns.recip();
        (1.0 + self.edge * excess).recip()
    }
}
