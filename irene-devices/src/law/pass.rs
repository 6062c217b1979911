use irene_tree::Format;
use serde::{Deserialize, Serialize};

use super::{KernelTime, overlapped};
use crate::{Device, Work, WorkKind};

/// One GPU's part of a pass of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The kernels and how often each runs.
    pub works: Vec<(Work, f64)>,
    /// Sequences in it.
    pub sequences: f64,
    /// GPUs of a copy of the model.
    pub gpus: f64,
    /// Whether the requests come over a network, one by one.
    pub is_served: bool,
    /// Whether tokens are sampled after it.
    pub is_sampled: bool,
}

impl Pass {
    /// Both in one pass, so that products read their weights once.
    pub fn joined(&self, other: &Self) -> Self {
        let mut works = self.works.clone();
        for (work, times) in &other.works {
            let same = |(known, of_known): &&mut (Work, f64)| of_known == times && known.shares_weights(work);
            match works[..self.works.len()].iter_mut().find(same) {
                Some((known, _)) => *known = known.joined(work),
                None => works.push((*work, *times)),
            }
        }
        Self { works, sequences: self.sequences + other.sequences, ..*self }
    }
}

/// How kernels in the passes of a model differ from kernels that are measured alone: caches are cold, and one ends before the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassLaw {
    /// The power of the mean of a product's arithmetic and traffic.
    pub overlap: f64,
    /// The time of a mixture's products over that of dense ones with as many tiles and bytes.
    pub grouped: f64,
    /// Kernels that a mixture's product takes beyond its own where its weights have 8 bits: activations are rounded, blocks are scaled.
    pub narrow_kernels: f64,
    /// Kernels that a dense product takes beyond its own where its weights are 8-bit integers and the host starts each kernel: outliers are
    /// taken out and multiplied apart (LLM.int8()). Serving engines have one kernel for all.
    pub int8_kernels: f64,
    /// The time of a prompt's attention over that of a kernel alone.
    pub prompt_attention: f64,
    /// The share of the peak that attention by few queries reaches, where each head of keys and values has one; it grows with the root of
    /// their number, because a tile has room for many.
    pub query_share: f64,
    /// The share of the bandwidth that such attention reads the cache at.
    pub cache_share: f64,
    /// The power of the mean of both.
    pub query_overlap: f64,
}

/// The most that attention by few queries reaches of the peak.
const MOST_QUERY_SHARE: f64 = 0.6;

impl PassLaw {
    /// The time of a kernel within a pass, without starting it, s.
    pub(super) fn busy(&self, work: &Work, alone: &KernelTime, device: &Device) -> f64 {
        let product = || overlapped(&[alone.arithmetic_s, alone.memory_s], self.overlap);
        match work.kind {
            WorkKind::Product => product(),
            WorkKind::Grouped => self.grouped.max(1.0) * product(),
            WorkKind::Attention => {
                let of_prompts = || self.prompt_attention.max(1.0) * (alone.seconds - alone.launch_s);
                match work.rows <= 1.0 {
                    true => self.few_queries(work, device),
                    // Engines take the faster kernel.
                    false if work.has_few_queries() => self.few_queries(work, device).min(of_prompts()),
                    false => of_prompts(),
                }
            }
            _ => alone.seconds - alone.launch_s,
        }
    }

    /// The time of attention by one query of each sequence, s.
    pub(super) fn one_query(&self, work: &Work, device: &Device) -> f64 {
        self.few_queries(&Work { flops: work.flops / work.rows.max(1.0), rows: 1.0, ..*work }, device)
    }

    fn few_queries(&self, work: &Work, device: &Device) -> f64 {
        let peak = device.arithmetic(work.weights, work.activations).tflop_s * 1e12;
        let queries = work.group.max(1.0) * work.rows.max(1.0);
        let share = (self.query_share * queries.sqrt()).min(MOST_QUERY_SHARE);
        let arithmetic = work.flops / (share * peak);
        let memory = work.bytes() / (self.cache_share.min(1.0) * device.bandwidth_gb_s * 1e9);
        overlapped(&[arithmetic, memory], self.query_overlap)
    }

    /// Kernels of a mixture's product beyond its own.
    pub(super) fn narrow_kernels(&self, work: &Work) -> f64 {
        let is_narrow = matches!(work.weights, Format::F8E4M3 | Format::F8E5M2 | Format::Int8);
        if is_narrow && work.kind == WorkKind::Grouped { self.narrow_kernels } else { 0.0 }
    }

    /// Kernels of a dense product beyond its own, by a library that starts one after another.
    pub(super) fn int8_kernels(&self, work: &Work) -> f64 {
        if work.weights == Format::Int8 && work.kind == WorkKind::Product { self.int8_kernels } else { 0.0 }
    }
}

/// The cost of one kernel on one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkCost {
    /// Its time, s.
    pub seconds: f64,
    /// Its energy beyond what the device draws anyway, J.
    pub joules: f64,
}

/// The cost of a pass on one GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassCost {
    /// Its time, s.
    pub seconds: f64,
    /// Its energy, J.
    pub joules: f64,
    /// The part of the energy that the kernels' arithmetic and traffic take, J.
    pub dynamic_joules: f64,
    /// The energy of a device that has a model loaded and runs no kernel in this time, J.
    pub loaded_joules: f64,
    /// The energy over what it would be by the law if the device had no power limit: at most 1, unless your own measurements have it draw more.
    pub kept: f64,
    /// The time of the kernels over what they take without waiting for power: at least 1.
    pub slowed: f64,
}

impl PassCost {
    /// The cost at so many times the power.
    pub(super) fn with_power(self, factor: f64) -> Self {
        Self {
            joules: factor * self.joules,
            dynamic_joules: factor * self.dynamic_joules,
            loaded_joules: factor * self.loaded_joules,
            kept: factor * self.kept,
            ..self
        }
    }
}
