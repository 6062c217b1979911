//! Suggestions and plans: `GET` and `POST suggest` and `plan`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use irene_advice::{Bounds, Plan, PlanOptions, Selection, Suggestions, hire_prices};
use irene_devices::Catalogue;
use irene_requests::{Load, RequestRow};

use super::{
    fields::Fields,
    kinds::{FormatList, NameList},
    numbers::{Above0, AtLeast0, Whole},
    question::Question,
};
use crate::{
    app::{App, Effort},
    problem::Problem,
};

/// A bound on a time, s, at most: a month.
const MOST_SECONDS: f64 = 2_592_000.0;

/// The price of a kWh or of an hour of a device, USD, at most.
const MOST_PRICE: f64 = 1e4;

impl Fields<'_> {
    fn bounds(&mut self) -> Result<Bounds, Problem> {
        let mut bound = |name, about| self.optional(name, about, Above0 { most: MOST_SECONDS });
        Ok(Bounds {
            max_ttft_s: bound("max_ttft_s", "The most time to the first token, s; any by default.")?,
            max_itl_s: bound("max_itl_s", "The most median time between the tokens of a sequence, s; any by default.")?,
            max_latency_s: bound("max_latency_s", "The most time of a request or of a batch, s; any by default.")?,
        })
    }
}

/// Suggestions for a selection.
pub(super) struct Suggest {
    selection: Selection,
    bounds: Bounds,
}

impl Question for Suggest {
    type Answer = Suggestions;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        Ok(Self { selection: fields.selection(model)?, bounds: fields.bounds()? })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Suggestions, Problem> {
        Ok(app.lookup.suggest(&self.selection, self.bounds)?)
    }
}

/// Which machines serve a model at a rate of requests.
pub(super) struct Plans {
    selection: Selection,
    options: PlanOptions,
}

impl Question for Plans {
    type Answer = Plan;

    const EFFORT: Effort = Effort::Long;

    fn read(fields: &mut Fields<'_>, model: Option<String>) -> Result<Self, Problem> {
        let mut selection = Selection { row: RequestRow { model, ..RequestRow::default() }, ..Selection::default() };
        fields.lengths(&mut selection)?;
        selection.row.load = Some(Load::Rate(fields.rate()?));
        fields.service(&mut selection)?;
        let selection = fields.changed_fields(&selection)?;
        Ok(Self { selection, options: fields.plan_options()? })
    }

    fn selection(&mut self) -> &mut Selection {
        &mut self.selection
    }

    fn answer(self, app: &App) -> Result<Plan, Problem> {
        Ok(app.lookup.plan(&self.selection, &self.options)?)
    }
}

impl Fields<'_> {
    fn plan_options(&mut self) -> Result<PlanOptions, Problem> {
        let usual = PlanOptions::default();
        let devices = "Devices that may be taken, with commas between them; `all` data sheets by default.";
        let formats = "Formats that the weights may have, with commas between them; by default the one that the model is served in, f8_e4m3 \
                       and int4.";
        let most = "GPUs of all copies of the model, at most; 8 by default.";
        let hire = "The hire of devices, USD an hour: NAME:USD with commas between them, or `public` for the public prices of GET devices. \
                    Where some are given, money is known for these devices only.";
        let price = "The price of a kWh, USD.";
        let bounds = self.bounds()?;
        let devices =
            self.optional("devices", devices, NameList { examples: &["all", "h100-sxm,l4"] })?.unwrap_or_default();
        check_devices(&devices, self.app)?;
        let formats = self.optional("formats", formats, FormatList)?.unwrap_or_default();
        let max_gpus = self.optional("max_gpus", most, Whole(1..=PlanOptions::MOST_GPUS))?.unwrap_or(usual.max_gpus);
        let hire = self.optional("gpu_hour_usd", hire, NameList { examples: &["public", "h100-sxm:2.5,l4:0.7"] })?;
        let gpu_hour_usd = hire.map_or(Ok(BTreeMap::new()), |hire| prices(&hire))?;
        let price_per_kwh = self.optional("price_per_kwh", price, AtLeast0 { most: MOST_PRICE })?;
        let price_per_kwh = price_per_kwh.unwrap_or(usual.price_per_kwh);
        let devices = if devices == ["all"] { Vec::new() } else { devices };
        Ok(PlanOptions { bounds, devices, formats, max_gpus, gpu_hour_usd, price_per_kwh, ..usual })
    }
}

fn check_devices(names: &[String], app: &App) -> Result<(), Problem> {
    let is_own = |name: &str| app.lookup.own_devices().any(|device| device.name == name);
    let mut looked_up = names.iter().filter(|name| *name != "all" && !is_own(name.as_str()));
    let unknown = looked_up.find_map(|name| Catalogue::find(name).err());
    match unknown {
        None => Ok(()),
        Some(irene_devices::Error::Device { name, similar }) => {
            Err(Problem::unknown_of("device", &name, &similar).about("devices"))
        }
        Some(error) => Err(Problem::unknown(format!("devices: {error}")).about("devices")),
    }
}

/// Prices above or equal to 0, and no more than can be.
fn prices(hire: &[String]) -> Result<BTreeMap<String, f64>, Problem> {
    let refuse = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).about("gpu_hour_usd");
    let prices = hire_prices(&hire.join(",")).map_err(|error| refuse(error.to_string()))?;
    match prices.iter().find(|(_, usd)| **usd > MOST_PRICE) {
        None => Ok(prices),
        Some((name, usd)) => {
            Err(refuse(format!("gpu_hour_usd: {name} at {usd} USD an hour is more than {MOST_PRICE}")))
        }
    }
}
