use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use irene_devices::{Catalogue, Device};
use irene_models::{ModelSpec, Run, TaskHead};
use irene_predict::{Calibration, Host, Passes, Service, ServiceOptions, Setting};
use irene_regress::DeviceProfile;
use irene_requests::Load;
use irene_tree::{Size, similar};
use serde_json::{Map, Value};

use crate::{Answer, Error, Estimate, Result, Selection};

/// Settings for all selections.
#[derive(Clone, Debug, Default)]
pub struct LookupOptions {
    /// Whether models are also looked for among files and in the cache of the Hugging Face hub.
    pub finds_files: bool,
    /// A device from your own data sheet, in place of those that selections name.
    pub device: Option<Device>,
    /// Measurements on a device, which answers selections that name no device.
    pub calibration: Option<Arc<Calibration>>,
    /// The machine around the devices; if given, energy is that at the wall.
    pub host: Option<Host>,
}

/// Looks the names of selections up, each once, and answers them.
///
/// ```
/// use irene_advice::{Lookup, Selection};
/// # fn main() -> irene_advice::Result<()> {
/// let lookup = Lookup::bundled();
/// let bert = Selection::batch("bert-base-uncased", 8, 128);
/// assert!(lookup.answer(&bert)?.estimate.figures.energy_per_request_j.is_some_and(|joules| joules > 0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Lookup {
    options: LookupOptions,
    profiles: Vec<Measured>,
    calibrations: Vec<Arc<Calibration>>,
    models: Mutex<BTreeMap<String, Model>>,
    /// Your own models and models with changed configs, the latest last.
    changed: Mutex<Vec<Changed>>,
}

/// A model, and the passes of it that were followed.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) spec: Arc<ModelSpec>,
    pub(crate) passes: Arc<Passes>,
}

impl Model {
    fn of(spec: impl Into<Arc<ModelSpec>>) -> Self {
        Self { spec: spec.into(), passes: Arc::default() }
    }
}

#[derive(Debug)]
struct Changed {
    base: Arc<ModelSpec>,
    fields: Map<String, Value>,
    model: Model,
}

/// Names that are remembered.
const MOST_NAMED: usize = 1024;

/// More is forgotten: a page changes one model at a time.
const MOST_CHANGED: usize = 16;

/// A measured machine. A bundled profile is read when it is first asked for.
#[derive(Debug)]
struct Measured {
    name: String,
    profile: OnceLock<Arc<DeviceProfile>>,
}

/// How a selection is answered.
pub(crate) enum Way {
    /// By a profile that was measured.
    Measured { name: String, profile: Arc<DeviceProfile>, run: Run },
    /// By a data sheet, or by requests that were measured.
    Sheet(Box<Setting>),
}

impl Lookup {
    /// With the bundled machines, and built-in models alone.
    pub fn bundled() -> Self {
        Self::new(LookupOptions::default())
    }

    /// With the bundled machines.
    pub fn new(options: LookupOptions) -> Self {
        let measured = |name: &str| Measured { name: name.to_owned(), profile: OnceLock::new() };
        Self { options, profiles: DeviceProfile::bundled_names().map(measured).collect(), ..Self::default() }
    }

    /// Adds a measured machine, in place of one of the same name.
    pub fn add_profile(&mut self, name: impl Into<String>, profile: Arc<DeviceProfile>) {
        let name = name.into();
        self.profiles.retain(|known| known.name != name);
        self.profiles.push(Measured { name, profile: OnceLock::from(profile) });
    }

    /// Adds requests that were measured on a device, in place of others on it: they answer selections that name the device and ask for its data
    /// sheet.
    pub fn add_calibration(&mut self, calibration: Arc<Calibration>) {
        self.calibrations.retain(|known| known.device.name != calibration.device.name);
        self.calibrations.push(calibration);
    }

    /// The devices of calibrations that are none of the catalogue's.
    pub fn own_devices(&self) -> impl Iterator<Item = &Device> {
        let devices = self.calibrations.iter().map(|calibration| &calibration.device);
        devices.filter(|device| Catalogue::find(&device.name).is_err())
    }

    /// The requests that were measured on the device of this name, or those that answer whatever is named.
    fn calibration(&self, device: Option<&str>) -> Option<&Arc<Calibration>> {
        let is_of = |known: &&Arc<Calibration>| {
            let is_own = |device: &str| known.device.names().any(|name| name.eq_ignore_ascii_case(device));
            let is_listed = |device: &str| Catalogue::find(device).is_ok_and(|found| found.name == known.device.name);
            device.is_some_and(|device| is_own(device) || is_listed(device))
        };
        self.options.calibration.as_ref().or_else(|| self.calibrations.iter().find(is_of))
    }

    /// Adds a model under a name, in place of looking the name up.
    pub fn add_model(&mut self, name: impl Into<String>, spec: impl Into<Arc<ModelSpec>>) {
        self.models.get_mut().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Model::of(spec));
    }

    /// The names of the measured machines, the usual one first.
    pub(crate) fn measured_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|known| known.name.as_str())
    }

    /// The profile of a measured machine; None for another name.
    ///
    /// # Errors
    /// [`Error::Predict`] for a profile that cannot be read.
    pub fn profile(&self, name: &str) -> Result<Option<Arc<DeviceProfile>>> {
        let Some(known) = self.profiles.iter().find(|known| known.name == name) else { return Ok(None) };
        if let Some(profile) = known.profile.get() {
            return Ok(Some(Arc::clone(profile)));
        }
        let profile = DeviceProfile::bundled(name).map_err(irene_predict::Error::from)?;
        Ok(Some(Arc::clone(known.profile.get_or_init(|| Arc::new(profile)))))
    }

    /// The model of a selection, with the fields that it changes.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::Model`]; [`Error::Setting`] where no model is named.
    pub fn model(&self, selection: &Selection) -> Result<Arc<ModelSpec>> {
        Ok(self.followed(selection)?.spec)
    }

    pub(crate) fn followed(&self, selection: &Selection) -> Result<Model> {
        let base = match &selection.own {
            Some(own) => Arc::clone(own),
            None if selection.config.is_empty() => return self.named(selection),
            None => self.named(selection)?.spec,
        };
        let fields = &selection.config;
        let is_it = |known: &&Changed| Arc::ptr_eq(&known.base, &base) && known.fields == *fields;
        let kept = || self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().iter().find(is_it) {
            return Ok(known.model.clone());
        }
        let spec = if fields.is_empty() { Arc::clone(&base) } else { Arc::new(base.with_fields(fields)?) };
        let model = Model::of(spec);
        let mut kept = kept();
        if kept.len() == MOST_CHANGED {
            kept.remove(0);
        }
        kept.push(Changed { base, fields: fields.clone(), model: model.clone() });
        Ok(model)
    }

    fn named(&self, selection: &Selection) -> Result<Model> {
        let name = selection.row.model.as_deref();
        let name = name.ok_or_else(|| Error::setting("model", "is missing: give the name of a model"))?;
        let models = || self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = models().get(name) {
            return Ok(known.clone());
        }
        let found = if self.options.finds_files {
            ModelSpec::find(name)?
        } else {
            let unknown = || {
                let known: Vec<String> = ModelSpec::builtin_names().collect();
                let similar = similar(name, known.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
                Error::UnknownModel { name: name.to_owned(), similar }
            };
            ModelSpec::builtin(name).ok_or_else(unknown)?
        };
        let found = Model::of(found);
        let mut models = models();
        // Releases of one shape go by any number of names.
        if models.len() < MOST_NAMED {
            models.insert(name.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// The figures of a selection, with its tree.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is missing or does not belong together; [`Error::UnknownDevice`]; those of [`model`](Self::model) and of the
    /// forecast, [`is_too_large`](Error::is_too_large) among them.
    pub fn answer(&self, selection: &Selection) -> Result<Answer> {
        let model = self.followed(selection)?;
        match self.way(selection, &model)? {
            Way::Measured { name, profile, run } => Answer::measured(selection, model.spec, name, &profile, run),
            Way::Sheet(setting) => Answer::of_sheet(selection, &setting, &setting.forecast()?),
        }
    }

    /// The figures of a selection, without the tree.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn estimate(&self, selection: &Selection) -> Result<Estimate> {
        let model = self.followed(selection)?;
        match self.way(selection, &model)? {
            Way::Measured { name, profile, run } => {
                Ok(Answer::measured(selection, model.spec, name, &profile, run)?.estimate)
            }
            Way::Sheet(setting) => Ok(Estimate::of_sheet(selection, &setting, &setting.forecast()?)),
        }
    }

    pub(crate) fn way(&self, selection: &Selection, model: &Model) -> Result<Way> {
        if selection.generated() > 0 && selection.head.is_some_and(|head| head != TaskHead::Lm) {
            let reason = "works only with single passes; what is generated comes from the language model's head";
            return Err(Error::setting("head", reason));
        }
        let asked = selection.row.device.as_deref();
        let is_usual = self.options.device.is_none() && self.options.calibration.is_none();
        let usual = asked.is_none() && is_usual;
        let name = if usual { self.profiles.first().map(|known| known.name.as_str()) } else { asked };
        if let Some(name) = name.filter(|_| self.options.device.is_none() && !selection.asks_for_data_sheet())
            && let Some(profile) = self.profile(name)?
        {
            let run = measured_run(selection, &model.spec)?;
            return Ok(Way::Measured { name: name.to_owned(), profile, run });
        }
        Ok(Way::Sheet(Box::new(self.setting(selection, model, name)?)))
    }

    fn setting(&self, selection: &Selection, model: &Model, device: Option<&str>) -> Result<Setting> {
        if selection.past > 0 {
            let reason = "belongs to measured machines; on a data sheet give the prompt and what is generated";
            return Err(Error::setting("past_len", reason));
        }
        load(selection)?;
        prompt(selection)?;
        match (&self.options.device, device) {
            (Some(own), Some(name)) if !own.names().any(|known| known.eq_ignore_ascii_case(name)) => {
                let reason = format!("{name} has no answer beside the data sheet of {}: leave either out", own.name);
                return Err(Error::setting("device", reason));
            }
            (None, Some(name)) => self.check_device(name)?,
            _ => {}
        }
        let mut service = Service::new(ServiceOptions {
            device: self.options.device.clone(),
            calibration: self.calibration(device).cloned(),
            power_limit_w: selection.power_limit_w,
            precision: selection.precision,
            head: selection.head,
            host: self.options.host,
        });
        let mut row = selection.row.clone();
        let name = row.model.get_or_insert_with(|| model.spec.name().to_owned()).clone();
        row.device = device.map(str::to_owned);
        service.add_followed(name, Arc::clone(&model.spec), Arc::clone(&model.passes));
        Ok(service.setting(&row)?)
    }

    /// The data sheet of your own that answers in place of all devices, if there is one.
    pub(crate) fn own_device(&self) -> Option<&Device> {
        self.options.device.as_ref()
    }

    /// The device of this name that answers, before a selection limits its power.
    pub fn device(&self, name: &str) -> Option<Device> {
        let calibrated = self.calibration(Some(name)).map(|calibration| &calibration.device);
        let known = self.own_device().or(calibrated).filter(|device| device.name == name);
        known.cloned().or_else(|| Catalogue::find(name).ok())
    }

    fn check_device(&self, name: &str) -> Result<()> {
        let own = self.calibration(Some(name)).is_some_and(|calibration| calibration.device.name == name);
        if own || Catalogue::find(name).is_ok() {
            return Ok(());
        }
        if self.measured_names().any(|known| known == name) {
            let reason = format!(
                "{name} is known by a measured profile alone: leave concurrency, rate, engine, weights, cache, the power limit and \
                 the GPUs out"
            );
            return Err(Error::setting("device", reason));
        }
        let known = Catalogue::all().iter().map(|device| device.name.as_str()).chain(self.measured_names());
        let similar = similar(name, known).into_iter().map(str::to_owned).collect();
        let measured = self.measured_names().collect::<Vec<_>>().join(", ");
        Err(Error::UnknownDevice { name: name.to_owned(), similar, measured })
    }
}

fn load(selection: &Selection) -> Result<Load> {
    let missing = || Error::setting("batch_size", "is missing: give batch_size, concurrency or rate");
    selection.row.load.ok_or_else(missing)
}

fn prompt(selection: &Selection) -> Result<usize> {
    let missing = || Error::setting("seq_len", "is missing: give the tokens of a sequence");
    Some(selection.prompt()).filter(|tokens| *tokens > 0).ok_or_else(missing)
}

/// The run of one batch on a measured machine.
fn measured_run(selection: &Selection, spec: &ModelSpec) -> Result<Run> {
    let Load::Sequences(sequences) = load(selection)? else {
        return Err(Error::setting("batch_size", "is missing: a measured machine is asked for one batch"));
    };
    let (past, generate) = (selection.past, selection.generated());
    if past > 0 && generate > 0 {
        return Err(Error::setting("past_len", "belongs to a single pass: leave it or `generate` out"));
    }
    let precision = selection.precision.map_or_else(|| spec.config().precision(), Ok)?;
    Ok(Run {
        precision,
        kernels: selection.row.kernels.unwrap_or_default(),
        head: selection.head.unwrap_or_default(),
        generate,
        shows_math: selection.shows_math,
        ..Size::new(sequences, prompt(selection)?).after(past).into()
    })
}
