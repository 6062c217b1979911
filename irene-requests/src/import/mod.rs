//! Public measurements in the formats of those who made them, read as request sheets.

mod ecocompute;
mod inference_bench;
mod llama_bench;
mod mlenergy;
mod mlperf;
mod names;
mod optimum;
mod records;
mod splitwise;
mod vllm;

use std::path::Path;

use irene_tree::Parallel;

use self::records::Record;
use crate::{Error, Load, RequestRow, Result};

/// The column with the names of settings that are assumed, because the input lacks them.
pub const ASSUMED: &str = "assumed";
/// The column with the meter of the energies.
pub const METER: &str = "meter";

/// A public format.
struct Format {
    name: &'static str,
    /// Fields that a record of it has, each set one form of it.
    fields: &'static [&'static [&'static str]],
    /// The rows of a record.
    read: fn(&Record, &Path) -> Vec<RequestRow>,
}

const FORMATS: [&Format; 8] = [
    &mlenergy::FORMAT,
    &inference_bench::FORMAT,
    &mlperf::FORMAT,
    &vllm::FORMAT,
    &optimum::FORMAT,
    &llama_bench::FORMAT,
    &splitwise::FORMAT,
    &ecocompute::FORMAT,
];

/// The rows that were read, and the faults.
#[derive(Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The name of the format.
    pub format: &'static str,
    /// The rows, in the order of the input.
    pub rows: Vec<RequestRow>,
    /// The parts of the input that could not be read, with the reason.
    pub left_out: Vec<Error>,
}

/// Reads a file of a public format, or the folder of an MLPerf run with its power log (`spl.txt` and `mlperf_log_detail.txt`). The
/// format is known by the fields of its records.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unrecognised`] with what was looked for.
pub fn import(path: &Path) -> Result<Imported> {
    let origin = path.display().to_string();
    if path.is_dir() {
        return mlperf::read_logs(path);
    }
    let bytes = std::fs::read(path).map_err(|source| Error::Io { origin: origin.clone(), source })?;
    import_bytes(&origin, &bytes, path)
}

/// [`import`] from bytes; `path` is where files beside the input would be.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(origin: &str, bytes: &[u8], path: &Path) -> Result<Imported> {
    let (records, mut left_out) = records::read(origin, bytes);
    let is_of =
        |format: &&Format, record: &Record| format.fields.iter().any(|form| form.iter().all(|field| record.has(field)));
    let known = records.iter().find_map(|record| FORMATS.into_iter().find(|format| is_of(format, record)));
    let Some(format) = known else { return Err(unrecognised(origin, left_out)) };
    let mut rows = Vec::new();
    for record in &records {
        if !is_of(&format, record) {
            let reason = format!("is no record of {}, as the others are", format.name);
            left_out.push(records::fault(origin, record.line, reason));
            continue;
        }
        for row in (format.read)(record, path) {
            let row = RequestRow { line: record.line, ..settled(row) };
            match degree_fault(&row, origin) {
                None => rows.push(row),
                Some(fault) => left_out.push(fault),
            }
        }
    }
    Ok(Imported { format: format.name, rows, left_out })
}

/// The row without the settings that are no numbers: a ratio of two that are given may be infinite. Figures are checked as they are set.
fn settled(row: RequestRow) -> RequestRow {
    let load = row.load.filter(|load| match load {
        Load::Concurrency(number) | Load::Rate(number) => number.is_finite() && *number > 0.0,
        Load::Sequences(_) => true,
    });
    let is_count = |tokens: &f64| tokens.is_finite() && *tokens >= 0.0;
    let [prompt, generated] = [row.prompt, row.generated].map(|tokens| tokens.filter(is_count));
    RequestRow { load, prompt, generated, ..row }
}

/// The fault of a row on more GPUs than a sheet can say.
fn degree_fault(row: &RequestRow, origin: &str) -> Option<Error> {
    let Parallel { tensor, pipeline, expert, data } = row.parallel;
    let degrees = [
        ("tensor_parallel", tensor),
        ("pipeline_parallel", pipeline),
        ("expert_parallel", expert),
        ("data_parallel", data),
    ];
    let (column, degree) = degrees.into_iter().find(|(_, degree)| !(1..=Parallel::MOST).contains(degree))?;
    Some(row.fault(origin, column, format!("{degree} is not a whole number from 1 to {}", Parallel::MOST)))
}

/// The first fault of a file that is nearly JSON or CSV says more than that it was not recognised.
fn unrecognised(origin: &str, mut faults: Vec<Error>) -> Error {
    if !faults.is_empty() {
        return faults.swap_remove(0);
    }
    let forms: Vec<String> =
        FORMATS.iter().map(|format| format!("{} ({})", format.name, format.fields[0].join(", "))).collect();
    Error::Unrecognised { origin: origin.to_owned(), looked_for: forms.join("; ") }
}
