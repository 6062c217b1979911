//! The law of a device's data sheet, moved by whole requests that were measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use irene_bench::Mark;
use irene_devices::{Catalogue, Device, Engine};
use irene_numerics::median;
use irene_predict::{Calibration, Forecast, Law, LeftOutError, Measured, Service, ServiceOptions};
use irene_requests::{ASSUMED, METER, RequestReader, RequestRow};

use super::Args;
use crate::{
    commands::{check_lacking, numbers::positive, refuse, trees, usage},
    input, output,
};

#[derive(clap::Args)]
#[command(next_help_heading = "From requests")]
pub(super) struct RequestsArgs {
    /// A sheet of measured requests, one is enough: energy, power or times of each (`irene bench` and `irene import` write such sheets)
    #[arg(long, value_name = "MEASURED.csv")]
    requests: Option<PathBuf>,
    /// The engine of rows that name none
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// A data sheet of your own, in place of --device
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["device", "predictor"])]
    device_spec: Option<PathBuf>,
    /// The limit on the power of each GPU that was set
    #[arg(long, value_name = "WATTS", value_parser = positive)]
    power_limit: Option<f64>,
}

impl RequestsArgs {
    pub(super) fn sheet(&self) -> Option<&Path> {
        self.requests.as_deref()
    }

    /// The flags beside the sheet.
    pub(super) fn flags(&self) -> [(&'static str, bool); 3] {
        [
            ("--engine", self.engine.is_some()),
            ("--device-spec", self.device_spec.is_some()),
            ("--power-limit", self.power_limit.is_some()),
        ]
    }
}

pub(super) fn run(args: &Args, sheet: &Path) -> Result<()> {
    let of_trees = [
        ("--predictor", args.predictor.predictor.is_some()),
        ("--method", args.predictor.asks_for_track()),
        ("--name", args.name.is_some()),
        ("--memory-gib", args.memory_gib.is_some()),
    ];
    refuse(true, "trees; requests move the data sheet of --device", &of_trees)?;
    // Also where every row has its own.
    args.requests.engine.as_deref().map(Engine::find).transpose()?;
    let (origin, mut rows, mut faults) = read(sheet)?;
    let device = device(args, &origin, &rows)?;
    let count = rows.len() + faults.len();
    rows.retain(|row| row.device.as_deref().is_none_or(|name| is_named(&device, name)));
    let others = count - faults.len() - rows.len();
    ensure!(
        !rows.is_empty() || others == 0,
        "{origin}: no row of {}; calibrate for the device that was measured",
        device.name
    );
    let power_limit_w = args.requests.power_limit;
    let service = Service::new(ServiceOptions { device: Some(device), power_limit_w, ..ServiceOptions::default() });
    let Learned { measured, faults: of_rows, remarks } = Learned::of(args, &origin, rows, &service);
    faults.extend(of_rows);
    faults.iter().for_each(|fault| output::tell(fault));
    ensure!(!measured.is_empty(), "{origin}: no measured request to calibrate on");
    for (remark, count) in remarks {
        output::tell(&format!("{origin}: {}{remark}", trees::count(count, "row")));
    }
    let calibration = Calibration::of(&measured)?;
    output::write_bytes(&args.output, &calibration.to_bytes()?)?;
    tell(args, &calibration, &measured, others);
    check_lacking(faults.len(), count, "row", "left out")
}

/// The rows of a sheet, and the faults of those that cannot be read.
fn read(sheet: &Path) -> Result<(String, Vec<RequestRow>, Vec<String>)> {
    let (origin, input) = input::open(sheet)?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for row in RequestReader::new(origin.clone(), input)? {
        match row {
            Ok(row) => rows.push(row),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    ensure!(rows.len() + faults.len() > 0, "{origin}: no rows");
    Ok((origin, rows, faults))
}

/// The device that is asked for, or else that of all rows.
fn device(args: &Args, origin: &str, rows: &[RequestRow]) -> Result<Device> {
    if let Some(path) = &args.requests.device_spec {
        return Ok(Device::read(path)?);
    }
    let of_rows: BTreeSet<String> = rows.iter().filter_map(|row| row.device.clone()).collect();
    let names = args.predictor.devices().unwrap_or_else(|| of_rows.into_iter().collect());
    match names.as_slice() {
        [name] => Ok(Catalogue::find(name)?),
        [] => usage("which device was measured? Give --device NAME; `irene devices` lists them"),
        _ if args.predictor.device.is_some() => usage("--device has one name here"),
        _ => bail!("{origin}: rows of {}; say which with --device", names.join(", ")),
    }
}

fn is_named(device: &Device, name: &str) -> bool {
    name == device.name || Catalogue::find(name).is_ok_and(|found| found.name == device.name)
}

/// The rows that count, the faults of the others, and what is to be said of how many rows.
#[derive(Default)]
struct Learned {
    measured: Vec<Measured>,
    faults: Vec<String>,
    /// The number of rows stands before.
    remarks: BTreeMap<String, usize>,
}

impl Learned {
    fn of(args: &Args, origin: &str, rows: Vec<RequestRow>, service: &Service) -> Self {
        let mut learned = Self::default();
        for mut row in rows {
            row.engine = row.engine.take().or_else(|| args.requests.engine.clone());
            if let Some((column, reason)) = unfit(&row) {
                learned.faults.push(row.fault(origin, column, reason).to_string());
                continue;
            }
            match Measured::of(origin, &row, service) {
                Ok(one) => {
                    if let Some(fault) = beyond_limit(origin, &row, &one) {
                        learned.faults.push(fault);
                        continue;
                    }
                    tell_if_far_off(origin, &row, &one);
                    for remark in remarks(&row) {
                        *learned.remarks.entry(remark).or_default() += 1;
                    }
                    learned.measured.push(one);
                }
                Err(fault) => learned.faults.push(row.fault(origin, fault.column, fault.to_string()).to_string()),
            }
        }
        learned
    }
}

fn has_mark(row: &RequestRow, mark: Mark) -> bool {
    row.further("marks").is_some_and(|marks| marks.split(' ').any(|word| word == mark.name()))
}

/// The column and the reason why nothing is learned from a row.
fn unfit(row: &RequestRow) -> Option<(&'static str, &'static str)> {
    if Forecast::is_of(row) {
        return Some(("provenance", "its figures were predicted, not measured"));
    }
    let refused = [
        // The law has the power of an idle device in every figure.
        (Mark::IdleSubtracted, "its energies leave idling out; measure without --subtract-idle"),
        // It would learn that prompts take next to nothing.
        (Mark::SharedPrefix, "its prompts were in the server's cache; measure without --shared-prefix"),
    ];
    refused.into_iter().find(|(mark, _)| has_mark(row, *mark)).map(|(_, reason)| ("marks", reason))
}

/// Remarks on a row that counts, each without the number of rows before it.
fn remarks(row: &RequestRow) -> Vec<String> {
    let marks = [Mark::NotSteady, Mark::EndedEarly, Mark::Failures].into_iter().filter(|mark| has_mark(row, *mark));
    let marks = marks.map(|mark| format!(" with the mark `{}`, learned from like any other", mark.name()));
    let is_assumed = row.further(ASSUMED).is_some_and(|names| !names.is_empty());
    marks.chain(is_assumed.then(|| format!(" with settings that are assumed (the column `{ASSUMED}`)"))).collect()
}

/// The fault of a row whose GPUs drew more than they can.
fn beyond_limit(origin: &str, row: &RequestRow, one: &Measured) -> Option<String> {
    /// Meters and the edges of a run exceed a limit that is kept by up to this factor.
    const ABOVE: f64 = 1.1;
    let limit = one.device.limit_w() * row.parallel.gpus() as f64;
    let watts = one.watts.filter(|watts| *watts > ABOVE * limit && one.meter.is_none())?;
    let reason = format!(
        "the measured power is {watts:.0} W, and the limit of the GPUs {limit:.0} W; check the units, how many GPUs there were, and whether the meter \
         (column `{METER}`) counts more than these"
    );
    Some(row.fault(origin, "", reason).to_string())
}

/// The figures that a calibration moves.
const FIGURES: [&str; 5] =
    ["time", "power at the measured time", "energy", "time to the first token", "time between tokens"];

/// How far off the data sheet is on each figure.
fn by_data_sheet(one: &Measured) -> [Option<f64>; 5] {
    let [time, power, energy] = one.residuals(Law::shipped());
    let [first, between] = one.token_residuals(Law::shipped());
    [time, power, energy, first, between]
}

/// Units go wrong easily.
fn tell_if_far_off(origin: &str, row: &RequestRow, one: &Measured) {
    /// Times of tokens are known less well.
    const FAR: [f64; 5] = [5.0, 5.0, 5.0, 20.0, 20.0];
    let residuals = by_data_sheet(one).into_iter().zip(FIGURES).zip(FAR);
    // Another meter counts as much more as it likes.
    let is_comparable = |name: &str| one.meter.is_none() || name.starts_with("time");
    let known = residuals.filter_map(|((residual, name), far)| Some((residual?, name, far)));
    let mut known = known.filter(|(_, name, _)| is_comparable(name));
    if let Some((residual, name, _)) = known.find(|(residual, _, far)| residual.abs() > far.ln()) {
        let times = (-residual).exp();
        output::tell(&format!(
            "{origin}, line {}: the measured {name} is {times:.2} times that of the data sheet; check its unit",
            row.line
        ));
    }
}

/// Tells the user how many requests the file rests on, and how far off they were.
fn tell(args: &Args, calibration: &Calibration, measured: &[Measured], others: usize) {
    let mut engines = BTreeMap::<&str, usize>::new();
    measured.iter().for_each(|one| *engines.entry(one.engine.name).or_default() += 1);
    let engines: Vec<String> = engines.iter().map(|(engine, count)| format!("{engine}: {count}")).collect();
    let (provenance, path) = (&calibration.provenance, args.output.display());
    output::tell(&format!("{} ({}), written to {path}", provenance, engines.join(", ")));
    if provenance.rows < measured.len() {
        output::tell(&format!(
            "{} of {} were drawn: more of one engine tell little more",
            provenance.rows,
            trees::count(measured.len(), "row")
        ));
    }
    if others > 0 {
        output::tell(&format!("{} of other devices left out", trees::count(others, "row")));
    }
    if let Some((meter, watts)) = provenance.meter.as_ref().zip(calibration.beside_w()) {
        output::tell(&format!(
            "the meter `{meter}` counts more than the GPUs ({watts:.0} W beside them), and so do energy and power of what this file predicts; for \
             those of the GPUs alone measure with --meter nvml"
        ));
    }
    tell_errors(calibration, measured);
}

/// Tells how far off the data sheet is, and a calibration on the others.
fn tell_errors(calibration: &Calibration, measured: &[Measured]) {
    let before: Vec<[Option<f64>; 5]> = measured.iter().map(by_data_sheet).collect();
    let percent = |log: f64| 100.0 * log.exp_m1().abs();
    for (place, (name, others)) in FIGURES.into_iter().zip(calibration.left_out()).enumerate() {
        let is_of_tokens = place > 2;
        match median(before.iter().filter_map(|residuals| residuals[place]).map(percent)) {
            Some(off) => output::tell(&format!(
                "{name} of these requests: off by {off:.1}% (median) by the data sheet{}{}",
                if calibration.provenance.meter.is_some() && matches!(place, 1 | 2) { " (the GPUs alone)" } else { "" },
                by_the_others(&others)
            )),
            None if is_of_tokens && measured.iter().any(Measured::generates) => {
                output::tell(&format!("{name}: in no row, so that it is still known by the data sheet alone"));
            }
            None if name == "energy" => output::tell("energy: in no row, so that its power is still the data sheet's"),
            None => {}
        }
    }
}

/// How far off calibrations on all other settings are; nothing where there are none.
fn by_the_others(errors: &[LeftOutError]) -> String {
    let off = median(errors.iter().map(|error| 100.0 * error.residual.exp_m1().abs()));
    let Some(off) = off.filter(|_| errors.len() > 1) else { return String::new() };
    let within = errors.iter().filter(|error| error.is_within).count();
    format!(", {off:.1}% by a calibration on the others, whose 90% intervals hold {within} of {}", errors.len())
}
