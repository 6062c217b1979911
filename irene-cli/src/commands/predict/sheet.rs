//! Request sheets: a forecast for each row.

use std::path::Path;

use anyhow::{Result, ensure};
use irene_predict::{Error, Forecast, Service, Setting};
use irene_requests::{RequestReader, RequestRow};
use irene_tree::Parallel;
use rayon::prelude::*;

use super::{Args, TreeFormat, refuse, service};
use crate::{
    commands::{check_lacking, usage},
    input, output, parquet,
};

/// The column of a row's fault.
const ERROR: &str = "error";

/// Whether a subject is a sheet.
pub(super) fn is_sheet(subject: &str) -> bool {
    let path = Path::new(subject);
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
        || parquet::is_named(path) && parquet::holds_trees(path).is_ok_and(|holds| !holds)
}

/// Forecasts each row of the sheets. Rows with a fault keep their lines.
pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(other) = args.subjects.iter().find(|subject| !is_sheet(subject)) {
        return usage(format!("{other} is no sheet; predict sheets apart from models and trees"));
    }
    if !matches!(args.output.format(Some(TreeFormat::Csv)), TreeFormat::Csv | TreeFormat::Text) {
        return usage("a sheet is written as CSV: leave --format out");
    }
    let of_trees = [
        ("--depth", args.output.depth.is_some()),
        ("--unfold", args.output.unfold),
        ("--math", args.output.math),
        ("--top", args.top.is_some()),
    ];
    refuse(true, "models and trees; a sheet has rows", &[&of_trees[..], &args.cost_flags()].concat())?;
    let defaults = service::defaults_of_sheet(args)?;
    let service = Service::new(args.setting.service.options(args)?);
    let mut rows = Vec::new();
    for path in &args.subjects {
        rows.extend(read(path, &defaults, &service)?);
    }
    ensure!(!rows.is_empty(), "{}: no rows", args.subjects.join(", "));
    forecast(&mut rows);
    let faults: Vec<String> = rows.iter().filter_map(|row| Some(row.fault.as_ref()?.to_string())).collect();
    let (count, rows): (usize, Vec<RequestRow>) = (rows.len(), rows.into_iter().map(SheetRow::written).collect());
    output::write(args.output.output(), |writer| Ok(irene_requests::write(writer, &rows)?))?;
    faults.iter().for_each(|fault| output::tell(fault));
    check_lacking(faults.len(), count, "row", "without a forecast")
}

/// The rows of a sheet with their settings.
fn read(path: &str, defaults: &RequestRow, service: &Service) -> Result<Vec<SheetRow>> {
    let (origin, input) = input::open(Path::new(path))?;
    let mut reader = RequestReader::new(origin.clone(), input)?;
    let mut rows = Vec::new();
    while let Some((row, fault)) = reader.next_row() {
        let mut row = SheetRow { origin: origin.clone(), row, setting: None, forecast: None, fault };
        row.find(defaults, service);
        rows.push(row);
    }
    Ok(rows)
}

/// Forecasts on all cores.
fn forecast(rows: &mut [SheetRow]) {
    /// Fewer are forecast sooner than another core takes them.
    const LEAST: usize = 16;
    rows.par_iter_mut().with_min_len(LEAST).for_each(SheetRow::forecast);
}

/// A row of a sheet, with its setting and its forecast, or its fault.
struct SheetRow {
    origin: String,
    row: RequestRow,
    /// With the row that it is of: what the flags say is filled in.
    setting: Option<(Setting, RequestRow)>,
    forecast: Option<Forecast>,
    fault: Option<irene_requests::Error>,
}

impl SheetRow {
    fn fail(&mut self, column: &str, error: &Error) {
        self.fault = Some(self.row.fault(&self.origin, column, error.to_string()));
    }

    fn find(&mut self, defaults: &RequestRow, service: &Service) {
        if self.fault.is_none() {
            let whole = completed(&self.row, defaults);
            match service.setting(&whole) {
                Ok(setting) => self.setting = Some((setting, whole)),
                Err(fault) => self.fail(fault.column, &fault.error),
            }
        }
    }

    fn forecast(&mut self) {
        match self.setting.as_ref().map(|(setting, _)| setting.forecast()) {
            Some(Ok(forecast)) => self.forecast = Some(forecast),
            Some(Err(error)) => self.fail("", &error),
            None => {}
        }
    }

    /// The row with its figures, in place of those that it had, and the settings that they are of; or with its fault.
    fn written(self) -> RequestRow {
        let Self { row, setting, forecast, fault, .. } = self;
        let whole = setting.filter(|_| forecast.is_some()).map(|(_, whole)| whole);
        let mut row = whole.unwrap_or(row);
        [row.figures, row.low, row.high] = Default::default();
        if let Some(forecast) = &forecast {
            forecast.fill_in(&mut row);
        }
        // That of an earlier prediction goes, too.
        let fault = fault.map(|fault| output::readable(&output::in_flags(&fault.to_string())));
        if fault.is_some() || row.further(ERROR).is_some() {
            row.set_further(ERROR, fault.unwrap_or_default());
        }
        row
    }
}

/// A row with what the flags say in place of what it does not.
fn completed(row: &RequestRow, defaults: &RequestRow) -> RequestRow {
    let or = |own: &Option<String>, default: &Option<String>| own.clone().or_else(|| default.clone());
    RequestRow {
        device: or(&row.device, &defaults.device),
        engine: or(&row.engine, &defaults.engine),
        weights: row.weights.or(defaults.weights),
        cache: row.cache.or(defaults.cache),
        kernels: row.kernels.or(defaults.kernels),
        load: row.load.or(defaults.load),
        prompt: row.prompt.or(defaults.prompt),
        generated: row.generated.or(defaults.generated),
        parallel: parallel(row, defaults.parallel),
        ..row.clone()
    }
}

/// Each degree that the row says, and that of the flags in place of the others.
fn parallel(row: &RequestRow, flags: Parallel) -> Parallel {
    let [tensor, pipeline, expert, data] = row.stated_ones;
    let or = |own: usize, is_stated: bool, flag: usize| if own == 1 && !is_stated { flag } else { own };
    Parallel {
        tensor: or(row.parallel.tensor, tensor, flags.tensor),
        pipeline: or(row.parallel.pipeline, pipeline, flags.pipeline),
        expert: or(row.parallel.expert, expert, flags.expert),
        data: or(row.parallel.data, data, flags.data),
    }
}
