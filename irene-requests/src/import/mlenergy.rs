//! ML.ENERGY: tables with our columns, and the leaderboard's JSON of 2024 and of 2025.

use std::path::Path;

use irene_tree::Parallel;

use super::{
    Format, METER, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "ML.ENERGY",
    fields: &[
        &["energy_per_token_j", "avg_batch", "tput_tok_s", "task"],
        &["Energy/req (J)", "Avg BS (reqs)"],
        &["configurations", "task"],
        &["energy_per_token_joules", "model_id", "gpu_model"],
    ],
    read,
};

/// Mean tokens of the prompts of a task, roughly: the leaderboard does not publish them.
const PROMPTS: [(&str, f64); 9] = [
    ("lm-arena-chat", 275.0),
    ("gpqa", 250.0),
    ("sourcegraph-fim", 1500.0),
    ("llm-chat", 110.0),
    ("llm-code", 180.0),
    ("chat", 50.0),
    ("chat-concise", 50.0),
    ("instruct", 50.0),
    ("instruct-concise", 50.0),
];

const NVML: &str = "NVML, summed over GPUs";

fn read(record: &Record, path: &Path) -> Vec<RequestRow> {
    match () {
        () if record.has("configurations") => read_2025(record),
        () if record.has("energy_per_token_joules") => vec![configuration(record, record)],
        () if record.has("Energy/req (J)") => vec![read_2024(record, path)],
        () => vec![read_table(record)],
    }
}

fn read_table(record: &Record) -> RequestRow {
    let is_2023 = record.text("source") == Some("mlenergy-v1");
    let mut row = RequestRow {
        model: record.text("model").map(str::to_owned),
        device: record.text("gpu").map(|gpu| names::device(&of_2023(gpu, is_2023))),
        engine: if is_2023 { Some("transformers".into()) } else { record.text("engine").map(names::engine) },
        weights: record.text("weights").and_then(|word| word.parse().ok()),
        load: if is_2023 { Some(Load::Sequences(1)) } else { record.positive("avg_batch").map(Load::Concurrency) },
        generated: record.positive("avg_out_tokens"),
        ..RequestRow::default()
    };
    let gpus = record.count("n_gpu");
    let degrees = ["tp", "pp", "ep", "dp"].map(|name| record.count(name).unwrap_or(1));
    set_parallel(&mut row, degrees, gpus);
    assume_prompt(&mut row, record.text("task"));
    set(&mut row, Figure::EnergyPerRequest, record.number("energy_per_request_j"));
    set(&mut row, Figure::EnergyPerToken, record.number("energy_per_token_j"));
    set(&mut row, Figure::Power, record.number("power_w"));
    set(&mut row, Figure::Itl, record.number("median_itl_ms").map(|ms| ms * 1e-3));
    set(&mut row, Figure::TokensPerS, record.number("tput_tok_s"));
    keep(&mut row, record, &["source", "task", "max_batch", METER]);
    row
}

/// Its first round names the family of the GPU alone: models of 13 billion 16-bit parameters ran on one V100, and the A100 is that of
/// its later rounds.
fn of_2023(gpu: &str, is_2023: bool) -> String {
    match gpu {
        "V100" if is_2023 => "V100-SXM2-32GB".into(),
        "A100" if is_2023 => "A100-SXM4-40GB".into(),
        gpu => gpu.into(),
    }
}

fn read_2024(record: &Record, path: &Path) -> RequestRow {
    let mut row = RequestRow {
        model: record.text("Model").map(str::to_owned),
        device: record.text("GPU").map(names::device),
        engine: Some("vllm-0.5".into()),
        load: record.positive("Avg BS (reqs)").map(Load::Concurrency),
        generated: record.positive("Avg Output Tokens"),
        ..RequestRow::default()
    };
    let degrees = [record.count("TP").unwrap_or(1), record.count("PP").unwrap_or(1), 1, 1];
    set_parallel(&mut row, degrees, None);
    // The folder of the task is two above the file, below the kind of work: `chat/MODEL/bs128.json`.
    let is_code = path.components().any(|part| part.as_os_str().to_str().is_some_and(|part| part.contains("code")));
    let task = if is_code { "llm-code" } else { "llm-chat" };
    assume_prompt(&mut row, Some(task));
    let (energy, tokens) = (record.positive("Energy/req (J)"), record.positive("Avg Output Tokens"));
    let per_token = energy.zip(tokens).map(|(energy, tokens)| energy / tokens);
    let rate = record.positive("Token tput (tok/s)");
    set(&mut row, Figure::EnergyPerRequest, energy);
    set(&mut row, Figure::EnergyPerToken, per_token);
    set(&mut row, Figure::Power, per_token.zip(rate).map(|(joules, rate)| joules * rate));
    set(&mut row, Figure::Itl, record.number("Avg TPOT (s)"));
    set(&mut row, Figure::TokensPerS, rate);
    keep(&mut row, record, &["Max BS (reqs)"]);
    row.set_further("task", task);
    row.set_further(METER, NVML);
    row
}

/// A file of a model holds the model once, a file of a task each time.
fn read_2025(record: &Record) -> Vec<RequestRow> {
    let configurations = record.at("configurations").and_then(|all| all.as_array()).into_iter().flatten();
    configurations.map(|one| configuration(&Record::new(record.line, one.clone()), record)).collect()
}

/// One configuration, with what holds for the whole file; in the published data set, a row has all.
fn configuration(one: &Record, whole: &Record) -> RequestRow {
    let text = |name: &str| one.text(name).or_else(|| whole.text(name));
    let degree = |kind: &str| {
        let name = format!("{kind}_parallel");
        one.count(&format!("parallelization.{name}")).or_else(|| one.count(&name)).unwrap_or(1)
    };
    let mean = |total: &str| Some(one.positive(total)? / one.positive("completed_requests")?);
    let energy = one.positive("energy_per_token_joules");
    let per_request = one.positive("energy_per_request_joules");
    let rate = one.positive("output_throughput_tokens_per_sec");
    let of_energies = per_request.zip(energy).map(|(request, token)| request / token);
    let mut row = RequestRow {
        model: text("model_id").map(str::to_owned),
        device: text("gpu_model").map(names::device),
        engine: Some("vllm-0.11".into()),
        weights: text("weight_precision").and_then(|word| word.parse().ok()),
        load: one.positive("avg_batch_size").map(Load::Concurrency),
        prompt: mean("total_input_tokens"),
        generated: one.positive("avg_output_len").or(of_energies),
        ..RequestRow::default()
    };
    set_parallel(&mut row, ["tensor", "pipeline", "expert", "data"].map(degree), one.count("num_gpus"));
    assume_prompt(&mut row, text("task"));
    set(&mut row, Figure::EnergyPerRequest, per_request);
    set(&mut row, Figure::EnergyPerToken, energy);
    let of_rate = energy.zip(rate).map(|(joules, rate)| joules * rate);
    set(&mut row, Figure::Power, one.positive("avg_power_watts").or(of_rate));
    let gap = one.positive("mean_itl_ms").or_else(|| one.positive("median_itl_ms"));
    set(&mut row, Figure::Itl, gap.map(|ms| ms * 1e-3));
    set(&mut row, Figure::TokensPerS, rate);
    if let Some(task) = text("task") {
        row.set_further("task", task);
    }
    keep(&mut row, one, &["max_num_seqs"]);
    row.set_further(METER, NVML);
    row
}

/// The degrees (tensor, pipeline, expert, data). vLLM spreads the experts over the GPUs that share a layer, and some files say the
/// experts' degree alone: the GPUs that are left share the layers.
fn set_parallel(row: &mut RequestRow, [tensor, pipeline, expert, data]: [usize; 4], gpus: Option<usize>) {
    row.parallel = Parallel { tensor, pipeline, expert, data };
    let said = row.parallel.gpus();
    let Some(gpus) = gpus.filter(|gpus| *gpus > said && *gpus % said == 0) else { return };
    row.parallel.tensor = tensor.saturating_mul(gpus / said);
    names::assume(row, "tensor_parallel");
}

/// Takes the mean of the task for a prompt that is not known.
fn assume_prompt(row: &mut RequestRow, task: Option<&str>) {
    let known = PROMPTS.iter().find(|(name, _)| Some(*name) == task);
    if let (None, Some((_, tokens))) = (row.prompt, known) {
        row.prompt = Some(*tokens);
        names::assume(row, "prompt");
    }
}
