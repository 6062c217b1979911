//! The main errors beside those of others.

use irene_predict::{Measured, RequestErrors};
use irene_requests::PercentErrors;

use super::{
    Cell, Kernels, NO_KERNELS, NO_REQUESTS, PUBLISHED, Requests, SUMMARY, Section, Table, errors,
    reported::{self, FirstFit, MedianAndMean, NEUSIGHT_FORWARD, NEUSIGHT_ROOFLINE, Nearest},
    requests::{Tried, errors_of, is_ml_energy},
    shown,
};

const NOT_FITTED_SO: &str = "models are left out of ML.ENERGY's fit alone";
const NO_FIRST_FIT: &str = "there is no first fit of it";

/// A figure of requests: what is counted, of which, and the first fit of it.
struct Compared {
    title: &'static str,
    is_of_it: fn(&Measured) -> bool,
    figure: fn(&RequestErrors) -> &PercentErrors,
    first: Option<FirstFit>,
    is_by_model: bool,
}

const COMPARED: [Compared; 8] = [
    Compared {
        title: "time of a batch, vLLM on A100 and H100",
        is_of_it: |one| is_batch(one, "vllm-0.5"),
        figure: |errors| &errors.time,
        first: Some(FirstFit::VLLM_BATCH),
        is_by_model: false,
    },
    Compared {
        title: "the same, TensorRT-LLM",
        is_of_it: |one| is_batch(one, "tensorrt-llm"),
        figure: |errors| &errors.time,
        first: Some(FirstFit::TENSORRT_BATCH),
        is_by_model: false,
    },
    Compared {
        title: "energy a token, vLLM's server",
        is_of_it: is_vllm_server,
        figure: |errors| &errors.energy,
        first: Some(FirstFit::ENERGY),
        is_by_model: true,
    },
    Compared {
        title: "the same; the first fit with a Gaussian process",
        is_of_it: is_vllm_server,
        figure: |errors| &errors.energy,
        first: Some(FirstFit::ENERGY_BY_PROCESS),
        is_by_model: true,
    },
    Compared {
        title: "its time",
        is_of_it: is_vllm_server,
        figure: |errors| &errors.time,
        first: Some(FirstFit::TIME),
        is_by_model: true,
    },
    Compared {
        title: "its power at the measured time",
        is_of_it: is_vllm_server,
        figure: |errors| &errors.power,
        first: Some(FirstFit::ENERGY_AT_ITS_TIME),
        is_by_model: true,
    },
    Compared {
        title: "energy a token, all of ML.ENERGY",
        is_of_it: is_ml_energy,
        figure: |errors| &errors.energy,
        first: None,
        is_by_model: true,
    },
    Compared {
        title: "power at the measured time, all sources",
        is_of_it: |_| true,
        figure: |errors| &errors.power,
        first: Some(FirstFit::POWER),
        is_by_model: false,
    },
];

fn is_batch(one: &Measured, engine: &str) -> bool {
    let is_hopper_or_before = ["a100-sxm-40gb", "h100-sxm"].contains(&one.device.name.as_str());
    one.source == "LLM-Inference-Bench" && one.engine.name == engine && is_hopper_or_before
}

fn is_vllm_server(one: &Measured) -> bool {
    is_ml_energy(one) && one.is_served()
}

pub(super) fn section(requests: Option<&Requests<'_>>, kernels: Option<&Kernels>) -> Section {
    let mut table = Table::new([
        "figure",
        "measured",
        "in sample",
        "first fit",
        "device left out",
        "first fit",
        "model left out",
        "first fit",
    ]);
    let products = kernels.map(Kernels::products);
    let first = FirstFit::PRODUCTS;
    table.row([
        "time of products in 16-bit floats (Vidur)".into(),
        Cell::of(products.as_ref().map(|(errors, _)| errors.count().to_string()), NO_KERNELS),
        errors(products.as_ref().map(|(_, in_sample)| in_sample), NO_KERNELS),
        of_first(first.in_sample),
        errors(products.as_ref().map(|(without, _)| without), NO_KERNELS),
        of_first(Some(first.device_left_out)),
        Cell::missing(NOT_FITTED_SO),
        of_first(Some(first.model_left_out)),
    ]);
    for compared in COMPARED {
        table.row(row(&compared, requests));
    }
    let forward = kernels.map(Kernels::forward);
    let mut theirs = Table::new(["figure", "measured", "device left out", "NeuSight", "its roofline"]);
    theirs.row([
        "time of whole models in 32-bit floats".into(),
        Cell::of(forward.as_ref().map(|errors| errors.count().to_string()), NO_KERNELS),
        errors(forward.as_ref(), NO_KERNELS),
        shown(NEUSIGHT_FORWARD).into(),
        shown(NEUSIGHT_ROOFLINE).into(),
    ]);
    Section::new(SUMMARY)
        .text(
            "Absolute percentage errors, median / mean. *In sample*: of the law that was fitted to all of these files. *Left out*: each device, or \
             each model of ML.ENERGY, is predicted by a law that was fitted without it. The forms of the laws were chosen with all of these files \
             in view; their constants were not.",
        )
        .table(table)
        .text(
            "First fits are laws of four to eight constants in which a GPU enters by its bandwidth, its dense peak and its TDP alone, on nearly the \
             same rows: the first of batches has a GH200 beside the A100 and the H100, the last of powers nine GPUs of six sources.",
        )
        .table(theirs)
}

fn row(compared: &Compared, requests: Option<&Requests<'_>>) -> Vec<Cell> {
    let found = |tried: Option<&Tried<'_>>| tried.map(|tried| errors_of(tried, compared.is_of_it));
    let [in_sample, device, model] = [
        found(requests.map(|requests| &requests.in_sample)),
        found(requests.map(|requests| &requests.without_device)),
        found(requests.map(|requests| &requests.without_model)),
    ];
    let cell = |found: &Option<RequestErrors>| errors(found.as_ref().map(compared.figure), NO_REQUESTS);
    let count = in_sample.as_ref().map(|found| (compared.figure)(found).count().to_string());
    let first = compared.first;
    vec![
        compared.title.into(),
        Cell::of(count, NO_REQUESTS),
        cell(&in_sample),
        of_first(first.and_then(|first| first.in_sample)),
        cell(&device),
        of_first(first.map(|first| first.device_left_out)),
        if compared.is_by_model { cell(&model) } else { Cell::missing(NOT_FITTED_SO) },
        of_first(first.map(|first| first.model_left_out)),
    ]
}

fn of_first(figure: Option<MedianAndMean>) -> Cell {
    Cell::of(figure.map(shown), NO_FIRST_FIT)
}

/// Errors that papers print, with the nearest of ours.
pub(super) fn published(requests: Option<&Requests<'_>>) -> Section {
    let mut table = Table::new(["work", "figure", "published", "the nearest of ours", "ours, median / mean"]);
    for published in reported::PUBLISHED {
        let ours = requests.map(|requests| nearest(published.ours, requests));
        let (what, found) = ours.unzip();
        table.row([
            published.who.into(),
            published.figure.into(),
            published.error.into(),
            Cell::of(what.map(str::to_owned), NO_REQUESTS),
            errors(found.as_ref(), NO_REQUESTS),
        ]);
    }
    Section::new(PUBLISHED).table(table).text(
        "Each was judged on measurements of its own, which are not among these: other engines, other GPUs, other loads. Two figures in a row say \
         where both stand, not which is better. PIE-P, by IrEne's authors, has nodes for several GPUs as these trees do; no figure of it is at hand.",
    )
}

fn nearest(asked: Nearest, requests: &Requests<'_>) -> (&'static str, PercentErrors) {
    let of = |tried: &Tried<'_>| errors_of(tried, is_vllm_server);
    match asked {
        Nearest::EnergyModelLeftOut => ("energy a token, ML.ENERGY on several GPUs, model left out", {
            errors_of(&requests.without_model, |one| is_vllm_server(one) && one.gpus() > 1.0).energy
        }),
        Nearest::PowerDeviceLeftOut => {
            ("power at the measured time, ML.ENERGY, device left out", of(&requests.without_device).power)
        }
        Nearest::PowerModelLeftOut => ("the same, model left out", of(&requests.without_model).power),
        Nearest::TimeDeviceLeftOut => ("time a token, ML.ENERGY, device left out", of(&requests.without_device).time),
        Nearest::TimeModelLeftOut => ("the same, model left out", of(&requests.without_model).time),
        Nearest::BatchPower => ("power of a batch at the measured time, device left out", {
            errors_of(&requests.without_device, |one| !one.is_served()).power
        }),
        Nearest::BatchTime => ("time of a batch, vLLM on A100 and H100, device left out", {
            errors_of(&requests.without_device, |one| is_batch(one, "vllm-0.5")).time
        }),
        Nearest::Calibrated => ("energy a token, ML.ENERGY, with 30 requests of the device and engine", {
            requests.calibrated.last().into_iter().flatten().map(|(_, error)| error).collect::<RequestErrors>().energy
        }),
    }
}
