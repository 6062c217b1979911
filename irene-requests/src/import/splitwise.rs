//! Splitwise: prompts and tokens of Llama-2-70B on DGX machines.

use std::path::Path;

use irene_tree::Parallel;

use super::{
    Format, METER, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "Splitwise",
    fields: &[&["prompt_size", "token_size", "prompt_time", "token_time", "hardware"]],
    read,
};

/// Rated power of the GPUs that its shares are of.
const TDP_W: [(&str, f64); 2] = [("a100-sxm-80gb", 400.0), ("h100-sxm", 700.0)];

/// How far the time of a request may be from the sum of its parts.
const WHOLE: f64 = 0.05;

fn read(record: &Record, _: &Path) -> Vec<RequestRow> {
    let gpus = record.count("tensor_parallel").unwrap_or(1);
    let device = record.text("hardware").map(|hardware| match hardware {
        "a100-80gb" => "a100-sxm-80gb".to_owned(),
        "h100-80gb" => "h100-sxm".to_owned(),
        other => names::device(other),
    });
    let (batch, generated) = (record.count("batch_size"), record.positive("token_size"));
    let seconds = |name: &str| record.positive(name).map(|ms| ms * 1e-3);
    let model =
        record.text("model").map(|model| if model == "llama2-70b" { "meta-llama/Llama-2-70b-hf" } else { model });
    let mut row = RequestRow {
        model: model.map(str::to_owned),
        engine: Some("vllm-0.2".into()),
        load: batch.map(Load::Sequences),
        prompt: record.positive("prompt_size"),
        generated,
        parallel: Parallel { tensor: gpus, ..Parallel::default() },
        ..RequestRow::default()
    };
    // The engine that the paper built on, in 2023; the file does not say.
    names::assume(&mut row, "engine");
    let (first, each) = (seconds("prompt_time"), seconds("token_time"));
    set(&mut row, Figure::Ttft, first);
    set(&mut row, Figure::Itl, each);
    let expected = || Some(first? + each? * (generated? - 1.0));
    // Where it is another than its parts say, the sequences ended before that many tokens, or waited.
    let latency =
        seconds("e2e_time").filter(|seconds| expected().is_some_and(|all| (seconds / all - 1.0).abs() < WHOLE));
    set(&mut row, Figure::Latency, latency);
    let tokens = batch.zip(generated).map(|(batch, generated)| batch as f64 * generated);
    set(&mut row, Figure::TokensPerS, tokens.zip(latency).map(|(tokens, latency)| tokens / latency));
    let tdp = TDP_W.iter().find(|(name, _)| Some(*name) == device.as_deref()).map(|(_, watts)| *watts);
    row.device = device;
    let power = record.positive("average_power").zip(tdp).map(|(share, tdp)| share * tdp * gpus as f64);
    set(&mut row, Figure::Power, power);
    let energy = power.zip(latency).map(|(watts, seconds)| watts * seconds);
    let per = |count: Option<f64>| energy.zip(count).map(|(joules, count)| joules / count);
    set(&mut row, Figure::EnergyPerRequest, per(batch.map(|batch| batch as f64)));
    set(&mut row, Figure::EnergyPerToken, per(tokens));
    if power.is_some() {
        row.set_further(METER, "NVML, share of the rated power");
    }
    keep(&mut row, record, &["peak_power", "average_power"]);
    vec![row]
}
