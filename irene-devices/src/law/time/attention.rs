use serde::{Deserialize, Serialize};

use super::rates::Rates;
use super::{KernelTime, overlapped};
use crate::Work;

/// Attention in one kernel that keeps its scores on the chip.
///
/// A block has 128 queries of a head. Where there are fewer blocks than multiprocessors, the keys of a head are shared out
/// among several, which keeps the memory busy when single tokens are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttentionLaw {
    /// The share of the peak that products of a block reach.
    pub(crate) arithmetic_share: f64,
    /// The share of the memory's rate that keys and values are read at.
    pub(crate) memory_share: f64,
    /// Keys that a block has at least, where they are shared out.
    pub(crate) keys: f64,
    /// The share of the multiprocessors that keeps the memory as busy as all of them.
    pub(crate) reach: f64,
    /// The power of the mean of arithmetic and traffic.
    pub(crate) overlap: f64,
}

/// Queries of a block.
const QUERIES: f64 = 128.0;

/// Products of a gradient for each pair of a query and a key: the scores again, and the gradients of scores, queries, keys and values.
const GRADIENT_PRODUCTS: f64 = 5.0;

impl AttentionLaw {
    pub(super) fn busy(&self, work: &Work, rates: &Rates) -> KernelTime {
        let blocks = work.batch * (work.rows / QUERIES).ceil();
        let parts = |keys: f64| (keys / self.keys).max(1.0);
        // Keys that a query sees: fewer than there are, where later ones are hidden.
        let products = if work.is_gradient { GRADIENT_PRODUCTS } else { 2.0 };
        let seen = work.flops / (2.0 * products * work.inner * work.batch * work.rows).max(1.0);
        let waves = (blocks / rates.multiprocessors).ceil();
        let one_wave = blocks < rates.multiprocessors;
        // Blocks of a part of the keys fill what heads leave idle.
        let filled = if one_wave { (blocks * parts(seen) / rates.multiprocessors).min(1.0) } else { 1.0 };
        let of_a_block = work.flops / (work.batch * work.rows).max(1.0) * work.rows.min(QUERIES);
        let in_waves = if one_wave { blocks / rates.multiprocessors / filled } else { waves };
        let whole = work.flops.max(of_a_block * in_waves * rates.multiprocessors);
        let arithmetic_s = whole / (rates.arithmetic * self.arithmetic_share.min(1.0));
        let readers = work.batch / work.group.max(1.0) * parts(work.columns) * (work.rows / QUERIES).ceil();
        let busy = (readers / (rates.multiprocessors * self.reach)).min(1.0);
        let rate = rates.memory * self.memory_share.min(1.0);
        let kept = Self::kept_bytes(work);
        let memory_s = (work.bytes() - kept).max(0.0) / rate + kept / (rate * busy);
        KernelTime {
            seconds: overlapped(&[arithmetic_s, memory_s], self.overlap),
            arithmetic_s,
            memory_s,
            ..KernelTime::default()
        }
    }

    /// Bytes of keys and values.
    fn kept_bytes(work: &Work) -> f64 {
        if work.cache_bytes > 0.0 {
            return work.cache_bytes;
        }
        let number = work.activations.bytes(64) as f64 / 64.0;
        2.0 * work.batch / work.group.max(1.0) * work.columns * work.inner * number
    }
}
