//! Requests to language models.

use std::collections::BTreeMap;

use anyhow::Result;
use irene_predict::{
    Key, Law, LawsWithout, Measured, Order, PublicData, PublicFile, RequestErrors, TrialError, fit_law,
    order_of_configurations, prior_law, try_calibrations, try_laws,
};

use super::{
    BY_ENGINE, BY_MODEL, CALIBRATED, Cell, Effort, NOT_MEASURED, ONE_DEVICE, Section, Table, errors, inside, pictures,
};
use crate::{commands::reproduce::go_on, output};

/// Requests with the predictions of laws that were fitted with them and without them.
pub(super) struct Requests<'a> {
    /// By the law of all.
    pub(super) in_sample: Tried<'a>,
    /// By laws that were fitted without the device, without the model.
    pub(super) without_device: Tried<'a>,
    pub(super) without_model: Tried<'a>,
    /// By laws that were fitted without the device, once so many of its requests are known, with the engine and the device.
    pub(super) calibrated: Vec<Vec<(String, TrialError)>>,
}

pub(super) type Tried<'a> = Vec<(&'a Measured, TrialError)>;

/// The errors of the requests that are chosen.
pub(super) fn errors_of(tried: &Tried<'_>, is_chosen: impl Fn(&Measured) -> bool) -> RequestErrors {
    tried.iter().filter(|(one, _)| is_chosen(one)).map(|(_, error)| error).collect()
}

pub(super) fn is_ml_energy(one: &Measured) -> bool {
    one.source == PublicFile::ML_ENERGY
}

impl<'a> Requests<'a> {
    /// Fits the laws; None without requests.
    pub(super) fn try_on(files: &'a [(String, PublicFile)], effort: Effort) -> Result<Option<Self>> {
        let of_file = |(_, file): &'a (String, PublicFile)| match &file.data {
            PublicData::Requests(measured, _) => Some(measured),
            _ => None,
        };
        let measured: Vec<&Measured> = files.iter().filter_map(of_file).flatten().collect();
        if measured.is_empty() {
            return Ok(None);
        }
        let device: Key = |one| &one.device.name;
        let model: Key = |one| if is_ml_energy(one) || !is_of_nvidia(one) { &one.model } else { "" };
        let fits = 1 + LawsWithout::names(device, &measured).len() + LawsWithout::names(model, &measured).len();
        let bar = output::progress(fits as u64, "fits to requests");
        let prior = prior_law(&measured);
        let law = fit_law(&measured, &prior, None);
        bar.inc(1);
        go_on()?;
        let devices = LawsWithout::each(device, &measured, &prior, None, &|| bar.inc(1));
        go_on()?;
        let models = LawsWithout::each(model, &measured, &prior, Some(&law), &|| bar.inc(1));
        bar.finish_and_clear();
        let both = [devices, models];
        let law = irene_predict::with_spreads(law, &measured, &both);
        let [devices, models] = both.clone().map(|left_out| left_out.with_spreads(&measured, &both));
        let all = || measured.iter().copied();
        let calibrated = calibrations(&measured, &devices, effort)?;
        Ok(Some(Self {
            in_sample: try_laws(all(), |_| Some(&law)),
            without_device: try_laws(all(), |one| devices.law(one)),
            without_model: try_laws(all().filter(|one| is_ml_energy(one)), |one| models.law(one)),
            calibrated,
        }))
    }

    pub(super) fn by_engine(&self) -> Section {
        let section = Section::new(BY_ENGINE).text(
            "Absolute percentage errors, median / mean, of laws that were fitted without the device; the power is that at the measured time. The \
             last column has how many of the measured times and energies are in their 90% interval, whose widths are the errors on all other devices and models \
             that were left out. A device that alone has an engine or a number format leaves nothing in the fit that decides it, or the width of its interval: \
             EcoCompute's A800 is the only one with 8-bit integers. The law of kernels, which all of these laws share, was fitted to kernels that Vidur and \
             NeuSight measured alone, also on A100 and H100: it is not left out with them.",
        );
        let engine: Name = |one| one.engine.name.to_owned();
        let device: Name = |one| one.device.name.clone();
        let all: Name = |one| format!("{}, {}, {}", one.source, one.engine.name, one.device.name);
        let section = section
            .titled("By engine", self.grouped("engine", engine))
            .titled("By device", self.grouped("device", device))
            .titled("By source, engine and device", self.grouped("source, engine, device", all));
        if self.without_device.iter().all(|(one, _)| is_of_nvidia(one)) {
            return section;
        }
        section
            .text(
                "An AMD or Intel device of an architecture that was not measured is far off. With rows of its own in the fit it is nearer:",
            )
            .table(self.makers())
    }

    fn grouped(&self, title: &str, name: Name) -> Table {
        self.of(title, name, |_| true)
    }

    /// The errors of the requests that are chosen by what they are called, then of all of these.
    fn of(&self, title: &str, name: Name, is_chosen: fn(&Measured) -> bool) -> Table {
        let mut table = Table::new([title, "requests", "time", "power", "energy", "in the interval, %"]);
        let mut groups: BTreeMap<String, RequestErrors> = BTreeMap::new();
        for (one, error) in self.without_device.iter().filter(|(one, _)| is_chosen(one)) {
            groups.entry(name(one)).or_default().add(error);
        }
        let all = ("all".to_owned(), errors_of(&self.without_device, is_chosen));
        for (name, found) in groups.into_iter().chain([all]) {
            let row = [name.into(), found.time.count().max(found.energy.count()).into()];
            table.row(row.into_iter().chain(figures(&found)));
        }
        table
    }

    /// Devices of other makers than NVIDIA, as far as the law of all knows them.
    fn makers(&self) -> Table {
        let mut table = Table::new(["engine, device", "requests", "time, device left out", "time, all in the fit"]);
        let mut groups: BTreeMap<String, [RequestErrors; 2]> = BTreeMap::new();
        for (place, tried) in [&self.without_device, &self.in_sample].into_iter().enumerate() {
            for (one, error) in tried.iter().filter(|(one, _)| !is_of_nvidia(one)) {
                let group = format!("{}, {}", one.engine.name, one.device.name);
                groups.entry(group).or_default()[place].add(error);
            }
        }
        for (name, [without, with]) in groups {
            table.row([
                name.into(),
                with.time.count().into(),
                errors(Some(&without.time), ONE_DEVICE),
                errors(Some(&with.time), NOT_MEASURED),
            ]);
        }
        table
    }

    pub(super) fn by_model(&self) -> Section {
        const FEW: &str = "fewer than five configurations, or all alike";
        let mut table = Table::new([
            "model (ML.ENERGY)",
            "requests",
            "time",
            "power",
            "energy",
            "in the interval, %",
            "order of its configurations",
        ]);
        let mut groups: BTreeMap<&str, RequestErrors> = BTreeMap::new();
        for (one, error) in &self.without_model {
            groups.entry(&one.model).or_default().add(error);
        }
        let orders = order_of_configurations(&self.without_model, false);
        for (model, found) in groups {
            let order = orders.iter().find(|order| order.model == model);
            let row = [model.into(), found.time.count().max(found.energy.count()).into()];
            let tau = Cell::of(order.map(|order| format!("{:.2}", order.tau)), FEW);
            table.row(row.into_iter().chain(figures(&found)).chain([tau]));
        }
        let section = Section::new(BY_MODEL).text(
            "The laws were fitted without the model, as above. The order is Kendall's rank correlation of the energies a token: 1 if predictions \
             and measurements put the configurations of a model in the same order.",
        );
        let section = section.table(table).text("The mean of these correlations:").table(self.orders());
        let section = match pictures::requests(self) {
            Some(picture) => section.picture(picture),
            None => section,
        };
        let is_other: fn(&Measured) -> bool = |one| !is_ml_energy(one) && is_of_nvidia(one);
        if !self.without_device.iter().any(|(one, _)| is_other(one)) {
            return section;
        }
        let name: Name = |one| one.model.clone();
        section
            .text("The models of the other sources on NVIDIA's devices, of laws that were fitted without the device:")
            .table(self.of("model", name, is_other))
    }

    fn orders(&self) -> Table {
        const FEW: &str = "no model has five configurations";
        let mut table = Table::new(["configurations of", "in sample", "device left out", "model left out"]);
        for (title, is_by_task) in [("a model", false), ("a model with the same task, so with the same prompts", true)]
        {
            let cell = |tried: &Tried<'_>| {
                let of_file: Tried<'_> = tried.iter().filter(|(one, _)| is_ml_energy(one)).copied().collect();
                Cell::of(mean_order(&order_of_configurations(&of_file, is_by_task)), FEW)
            };
            table.row([title.into(), cell(&self.in_sample), cell(&self.without_device), cell(&self.without_model)]);
        }
        table
    }

    pub(super) fn with_a_few(&self, effort: Effort) -> Section {
        const TOO_FEW: &str = "there are not so many requests";
        let titles = COUNTS.map(|count| count.to_string());
        let first = ["energy a token", "from the data sheet"].map(str::to_owned);
        let mut table = Table::new(first.into_iter().chain(titles));
        let mut groups: BTreeMap<String, [RequestErrors; 1 + COUNTS.len()]> = BTreeMap::new();
        let mut add = |place: usize, name: &str, error: &TrialError| {
            for group in [name, "all"] {
                groups.entry(group.to_owned()).or_default()[place].add(error);
            }
        };
        for (one, error) in self.without_device.iter().filter(|(one, _)| is_ml_energy(one)) {
            add(0, &engine_and_device(one), error);
        }
        for (place, tried) in self.calibrated.iter().enumerate() {
            tried.iter().for_each(|(name, error)| add(1 + place, name, error));
        }
        for (name, found) in &groups {
            table.row([name.into()].into_iter().chain(found.iter().map(|found| errors(Some(&found.energy), TOO_FEW))));
        }
        if let Some(all) = groups.get("all") {
            let cells = all.iter().map(|found| inside(&[&found.energy]));
            table.row(["in the 90% interval, all, %".into()].into_iter().chain(cells));
        }
        let section = Section::new(CALIBRATED).table(table).text(format!(
            "ML.ENERGY, the device left out of the law; then so many of its requests with the engine are known, chosen at random {} times, and \
             `irene calibrate` moves the law to them. All other requests of it are predicted.",
            effort.choices
        ));
        match pictures::calibrated(&groups) {
            Some(picture) => section.picture(picture),
            None => section,
        }
    }
}

/// Requests that are known of a device.
pub(super) const COUNTS: [usize; 4] = [1, 3, 10, 30];

/// For each of the counts, what calibrations on so many requests of a device and engine say of its others.
fn calibrations(
    measured: &[&Measured],
    devices: &LawsWithout,
    effort: Effort,
) -> Result<Vec<Vec<(String, TrialError)>>> {
    let is_chosen = |one: &&Measured| is_ml_energy(one) && devices.law(one).is_some();
    let of_file: Vec<&Measured> = measured.iter().copied().filter(is_chosen).collect();
    let bar = output::progress(COUNTS.len() as u64, "calibrations");
    let mut found = Vec::new();
    for count in COUNTS {
        go_on()?;
        let law = |one: &Measured| devices.law(one).unwrap_or(Law::shipped());
        let tried = try_calibrations(&of_file, law, count, effort.choices as u64)?;
        found.push(tried.into_iter().map(|(one, error)| (engine_and_device(one), error)).collect());
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(found)
}

fn engine_and_device(one: &Measured) -> String {
    format!("{}, {}", one.engine.name, one.device.name)
}

/// The name of a group of requests.
type Name = fn(&Measured) -> String;

fn figures(found: &RequestErrors) -> [Cell; 4] {
    let [time, power, energy] =
        [&found.time, &found.power, &found.energy].map(|found| errors(Some(found), NOT_MEASURED));
    [time, power, energy, inside(&[&found.time, &found.energy])]
}

fn is_of_nvidia(one: &Measured) -> bool {
    one.device.vendor == irene_devices::Vendor::Nvidia
}

fn mean_order(orders: &[Order]) -> Option<String> {
    let sum: f64 = orders.iter().map(|order| order.tau).sum();
    (!orders.is_empty()).then(|| format!("{:.2} (of {})", sum / orders.len() as f64, orders.len()))
}
