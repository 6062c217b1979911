//! Which machines serve a model at a rate of requests.

mod front;
mod search;

use std::collections::BTreeMap;

use irene_devices::Catalogue;
use irene_requests::Load;
use irene_tree::{Format, did_you_mean};
use serde::Serialize;

use crate::{Basis, Bounds, Change, Degrees, Error, FigureSet, Hire, Lookup, Result, Selection};

/// Options of a plan beside model, lengths and rate.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// Bounds on the times of the service.
    pub bounds: Bounds,
    /// Devices to choose from; if empty, every data sheet of the catalogue, and those that measured requests bring.
    pub devices: Vec<String>,
    /// Formats of the weights; if empty, the one that the model is served in, 8-bit floats and 4-bit integers.
    pub formats: Vec<Format>,
    /// The most GPUs, over all copies.
    pub max_gpus: usize,
    /// The hire of one device, electricity included, USD an hour, by its name. If any are given, other devices have no cost.
    pub gpu_hour_usd: BTreeMap<String, f64>,
    /// The price of a kWh, USD.
    pub price_per_kwh: f64,
    /// The most rows of the answer.
    pub most_rows: usize,
}

impl PlanOptions {
    /// The most that `max_gpus` may be: with more GPUs it is no longer a question of which.
    pub const MOST_GPUS: usize = 64;
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            devices: Vec::new(),
            formats: Vec::new(),
            max_gpus: 8,
            gpu_hour_usd: BTreeMap::new(),
            price_per_kwh: irene_regress::PRICE_PER_KWH,
            most_rows: 200,
        }
    }
}

/// Prices of hire from `NAME=USD,...` or `NAME:USD,...`; `public` stands for the public ones that are known here.
///
/// # Errors
/// [`Error::Setting`] for a text that is no price.
pub fn hire_prices(text: &str) -> Result<BTreeMap<String, f64>> {
    let refuse = |part: &str| {
        let reason = format!("`{part}` is no price: write NAME=USD, as in l4=0.7, or public");
        Error::setting("gpu_hour_usd", reason)
    };
    let mut prices = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if part == "public" {
            prices.extend(Hire::all().iter().map(|hire| (hire.device.clone(), hire.usd_per_hour)));
            continue;
        }
        let (name, usd) = part.split_once(['=', ':']).ok_or_else(|| refuse(part))?;
        let usd = usd.trim().parse().ok().filter(|usd: &f64| *usd == 0.0 || (1e-9..=1e9).contains(usd));
        let name = Catalogue::find(name.trim()).map_err(|error| unknown("gpu_hour_usd", error))?.name;
        prices.insert(name, usd.ok_or_else(|| refuse(part))?);
    }
    Ok(prices)
}

/// The error of a device that is not known: a plan takes no data sheet of one's own.
fn unknown(setting: &str, error: irene_devices::Error) -> Error {
    let reason = match error {
        irene_devices::Error::Device { name, similar } => {
            format!("unknown device `{name}`{}; `irene devices` lists all", did_you_mean(&similar))
        }
        other => other.to_string(),
    };
    Error::setting(setting, reason)
}

/// Ways to serve a model at a rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The model.
    pub model: String,
    /// Tokens of a prompt.
    pub seq_len: usize,
    /// Tokens that are generated for each.
    pub generate: usize,
    /// Requests that arrive in a second.
    pub rate: f64,
    /// Which tokens count: those generated, or those read if nothing is generated.
    pub tokens: &'static str,
    /// Ways that were tried.
    pub considered: usize,
    /// How many fit, keep up with the rate and keep to the bounds.
    pub fitting: usize,
    /// The best of these. First come those that no other beats in everything.
    pub plans: Vec<PlanRow>,
    /// Devices on which ways were left out, with the reason.
    pub left_out: Vec<LeftOutDevice>,
}

/// One way to serve it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanRow {
    /// The device.
    pub device: String,
    /// The basis of the figures: its data sheet, or requests that were measured on it.
    pub basis: Basis,
    /// All GPUs.
    pub gpus: usize,
    /// How the model is spread over them.
    pub parallel: Degrees,
    /// The format of the weights.
    pub weights: &'static str,
    /// Sequences that run at once in each copy, while some run.
    pub running: f64,
    /// The figures that a user asks for.
    pub figures: FigureSet,
    /// The mean power of all GPUs, W; like all energy here without what the meter of a calibration counts beside them.
    pub power_w: f64,
    /// Energy of a token, J.
    pub energy_per_token_j: f64,
    /// Energy of a million tokens, kWh.
    pub kwh_per_million_tokens: f64,
    /// The electricity of a million tokens, or the hire of the GPUs, electricity included, where prices are given, USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_million_tokens: Option<f64>,
    /// Time to the first token, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_s: Option<f64>,
    /// Median time between tokens, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_s: Option<f64>,
    /// The changes that make a selection of it.
    pub set: String,
    /// Whether no other way is at least as good in energy, latency and money and better in one.
    pub is_on_front: bool,
    /// The figures in which it is the best of all: `energy`, `latency`, `cost`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub best_of: Vec<&'static str>,
}

/// A device on which ways were left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftOutDevice {
    /// The device.
    pub device: String,
    /// The reason of the way that came nearest.
    pub reason: String,
    /// The number of ways with this reason.
    pub count: usize,
}

impl Lookup {
    /// Every way to serve a selection's model at its rate: device, number of GPUs, parallelism and format of the weights. How many run at
    /// once follows from the rate.
    ///
    /// # Errors
    /// [`Error::Setting`] for a selection without a rate or a length, for bounds and options that cannot be; those of [`model`](Self::model).
    pub fn plan(&self, selection: &Selection, options: &PlanOptions) -> Result<Plan> {
        options.bounds.check_for(selection.generated())?;
        let Some(Load::Rate(rate)) = selection.row.load else {
            return Err(Error::setting("rate", "is missing: a plan is for requests that arrive in a second"));
        };
        let reason = |reason: &str| Error::setting("max_gpus", reason);
        if options.max_gpus == 0 || options.max_gpus > PlanOptions::MOST_GPUS {
            return Err(reason(&format!("expected from 1 to {} GPUs", PlanOptions::MOST_GPUS)));
        }
        let search::Found { considered, mut rows, left_out } = search::search(self, selection, rate, options)?;
        let fitting = rows.len();
        front::mark(&mut rows);
        rows.truncate(options.most_rows.max(1));
        let model = self.model(selection)?;
        Ok(Plan {
            model: selection.row.model.clone().unwrap_or_else(|| model.name().to_owned()),
            seq_len: selection.prompt(),
            generate: selection.generated(),
            rate,
            tokens: if selection.generated() > 0 { "generated" } else { "read" },
            considered,
            fitting,
            plans: rows,
            left_out,
        })
    }
}

/// The changes that make of the selection that was asked with one of a way.
fn set_of(asked: &Selection, device: &str, parallel: Degrees, weights: Format, rate: f64) -> String {
    let own = Degrees::from(asked.row.parallel);
    let degree = |name: &str, degree: usize, own: usize| (degree != own).then(|| Change::new(name, degree.to_string()));
    let degrees = [
        degree("tensor_parallel", parallel.tensor, own.tensor),
        degree("pipeline_parallel", parallel.pipeline, own.pipeline),
        degree("expert_parallel", parallel.expert, own.expert),
        degree("data_parallel", parallel.data, own.data),
    ];
    let ends = [Change::new("weights", weights.name()), Change::new("rate", rate.to_string())];
    let changes: Vec<Change> =
        [Change::new("device", device)].into_iter().chain(degrees.into_iter().flatten()).chain(ends).collect();
    Change::join(&changes)
}
