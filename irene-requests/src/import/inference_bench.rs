//! LLM-Inference-Bench of the Argonne National Laboratory: static batches whose prompts are as long as what is generated.

use std::path::Path;

use irene_tree::{Format as Weights, Parallel};

use super::{
    Format, METER, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "LLM-Inference-Bench",
    fields: &[
        &["hardware", "framework", "length", "batch", "latency_s"],
        &["Hardware", "Framework", "Input Output Length", "Batch Size", "Latency"],
    ],
    read,
};

fn read(record: &Record, _: &Path) -> Vec<RequestRow> {
    let is_upstream = record.has("Hardware");
    let name = |ours: &'static str, theirs: &'static str| if is_upstream { theirs } else { ours };
    let length = record.positive(name("length", "Input Output Length"));
    let batch = record.count(name("batch", "Batch Size"));
    let latency = record.positive(name("latency_s", "Latency"));
    let gpus = record.count(name("n_hw", "Num of Hardware")).unwrap_or(1);
    let hardware = record.text(name("hardware", "Hardware"));
    let engine = record.text(name("framework", "Framework")).map(names::engine);
    let mut row = RequestRow {
        model: record.text(name("model", "Model")).map(str::to_owned),
        device: hardware.map(|hardware| names::device(of_argonne(hardware))),
        load: batch.map(Load::Sequences),
        prompt: length,
        generated: length,
        parallel: Parallel { tensor: gpus, ..Parallel::default() },
        ..RequestRow::default()
    };
    set_engine(&mut row, engine, hardware, batch);
    // Their throughput counts the prompt's tokens too.
    let sequences = row.load.and_then(Load::sequences).map(|count| count as f64);
    let tokens = sequences.zip(length).map(|(sequences, length)| sequences * length);
    // Upstream has milliwatts.
    let power = if is_upstream { record.positive("avg_power").map(|mw| mw * 1e-3) } else { record.positive("power_w") };
    let energy = power.zip(latency).map(|(watts, seconds)| watts * seconds);
    let per = |energy: Option<f64>, count: Option<f64>| energy.zip(count).map(|(energy, count)| energy / count);
    set(&mut row, Figure::EnergyPerRequest, per(energy, sequences));
    set(&mut row, Figure::EnergyPerToken, per(energy, tokens));
    set(&mut row, Figure::Power, power);
    set(&mut row, Figure::Latency, latency);
    set(&mut row, Figure::TokensPerS, per(tokens, latency));
    keep(&mut row, record, &["file"]);
    if power.is_some() {
        row.set_further(METER, "NVML, every 0.25 s");
    }
    vec![row]
}

/// The engine, and how it ran.
fn set_engine(row: &mut RequestRow, engine: Option<String>, hardware: Option<&str>, batch: Option<usize>) {
    let gpus = row.parallel.tensor;
    match engine.as_deref() {
        // Its rows are of llama-bench, whose batch is how many tokens of one prompt it takes at once, and which splits layers over GPUs.
        Some("llama.cpp") => {
            row.load = Some(Load::Sequences(1));
            row.weights = Some(Weights::F16);
            row.parallel = Parallel { pipeline: gpus, ..Parallel::default() };
            if let Some(batch) = batch {
                row.set_further("prompt_chunk", batch.to_string());
            }
        }
        Some("tensorrt-llm") => row.weights = Some(Weights::F16),
        _ => {}
    }
    // Its runs are of 2024.
    let is_vllm = engine.as_deref() == Some("vllm");
    // With its other label (`Intel Max 1550`) the same device takes a third to a tenth of the time for all 24 settings that have both, and no other
    // repeat differs twofold. As lengths grow, the times under this one rise from some 17 s; they rise more steeply too, so that no start-up can
    // be taken off.
    if is_vllm && gpus == 1 && hardware == Some("Intel PVC GPU") {
        row.set_further("includes_start_up", "true");
    }
    row.engine = if is_vllm { Some("vllm-0.5".into()) } else { engine };
    if is_vllm {
        names::assume(row, "engine");
    }
}

/// The laboratory's machines: Polaris has A100 of 40 GB on SXM4, and their 70-billion-parameter rows run out of cache accordingly.
fn of_argonne(hardware: &str) -> &str {
    match hardware {
        "Nvidia A100 GPU" => "A100-SXM4-40GB",
        "Nvidia H100 GPU" => "H100 80GB HBM3",
        "Intel PVC GPU" => "Max 1550",
        other => other,
    }
}
