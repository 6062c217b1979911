//! The law of a device's data sheet, moved by whole requests that were measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use irene_bench::Mark;
use irene_devices::{Catalogue, Device, DeviceClass, Engine};
use irene_numerics::median;
use irene_predict::{Calibration, Forecast, Law, Measured, Service, ServiceOptions};
use irene_requests::{ASSUMED, Figures, METER, RequestReader, RequestRow};

use super::Args;
use crate::{
    commands::{Exit, Usage, numbers::positive, refuse, trees},
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
    for ([before, after], count) in remarks {
        output::tell(&format!("{origin}: {before}{}{after}", trees::count(count, "row")));
    }
    let calibration = Calibration::of(&measured)?;
    output::write_bytes(&args.output, &calibration.to_bytes()?)?;
    tell(args, &calibration, &measured, others);
    if faults.is_empty() {
        return Ok(());
    }
    output::tell(&format!("error: {} of {} left out", faults.len(), trees::count(count, "row")));
    Err(Exit::with(1))
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
        [] => Err(Usage("which device was measured? Give --device NAME; `irene devices` lists them".into()).into()),
        _ if args.predictor.device.is_some() => Err(Usage("--device has one name here".into()).into()),
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
    /// The number of rows stands in the middle.
    remarks: BTreeMap<[String; 2], usize>,
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
                    for remark in remarks(&row, &one.device) {
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

/// Remarks on a row that counts, each without the number of rows in its middle.
fn remarks(row: &RequestRow, device: &Device) -> Vec<[String; 2]> {
    let marks = [Mark::NotSteady, Mark::EndedEarly, Mark::Failures].into_iter().filter(|mark| has_mark(row, *mark));
    let marks = marks.map(|mark| format!(" with the mark `{}`, learned from like any other", mark.name()));
    let is_assumed = row.further(ASSUMED).is_some_and(|names| !names.is_empty());
    let assumed = is_assumed.then(|| format!(" with settings that are assumed (the column `{ASSUMED}`)"));
    let whole = whole_machine(row, device).map(|meter| {
        let why = " counts more than the GPUs, and all of it is taken for theirs: predict without --meter wall, or measure with --meter nvml";
        [format!("the meter `{meter}` of "), why.to_owned()]
    });
    marks.chain(assumed).map(|after| [String::new(), after]).chain(whole).collect()
}

/// The meter of a row's energies, if it counts more than the GPUs. A chip that is a machine of its own has no other meter.
fn whole_machine<'a>(row: &'a RequestRow, device: &Device) -> Option<&'a str> {
    /// Each channel and each meter of GPUs alone has one of these in its name.
    const OF_GPUS: [&str; 3] = ["gpu", "card", "nvml"];
    let is_card = matches!(device.class, DeviceClass::Datacenter | DeviceClass::Workstation | DeviceClass::Consumer);
    let Figures { energy_per_request_j, energy_per_token_j, power_w, .. } = row.figures;
    let has_energy = energy_per_request_j.or(energy_per_token_j).or(power_w).is_some();
    let is_of_gpus = |part: &str| OF_GPUS.iter().any(|word| part.to_lowercase().contains(word));
    let meter = row.further(METER).filter(|meter| is_card && has_energy && !meter.is_empty())?;
    (!meter.split(" + ").all(is_of_gpus)).then_some(meter)
}

/// The fault of a row whose GPUs drew more than they can.
fn beyond_limit(origin: &str, row: &RequestRow, one: &Measured) -> Option<String> {
    /// Meters and the edges of a run exceed a limit that is kept by up to this factor.
    const ABOVE: f64 = 1.1;
    let limit = one.device.limit_w() * row.parallel.gpus() as f64;
    let watts = one.watts.filter(|watts| *watts > ABOVE * limit && whole_machine(row, &one.device).is_none())?;
    let reason = format!(
        "the measured power is {watts:.0} W, and the limit of the GPUs {limit:.0} W; check the units, how many GPUs there were, and whether the meter \
         (column `{METER}`) counts more than these"
    );
    Some(row.fault(origin, "", reason).to_string())
}

/// Units go wrong easily.
fn tell_if_far_off(origin: &str, row: &RequestRow, one: &Measured) {
    const FAR: f64 = 5.0;
    let names = ["time", "power", "energy"];
    let far = one.residuals(Law::shipped()).into_iter().zip(names);
    let far =
        far.filter_map(|(residual, name)| Some((residual?, name))).find(|(residual, _)| residual.abs() > FAR.ln());
    if let Some((residual, name)) = far {
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
    let left_out = calibration.left_out();
    for (place, name) in ["time", "power at the measured time", "energy"].into_iter().enumerate() {
        let percent = |log: f64| 100.0 * log.exp_m1().abs();
        let before = median(measured.iter().filter_map(|one| one.residuals(Law::shipped())[place]).map(percent));
        let others = median(left_out[place].iter().copied().map(percent)).filter(|_| left_out[place].len() > 1);
        let others = others.map_or_else(String::new, |off| format!(", {off:.1}% by a calibration on the others"));
        if let Some(before) = before {
            output::tell(&format!("{name} of these requests: off by {before:.1}% (median) by the data sheet{others}"));
        }
    }
}
