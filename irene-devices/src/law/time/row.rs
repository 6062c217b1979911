use irene_tree::OpKind;
use serde::{Deserialize, Serialize};

use super::rates::Rates;
use super::{KernelTime, overlapped};
use crate::{Work, WorkKind};

/// Norms, softmax, element-wise kernels and moves: traffic, at a rate that the numbers a cycle may bound where numbers are small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowLaw {
    /// The share of the memory's rate of element-wise kernels.
    pub(crate) memory_share: f64,
    /// The share of the memory's rate of norms and softmax.
    pub(crate) norm_share: f64,
    /// How much more a norm moves of rows that are far too wide to be kept, as a share of their reading and writing.
    pub(crate) norm_pass: f64,
    /// The same of a softmax.
    pub(crate) softmax_pass: f64,
    /// Bytes of a row that a norm keeps between its passes.
    pub(crate) norm_kept_bytes: f64,
    /// Bytes of a row that a softmax keeps between its passes.
    pub(crate) softmax_kept_bytes: f64,
    /// Numbers that a multiprocessor reads or writes a cycle in norms by the root of the mean square.
    pub(crate) normed_a_cycle: f64,
    /// The same of activations that are multiplied by a gate.
    pub(crate) gated_a_cycle: f64,
    /// The same of rotations by position.
    pub(crate) rotated_a_cycle: f64,
    /// The same of rows that are looked up.
    pub(crate) looked_up_a_cycle: f64,
    /// Cycles that a block takes for each number of its row.
    pub(crate) row_cycles: f64,
    /// Cycles that a multiprocessor takes to start a row of a norm.
    pub(crate) norm_start_cycles: f64,
    /// Cycles that a multiprocessor takes to start a row of a softmax.
    pub(crate) softmax_start_cycles: f64,
    /// The power of the mean of these.
    pub(crate) overlap: f64,
}

impl RowLaw {
    pub(super) fn busy(&self, work: &Work, rates: &Rates) -> KernelTime {
        let number = work.activations.bytes(64) as f64 / 64.0;
        let (bytes, share, start_cycles) = match work.kind {
            WorkKind::Norm => {
                let norm = self.norm(work.op);
                let lost = 1.0 - norm.kept_bytes / (work.columns * number).max(norm.kept_bytes);
                (work.bytes() * (1.0 + norm.pass * lost), self.norm_share * rates.norm, norm.start_cycles)
            }
            _ => (work.bytes(), self.memory_share, 0.0),
        };
        let traffic = bytes / (rates.memory * share.min(1.0));
        let numbers = self.numbers(work.op).map_or(0.0, |a_cycle| bytes / number / a_cycle / rates.multiprocessors);
        let row = if gives_rows_to_blocks(work.op) { work.columns * self.row_cycles } else { 0.0 };
        let starts = work.rows * start_cycles / rates.multiprocessors;
        let cycles = [numbers, row, starts].map(|cycles| cycles / rates.clock);
        let memory_s = overlapped(&[traffic, cycles[0], cycles[1], cycles[2]], self.overlap);
        KernelTime { seconds: memory_s, memory_s, ..KernelTime::default() }
    }

    fn norm(&self, op: OpKind) -> Norm {
        match op {
            OpKind::Softmax => Norm {
                pass: self.softmax_pass,
                kept_bytes: self.softmax_kept_bytes,
                start_cycles: self.softmax_start_cycles,
            },
            OpKind::RmsNorm => Norm { pass: self.norm_pass, kept_bytes: self.norm_kept_bytes, start_cycles: 0.0 },
            _ => Norm { pass: self.norm_pass, kept_bytes: self.norm_kept_bytes, start_cycles: self.norm_start_cycles },
        }
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
}

fn gives_rows_to_blocks(op: OpKind) -> bool {
    matches!(op, OpKind::RmsNorm | OpKind::Rotary | OpKind::Silu | OpKind::CacheWrite)
}

/// Whether a kernel works row by row and moves single numbers, by a block each or by looking rows up.
pub(super) fn is_by_row(op: OpKind) -> bool {
    gives_rows_to_blocks(op) || matches!(op, OpKind::Embedding | OpKind::Gather | OpKind::Scatter)
}

/// The constants of one kind of norm.
struct Norm {
    pass: f64,
    kept_bytes: f64,
    start_cycles: f64,
}
