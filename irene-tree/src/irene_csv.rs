//! The CSV layout of IrEne's public measurements: four files a machine, one row a node.
//!
//! | file | nodes |
//! |---|---|
//! | `ml1_level_features.csv` | primitives that are modules: Embedding, LayerNorm, Linear, Tanh, Conv1D |
//! | `ml2_level_features.csv` | MatMul and Softmax, by the module that runs them |
//! | `module_level_features.csv` | modules |
//! | `model_level_features.csv` | whole models |
//!
//! The files give neither a model's class nor its parameters; irene-models has both.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, Level, Lines, Node, Quantity, Result, Size, Tree, TreeBuilder, file_fault};

const FILES: [(&str, Level); 4] = [
    ("model_level_features.csv", Level::Model),
    ("module_level_features.csv", Level::Module),
    ("ml1_level_features.csv", Level::Ml),
    ("ml2_level_features.csv", Level::Ml),
];

/// The trees of a folder of CSV files, and the rows that were left out.
#[derive(Debug)]
pub struct Import {
    /// The trees, models in the order of the files, sizes ascending.
    pub trees: Vec<Tree>,
    /// The rows that were left out.
    pub dropped: Vec<Dropped>,
    /// The columns of figures that a file does not have.
    pub absent: BTreeSet<Quantity>,
}

/// Rows that give no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The model, with the size if only that is left out.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Finds the folder of a device's files from the path in the environment variable `IRENE_DATA`: that path if it is called `device`, its
/// folder `device`, or `irene/device`. `None` if the variable is not set or none of them has the files. For irene's own tests and
/// benchmarks alone.
#[doc(hidden)]
pub fn device_dir_from_env(device: &str) -> Option<PathBuf> {
    device_dir(PathBuf::from(std::env::var_os("IRENE_DATA")?), device)
}

fn device_dir(data: PathBuf, device: &str) -> Option<PathBuf> {
    let below = [data.join(device), data.join("irene").join(device)];
    let itself = data.ends_with(device).then_some(data);
    itself.into_iter().chain(below).find(|dir| dir.join(FILES[0].0).is_file())
}

/// Reads the four files of a folder into trees.
///
/// `class_of` gives the root's instance type for a model's name (`BertModel`); models it does not know are dropped. So are sizes
/// without a row for the whole model, or for a module that has children. Scopes become those of the interchange format: below `root`,
/// with list containers (`layer`, `h`) left out, and an operation named by its type below the module that runs it.
///
/// # Errors
/// [`Error::Io`] for a missing file; [`Error::Row`] for a missing column of a size, a model or a level, or a field that is no number.
pub fn read_dir(dir: &Path, class_of: &dyn Fn(&str) -> Option<&'static str>) -> Result<Import> {
    let mut model_names: Vec<String> = Vec::new();
    let mut trees: BTreeMap<(usize, Size), Vec<Row>> = BTreeMap::new();
    let mut absent = BTreeSet::new();
    for (name, level) in FILES {
        let (rows, without) = read_file(&dir.join(name), level)?;
        absent.extend(without);
        for row in rows {
            let model = model_names.iter().position(|name| *name == row.record.model_name).unwrap_or_else(|| {
                model_names.push(row.record.model_name.clone());
                model_names.len() - 1
            });
            let key = (model, Size::new(row.record.batch_size as usize, row.record.seq_len as usize));
            trees.entry(key).or_default().push(row);
        }
    }
    let mut import = Import { trees: Vec::new(), dropped: Vec::new(), absent };
    for ((model, size), rows) in trees {
        let builder = TreeBuilder::new(&model_names[model], size);
        let name = &model_names[model];
        let at_size = format!("{name} {size}");
        let dropped = match class_of(name) {
            Some(class) if rows[0].level == Level::Model => match assemble(builder, class, &rows) {
                Ok(tree) => {
                    import.trees.push(tree);
                    continue;
                }
                Err(error) => Dropped { what: at_size, reason: error.to_string() },
            },
            Some(_) => Dropped { what: at_size, reason: "no row for the whole model".into() },
            None => Dropped { what: name.clone(), reason: "not a model known here".into() },
        };
        // An unknown model is left out at every size, and reported once.
        if import.dropped.last() != Some(&dropped) {
            import.dropped.push(dropped);
        }
    }
    Ok(import)
}

/// A row of the file, which writes counts as floats. A figure without a column, or with an empty cell, is absent.
#[derive(Default, Deserialize)]
struct Record {
    batch_size: f64,
    seq_len: f64,
    flops: Option<f64>,
    mem_bytes: Option<f64>,
    cpu: Option<f64>,
    mem: Option<f64>,
    gpu: Option<f64>,
    gpu_mem: Option<f64>,
    gpu_clk: Option<f64>,
    gpu_mem_clk: Option<f64>,
    times_mean: Option<f64>,
    gpu_energy_mean: Option<f64>,
    energy_mean: Option<f64>,
    level_name: String,
    model_name: String,
}

impl Record {
    fn quantities(&self) -> [(Quantity, Option<f64>); 11] {
        [
            (Quantity::Flops, self.flops),
            (Quantity::MemBytes, self.mem_bytes),
            (Quantity::Cpu, self.cpu),
            (Quantity::Mem, self.mem),
            (Quantity::Gpu, self.gpu),
            (Quantity::GpuMem, self.gpu_mem),
            (Quantity::GpuClk, self.gpu_clk),
            (Quantity::GpuMemClk, self.gpu_mem_clk),
            (Quantity::Latency, self.times_mean),
            (Quantity::GpuEnergy, self.gpu_energy_mean),
            (Quantity::GroundTruthEnergy, self.energy_mean),
        ]
    }
}

struct Row {
    path: PathBuf,
    line: u64,
    level: Level,
    record: Record,
}

impl Row {
    fn error(&self, reason: String) -> Error {
        Error::Row { path: self.path.clone(), line: self.line, reason }
    }

    fn checked(self) -> Result<Self> {
        let named = [("batch_size", self.record.batch_size), ("seq_len", self.record.seq_len)];
        let bad_size = named.iter().find(|(_, size)| !(1.0..=1e9).contains(size) || size.fract() != 0.0);
        let quantities = self.record.quantities().into_iter();
        let known: Vec<_> = quantities.filter_map(|(quantity, value)| Some((column(quantity), value?))).collect();
        let bad_number = known.iter().find(|(_, value)| !value.is_finite() || *value < 0.0);
        match bad_size.or(bad_number) {
            Some((column, value)) => Err(self.error(format!("column `{column}`: {value} is out of range"))),
            None if self.level != Level::Model && !self.record.level_name.contains(':') => {
                let name = &self.record.level_name;
                Err(self.error(format!("column `level_name`: expected `scope:InstanceType`, found `{name}`")))
            }
            None => Ok(self),
        }
    }

    /// The scope in the file (empty for the model) and the instance type.
    fn place(&self) -> (&str, &str) {
        match self.level {
            Level::Model => ("", ""),
            _ => self.record.level_name.split_once(':').unwrap_or_default(),
        }
    }
}

/// The column of a figure. The ground truth is called otherwise in trees.
fn column(quantity: Quantity) -> &'static str {
    if quantity == Quantity::GroundTruthEnergy { "energy_mean" } else { quantity.name() }
}

/// The rows of a file, and the figures that it has no columns for.
type Rows = (Vec<Row>, Vec<Quantity>);

fn read_file(path: &Path, level: Level) -> Result<Rows> {
    read_rows(path, level).map_err(|error| match file_fault(path) {
        Some(reason) => Error::File { path: path.to_owned(), reason },
        None => error,
    })
}

fn read_rows(path: &Path, level: Level) -> Result<Rows> {
    let text = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let lines = Lines::of(&text, None);
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let columns = reader.headers().cloned();
    let in_titles = |reason: String| Error::Row { path: path.to_owned(), line: 1, reason };
    let columns = columns.map_err(|error| in_titles(error.to_string()))?;
    if columns.is_empty() {
        return Err(in_titles("there is no line of titles".into()));
    }
    let figures = Record::default().quantities().map(|(quantity, _)| quantity).into_iter();
    let absent: Vec<Quantity> = figures.filter(|figure| columns.iter().all(|title| title != column(*figure))).collect();
    let mut rows = Vec::new();
    let mut records = reader.deserialize();
    loop {
        let line = lines.at(records.reader().position().byte());
        match records.next() {
            None => return Ok((rows, absent)),
            Some(Ok(record)) => rows.push(Row { path: path.to_owned(), line, level, record }.checked()?),
            Some(Err(error)) => {
                return Err(Error::Row { path: path.to_owned(), line, reason: reason(&error, &columns) });
            }
        }
    }
}

/// The message of a CSV error with its column's name, and without its position, which our error gives.
fn reason(error: &csv::Error, columns: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    match err.field().and_then(|field| columns.get(field as usize)) {
        Some(column) => format!("column `{column}`: {}", err.kind()),
        None => err.kind().to_string(),
    }
}

/// A node before the tree is in pre-order.
struct Draft<'a> {
    scope: String,
    row: &'a Row,
    children: Vec<usize>,
}

fn assemble(mut builder: TreeBuilder, class: &'static str, rows: &[Row]) -> Result<Tree> {
    let in_file: HashSet<&str> = rows.iter().map(|row| row.place().0).collect();
    let mut drafts: Vec<Draft<'_>> =
        rows.iter().map(|row| Draft { scope: tree_scope(row, &in_file), row, children: Vec::new() }).collect();
    refuse_repeated(&drafts)?;
    let parents: HashMap<String, usize> = drafts
        .iter()
        .enumerate()
        .filter(|(_, draft)| draft.row.level != Level::Ml)
        .map(|(index, draft)| (draft.scope.clone(), index))
        .collect();
    for index in 0..drafts.len() {
        let Draft { scope, row, .. } = &drafts[index];
        if row.level == Level::Model {
            continue;
        }
        let above = scope.rsplit_once('.').map_or("", |(above, _)| above);
        match parents.get(above) {
            Some(&parent) if parent != index => drafts[parent].children.push(index),
            _ => return Err(row.error(format!("`{scope}` stands below `{above}`, which has no row at this size"))),
        }
    }
    emit(&mut builder, class, &drafts, 0);
    let tree = builder.finish()?;
    tree.check()?;
    Ok(tree)
}

/// Refuses a repeated module or primitive. An operation may repeat: its module runs it as often as it was measured.
fn refuse_repeated(drafts: &[Draft<'_>]) -> Result<()> {
    let mut seen: HashMap<&str, &Row> = HashMap::new();
    for Draft { scope, row, .. } in drafts {
        if !is_operation(row.place().1)
            && let Some(first) = seen.insert(scope, row)
        {
            let (line, path) = (first.line, first.path.display());
            return Err(row.error(format!("`{scope}` at this size stands in line {line} of {path} already")));
        }
    }
    Ok(())
}

fn is_operation(instance_type: &str) -> bool {
    matches!(instance_type, "MatMul" | "Softmax")
}

/// The scope below the root. An ml2 row gives the scope of the module that runs the operation; the operation is named by its type.
fn tree_scope(row: &Row, in_file: &HashSet<&str>) -> String {
    let (scope, instance_type) = row.place();
    let scope = without_containers(scope, in_file);
    if is_operation(instance_type) { format!("{scope}.{}", instance_type.to_lowercase()) } else { scope }
}

/// `encoder.layer.0.attention` becomes `encoder.0.attention`: a name before a number is a list unless it is a module.
fn without_containers(scope: &str, scopes: &HashSet<&str>) -> String {
    let parts: Vec<&str> = scope.split('.').collect();
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut kept = Vec::new();
    let mut end = 0;
    for (i, part) in parts.iter().enumerate() {
        end += part.len() + usize::from(i > 0);
        let is_list = parts.get(i + 1).is_some_and(is_number) && !scopes.contains(&scope[..end]);
        if !is_list {
            kept.push(*part);
        }
    }
    kept.join(".")
}

fn emit(builder: &mut TreeBuilder, class: &'static str, drafts: &[Draft<'_>], index: usize) {
    let draft = &drafts[index];
    let (_, instance_type) = draft.row.place();
    let name = draft.scope.rsplit('.').next().unwrap_or_default();
    let annotate = |node: &mut Node| {
        for (quantity, value) in draft.row.record.quantities() {
            if let Some(value) = value {
                node.set(quantity, value);
            }
        }
    };
    match draft.row.level {
        Level::Model => annotate(builder.enter("root", class, Level::Model)),
        Level::Module => annotate(builder.enter(name, instance_type.to_owned(), Level::Module)),
        _ => return annotate(builder.leaf(name, instance_type.to_owned(), draft.row.level, None)),
    }
    for &child in &draft.children {
        emit(builder, class, drafts, child);
    }
    builder.leave();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_folder_is_the_one_that_is_named_or_one_below_it_that_has_the_files() {
        let top = std::env::temp_dir().join(format!("irene-data-{}", std::process::id()));
        let of = |data: &str| device_dir(top.join(data), "gpu");
        for (has_files, data, expected) in [
            ("gpu", "gpu", Some("gpu")),
            ("one/gpu", "one", Some("one/gpu")),
            ("two/irene/gpu", "two", Some("two/irene/gpu")),
            // Files of another device, and a folder of this device without any.
            ("three", "three", None),
            ("four/gpu/old", "four", None),
        ] {
            let dir = top.join(has_files);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("model_level_features.csv"), "").unwrap();
            assert_eq!(of(data), expected.map(|expected| top.join(expected)), "{has_files}");
        }
        std::fs::remove_dir_all(&top).unwrap();
        assert_eq!(device_dir_from_env("a device that nobody has"), None);
    }
}
