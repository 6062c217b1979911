//! Errors that others report on the same measurements, and on their own, to hold ours against.

/// Median and mean of absolute percentage errors.
pub(super) type MedianAndMean = (f64, f64);

/// The errors of a first fit of a figure: a law of four to eight constants, in which a GPU enters by its bandwidth, its dense peak and its TDP
/// alone. They were found before this crate, on nearly the same rows.
#[derive(Clone, Copy)]
pub(super) struct FirstFit {
    /// On what it was fitted to.
    pub(super) in_sample: Option<MedianAndMean>,
    /// On each device, fitted without it.
    pub(super) device_left_out: MedianAndMean,
    /// On each model, fitted without it.
    pub(super) model_left_out: MedianAndMean,
}

impl FirstFit {
    const fn of(in_sample: MedianAndMean, device_left_out: MedianAndMean, model_left_out: MedianAndMean) -> Self {
        Self { in_sample: Some(in_sample), device_left_out, model_left_out }
    }

    /// Time of products in 16-bit floats (Vidur).
    pub(super) const PRODUCTS: Self = Self::of((5.7, 7.6), (6.0, 7.9), (5.8, 7.6));
    /// Latency of a batch under vLLM on A100, H100 and GH200 (LLM-Inference-Bench).
    pub(super) const VLLM_BATCH: Self = Self::of((4.6, 5.9), (4.8, 6.4), (5.5, 7.7));
    /// The same under TensorRT-LLM.
    pub(super) const TENSORRT_BATCH: Self = Self::of((7.2, 11.4), (12.4, 15.3), (9.2, 14.6));
    /// Energy a token of vLLM's server (ML.ENERGY, second and third round).
    pub(super) const ENERGY: Self = Self::of((16.0, 19.8), (21.6, 26.9), (17.6, 21.2));
    /// The same with a Gaussian process on what the law leaves.
    pub(super) const ENERGY_BY_PROCESS: Self =
        Self { in_sample: None, device_left_out: (16.4, 20.9), model_left_out: (10.9, 15.2) };
    /// Time of its steps.
    pub(super) const TIME: Self = Self::of((13.9, 18.7), (19.6, 24.9), (16.1, 21.0));
    /// Its energy at the measured time, which is its power.
    pub(super) const ENERGY_AT_ITS_TIME: Self = Self::of((13.1, 15.1), (16.6, 19.3), (14.3, 16.1));
    /// Power at the measured time, of all sources.
    pub(super) const POWER: Self = Self::of((13.3, 16.0), (16.0, 18.8), (14.3, 17.0));
}

/// NeuSight's own errors on forward passes, of its measurements of whole models in 32-bit floats, computed from the predictions that its authors
/// publish.
pub(super) const NEUSIGHT_FORWARD: MedianAndMean = (7.6, 10.1);
/// Its roofline on the same: the longer of FLOPs at the peak and bytes at the bandwidth.
pub(super) const NEUSIGHT_ROOFLINE: MedianAndMean = (29.5, 31.2);
/// Its own errors on whole steps of training, their backward passes, and their forward passes.
pub(super) const NEUSIGHT_TRAINING: [MedianAndMean; 3] = [(9.5, 10.2), (15.9, 14.8), (12.0, 15.1)];

/// An error that a paper prints of measurements of its own.
pub(super) struct Published {
    /// The work.
    pub(super) who: &'static str,
    /// The figure, and on what it was judged.
    pub(super) figure: &'static str,
    /// The error as printed.
    pub(super) error: &'static str,
    /// The nearest of ours.
    pub(super) ours: Nearest,
}

/// Which of our figures is nearest to one that a paper prints.
#[derive(Clone, Copy)]
pub(super) enum Nearest {
    EnergyModelLeftOut,
    PowerDeviceLeftOut,
    PowerModelLeftOut,
    TimeDeviceLeftOut,
    TimeModelLeftOut,
    BatchPower,
    BatchTime,
    Calibrated,
}

/// The errors that papers print. None of their measurements is among those here.
pub(super) const PUBLISHED: [Published; 9] = [
    Published {
        who: "WattGPU",
        figure: "power of a server, specs alone, GPU left out; median",
        error: "13.5%",
        ours: Nearest::PowerDeviceLeftOut,
    },
    Published { who: "WattGPU", figure: "the same, model left out", error: "6.7%", ours: Nearest::PowerModelLeftOut },
    Published {
        who: "WattGPU",
        figure: "power of a batch, GPU left out; median (model left out: 2.0%)",
        error: "3.4%",
        ours: Nearest::BatchPower,
    },
    Published {
        who: "WattGPU",
        figure: "time between a server's tokens, GPU left out; median",
        error: "8.5%",
        ours: Nearest::TimeDeviceLeftOut,
    },
    Published { who: "WattGPU", figure: "the same, model left out", error: "5.6%", ours: Nearest::TimeModelLeftOut },
    Published {
        who: "WattGPU",
        figure: "time between a batch's tokens, GPU left out; median (model left out: 15.6%)",
        error: "24.9%",
        ours: Nearest::BatchTime,
    },
    Published {
        who: "EnergyLens",
        figure: "energy on several GPUs; mean of each of its settings",
        error: "9.25% to 13.19%",
        ours: Nearest::EnergyModelLeftOut,
    },
    Published {
        who: "SweetSpot",
        figure: "energy on one GPU, fitted to each model",
        error: "1.79%",
        ours: Nearest::Calibrated,
    },
    Published {
        who: "Vidur",
        figure: "latency of requests, from profiles of the GPU and the model",
        error: "under 9%",
        ours: Nearest::BatchTime,
    },
];

/// A public file: what it holds, its meter, and where it comes from.
pub(crate) struct AboutFile {
    /// Its name, as `PublicFile::name` has it.
    pub(crate) name: &'static str,
    /// Its contents.
    pub(crate) holds: &'static str,
    /// The source of its energies; None where it has times alone.
    pub(crate) meter: Option<&'static str>,
    /// The repository and its licence.
    pub(crate) source: &'static str,
}

const fn about(
    name: &'static str,
    holds: &'static str,
    meter: Option<&'static str>,
    source: &'static str,
) -> AboutFile {
    AboutFile { name, holds, meter, source }
}

/// The public files.
pub(crate) const ABOUT: [AboutFile; 10] = [
    about(
        "ML.ENERGY",
        "requests served in a steady state on 1 to 16 GPUs: energy and time a token",
        Some("NVML"),
        "ml-energy/leaderboard, leaderboard-v2; Apache-2.0",
    ),
    about(
        "LLM-Inference-Bench",
        "batches with prompts as long as their answers: time, some powers",
        Some("NVML, every 0.25 s"),
        "argonne-lcf/LLM-Inference-Bench; BSD-3-Clause",
    ),
    about(
        "Splitwise",
        "batches of Llama-2-70B on 2 to 8 GPUs: time; power on the A100",
        Some("NVML, share of the TDP"),
        "Mutinifni/splitwise-sim; MIT",
    ),
    about(
        "EcoCompute",
        "batches of Mistral-7B in 8-bit integers: time and energy",
        Some("NVML, 10 Hz"),
        "hongping-zh/ecocompute-dynamic-eval; MIT",
    ),
    about("Vidur, layers", "operations of decoder layers in 16-bit floats", None, "microsoft/vidur; MIT"),
    about("Vidur, exchanges", "exchanges between GPUs", None, "microsoft/vidur; MIT"),
    about("NeuSight, kernels", "single kernels in 32-bit floats", None, "sitar-lab/NeuSight; MIT"),
    about("NeuSight, whole models", "passes of whole models in 32-bit floats", None, "sitar-lab/NeuSight; MIT"),
    about(
        "MLPerf Inference, power",
        "whole servers",
        Some("at the wall, SPEC PTDaemon"),
        "mlcommons/inference_results; Apache-2.0",
    ),
    about("WattGPU, data sheets", "data sheets", None, "maufadel/wattgpu; Apache-2.0"),
];
