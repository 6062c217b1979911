//! optimum-benchmark: a report with its config in one file (`benchmark.json`), or `benchmark_report.json` beside `benchmark_config.json`.

use std::path::Path;

use irene_numerics::JOULES_PER_KWH;
use irene_tree::Parallel;
use serde_json::{Value, json};

use super::{
    Format, METER, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "optimum-benchmark",
    fields: &[&["report", "config"], &["prefill", "decode"], &["forward.latency"], &["forward.energy"]],
    read,
};

fn read(record: &Record, path: &Path) -> Vec<RequestRow> {
    let both = if record.has("report") {
        json!({ "report": record.at("report"), "config": record.at("config") })
    } else {
        with_config(record, path)
    };
    vec![row(&Record::new(record.line, both))]
}

/// The report, and the config in the file beside it.
fn with_config(record: &Record, path: &Path) -> Value {
    let part = |name: &str| record.at(name).cloned().unwrap_or_default();
    let report = json!({ "prefill": part("prefill"), "decode": part("decode"), "per_token": part("per_token"), "forward": part("forward") });
    json!({ "report": report, "config": beside(path) })
}

fn beside(path: &Path) -> Value {
    let config = path.with_file_name("benchmark_config.json");
    std::fs::read(config).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn row(both: &Record) -> RequestRow {
    let shape = |name: &str| both.count(&format!("config.scenario.input_shapes.{name}"));
    let sequences = shape("batch_size");
    let mut row = RequestRow {
        model: both.text("config.backend.model").map(str::to_owned),
        device: first_gpu(both).map(names::device),
        engine: both
            .text("config.backend.name")
            .map(|name| names::engine(if name == "pytorch" { "transformers" } else { name })),
        weights: weights(both),
        load: sequences.map(Load::Sequences),
        prompt: shape("sequence_length").map(|tokens| tokens as f64),
        generated: generated(both),
        parallel: Parallel { tensor: tensor_parallel(both), ..Parallel::default() },
        ..RequestRow::default()
    };
    set_times(&mut row, both);
    set_energies(&mut row, both);
    keep(&mut row, both, &["config.environment.transformers_version", "config.environment.optimum_benchmark_version"]);
    row
}

fn first_gpu(both: &Record) -> Option<&str> {
    both.at("config.environment.gpu")?.as_array()?.first()?.as_str()
}

fn weights(both: &Record) -> Option<irene_tree::Format> {
    let of = |path: &str| both.text(path).and_then(|word| word.parse().ok());
    // bitsandbytes says its bits.
    let bits = |flag: &str| {
        both.at(&format!("config.backend.quantization_config.{flag}")).and_then(Value::as_bool) == Some(true)
    };
    match () {
        () if bits("load_in_8bit") => Some(irene_tree::Format::Int8),
        () if bits("load_in_4bit") => Some(irene_tree::Format::Nf4),
        () => of("config.backend.quantization_scheme")
            .or_else(|| of("config.backend.torch_dtype"))
            .or_else(|| of("config.backend.dtype")),
    }
}

/// The tokens that each sequence has to generate; 0 for a single pass.
fn generated(both: &Record) -> Option<f64> {
    if both.has("report.forward.latency") || both.has("report.forward.energy") {
        return Some(0.0);
    }
    let of = |name: &str| both.positive(&format!("config.scenario.generate_kwargs.{name}"));
    // A sequence may end before the most tokens that it may have.
    of("max_new_tokens")
        .filter(|most| of("min_new_tokens") == Some(*most))
        .or_else(|| both.positive("config.scenario.new_tokens"))
}

fn tensor_parallel(both: &Record) -> usize {
    let said = ["tensor_parallel_size", "engine_args.tensor_parallel_size", "tp"];
    let degree = said.into_iter().find_map(|name| both.count(&format!("config.backend.{name}")));
    let planned = || {
        both.at("config.backend.tp_plan")?;
        Some(both.text("config.backend.device_ids")?.split(',').count())
    };
    degree.or_else(planned).unwrap_or(1)
}

/// Seconds: of the prompt, of the tokens, and of both.
fn set_times(row: &mut RequestRow, both: &Record) {
    let mean = |part: &str| both.positive(&format!("report.{part}.latency.mean"));
    let (prefill, decode, forward) = (mean("prefill"), mean("decode"), mean("forward"));
    set(row, Figure::Ttft, prefill);
    let after_first = row.generated.map(|tokens| tokens - 1.0).filter(|tokens| *tokens > 0.0);
    let of_decode = decode.zip(after_first).map(|(seconds, tokens)| seconds / tokens);
    set(row, Figure::Itl, mean("per_token").or(of_decode));
    let latency = forward.or_else(|| Some(prefill? + decode?));
    set(row, Figure::Latency, latency);
    let sequences = row.load.and_then(Load::sequences).map(|count| count as f64);
    let tokens = sequences.zip(row.generated).map(|(count, tokens)| count * tokens);
    set(row, Figure::TokensPerS, tokens.zip(latency).map(|(tokens, seconds)| tokens / seconds));
}

/// Joules of the GPUs. Versions differ in how many calls an energy is of; the efficiency beside it is by what was done.
fn set_energies(row: &mut RequestRow, both: &Record) {
    let sequences = row.load.and_then(Load::sequences).map(|count| count as f64);
    let energy = |part: &str, each: &str| {
        let of = |name: &str| both.positive(&format!("report.{part}.energy.{name}"));
        let (gpu, total) = (of("gpu")?, of("total")?);
        let efficiency = both.positive(&format!("report.{part}.efficiency.value"));
        let unit = both.text(&format!("report.{part}.efficiency.unit"));
        let per = efficiency.filter(|_| unit.is_some_and(|unit| unit.starts_with(each)));
        per.map(|per| JOULES_PER_KWH / per * (gpu / total))
    };
    let whole = |part: &str| {
        let gpu = both.positive(&format!("report.{part}.energy.gpu"))?;
        Some(gpu * JOULES_PER_KWH / sequences?)
    };
    let after_first = row.generated.map(|tokens| (tokens - 1.0).max(0.0));
    let prompt = row.prompt;
    let of_prompt = |part: &str| {
        let by_token = || Some(energy(part, "tokens")? * prompt?);
        energy(part, "samples").or_else(by_token).or_else(|| whole(part))
    };
    let of_tokens = || {
        energy("decode", "tokens").zip(after_first).map(|(joules, tokens)| joules * tokens).or_else(|| whole("decode"))
    };
    let request = of_prompt("forward").or_else(|| Some(of_prompt("prefill")? + of_tokens()?));
    set(row, Figure::EnergyPerRequest, request);
    let tokens = row.generated.filter(|tokens| *tokens > 0.0);
    set(row, Figure::EnergyPerToken, request.zip(tokens).map(|(joules, tokens)| joules / tokens));
    let seconds = row.figures.latency_s;
    set(
        row,
        Figure::Power,
        request.zip(sequences).zip(seconds).map(|((joules, count), seconds)| joules * count / seconds),
    );
    if request.is_some() {
        row.set_further(METER, "codecarbon, GPUs");
    }
}
