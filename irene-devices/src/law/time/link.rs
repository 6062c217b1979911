use irene_tree::OpKind;
use serde::{Deserialize, Serialize};

use super::KernelTime;
use super::rates::Rates;
use crate::Work;

/// Tensors exchanged between GPUs of one machine: a latency, and bytes over the link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkLaw {
    /// The least time of an exchange by all, s.
    pub(crate) together_s: f64,
    /// The least time of a sending to one, s.
    pub(crate) sending_s: f64,
    /// The share of the link's bandwidth that an exchange by all reaches.
    pub(crate) together_share: f64,
    /// The share of the link's bandwidth that a sending to one reaches.
    pub(crate) sending_share: f64,
}

impl LinkLaw {
    pub(super) fn busy(&self, work: &Work, rates: &Rates) -> KernelTime {
        let (latency, share) = match work.op {
            OpKind::SendRecv => (self.sending_s, self.sending_share),
            _ => (self.together_s, self.together_share),
        };
        let link_s = work.link_bytes / (rates.link * share.min(1.0));
        let memory_s = work.bytes() / rates.memory;
        KernelTime { seconds: latency + link_s.max(memory_s), launch_s: latency, memory_s, ..KernelTime::default() }
    }
}
