//! MLPerf Inference with power: tables of results, and the logs of a run.

use std::path::{Path, PathBuf};

use irene_tree::Parallel;
use serde_json::{Map, Value};

use super::{
    Format, Imported, METER, names,
    records::{Record, keep, set},
};
use crate::{Error, Figure, Load, RequestRow, Result};

pub(super) const FORMAT: Format =
    Format { name: "MLPerf Inference", fields: &[&["scenario", "model", "avg_power_w", "samples_per_s"]], read };

/// Models of the benchmark by the beginnings of their names there.
const MODELS: [(&str, &str); 6] = [
    ("bert", "bert-large-uncased"),
    ("gptj", "EleutherAI/gpt-j-6b"),
    ("llama2-70b", "meta-llama/Llama-2-70b-chat-hf"),
    ("llama3.1-405b", "meta-llama/Llama-3.1-405B-Instruct"),
    ("llama3.1-8b", "meta-llama/Llama-3.1-8B-Instruct"),
    ("mixtral-8x7b", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
];

/// Tokens of a question with its paragraph, to which the benchmark pads BERT's input.
const BERT_TOKENS: f64 = 384.0;
/// Samples of a query in the multistream scenario.
const MULTISTREAM: usize = 8;

fn read(record: &Record, _: &Path) -> Vec<RequestRow> {
    let name = record.text("model").unwrap_or_default();
    let is_bert = name.starts_with("bert");
    let samples = record.positive("samples_per_s");
    let tokens = record.positive("tokens_per_s");
    let scenario = record.text("scenario").unwrap_or_default().to_lowercase();
    let gpus = record.count("n_accelerators");
    let mut row = RequestRow {
        device: record.text("accelerator").map(names::device),
        engine: record.text("framework").filter(|words| words.contains("TensorRT")).map(|_| engine(is_bert)),
        load: match scenario.as_str() {
            "singlestream" => Some(Load::Sequences(1)),
            "multistream" => Some(Load::Sequences(MULTISTREAM)),
            "server" => samples.map(Load::Rate),
            _ => None,
        },
        prompt: is_bert.then_some(BERT_TOKENS),
        generated: if is_bert { Some(0.0) } else { tokens.zip(samples).map(|(tokens, samples)| tokens / samples) },
        ..RequestRow::default()
    };
    if let Some(gpus) = gpus.filter(|gpus| *gpus > 1) {
        row.parallel = Parallel { data: gpus, ..Parallel::default() };
        names::assume(&mut row, "data_parallel");
    }
    let known = MODELS.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, id)| *id);
    row.model = known.or(Some(name).filter(|name| !name.is_empty())).map(str::to_owned);
    let power = record.positive("avg_power_w");
    let per = |rate: Option<f64>| power.zip(rate).map(|(watts, rate)| watts / rate);
    set(&mut row, Figure::EnergyPerRequest, record.positive("j_per_sample").or_else(|| per(samples)));
    set(&mut row, Figure::EnergyPerToken, record.positive("j_per_token").or_else(|| per(tokens)));
    set(&mut row, Figure::Power, power);
    set(&mut row, Figure::TokensPerS, tokens);
    // Offline, all queries wait from the start.
    if scenario != "offline" {
        set(&mut row, Figure::Latency, record.number("mean_latency_ms").map(|ms| ms * 1e-3));
    }
    keep(
        &mut row,
        record,
        &["round", "division", "submitter", "system", "scenario", "host_cpu", "framework", "result"],
    );
    row.set_further("mlperf_model", name);
    row.set_further(METER, "wall, whole system");
    vec![row]
}

fn engine(is_encoder: bool) -> String {
    if is_encoder { "tensorrt" } else { "tensorrt-llm" }.into()
}

/// The file of LoadGen's events, and that of the power meter's samples.
const DETAIL: &str = "mlperf_log_detail.txt";
const SAMPLES: &str = "spl.txt";

/// The runs with a power log in a folder and below, a row each.
pub(super) fn read_logs(dir: &Path) -> Result<Imported> {
    let mut runs = Vec::new();
    find_runs(dir, MOST_FOLDERS, &mut runs)?;
    if runs.is_empty() {
        let looked_for =
            format!("a folder of an MLPerf run with {SAMPLES} and {DETAIL} (a file is given by its own path)");
        return Err(Error::Unrecognised { origin: dir.display().to_string(), looked_for });
    }
    let mut imported = Imported { format: "MLPerf Inference, power logs", rows: Vec::new(), left_out: Vec::new() };
    for run in runs {
        match read_run(&run) {
            Ok(record) => imported.rows.extend(read(&record, &run)),
            Err(error) => imported.left_out.push(error),
        }
    }
    Ok(imported)
}

/// Folders within folders that are looked into; a submission has eight.
const MOST_FOLDERS: usize = 12;

fn find_runs(dir: &Path, depth: usize, runs: &mut Vec<PathBuf>) -> Result<()> {
    // The first of two runs finds the meter's range.
    if dir.file_name().is_some_and(|name| name == "ranging") {
        return Ok(());
    }
    if dir.join(DETAIL).is_file() && dir.join(SAMPLES).is_file() {
        runs.push(dir.to_owned());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    let io = |source| Error::Io { origin: dir.display().to_string(), source };
    let entries = std::fs::read_dir(dir).map_err(io)?.collect::<std::io::Result<Vec<_>>>().map_err(io)?;
    // A link to a folder is no folder here, so that this ends.
    let mut folders: Vec<PathBuf> = entries
        .iter()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(std::fs::DirEntry::path)
        .collect();
    folders.sort();
    folders.iter().try_for_each(|folder| find_runs(folder, depth - 1, runs))
}

/// A run as a record of the table.
fn read_run(run: &Path) -> Result<Record> {
    let text = |name: &str| {
        let path = run.join(name);
        let io = |source| Error::Io { origin: path.display().to_string(), source };
        Ok(String::from_utf8_lossy(&std::fs::read(&path).map_err(io)?).into_owned())
    };
    let events = events(&text(DETAIL)?);
    let event = |key: &str| events.get(key);
    let time = |key: &str| event(key).and_then(Value::as_str).and_then(seconds);
    let fault = |name: &str, reason: String| Error::Unrecognised {
        origin: run.join(name).display().to_string(),
        looked_for: reason,
    };
    let (Some(begin), Some(end)) = (time("power_begin"), time("power_end")) else {
        return Err(fault(DETAIL, "the events power_begin and power_end with their times".into()));
    };
    let watts: Vec<f64> =
        samples(&text(SAMPLES)?).filter(|(time, _)| (begin..=end).contains(time)).map(|(_, watts)| watts).collect();
    if watts.is_empty() {
        let reason =
            format!("samples between power_begin and power_end of {DETAIL}; clocks of two time zones have none");
        return Err(fault(SAMPLES, reason));
    }
    let mut fields = place(run);
    let number = |keys: &[&str]| keys.iter().find_map(|key| event(key)?.as_f64());
    let latency_ns = number(&["result_mean_latency_ns"]);
    let samples_per_s =
        number(&["result_samples_per_second", "result_completed_samples_per_sec", "result_scheduled_samples_per_sec"]);
    // A single stream has one query at a time.
    let of_stream = latency_ns
        .filter(|_| fields.get("scenario").and_then(Value::as_str) == Some("singlestream"))
        .map(|ns| 1e9 / ns);
    let tokens = number(&[
        "result_tokens_per_second",
        "result_completed_tokens_per_second",
        "result_inferred_tokens_per_second",
    ]);
    for (name, value) in [
        ("avg_power_w", Some(watts.iter().sum::<f64>() / watts.len() as f64)),
        ("samples_per_s", samples_per_s.or(of_stream)),
        ("tokens_per_s", tokens),
        ("mean_latency_ms", latency_ns.map(|ns| ns * 1e-6)),
    ] {
        fields.insert(name.into(), value.into());
    }
    fields.insert("result".into(), event("result_validity").cloned().unwrap_or_default());
    Ok(Record::new(0, Value::Object(fields)))
}

/// The values of LoadGen's events by their keys, the last of each.
fn events(text: &str) -> Map<String, Value> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(":::MLLOG"));
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| Some((event.get("key")?.as_str()?.to_owned(), event.get("value")?.clone()))).collect()
}

/// Times and watts of the meter: `Time,12-23-2020 10:21:51.496,Watts,23.43,Volts,...`.
fn samples(text: &str) -> impl Iterator<Item = (f64, f64)> {
    text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().split(',').collect();
        let cell = |name: &str| {
            cells.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case(name)).and_then(|pair| pair.get(1).copied())
        };
        let watts = cell("Watts")?.parse().ok().filter(|watts: &f64| watts.is_finite() && *watts >= 0.0)?;
        Some((seconds(cell("Time")?)?, watts))
    })
}

/// Seconds of `MM-DD-YYYY HH:MM:SS.mmm`, from an arbitrary start.
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.trim().split_once(' ')?;
    let date: Vec<i64> = date.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [month @ 1..=12, day @ 1..=31, year @ 1970..=9999] = date[..] else { return None };
    let time: Vec<f64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hours, minutes, seconds] = time[..] else { return None };
    // Years that begin in March have their leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(days as f64 * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds).filter(|seconds| seconds.is_finite())
}

/// The settings that the place of a run in a submission says: `SYSTEM/MODEL/SCENARIO/performance/run_1`, and `systems/SYSTEM.json`.
fn place(run: &Path) -> Map<String, Value> {
    let run = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    let is_wrapper = |name: &str| name.starts_with("run_") || name == "performance";
    let mut at = run.as_path();
    while at.file_name().and_then(|name| name.to_str()).is_some_and(is_wrapper) {
        let Some(parent) = at.parent() else { break };
        at = parent;
    }
    let mut fields = Map::new();
    let names: Vec<&str> = at.ancestors().take(3).filter_map(|path| path.file_name()?.to_str()).collect();
    // A run that lies elsewhere has other names above it.
    let scenario = names.first().map(|name| name.to_lowercase().replace(['-', '_'], "")).unwrap_or_default();
    if !["offline", "server", "singlestream", "multistream", "interactive"].contains(&scenario.as_str()) {
        return fields;
    }
    fields.insert("scenario".into(), scenario.into());
    if let [_, model, system] = names[..] {
        fields.insert("model".into(), model.into());
        fields.insert("system".into(), system.into());
        let description = at.ancestors().nth(4).map(|root| root.join("systems").join(format!("{system}.json")));
        fields.extend(description.map(|path| describe(&path)).unwrap_or_default());
    }
    fields
}

/// The description of a system, if it is there.
fn describe(path: &Path) -> Map<String, Value> {
    let read = || serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok();
    let Some(system) = read() else { return Map::new() };
    let names = [
        ("accelerator", "accelerator_model_name"),
        ("n_accelerators", "accelerators_per_node"),
        ("host_cpu", "host_processor_model_name"),
        ("framework", "framework"),
        ("submitter", "submitter"),
        ("division", "division"),
    ];
    names.iter().filter_map(|(ours, theirs)| Some(((*ours).to_owned(), system.get(theirs)?.clone()))).collect()
}
