//! Public measurements, read as a request sheet.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use irene_devices::{Catalogue, Engine};
use irene_models::ModelSpec;
use irene_requests::{ASSUMED, Imported, RequestReader, RequestRow};
use irene_tree::Format;

use crate::{
    commands::{
        Exit, Usage,
        numbers::{MOST, format, gpus, number},
        trees::count,
    },
    input, output, parquet,
};

#[derive(clap::Args)]
pub(super) struct SheetArgs {
    /// Files of one or more public formats, or folders of MLPerf runs; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The model of all rows, in place of what the files say: a built-in name or a path
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Tokens of a prompt in all rows, in place of what the files say or what is assumed
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    prompt: Option<f64>,
    /// The engine of all rows, in place of what the files say
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Format of the weights in all rows, in place of what the files say
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    weights: Option<Format>,
    /// The device of all rows, in place of what the files say (`irene devices`)
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// GPUs that share every layer in all rows, in place of what the files say
    #[arg(long, value_name = "GPUS", value_parser = gpus)]
    tensor_parallel: Option<usize>,
    /// The request sheet to write; `-` is standard output
    #[arg(short, long, value_name = "OUT.csv", required = true, value_parser = output::file_or_stdout())]
    output: Option<PathBuf>,
}

fn tokens(text: &str) -> Result<f64, String> {
    number(text, 0.0..=MOST, "a number of tokens of at least 0, up to 1e9")
}

pub(super) fn run(args: &SheetArgs) -> Result<()> {
    let output = args.output.as_deref().ok_or_else(|| Usage("no file to write: give -o OUT.csv".into()))?;
    if let [path] = &args.files[..]
        && is_conversion(path, output)?
    {
        let converted = parquet::convert(path, output)?;
        output::tell(&format!("{converted} written to {}", output.display()));
        return Ok(());
    }
    let given = Given::of(args)?;
    let mut rows = Vec::new();
    let mut left_out = Vec::new();
    for path in &args.files {
        let Imported { format, rows: found, left_out: faults, .. } = read(path)?;
        output::tell(&format!("{}: {} of {format}", input::name(path), count(found.len(), "row")));
        rows.extend(found);
        left_out.extend(faults);
    }
    rows.iter_mut().for_each(|row| given.set(row));
    anyhow::ensure!(!rows.is_empty(), "no row could be read{}", first(&left_out));
    if parquet::is_named(output) {
        let mut text = Vec::new();
        irene_requests::write(&mut text, &rows)?;
        parquet::write_text(output, &String::from_utf8(text)?)?;
    } else {
        output::write(Some(output), |writer| Ok(irene_requests::write(writer, &rows)?))?;
    }
    output::tell(&format!("{} written to {}", count(rows.len(), "row"), output::name(output)));
    tell_what_lacks(&rows);
    super::tell_first("left out", &left_out, ToString::to_string);
    if left_out.is_empty() { Ok(()) } else { Err(Exit::with(1)) }
}

/// Whether a file of ours is to be written in another format: Parquet, or from Parquet.
fn is_conversion(path: &Path, output: &Path) -> Result<bool> {
    let is_ours = |path: &Path| path.extension().is_some_and(|extension| extension == "jsonl");
    Ok(parquet::is_named(path) || parquet::is_named(output) && (is_ours(path) || is_sheet(path)?))
}

/// Whether a file is a request sheet already, and none of the public formats.
fn is_sheet(path: &Path) -> Result<bool> {
    if path.extension().is_none_or(|extension| extension != "csv") {
        return Ok(false);
    }
    let (origin, reader) = input::open(path)?;
    Ok(RequestReader::new(origin, reader).is_ok() && irene_requests::import(path).is_err())
}

fn first(faults: &[irene_requests::Error]) -> String {
    faults.first().map_or_else(String::new, |fault| format!(": {fault}"))
}

fn read(path: &Path) -> Result<Imported> {
    if !input::is_standard(path) {
        if let Some(fault) = irene_tree::file_fault(path) {
            anyhow::bail!("{}: {fault}", path.display());
        }
        return Ok(irene_requests::import(path)?);
    }
    let (name, mut reader) = input::open(path)?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).with_context(|| name.clone())?;
    Ok(irene_requests::import_bytes(&name, &bytes, path)?)
}

/// The flags that hold for all rows.
struct Given<'a> {
    args: &'a SheetArgs,
    /// By the name of the catalogue.
    device: Option<String>,
}

impl<'a> Given<'a> {
    fn of(args: &'a SheetArgs) -> Result<Self> {
        let device = args.device.as_deref().map(|name| Catalogue::find(name).map(|device| device.name)).transpose()?;
        args.engine.as_deref().map(Engine::find).transpose()?;
        Ok(Self { args, device })
    }

    fn set(&self, row: &mut RequestRow) {
        let SheetArgs { model, engine, weights, prompt, tensor_parallel, .. } = self.args;
        let said = [
            ("model", model.is_some()),
            ("device", self.device.is_some()),
            ("engine", engine.is_some()),
            ("weights", weights.is_some()),
            ("prompt", prompt.is_some()),
            ("tensor_parallel", tensor_parallel.is_some()),
        ];
        row.model = model.clone().or_else(|| row.model.take());
        row.device = self.device.clone().or_else(|| row.device.take());
        row.engine = engine.clone().or_else(|| row.engine.take());
        row.weights = weights.or(row.weights);
        row.prompt = prompt.or(row.prompt);
        if let Some(tensor) = *tensor_parallel {
            (row.parallel.tensor, row.stated_ones[0]) = (tensor, tensor == 1);
        }
        // A setting that is given is assumed no more.
        if let Some(assumed) = row.further(ASSUMED) {
            let is_said = |name: &&str| said.contains(&(*name, true));
            let left = assumed.split(' ').filter(|name| !is_said(name)).collect::<Vec<_>>().join(" ");
            row.set_further(ASSUMED, left);
        }
    }
}

/// Says which settings rows lack or have by assumption, and which models have no built-in shape.
fn tell_what_lacks(rows: &[RequestRow]) {
    let lacking = |is_absent: fn(&RequestRow) -> bool| rows.iter().filter(|row| is_absent(row)).count();
    let absent: [(&str, usize); 6] = [
        ("model", lacking(|row| row.model.is_none())),
        ("device", lacking(|row| row.device.is_none())),
        ("engine", lacking(|row| row.engine.is_none())),
        ("prompt", lacking(|row| row.prompt.is_none())),
        ("generated", lacking(|row| row.generated.is_none())),
        ("load (sequences, concurrency or rate)", lacking(|row| row.load.is_none())),
    ];
    let said: Vec<String> = absent
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, rows)| format!("{name} in {}", count(*rows, "row")))
        .collect();
    if !said.is_empty() {
        output::tell(&format!("not said by the input: {}", said.join(", ")));
    }
    let assumed: BTreeSet<&str> =
        rows.iter().filter_map(|row| row.further(ASSUMED)).flat_map(str::split_whitespace).collect();
    if !assumed.is_empty() {
        let assumed: Vec<&str> = assumed.into_iter().collect();
        output::tell(&format!("assumed, as the column `{ASSUMED}` says: {}", assumed.join(", ")));
    }
    let models: BTreeSet<&str> = rows.iter().filter_map(|row| row.model.as_deref()).collect();
    let unknown: Vec<&str> = models.into_iter().filter(|name| ModelSpec::builtin(name).is_none()).collect();
    if !unknown.is_empty() {
        output::tell(&format!("kept by name, as no built-in model has it: {}", unknown.join(", ")));
    }
}
