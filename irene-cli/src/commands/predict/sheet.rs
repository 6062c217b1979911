//! Request sheets: a forecast for each row.

use std::path::Path;

use anyhow::{Result, ensure};
use irene_predict::{Error, Forecast, Law, Service, Setting};
use irene_requests::{RequestReader, RequestRow};

use super::{Args, TreeFormat, not_in_sheets, service};
use crate::{
    commands::{Exit, Usage, trees},
    input, output,
};

/// The column of a row's fault.
const ERROR: &str = "error";

/// Whether a subject is a sheet.
pub(super) fn is_sheet(subject: &str) -> bool {
    Path::new(subject).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// Forecasts each row of the sheets. Rows with a fault keep their lines.
pub(super) fn run(args: &Args) -> Result<()> {
    if let Some(other) = args.subjects.iter().find(|subject| !is_sheet(subject)) {
        return Err(Usage(format!("{other} is no sheet; predict sheets apart from models and trees")).into());
    }
    let defaults = defaults(args)?;
    let mut service = Service::new(args.service.options(args)?);
    let mut rows = Vec::new();
    for path in &args.subjects {
        rows.extend(read(path, &defaults, &mut service)?);
    }
    ensure!(!rows.is_empty(), "{}: no rows", args.subjects.join(", "));
    forecast(&mut rows, &Law::shipped());
    let faults: Vec<String> = rows.iter().filter_map(|row| Some(row.fault.as_ref()?.to_string())).collect();
    let (count, rows): (usize, Vec<RequestRow>) = (rows.len(), rows.into_iter().map(SheetRow::written).collect());
    output::write(args.output.output(), |writer| Ok(irene_requests::write(writer, &rows)?))?;
    if faults.is_empty() {
        return Ok(());
    }
    faults.iter().for_each(|fault| output::tell(fault));
    output::tell(&format!("error: {} of {} without a forecast", faults.len(), trees::count(count, "row")));
    Err(Exit::with(1))
}

/// A row of a sheet, with its setting and its forecast, or its fault.
struct SheetRow {
    origin: String,
    row: RequestRow,
    setting: Option<Setting>,
    forecast: Option<Forecast>,
    fault: Option<irene_requests::Error>,
}

impl SheetRow {
    fn fail(&mut self, column: &str, error: &Error) {
        self.fault = Some(self.row.fault(&self.origin, column, error.to_string()));
    }

    /// The row with its figures, in place of those that it had, or with its fault.
    fn written(mut self) -> RequestRow {
        [self.row.figures, self.row.low, self.row.high] = Default::default();
        if let Some(forecast) = &self.forecast {
            forecast.fill_in(&mut self.row);
        }
        if let Some(fault) = &self.fault {
            self.row.set_further(ERROR, fault.to_string());
        }
        self.row
    }
}
