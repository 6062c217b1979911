use std::io::{Read, Write};

use irene_numerics::NORMAL_90;
use irene_tree::{Format, Lines};

use crate::{
    Catalogue, Device, Engine, Error, FROM_DATA_SHEET, KernelLaw, Law, Result, Work, named_operation::NamedOperation,
};

/// A table of single operations (CSV with a header): one operation on one device a row, with its predicted time and energy.
///
/// | column | what it holds |
/// |---|---|
/// | `op`, `b`, `m`, `n`, `k`, `h` | the operation and its sizes, as below |
/// | `device` | a name of the catalogue |
/// | `dtype` | the format of all numbers; f32 where absent |
/// | `timing` | `call`: as a host times one call; `kernel`: the kernel itself. Where absent, a call in f32 and a kernel in other formats, as public measurements have it |
///
/// Further columns are kept as they are. Operations have the names and sizes of NeuSight's tables:
///
/// | `op` | operation | sizes |
/// |---|---|---|
/// | `linear` | `x Wᵀ`, x (b·m, k) and W (n, k) | b (1 if absent), m, n, k |
/// | `bmm` | b products of (m, k) by (k, n) | b, m, n, k |
/// | `ln`, `softmax` | over rows of h numbers | b rows, h |
/// | `add`, `mul`, `div`, `pow` | of two tensors of b·h numbers | b, h |
/// | `addu`, `mulu`, `divu`, `powu` | of one such tensor and a number | b, h |
/// | `relu`, `gelu`, `tanh` | of one such tensor | b, h |
///
/// ```
/// use irene_devices::OperationSheet;
///
/// let table = "op,device,m,n,k\nlinear,h100-sxm,512,4096,4096\nlinear,h100-sxm,512,4096,\n";
/// let sheet = OperationSheet::read("table", table.as_bytes())?;
/// assert_eq!(sheet.faults().collect::<Vec<_>>(), ["table, line 3: operation `linear` needs `k` from 1 to 2147483648"]);
/// let mut written = Vec::new();
/// sheet.write(&mut written)?;
/// assert!(String::from_utf8_lossy(&written).starts_with("op,device,m,n,k,latency_s,latency_s_low,latency_s_high,energy_j,"));
/// # Ok::<(), irene_devices::Error>(())
/// ```
#[derive(Debug)]
pub struct OperationSheet {
    origin: String,
    titles: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    line: u64,
    cells: Vec<String>,
    outcome: Result<Predicted>,
}

/// The predicted figures of an operation.
#[derive(Debug)]
struct Predicted {
    latency_s: Figure,
    energy_j: Figure,
    /// A warning for readers of the figures.
    mark: Option<String>,
}

/// A figure, and the standard deviation of its logarithm.
#[derive(Clone, Copy, Debug)]
struct Figure {
    value: f64,
    spread: f64,
}

impl Figure {
    /// Itself, and the ends of its interval.
    fn cells(self) -> [String; 3] {
        let factor = (NORMAL_90 * self.spread).exp();
        [self.value, self.value / factor, self.value * factor].map(|figure| figure.to_string())
    }
}

/// The columns that are added, or filled in where the table has them.
const ADDED: [&str; 9] = [
    "latency_s",
    "latency_s_low",
    "latency_s_high",
    "energy_j",
    "energy_j_low",
    "energy_j_high",
    "provenance",
    "marks",
    "error",
];

impl OperationSheet {
    /// Reads a table and predicts its rows. A row with a fault has it in place of a time.
    ///
    /// # Errors
    /// [`Error::Measurements`] where it is no table with the columns `op` and `device`.
    pub fn read(origin: &str, mut reader: impl Read) -> Result<Self> {
        let fault = |message: String| Error::Measurements { path: origin.into(), message };
        let mut text = Vec::new();
        reader.read_to_end(&mut text).map_err(|error| fault(error.to_string()))?;
        let lines = Lines::of(&text, None);
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_slice());
        let header = reader.headers().map_err(|error| fault(error.to_string()))?;
        let titles: Vec<String> = header.iter().map(|title| title.trim_start_matches('\u{feff}').to_owned()).collect();
        if let Some(missing) = ["op", "device"].into_iter().find(|name| !titles.iter().any(|title| title == name)) {
            return Err(fault(format!(
                "a table of operations has a column `{missing}`; its first line has the titles"
            )));
        }
        let row = |record: csv::Result<csv::StringRecord>| {
            let record = record.map_err(|error| fault(error.to_string()))?;
            let line = lines.at(record.position().map_or(0, csv::Position::byte));
            let mut cells: Vec<String> = record.iter().map(str::to_owned).collect();
            let outcome = if cells.len() == titles.len() {
                Cells { titles: &titles, cells: &cells }.predict()
            } else {
                let (found, expected) = (cells.len(), titles.len());
                Err(Error::OperationCell {
                    column: "this row".into(),
                    found: found.to_string(),
                    expected: format!("{expected} cells, as there are titles (a cell with a comma stands in quotes)"),
                })
            };
            cells.resize(titles.len(), String::new());
            Ok(Row { line, cells, outcome })
        };
        let rows = reader.records().map(row).collect::<Result<_>>()?;
        Ok(Self { origin: origin.to_owned(), titles, rows })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The faults of rows, each with its line.
    pub fn faults(&self) -> impl Iterator<Item = String> {
        self.rows
            .iter()
            .filter_map(|row| Some(format!("{}, line {}: {}", self.origin, row.line, row.outcome.as_ref().err()?)))
    }

    /// Writes the table with its predictions. The column `error` is there only where a row has a fault.
    ///
    /// # Errors
    /// [`Error::Io`] from the writer.
    pub fn write(&self, writer: impl Write) -> Result<()> {
        let has_fault = self.rows.iter().any(|row| row.outcome.is_err());
        let added: Vec<&str> = ADDED.into_iter().filter(|name| *name != "error" || has_fault).collect();
        let kept: Vec<usize> =
            (0..self.titles.len()).filter(|&at| !ADDED.contains(&self.titles[at].as_str())).collect();
        let mut writer = csv::Writer::from_writer(writer);
        let titles = kept.iter().map(|&at| self.titles[at].as_str()).chain(added.iter().copied());
        let mut write = |record: Vec<String>| writer.write_record(record);
        let written = write(titles.map(str::to_owned).collect()).and_then(|()| {
            self.rows.iter().try_for_each(|row| {
                let kept = kept.iter().map(|&at| row.cells[at].clone());
                write(kept.chain(row.added().into_iter().take(added.len())).collect())
            })
        });
        let flushed = written.map_err(io_error).and_then(|()| writer.flush());
        flushed.map_err(|source| Error::Io { path: "writing the table".into(), source })
    }
}

/// The system's own error where it is one: a reader that has gone is known by it.
fn io_error(error: csv::Error) -> std::io::Error {
    let words = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        _ => std::io::Error::other(words),
    }
}

impl Row {
    /// The cells of [`ADDED`].
    fn added(&self) -> [String; ADDED.len()] {
        match &self.outcome {
            Ok(Predicted { latency_s, energy_j, mark }) => {
                let ([latency, low, high], [energy, least, most]) = (latency_s.cells(), energy_j.cells());
                let mark = mark.clone().unwrap_or_default();
                [latency, low, high, energy, least, most, FROM_DATA_SHEET.to_owned(), mark, String::new()]
            }
            Err(fault) => {
                let mut cells = [const { String::new() }; ADDED.len()];
                cells[ADDED.len() - 1] = fault.to_string();
                cells
            }
        }
    }
}

/// The cells of a row by their titles.
struct Cells<'a> {
    titles: &'a [String],
    cells: &'a [String],
}

impl Cells<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let place = self.titles.iter().position(|title| title == name)?;
        self.cells.get(place).map(String::as_str).filter(|cell| !cell.is_empty())
    }

    fn wrong(column: &str, found: &str, expected: &str) -> Error {
        Error::OperationCell { column: column.into(), found: format!("`{found}`"), expected: expected.into() }
    }

    /// A whole number, which tables may write with a fraction of 0.
    fn size(&self, name: &str) -> Result<Option<u64>> {
        let Some(cell) = self.get(name) else { return Ok(None) };
        let size = cell.parse().ok().filter(|size: &f64| size.fract() == 0.0 && (0.0..=1e15).contains(size));
        size.map(|size| Some(size as u64)).ok_or_else(|| Self::wrong(name, cell, "a whole number"))
    }

    fn format(&self) -> Result<Format> {
        let name = self.get("dtype").unwrap_or("f32").to_lowercase();
        match name.as_str() {
            "f32" | "fp32" | "float32" => Ok(Format::F32),
            "f16" | "fp16" | "float16" => Ok(Format::F16),
            "bf16" | "bfloat16" => Ok(Format::BF16),
            "fp8" | "f8" | "f8_e4m3" => Ok(Format::F8E4M3),
            "int8" | "i8" => Ok(Format::Int8),
            name => Err(Self::wrong("dtype", name, "f32, f16, bf16, fp8 or int8")),
        }
    }

    fn predict(&self) -> Result<Predicted> {
        let device = Catalogue::find(self.get("device").unwrap_or_default())?.seen_by_a_program();
        let format = self.format()?;
        let [b, m, n, k, h] = ["b", "m", "n", "k", "h"].map(|name| self.size(name));
        let op = self.get("op").unwrap_or_default();
        let work = Work::of(&NamedOperation { op, format, b: b?, m: m?, n: n?, k: k?, h: h? }.operation()?);
        let is_call = match self.get("timing") {
            None => format == Format::F32,
            Some("call") => true,
            Some("kernel") => false,
            Some(other) => return Err(Self::wrong("timing", other, "call or kernel")),
        };
        Ok(predicted(&work, &device, is_call))
    }
}

fn predicted(work: &Work, device: &Device, is_call: bool) -> Predicted {
    let (kernels, law) = (KernelLaw::shipped(), Law::shipped());
    let time = if is_call { kernels.time_alone(work, device) } else { kernels.time(work, device) };
    let dynamic_joules = law.power.dynamic_joules(work, device);
    let cost = law.power.whole(time.seconds - time.launch_s, dynamic_joules, time.launch_s, device);
    let spread = kernels.spread(device, work);
    let of_power = Engine::find(OPERATIONS_ENGINE).map_or(0.0, |engine| law.on(device, engine, false).spread().power);
    Predicted {
        latency_s: Figure { value: time.seconds, spread },
        energy_j: Figure { value: cost.joules, spread: spread.hypot(of_power) },
        mark: mark(work, device),
    }
}

/// The program that runs operations one by one.
const OPERATIONS_ENGINE: &str = "transformers";

/// A product in a format that the device has no unit for.
fn mark(work: &Work, device: &Device) -> Option<String> {
    let is_product = work.kind == crate::WorkKind::Product;
    is_product.then(|| device.arithmetic(work.weights, work.activations).fallback(device)).flatten()
}

#[cfg(test)]
mod tests;
