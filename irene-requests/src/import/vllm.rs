//! vLLM's serving benchmark: the files of `vllm bench serve --save-result`. SGLang's `bench_serving` writes nearly the same.

use std::path::Path;

use irene_tree::Parallel;

use super::{
    Format, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "vLLM's serving benchmark",
    fields: &[&["completed", "total_input_tokens", "total_output_tokens", "output_throughput"]],
    read,
};

fn read(record: &Record, _: &Path) -> Vec<RequestRow> {
    let completed = record.positive("completed");
    let mean = |total: &str| record.positive(total).zip(completed).map(|(total, completed)| total / completed);
    let seconds = |name: &str| record.positive(name).map(|ms| ms * 1e-3);
    let engine = record.text("backend").or_else(|| record.text("endpoint_type"));
    // Only a user's `--metadata` says.
    let degrees = [
        ["tensor_parallel", "tensor_parallel_size", "tp"],
        ["pipeline_parallel", "pipeline_parallel_size", "pp"],
        ["expert_parallel", "expert_parallel_size", "ep"],
        ["data_parallel", "data_parallel_size", "dp"],
    ]
    .map(|names| names.into_iter().find_map(|name| record.count(name)));
    let [tensor, pipeline, expert, data] = degrees.map(|degree| degree.unwrap_or(1));
    let mut row = RequestRow {
        model: record.text("model_id").map(str::to_owned),
        device: ["device", "gpu", "gpu_model"].into_iter().find_map(|name| record.text(name)).map(names::device),
        // An OpenAI-compatible server may be any engine.
        engine: engine.filter(|name| !name.starts_with("openai")).map(|name| match record.text("version") {
            Some(version) => names::engine(&format!("{name}-{version}")),
            None => names::engine(name),
        }),
        load: load(record),
        prompt: mean("total_input_tokens"),
        generated: mean("total_output_tokens"),
        parallel: Parallel { tensor, pipeline, expert, data },
        stated_ones: degrees.map(|degree| degree == Some(1)),
        ..RequestRow::default()
    };
    // Both have the queue in them, which grew for as long as the run lasted.
    let (latency, ttft) =
        if fell_behind(record) { (None, None) } else { (latency_ms(record), seconds("mean_ttft_ms")) };
    set(&mut row, Figure::Ttft, ttft);
    // A mean has the prompts of other requests in it, and stands for the median only where it makes no latency.
    let gap = || mean_gap_ms(record).filter(|_| latency.is_none()).map(|ms| ms * 1e-3);
    set(&mut row, Figure::Itl, seconds("median_itl_ms").or_else(gap));
    set(&mut row, Figure::Latency, latency.map(|ms| ms * 1e-3));
    set(&mut row, Figure::TokensPerS, record.number("output_throughput"));
    keep(&mut row, record, &["date", "completed", "duration", "request_throughput", "max_concurrency"]);
    vec![row]
}

/// How many requests ran at once: as arrivals a second where a rate alone was asked for and kept up with, otherwise the mean of what ran.
fn load(record: &Record) -> Option<Load> {
    let cap = record.positive("max_concurrency");
    match (record.positive("request_rate"), cap) {
        // "inf" is no number: all requests were sent at once, or as fast as the cap let them.
        (Some(rate), None) if !fell_behind(record) => return Some(Load::Rate(rate)),
        (_, Some(cap)) => {
            let running = requests_in_flight(record);
            return Some(Load::Concurrency(running.map_or(cap, |running| running.min(cap))));
        }
        (_, None) => {}
    }
    // Time to the first token has the queue in it; the sequences that get tokens are those that run.
    Some(Load::Concurrency(record.positive("output_throughput")? * mean_gap_ms(record)? * 1e-3))
}

/// Whether requests came faster than they were served: then the queue grew until the last one had come.
fn fell_behind(record: &Record) -> bool {
    // Arrivals are random, and the last request still runs when all have come.
    let took_longer = || {
        let (asked, count) = (record.positive("request_rate")?, record.positive("completed")?);
        let of_request = mean_gap_ms(record)? * 1e-3 * record.positive("total_output_tokens")? / count;
        let longest = (count + 2.0 * count.sqrt()) / asked + of_request;
        Some(count / record.positive("request_throughput")? > longest)
    };
    record.positive("max_concurrency").is_none() && took_longer().unwrap_or(false)
}

fn mean_gap_ms(record: &Record) -> Option<f64> {
    record.positive("mean_tpot_ms").or_else(|| record.positive("mean_itl_ms"))
}

/// As SGLang says, or by Little's law: requests a second times the mean time of one.
fn requests_in_flight(record: &Record) -> Option<f64> {
    let by_law = || Some(record.positive("request_throughput")? * latency_ms(record)? * 1e-3);
    record.positive("concurrency").or_else(by_law)
}

/// The mean time of a request.
fn latency_ms(record: &Record) -> Option<f64> {
    let summed = || {
        let tokens = record.positive("total_output_tokens")? / record.positive("completed")?;
        Some(record.positive("mean_ttft_ms")? + mean_gap_ms(record)? * (tokens - 1.0).max(0.0))
    };
    record.positive("mean_e2el_ms").or_else(|| record.positive("mean_e2e_latency_ms")).or_else(summed)
}
