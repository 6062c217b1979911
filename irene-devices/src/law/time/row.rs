use irene_tree::OpKind;
use serde::{Deserialize, Serialize};

use super::rates::Rates;
use super::{KernelTime, overlapped};
use crate::{Work, WorkKind};

/// Norms, softmax, element-wise kernels and moves: traffic, at a rate that the numbers a cycle may bound where numbers are small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowLaw {
    /// The share of the memory's rate of element-wise kernels.
    pub memory_share: f64,
    /// The share of the memory's rate of norms and softmax.
    pub norm_share: f64,
    /// How often more a row is read that is too wide to be kept, as a share of its reading and writing.
    pub second_pass: f64,
    /// Numbers that a multiprocessor reads or writes a cycle in norms by the root of the mean square.
    pub normed_a_cycle: f64,
    /// The same of activations that are multiplied by a gate.
    pub gated_a_cycle: f64,
    /// The same of rotations by position.
    pub rotated_a_cycle: f64,
    /// The same of rows that are looked up.
    pub looked_up_a_cycle: f64,
    /// Cycles that a block takes for each number of its row.
    pub row_cycles: f64,
    /// Cycles that a multiprocessor takes to start a row of a norm or a softmax.
    pub row_start_cycles: f64,
    /// The power of the mean of these.
    pub overlap: f64,
}

/// Bytes of a row that a block keeps between its passes.
const KEPT_BYTES: f64 = 4096.0;

impl RowLaw {
    pub(super) fn busy(&self, work: &Work, rates: &Rates) -> KernelTime {
        let number = work.activations.bytes(64) as f64 / 64.0;
        let is_norm = work.kind == WorkKind::Norm;
        let is_wide = is_norm && work.columns * number > KEPT_BYTES;
        let bytes = work.bytes() * if is_wide { 1.0 + self.second_pass } else { 1.0 };
        let share = if is_norm { self.norm_share * rates.norm } else { self.memory_share };
        let traffic = work.bytes().max(bytes * share.min(1.0).recip()) / rates.memory;
        let a_cycle = self.numbers(work.op);
        let numbers = a_cycle.map_or(0.0, |numbers| bytes / number / (numbers * rates.multiprocessors * rates.clock));
        let row = if self.gives_rows_to_blocks(work.op) { work.columns * self.row_cycles / rates.clock } else { 0.0 };
        let starts =
            if is_norm { work.rows * self.row_start_cycles / (rates.multiprocessors * rates.clock) } else { 0.0 };
        let memory_s = overlapped(&[traffic, numbers, row, starts], self.overlap);
        KernelTime { seconds: memory_s, memory_s, ..KernelTime::default() }
    }

    /// Numbers a cycle and multiprocessor; None for kernels that move several at once.
    fn numbers(&self, op: OpKind) -> Option<f64> {
        match op {
            OpKind::Embedding | OpKind::Gather | OpKind::Scatter => Some(self.looked_up_a_cycle),
            OpKind::RmsNorm => Some(self.normed_a_cycle),
            OpKind::Silu => Some(self.gated_a_cycle),
            OpKind::Rotary | OpKind::CacheWrite => Some(self.rotated_a_cycle),
            _ => None,
        }
    }

    fn gives_rows_to_blocks(&self, op: OpKind) -> bool {
        matches!(op, OpKind::RmsNorm | OpKind::Rotary | OpKind::Silu | OpKind::CacheWrite)
    }
}
