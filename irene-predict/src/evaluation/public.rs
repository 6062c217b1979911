use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
};

use irene_devices::{
    Catalogue, Device, KernelMeasurement, SheetCheck, read_data_sheets, read_neusight_ops, read_vidur_collectives,
    read_vidur_layers,
};
use irene_requests::RequestRow;

use super::{
    neusight::read_neusight_models,
    servers::{Server, read_servers},
};
use crate::{Error, Measured, Service, ServiceOptions};

/// A public file of measurements of language models' inference, as the laws are fitted to it or held against it.
#[derive(Clone, Debug)]
pub struct PublicFile {
    /// Who made it, and of several files which.
    pub name: &'static str,
    /// Its rows.
    pub rows: usize,
    /// The measurements that can be predicted.
    pub data: PublicData,
}

/// The measurements of a public file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PublicData {
    /// Requests to a language model, and how many rows could not be predicted, by the reason.
    Requests(Vec<Measured>, BTreeMap<String, usize>),
    /// Single kernels, and exchanges between GPUs.
    Kernels(Vec<KernelMeasurement>),
    /// Passes of whole models in 32-bit floats.
    Passes(Vec<KernelMeasurement>),
    /// Servers whose power at the wall was measured.
    Servers(Vec<Server>),
    /// Data sheets beside those of the catalogue.
    DataSheets(Vec<SheetCheck>),
}

/// The formats of requests, and how much a row of each counts in a fit: those with many rows of few settings count less.
const SOURCES: [(&str, f64); 4] =
    [(PublicFile::ML_ENERGY, 1.0), ("LLM-Inference-Bench", 0.35), ("Splitwise", 0.35), ("EcoCompute", 0.4)];

/// Tokens of a prompt where a file says nothing of it.
const SHORT_PROMPT: f64 = 30.0;

/// A table with its name, the columns that it is known by, and how it is read.
type Format = (&'static str, &'static [&'static str], fn(&Path) -> Result<PublicData, Error>);

const TABLES: [Format; 6] = [
    ("Vidur, layers", &["num_tokens", "attn_pre_proj_median_ms"], |path| {
        Ok(PublicData::Kernels(read_vidur_layers(path, find)?))
    }),
    ("Vidur, exchanges", &["system", "op", "workers", "bytes"], |path| {
        Ok(PublicData::Kernels(read_vidur_collectives(path, find)?))
    }),
    ("NeuSight, whole models", &["device", "mode", "variant", "fw_ms"], |path| {
        Ok(PublicData::Passes(read_neusight_models(path, find)?))
    }),
    ("NeuSight, kernels", &["op", "device", "latency_ms", "b", "m", "n", "k", "h"], |path| {
        Ok(PublicData::Kernels(read_neusight_ops(path, find)?))
    }),
    ("MLPerf Inference, power", &["system", "accelerator", "n_accelerators", "min_power_w"], |path| {
        Ok(PublicData::Servers(read_servers(path)?))
    }),
    ("WattGPU, data sheets", &["gpu_db_name", "tensor_tflops", "thermal_design_power_w"], |path| {
        Ok(PublicData::DataSheets(read_data_sheets(path)?))
    }),
];

impl PublicFile {
    /// The name of the files of ML.ENERGY.
    pub const ML_ENERGY: &'static str = "ML.ENERGY";

    /// Reads a file (CSV) that is known by its columns; None for any other.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Devices`], [`Error::Requests`] and [`Error::Model`] for one that is of a known format and
    /// has a fault.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut lines = BufReader::new(std::fs::File::open(path).map_err(io)?).lines();
        let Some(Ok(first)) = lines.next() else { return Ok(None) };
        let titles: Vec<&str> = first.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
        let is_of = |columns: &[&str]| columns.iter().all(|column| titles.contains(column));
        if let Some((name, _, read)) = TABLES.iter().find(|(_, columns, _)| is_of(columns)) {
            return Ok(Some(Self { name, rows: lines.count(), data: read(path)? }));
        }
        read_requests(path)
    }
}

fn find(name: &str) -> Option<Device> {
    Catalogue::find(&name.replace('_', " ")).ok()
}

fn read_requests(path: &Path) -> Result<Option<PublicFile>, Error> {
    let imported = match irene_requests::import(path) {
        Err(irene_requests::Error::Unrecognised { .. }) => return Ok(None),
        imported => imported?,
    };
    let Some((name, weight)) = SOURCES.into_iter().find(|(name, _)| *name == imported.format) else { return Ok(None) };
    let service = Service::new(ServiceOptions::default());
    let (mut measured, mut left_out) = (Vec::new(), BTreeMap::<String, usize>::new());
    let rows = imported.rows.len();
    for mut row in imported.rows {
        if let Some(reason) = says_nothing(&row) {
            *left_out.entry(reason.into()).or_default() += 1;
            continue;
        }
        row.prompt = row.prompt.or(Some(SHORT_PROMPT));
        match Measured::of(name, &row, &service) {
            Ok(one) => measured.push(one.weighing(weight)),
            Err(fault) => *left_out.entry(fault.to_string()).or_default() += 1,
        }
    }
    Ok(Some(PublicFile { name, rows, data: PublicData::Requests(measured, left_out) }))
}

/// Why the time of a row is not that of its request.
fn says_nothing(row: &RequestRow) -> Option<&'static str> {
    if row.further("prompt_chunk") == Some("1") {
        return Some("the prompt was read token by token");
    }
    if row.device.as_deref() == Some("max-1550") && row.engine.as_deref() == Some("llama.cpp") {
        return Some(
            "llama.cpp on the Max 1550 took ten times as long as it takes to read the weights, and 50 times on several",
        );
    }
    row.further("includes_start_up").map(|_| "the latency includes some 17 s of the engine's start-up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_whose_time_is_not_that_of_their_request_say_nothing() {
        let with = |name: &str, value: &str| {
            let mut row = RequestRow::default();
            row.set_further(name, value.to_owned());
            row
        };
        assert!(says_nothing(&with("prompt_chunk", "1")).is_some());
        assert!(says_nothing(&with("includes_start_up", "true")).is_some());
        assert_eq!(says_nothing(&with("prompt_chunk", "32")), None);
    }
}
