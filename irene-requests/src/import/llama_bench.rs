//! llama-bench of llama.cpp, as JSON, JSON lines or CSV.

use std::path::Path;

use irene_tree::Parallel;

use super::{
    Format, names,
    records::{Record, keep, set},
};
use crate::{Figure, Load, RequestRow};

pub(super) const FORMAT: Format = Format {
    name: "llama-bench",
    fields: &[&["n_prompt", "n_gen", "avg_ns", "model_type"], &["n_prompt", "n_gen", "avg_ts"]],
    read,
};

fn read(record: &Record, _: &Path) -> Vec<RequestRow> {
    let tokens = |name: &str| record.number(name).filter(|count| *count >= 0.0).unwrap_or(0.0);
    let (prompt, generated, depth) = (tokens("n_prompt"), tokens("n_gen"), tokens("n_depth"));
    let seconds = record.positive("avg_ns").map(|ns| ns * 1e-9);
    // Tokens a second count those of the prompt too.
    let seconds = seconds.or_else(|| record.positive("avg_ts").map(|rate| (prompt + generated) / rate));
    let mut row = RequestRow {
        engine: Some("llama.cpp".into()),
        load: Some(Load::Sequences(1)),
        // A test of generation alone begins with one token, or with the tokens that are in the cache.
        prompt: Some(if prompt > 0.0 { prompt } else { depth.max(1.0) }),
        generated: Some(generated),
        ..RequestRow::default()
    };
    set_device(&mut row, record);
    set_model(&mut row, record);
    if depth > 0.0 {
        keep(&mut row, record, &["n_depth"]);
    } else {
        set(&mut row, Figure::Latency, seconds);
    }
    if generated == 0.0 && depth == 0.0 {
        set(&mut row, Figure::Ttft, seconds);
    }
    // A cache that is full already was read before the clock ran: such a time is no setting's of a sheet.
    if generated > 0.0 && depth == 0.0 {
        set(&mut row, Figure::TokensPerS, seconds.map(|seconds| generated / seconds));
    }
    if prompt == 0.0 && generated > 0.0 {
        set(&mut row, Figure::Itl, seconds.map(|seconds| seconds / generated));
    }
    keep(
        &mut row,
        record,
        &["n_batch", "n_ubatch", "n_threads", "n_gpu_layers", "flash_attn", "build_number", "build_commit", "cpu_info"],
    );
    vec![row]
}

/// The GPUs, unless no layer is on them.
fn set_device(row: &mut RequestRow, record: &Record) {
    let is_on_cpu = record.number("n_gpu_layers") == Some(0.0) || record.text("backends") == Some("CPU");
    let Some(all) = record.text("gpu_info").filter(|_| !is_on_cpu) else { return };
    let gpus: Vec<&str> = all.split([',', ';']).map(str::trim).filter(|name| !name.is_empty()).collect();
    row.device = gpus.first().map(|name| names::device(name));
    let count = gpus.len().max(1);
    match record.text("split_mode") {
        Some("none") => {}
        Some("row") => row.parallel = Parallel { tensor: count, ..Parallel::default() },
        _ => row.parallel = Parallel { pipeline: count, ..Parallel::default() },
    }
}

/// The model by its file's name, without the format, which the type tells: `llama 8B Q4_K - Medium`.
fn set_model(row: &mut RequestRow, record: &Record) {
    let kind = record.text("model_type").unwrap_or_default();
    let word = kind
        .split(" - ")
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .rfind(|word| word.parse::<irene_tree::Format>().is_ok());
    row.weights = word.and_then(|word| word.parse().ok());
    let file = record.text("model_filename").and_then(|path| path.rsplit(['/', '\\']).next());
    let stem = file.map(|file| file.strip_suffix(".gguf").unwrap_or(file)).map(without_format);
    row.model = stem.or(Some(kind).filter(|kind| !kind.is_empty())).map(str::to_owned);
    // Its usual cache has the 16 bits of the activations.
    let of_cache = record.text("type_k").filter(|keys| record.text("type_v") == Some(keys) && *keys != "f16");
    row.cache = of_cache.and_then(|word| word.parse().ok());
    keep(row, record, &["model_filename", "model_type"]);
}

/// `Llama-2-7b.Q4_K_M` without its format.
fn without_format(stem: &str) -> &str {
    let Some((name, last)) = stem.rsplit_once(['.', '-']) else { return stem };
    let last = last.to_lowercase();
    let is_format = ["q", "iq", "tq"]
        .iter()
        .any(|kind| last.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
    let is_float = ["f16", "f32", "bf16", "fp16", "mxfp4"].contains(&last.as_str());
    if is_format || is_float { name } else { stem }
}
