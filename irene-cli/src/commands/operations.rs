use std::path::PathBuf;

use anyhow::{Result, ensure};
use irene_devices::OperationSheet;

use super::check_lacking;
use crate::{input, output};

/// Predicts the time and energy of single operations on devices
///
/// The figures come from the devices' data sheets.
///
/// OPS.csv has an operation a row: op (linear, bmm, ln, softmax, add, mul, div, pow, addu, mulu, divu, powu, relu,
/// gelu, tanh), device, dtype (f32, f16, bf16, fp8 or int8; f32 where absent), and its sizes: m, n, k of products (b of
/// them), b rows of h numbers otherwise. Other columns are kept; latency_s and energy_j come with their 90% intervals.
/// A column timing says whether a time is that of a `call` as the host sees it (f32 where absent) or of the `kernel`
/// alone (other formats). A row with a fault is named with its line, and the others go on.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  irene operations ops.csv -o times.csv")]
pub(crate) struct Args {
    /// The table of operations, or - for stdin
    #[arg(value_name = "OPS.csv")]
    sheet: PathBuf,
    /// Write here instead of to stdout, whole or not at all
    #[arg(short, long, value_name = "OUT.csv", value_parser = output::file_or_stdout())]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (origin, reader) = input::open(&args.sheet)?;
    let sheet = OperationSheet::read(&origin, reader)?;
    ensure!(!sheet.is_empty(), "{origin}: no operations below the titles");
    output::write(args.output.as_deref(), |writer| Ok(sheet.write(writer)?))?;
    let faults: Vec<String> = sheet.faults().collect();
    faults.iter().for_each(|fault| output::tell(fault));
    check_lacking(faults.len(), sheet.len(), "row", "without a prediction")
}
