//! Notes on the figures of a step of training.

use std::fmt;

use irene_devices::Device;
use irene_models::Run;
use irene_tree::{Format, Training, render};

use super::phases::PhaseCosts;
use crate::forecast::OF_MACHINE;

/// A warning for readers of a training forecast.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrainingNote {
    /// The device has no unit for a format, with what is done instead.
    Format(String),
    /// Products of 32-bit floats do not run in TF32.
    FullPrecision,
    /// Gradients are exchanged beside the backward pass.
    Overlap {
        /// The exchange alone, s.
        exchange: f64,
        /// The time that the step waits, s.
        exposed: f64,
    },
    /// More GPUs than one machine has.
    Machines {
        /// GPUs.
        gpus: usize,
    },
    /// Stages of a pipeline wait for the first and last micro-batches.
    Bubble {
        /// The share of the time that they wait.
        share: f64,
        /// Stages.
        stages: usize,
        /// Micro-batches.
        batches: usize,
    },
    /// The energy is that of a meter at the wall.
    Host {
        /// The power of the machines around the devices, W.
        watts: f64,
    },
    /// Where the intervals come from.
    Interval,
}

impl TrainingNote {
    /// The word for programs.
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Format(_) => "format_fallback",
            Self::FullPrecision => "no_tf32",
            Self::Overlap { .. } => "overlap",
            Self::Machines { .. } => "one_machine",
            Self::Bubble { .. } => "bubble",
            Self::Host { .. } => "at_the_wall",
            Self::Interval => "interval",
        }
    }
}

impl fmt::Display for TrainingNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(reason) => f.write_str(reason),
            Self::FullPrecision => f.write_str("products run in 32-bit floats: PyTorch leaves TF32 off by default"),
            Self::Overlap { exchange, exposed } => {
                let [exchange, exposed] = [exchange, exposed].map(|seconds| render::si(*seconds, "s"));
                write!(
                    f,
                    "gradients are sent in buckets of 25 MiB while the backward pass runs, as PyTorch's DDP does it: {exchange}, of which the \
                     step waits for {exposed}"
                )
            }
            Self::Machines { gpus } => write!(
                f,
                "{gpus} GPUs are more than one machine has: exchanges count at the rate of the links within it, and a network is slower"
            ),
            Self::Bubble { share, stages, batches } => write!(
                f,
                "each of {stages} stages waits for the others {:.0}% of the passes' time, by {batches} micro-batches a step",
                100.0 * share
            ),
            Self::Host { watts } => {
                write!(f, "energy and power are those at the wall: the machines around the devices draw {watts:.0} W")
            }
            Self::Interval => f.write_str(
                "the interval of the time is that of GPUs left out of public training times; no public energy of training was at hand, so that of the \
                 power is the inference law's",
            ),
        }
    }
}

pub(super) fn notes(device: &Device, run: Run, training: Training, costs: &PhaseCosts) -> Vec<TrainingNote> {
    let arithmetic = device.arithmetic(run.precision.weights, run.precision.activations);
    let (stages, gpus) = (run.parallel.pipeline, run.parallel.gpus());
    let is_full = arithmetic.format == Format::F32 && device.peaks.tf32.is_some();
    let overlap = TrainingNote::Overlap { exchange: costs.exchange_s, exposed: costs.exchange.seconds };
    let share = (stages - 1) as f64 / (training.accumulate + stages - 1) as f64;
    let bubble = TrainingNote::Bubble { share, stages, batches: training.accumulate };
    let all = [
        arithmetic.fallback(device).map(TrainingNote::Format),
        is_full.then_some(TrainingNote::FullPrecision),
        (costs.exchange_s > 0.0).then_some(overlap),
        (gpus > OF_MACHINE).then_some(TrainingNote::Machines { gpus }),
        (stages > 1).then_some(bubble),
        Some(TrainingNote::Interval),
    ];
    all.into_iter().flatten().collect()
}
