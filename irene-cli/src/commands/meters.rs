//! The choice of the meter, for every command that measures.

use std::path::PathBuf;

use anyhow::{Context, Result};
use irene_sampler::{
    Sampler, SamplerOptions, Sensors,
    sensors::{KINDS, Places, Selection, Unavailable},
};
use irene_tree::render::Grid;

use super::{
    numbers::{ahead, watts},
    refuse, usage,
};
use crate::output;

#[derive(Clone, clap::Args)]
pub(crate) struct MeterArgs {
    /// The meter: auto, none, rapl, nvml, drm, hwmon, tdp; log:FILE, ipmi:FILE, powermetrics:FILE; or single sensors of `irene doctor`
    /// (rapl:package-0,nvml:1,hwmon:CHIP/LABEL)
    #[arg(long, value_name = "METER", default_value = "auto")]
    meter: String,
    /// The processor's thermal design power: estimates energy from load where there is no meter
    #[arg(long, value_name = "WATTS", value_parser = watts)]
    pub(crate) tdp_watts: Option<f64>,
    /// How far the clock of the meter's log is ahead of this machine's
    #[arg(long, value_name = "SECONDS", default_value = "0", allow_negative_numbers = true, value_parser = ahead)]
    pub(crate) log_ahead: f64,
}

/// The meters whose names are followed by a file.
pub(super) const LOGS: [&str; 3] = ["log", "ipmi", "powermetrics"];

fn is_log(log: &str, meter: &str) -> bool {
    meter.strip_prefix(log).is_some_and(|rest| rest.starts_with(':'))
}

impl MeterArgs {
    /// Where sensors look.
    pub(crate) fn places(&self) -> Places {
        let log = |kind: &str| {
            let file = |meter: &str| meter.strip_prefix(kind)?.strip_prefix(':').map(PathBuf::from);
            self.meter.split(',').find_map(file)
        };
        let (power_log, ipmi_log, powermetrics_log) = (log("log"), log("ipmi"), log("powermetrics"));
        Places {
            power_log,
            ipmi_log,
            powermetrics_log,
            power_log_ahead: self.log_ahead,
            tdp_watts: self.tdp_watts,
            ..places()
        }
    }

    /// The sensors that this machine does not have or cannot read, each with the way out; nothing if no meter is wanted.
    pub(crate) fn what_would_help(&self) -> String {
        let mut grid = Grid::pairs();
        let places = self.places();
        for kind in KINDS.iter().filter(|_| self.meter != "none") {
            if let Err(why) = (kind.open)(&places) {
                add_unavailable(&mut grid, kind.name, &why);
            }
        }
        grid.text(output::width())
    }

    /// The probes and the meter. The counters of the meter are read for a moment, to leave out those that cannot be right.
    pub(crate) fn select(&self) -> Result<Selection> {
        let places = self.places();
        let has_log = LOGS.iter().any(|log| self.meter.split(',').any(|meter| is_log(log, meter)));
        let logs = "--meter log:FILE, ipmi:FILE or powermetrics:FILE";
        refuse(!has_log, logs, &[("--log-ahead", self.log_ahead != 0.0)])?;
        for log in LOGS {
            let count = self.meter.split(',').filter(|meter| is_log(log, meter)).count();
            if count > 1 {
                return usage(format!("--meter takes one log of a kind, and there are {count} of {log}:"));
            }
        }
        match self.meter.as_str() {
            "auto" => Ok(Selection::automatic(&places)),
            "none" => Ok(Selection::of(&[], &places)?),
            _ => Ok(Selection::of(&self.names(), &places)?),
        }
    }

    /// The meters by name; a log without its file.
    fn names(&self) -> Vec<&str> {
        let name = |meter| LOGS.into_iter().find(|log| is_log(log, meter)).unwrap_or(meter);
        self.meter.split(',').map(name).collect()
    }

    /// Whether all are meters that some machine has.
    pub(crate) fn exist(&self) -> bool {
        let is_kind = |name: &str| KINDS.iter().any(|kind| name.split(':').next() == Some(kind.name));
        ["auto", "none"].contains(&self.meter.as_str()) || self.names().into_iter().all(is_kind)
    }
}

/// Starts to sample the sensors, and waits until the meter has a reading of now.
///
/// # Errors
/// The reason if it has none: then hours of measuring would end without energies.
pub(crate) fn start(sensors: Sensors, options: SamplerOptions) -> Result<Sampler> {
    let sampler = Sampler::start(sensors, options)?;
    sampler.wait_until_read().context("the meter has no reading of now, so nothing would have an energy")?;
    Ok(sampler)
}

/// Says which sensors are the meter, and what a reader of its energies must know.
pub(crate) fn tell_meter(selection: &Selection) {
    let total = selection.sensors.total();
    if selection.meters.is_empty() {
        output::tell(
            "no meter: latencies are measured, energies are absent; `irene doctor` says what would help, --tdp-watts WATTS estimates",
        );
    } else {
        output::tell(&format!("the meter is {}: {}", selection.meters.join(" + "), total.names().join(", ")));
    }
    for remark in total.remarks() {
        output::tell(&remark);
    }
    tell_passed_over(selection);
}

/// Says which meters of this machine are not used, and why.
pub(super) fn tell_passed_over(selection: &Selection) {
    for (kind, why) in &selection.passed_over {
        output::tell(&format!("{kind} is not used: {why}"));
    }
}

/// This machine, or the one that a test shows.
pub(crate) fn places() -> Places {
    let mut places = Places::here();
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(proc) = variable("IRENE_PROC") {
        places.proc = proc;
    }
    if let Some(sys) = variable("IRENE_SYS") {
        places.sys = sys;
    }
    places.nvml_library = variable("IRENE_NVML_LIBRARY");
    places
}

/// Adds a sensor that cannot be read, with the way out.
pub(crate) fn add_unavailable(grid: &mut Grid, name: &str, why: &Unavailable) {
    grid.row([name, &output::in_flags(&format!("not available: {}", why.reason))]);
    if let Some(fix) = &why.fix {
        grid.row(["", &output::in_flags(&format!("what would help: {fix}"))]);
    }
}
