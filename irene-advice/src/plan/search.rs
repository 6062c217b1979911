//! The ways that are tried. Devices differ in the law alone, so that the passes of a model are followed once for all of them.

use std::collections::BTreeMap;

use irene_devices::{Catalogue, DeviceClass};
use irene_predict::Setting;
use irene_regress::kwh_per_million;
use irene_tree::{Format, Parallel};
use rayon::prelude::*;

use super::{LeftOutDevice, PlanOptions, PlanRow, set_of, unknown};
use crate::{Change, Degrees, Error, Estimate, Lookup, Result, Selection, fields::told, lookup::Way};

/// GPUs that share each layer.
const TENSOR: [usize; 4] = [1, 2, 4, 8];

/// Stages.
const PIPELINE: [usize; 2] = [1, 2];

/// Formats of the weights beside the one that the model is served in.
const FORMATS: [Format; 2] = [Format::F8E4M3, Format::Int4];

/// The results of a search.
#[derive(Default)]
pub(super) struct Found {
    pub(super) considered: usize,
    pub(super) rows: Vec<PlanRow>,
    pub(super) left_out: Vec<LeftOutDevice>,
}

impl Found {
    fn and(mut self, other: Self) -> Self {
        self.considered += other.considered;
        self.rows.extend(other.rows);
        self.left_out.extend(other.left_out);
        self
    }
}

/// A search on one device.
struct OnDevice<'a> {
    lookup: &'a Lookup,
    selection: &'a Selection,
    options: &'a PlanOptions,
    rate: f64,
    name: &'a str,
    found: Found,
    /// Why ways were left out, by kind.
    reasons: BTreeMap<&'static str, Reason>,
}

/// Why ways of a kind were left out: the reason of the nearest, by what factor it is off, and how many there are.
struct Reason {
    text: String,
    off: f64,
    count: usize,
}

/// Why one way is none. A reason that has no factor is off by an infinite one.
struct Lacking {
    kind: &'static str,
    text: String,
    off: f64,
}

pub(super) fn search(lookup: &Lookup, selection: &Selection, rate: f64, options: &PlanOptions) -> Result<Found> {
    let names = devices(lookup, &options.devices)?;
    let Some(first) = names.first() else { return Ok(Found::default()) };
    // A fault of the selection is told once, not of every device.
    lookup.model(selection)?;
    if selection.prompt() == 0 {
        return Err(Error::setting("seq_len", "is missing: give the tokens of a prompt"));
    }
    lookup.way(&on(selection, first, None)?, &lookup.followed(selection)?)?;
    let one = |name: &String| {
        let mut search =
            OnDevice { lookup, selection, options, rate, name, found: Found::default(), reasons: BTreeMap::new() };
        search.run();
        search.ended()
    };
    let found: Vec<Found> = names.par_iter().map(one).collect();
    Ok(found.into_iter().fold(Found::default(), Found::and))
}

/// The devices by their names in the catalogue or in a data sheet of one's own that was measured, each once.
fn devices(lookup: &Lookup, asked: &[String]) -> Result<Vec<String>> {
    if asked.is_empty() {
        return Ok(lookup.own_devices().chain(Catalogue::all()).map(|device| device.name.clone()).collect());
    }
    let mut names = Vec::new();
    for name in asked {
        let own = lookup.own_devices().find(|device| device.name == *name).map(|device| device.name.clone());
        let listed = || Catalogue::find(name).map(|device| device.name);
        let found = own.map_or_else(listed, Ok).map_err(|error| unknown("devices", error))?;
        if !names.contains(&found) {
            names.push(found);
        }
    }
    Ok(names)
}

/// The selection on a device, by its data sheet.
fn on(selection: &Selection, device: &str, weights: Option<Format>) -> Result<Selection> {
    let mut selection = selection.changed(&[Change::new("device", device)])?;
    selection.row.parallel = Parallel::default();
    selection.row.weights = weights.or(selection.row.weights);
    Ok(selection)
}

impl OnDevice<'_> {
    fn run(&mut self) {
        // The format that a model is served in may be one of the others.
        let mut tried = Vec::new();
        for format in self.formats() {
            match self.setting(format) {
                Ok(setting) if tried.contains(&setting.request.precision) => {}
                Ok(setting) => {
                    tried.push(setting.request.precision);
                    self.with_format(&setting);
                }
                Err(error) => {
                    self.found.considered += 1;
                    self.leave_out(Lacking { kind: NO_ANSWER, text: told(&error), off: f64::INFINITY });
                }
            }
        }
    }

    fn ended(mut self) -> Found {
        let name = self.name;
        let reasons = self.reasons.into_values();
        let of = |Reason { text, count, .. }| LeftOutDevice { device: name.to_owned(), reason: text, count };
        self.found.left_out = reasons.map(of).collect();
        self.found
    }

    fn formats(&self) -> Vec<Option<Format>> {
        if self.options.formats.is_empty() {
            return std::iter::once(None).chain(FORMATS.map(Some)).collect();
        }
        self.options.formats.iter().copied().map(Some).collect()
    }

    fn setting(&self, format: Option<Format>) -> Result<Setting> {
        let selection = on(self.selection, self.name, format)?;
        match self.lookup.way(&selection, &self.lookup.followed(&selection)?)? {
            Way::Sheet(setting) => Ok(*setting),
            Way::Measured { name, .. } => Err(Error::setting("device", format!("{name} has no data sheet"))),
        }
    }

    fn leave_out(&mut self, Lacking { kind, text, off }: Lacking) {
        let known = self.reasons.entry(kind).or_insert(Reason { text: String::new(), off: f64::INFINITY, count: 0 });
        if known.count == 0 || off < known.off {
            (known.text, known.off) = (text, off);
        }
        known.count += 1;
    }

    /// Every way to spread the model, with weights in one format.
    fn with_format(&mut self, setting: &Setting) {
        // Chips that share their memory with a processor stand alone in their machine.
        let is_alone =
            matches!(setting.device.class, DeviceClass::Integrated | DeviceClass::Embedded | DeviceClass::Cpu);
        for pipeline in PIPELINE {
            for tensor in TENSOR {
                let of_copy = tensor * pipeline;
                if of_copy <= self.options.max_gpus && (of_copy == 1 || !is_alone) {
                    self.copies(setting, tensor, pipeline);
                }
            }
        }
    }

    fn copies(&mut self, setting: &Setting, tensor: usize, pipeline: usize) {
        let most = self.options.max_gpus / (tensor * pipeline);
        let numbers: Vec<usize> =
            std::iter::successors(Some(1), |copies| Some(copies * 2)).take_while(|n| *n <= most).collect();
        for (place, &data) in numbers.iter().enumerate() {
            let mut setting = setting.clone();
            setting.request.parallel = Parallel { tensor, pipeline, data, expert: 1 };
            self.found.considered += 1;
            let Err(lacking) = self.way(&setting) else { continue };
            let kind = lacking.kind;
            self.leave_out(lacking);
            // A copy that does not fit, or that the model cannot be split into, does not for more copies either.
            if matches!(kind, MEMORY | NO_ANSWER) {
                let others = numbers.len() - place - 1;
                self.found.considered += others;
                if let Some(known) = self.reasons.get_mut(kind) {
                    known.count += others;
                }
                return;
            }
        }
    }

    /// Takes up a way, or says why not.
    fn way(&mut self, setting: &Setting) -> Result<(), Lacking> {
        let forecast = setting.comparable_forecast().map_err(|error| lacking(&error))?;
        let estimate = Estimate::of_sheet(self.selection, setting, &forecast);
        if let Some((text, off)) = self.options.bounds.broken(&estimate) {
            return Err(Lacking { kind: "bound", text, off });
        }
        let row = self.row(setting, &estimate);
        self.found.rows.extend(row);
        Ok(())
    }

    fn row(&self, setting: &Setting, estimate: &Estimate) -> Option<PlanRow> {
        let parallel = setting.request.parallel;
        let weights = setting.request.precision.weights;
        let tokens = estimate.tokens();
        let energy_per_token_j = estimate.figures.energy_per_request_j? / tokens;
        let kwh = kwh_per_million(energy_per_token_j);
        let usd = if self.options.gpu_hour_usd.is_empty() {
            Some(kwh * self.options.price_per_kwh)
        } else {
            // A price of hire has the electricity in it.
            let hour = self.options.gpu_hour_usd.get(self.name);
            let millions_an_hour = self.rate * tokens * 3600.0 / 1e6;
            hour.map(|usd| usd * parallel.gpus() as f64 / millions_an_hour)
        };
        let degrees = Degrees::from(parallel);
        Some(PlanRow {
            device: self.name.to_owned(),
            basis: estimate.basis,
            gpus: parallel.gpus(),
            parallel: degrees,
            weights: weights.name(),
            running: estimate.running? / parallel.data as f64,
            figures: estimate.figures.into(),
            power_w: estimate.figures.power_w?,
            energy_per_token_j,
            kwh_per_million_tokens: kwh,
            usd_per_million_tokens: usd,
            ttft_s: estimate.figures.ttft_s,
            itl_s: estimate.figures.itl_s,
            set: set_of(self.selection, self.name, degrees, weights, self.rate),
            is_on_front: false,
            best_of: Vec::new(),
        })
    }
}

const MEMORY: &str = "memory";
const NO_ANSWER: &str = "no answer";

/// Why a way is none, without what repeats in every line of a plan.
fn lacking(error: &irene_predict::Error) -> Lacking {
    match error {
        irene_predict::Error::DoesNotFit { needed_gib, available_gib, .. } => {
            let text = format!("one sequence needs {needed_gib:.1} GiB of each GPU, which has {available_gib:.1}");
            Lacking { kind: MEMORY, text, off: needed_gib / available_gib }
        }
        irene_predict::Error::Overload { rate, greatest } => {
            let text = format!("at most {} requests a second are served", irene_predict::rounded_down(*greatest));
            Lacking { kind: "rate", text, off: rate / greatest }
        }
        irene_predict::Error::TooRare { .. } => Lacking { kind: "rate", text: error.to_string(), off: f64::INFINITY },
        other => Lacking { kind: NO_ANSWER, text: told(other), off: f64::INFINITY },
    }
}
