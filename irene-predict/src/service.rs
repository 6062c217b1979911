//! Rows of request sheets as settings of a forecast: names looked up, and what is not said filled in.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use irene_devices::{Catalogue, Device, Engine, FROM_DATA_SHEET, Law, PassCost};
use irene_models::{ModelSpec, TaskHead};
use irene_regress::{Explanation, find_node};
use irene_requests::RequestRow;
use irene_tree::{Format, NodeId, Parallel, Precision, Size, Tree};

use crate::{
    Calibration, Error, Forecast, Host, Note, Part, Passes, PassesCost, Request, Schedule,
    calibration::CALIBRATED,
    forecast::forecast_by,
    passes::Followed,
    request::{half, served_precision, usual_engine, with_shared_attention},
};

/// Settings for all rows of a sheet.
#[derive(Clone, Debug, Default)]
pub struct ServiceOptions {
    /// A device from your own data sheet, in place of those that rows name.
    pub device: Option<Device>,
    /// Measurements on a device, which rows that name no device run on.
    pub calibration: Option<Arc<Calibration>>,
    /// A limit on the power of each device, W.
    pub power_limit_w: Option<f64>,
    /// The number formats, in place of the model's own.
    pub precision: Option<Precision>,
    /// The head above a pass that generates nothing, in place of the usual one.
    pub head: Option<TaskHead>,
    /// The machine around the devices; if given, energy is that at the wall.
    pub host: Option<Host>,
}

/// Turns rows of request sheets into settings, on several threads if need be. Each model and device is looked up once.
#[derive(Debug, Default)]
pub struct Service {
    options: ServiceOptions,
    engines: Vec<&'static Engine>,
    models: Mutex<BTreeMap<String, Model>>,
    devices: Mutex<BTreeMap<String, Arc<Device>>>,
}

/// A model, and the passes of it that were followed.
type Model = (Arc<ModelSpec>, Arc<Passes>);

/// A request to a model on a device, with all that a forecast needs.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The model.
    pub spec: Arc<ModelSpec>,
    /// The device.
    pub device: Arc<Device>,
    /// The engine.
    pub engine: &'static Engine,
    /// The request.
    pub request: Request,
    /// Measurements on the device.
    pub calibration: Option<Arc<Calibration>>,
    /// The machine around the devices; if given, energy is that at the wall.
    pub host: Option<Host>,
    /// The passes of the model that were followed.
    pub passes: Arc<Passes>,
}

/// The reason why a row has no forecast, and its column; empty for the whole row.
#[derive(Debug)]
pub struct Fault {
    /// The column.
    pub column: &'static str,
    /// The reason.
    pub error: Error,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The fault of a column.
    pub(crate) fn of<E: Into<Error>>(column: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { column, error: error.into() }
    }

    fn missing(column: &'static str) -> Self {
        Self { column, error: Error::Missing }
    }
}

impl Service {
    /// With these options for all rows.
    pub fn new(options: ServiceOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Adds a model under a name, in place of looking the name up.
    pub fn add_model(&mut self, name: impl Into<String>, spec: impl Into<Arc<ModelSpec>>) {
        self.add_followed(name, spec.into(), Arc::default());
    }

    /// Adds a model with the passes of it that were followed before.
    pub fn add_followed(&mut self, name: impl Into<String>, spec: Arc<ModelSpec>, passes: Arc<Passes>) {
        let models = self.models.get_mut().unwrap_or_else(PoisonError::into_inner);
        models.insert(name.into(), (spec, passes));
    }

    /// Adds an engine of your own ([`Engine::named`]), which rows name as it is written.
    pub fn add_engine(&mut self, engine: &'static Engine) {
        self.engines.insert(0, engine);
    }

    /// The setting of a row.
    ///
    /// # Errors
    /// A [`Fault`] for a name that is unknown, and for what is missing.
    pub fn setting(&self, row: &RequestRow) -> Result<Setting, Fault> {
        let (spec, passes) = self.model(row.model.as_deref().ok_or_else(|| Fault::missing("model"))?)?;
        let device = self.device(row)?;
        let engine = match &row.engine {
            Some(name) => self.engine(name)?,
            None => usual_engine(&spec, &device).map_err(Fault::of("engine"))?,
        };
        let precision = self.precision(&spec, &device, engine, row).map_err(Fault::of("weights"))?;
        /// More is a slip.
        const MOST_TOKENS: f64 = 1e9;
        let whole = |column: &'static str, tokens: f64| match tokens {
            tokens if (0.0..=MOST_TOKENS).contains(&tokens) => Ok(tokens.round() as usize),
            tokens => Err(Fault { column, error: Error::Tokens(tokens) }),
        };
        let request = Request {
            prompt: whole("prompt", row.prompt.ok_or_else(|| Fault::missing("prompt"))?)?.max(1),
            generated: whole("generated", row.generated.unwrap_or(0.0))?,
            load: row.load.ok_or(Fault { column: "", error: Error::NoLoad })?,
            precision,
            kernels: row.kernels.unwrap_or(engine.kernels),
            parallel: with_shared_attention(row.parallel),
            head: self.options.head,
        };
        let (host, calibration) = (self.options.host, self.options.calibration.clone());
        Ok(Setting { spec, device, engine, request, host, calibration, passes })
    }

    fn model(&self, name: &str) -> Result<Model, Fault> {
        let models = || self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = models().get(name) {
            return Ok(known.clone());
        }
        // Other threads need not wait while a file is read.
        let found = (Arc::new(ModelSpec::find(name).map_err(Fault::of("model"))?), Arc::default());
        Ok(models().entry(name.to_owned()).or_insert(found).clone())
    }

    fn engine(&self, name: &str) -> Result<&'static Engine, Fault> {
        match self.engines.iter().copied().find(|engine| engine.name == name) {
            Some(own) => Ok(own),
            None => Engine::find(name).map_err(Fault::of("engine")),
        }
    }

    fn device(&self, row: &RequestRow) -> Result<Arc<Device>, Fault> {
        let calibrated = self.options.calibration.as_ref().map(|calibration| &calibration.device);
        let own = self.options.device.as_ref();
        let name = match (own, &row.device, calibrated) {
            (Some(device), ..) | (None, None, Some(device)) => device.name.clone(),
            (None, Some(name), _) => name.clone(),
            (None, None, None) => return Err(Fault::missing("device")),
        };
        let devices = || self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = devices().get(&name) {
            return Ok(Arc::clone(known));
        }
        let found = match own.or(calibrated.filter(|device| device.name == name)) {
            Some(known) => known.clone(),
            None => Catalogue::find(&name).map_err(Fault::of("device"))?,
        };
        // Other names of the device that was measured.
        let found = calibrated.filter(|device| own.is_none() && device.name == found.name).cloned().unwrap_or(found);
        let found = match self.options.power_limit_w {
            Some(watts) => found.with_power_limit(watts).map_err(Fault::of("device"))?,
            None => found,
        };
        let found = Arc::new(found);
        devices().insert(name, Arc::clone(&found));
        Ok(found)
    }

    /// The formats that are asked for, or those that the model is served in.
    fn precision(
        &self,
        spec: &ModelSpec,
        device: &Device,
        engine: &Engine,
        row: &RequestRow,
    ) -> Result<Precision, Error> {
        let served = match self.options.precision {
            Some(precision) => precision,
            None => served_precision(spec, device, engine)?,
        };
        let half = half(device);
        let asked = match row.weights {
            None => served,
            Some(weights @ (Format::F32 | Format::F16 | Format::BF16 | Format::F64)) => Precision::of(weights),
            Some(weights) if served.activations == Format::F32 => Precision { weights, ..Precision::of(half) },
            Some(weights) => Precision { weights, ..served },
        };
        Ok(Precision { cache: row.cache.unwrap_or(asked.cache), ..asked })
    }
}

impl Setting {
    /// Its cost, from measurements with this engine on this device, or else from the data sheet.
    ///
    /// # Errors
    /// As [`forecast`](crate::forecast).
    pub fn forecast(&self) -> Result<Forecast, Error> {
        let forecast = self.of_devices()?;
        let meter = self.calibration.as_ref().and_then(|calibration| calibration.provenance.meter.clone());
        if let Some((watts, meter)) = self.beside_w(&forecast.schedule).zip(meter) {
            return Ok(forecast.by_meter(watts, meter));
        }
        self.within(forecast, self.machine())
    }

    /// Its cost without what a meter of the measurements counts beside the devices, as it is compared with that of other devices: alone, or
    /// with the machine that is asked for.
    ///
    /// # Errors
    /// As [`forecast`](crate::forecast).
    pub fn comparable_forecast(&self) -> Result<Forecast, Error> {
        self.within(self.of_devices()?, self.host)
    }

    fn within(&self, forecast: Forecast, machine: Option<Host>) -> Result<Forecast, Error> {
        match machine {
            Some(host) => forecast.at_the_wall(host, &self.device, Law::shipped()),
            None => Ok(forecast),
        }
    }

    /// The cost of the devices alone.
    fn of_devices(&self) -> Result<Forecast, Error> {
        let Self { spec, device, engine, request, .. } = self;
        let mut forecast = forecast_by(self.followed(), device, engine, request, &|schedule| self.law(schedule))?;
        if let Some(calibration) = &self.calibration {
            forecast.provenance = calibration.basis(device, engine, forecast.schedule.is_served());
            if let Some(times) = calibration.token_times(spec.name(), device, self.engine, &forecast.schedule) {
                forecast = forecast.with_token_times(times);
            }
        }
        Ok(forecast)
    }

    /// The power that the meter of the measurements counts beside the devices, W, where that counts more than these.
    fn beside_w(&self, schedule: &Schedule) -> Option<f64> {
        self.law(schedule).on(&self.device, self.engine, schedule.is_served()).engine().beside_w
    }

    /// The machine around the devices, where energy is that at the wall, or that of a machine that was measured with another engine.
    fn machine(&self) -> Option<Host> {
        self.host.or_else(|| self.calibration.as_ref()?.host_of(&self.device))
    }

    /// Its power, W.
    fn machine_w(&self) -> Result<f64, Error> {
        let gpus = self.request.parallel.gpus() as f64;
        self.machine().map_or(Ok(0.0), |host| host.watts(&Law::shipped().host, &self.device, gpus))
    }

    /// Whether its forecast rests on measurements of its device and engine.
    pub fn is_calibrated(&self, forecast: &Forecast) -> bool {
        let is_served = forecast.schedule.is_served();
        self.calibration.as_ref().is_some_and(|known| known.knows(&self.device, self.engine, is_served))
    }

    /// Whether energies are among these measurements; without them the energy is that of the data sheet over the measured time.
    pub fn is_energy_calibrated(&self, forecast: &Forecast) -> bool {
        let is_served = forecast.schedule.is_served();
        self.calibration.as_ref().is_some_and(|known| known.knows_energy(&self.device, self.engine, is_served))
    }

    /// The cost of one pass of each copy of the model on all GPUs, apart from those of a forecast: a part of a prompt behind one that is in the
    /// cache, or several tokens of each sequence at once.
    ///
    /// # Errors
    /// [`Error::Model`] for a pass that the model cannot run.
    pub fn pass(&self, forecast: &Forecast, size: Size) -> Result<PassesCost, Error> {
        Ok(forecast.schedule.spent(&self.pass_of_gpu(forecast, size)?))
    }

    /// The same of one copy, with nothing else in its pipeline.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    pub fn lone_pass(&self, forecast: &Forecast, size: Size) -> Result<PassesCost, Error> {
        let Parallel { tensor, pipeline, .. } = self.request.parallel;
        let cost = self.pass_of_gpu(forecast, size)?;
        // One stage works at a time.
        Ok(PassesCost::of(&cost, 1.0 / pipeline.max(1) as f64, (tensor * pipeline) as f64))
    }

    /// The cost of a request's prompt beside the same steps of others if its first `cached` tokens are in the cache already.
    ///
    /// # Errors
    /// [`Error::Model`] for a model that cannot go on from a part of a prompt.
    pub fn prompt_after(&self, forecast: &Forecast, cached: usize) -> Result<Part, Error> {
        let schedule = &forecast.schedule;
        let law = self.law(schedule);
        let law = law.on(&self.device, self.engine, schedule.is_served());
        let mut all = PassesCost::default();
        for runs in &schedule.prompts {
            let rest = Size { new: runs.size.new.saturating_sub(cached).max(1), past: cached, ..runs.size };
            let rest = runs.reading(self.followed().pass(&self.request, rest)?);
            all = all.and(rest.added(schedule.gpus, &law).times(runs.times));
        }
        let beside_w = self.beside_w(schedule).map_or_else(|| self.machine_w(), Ok)?;
        let joules = all.joules + beside_w * all.seconds;
        Ok(Part { joules: joules / schedule.requests, seconds: all.seconds / all.passes })
    }

    fn pass_of_gpu(&self, forecast: &Forecast, size: Size) -> Result<PassCost, Error> {
        let pass = self.followed().pass(&self.request, size)?;
        Ok(self.law(&forecast.schedule).pass(&pass, &self.device, self.engine))
    }

    fn followed(&self) -> Followed<'_> {
        Followed { spec: &self.spec, passes: &self.passes }
    }

    fn law(&self, schedule: &Schedule) -> Cow<'_, Law> {
        match &self.calibration {
            Some(calibration) => calibration.law(self.spec.name(), &self.device, self.engine, schedule),
            None => Cow::Borrowed(Law::shipped()),
        }
    }

    /// The tree of its forecast.
    ///
    /// # Errors
    /// As [`Forecast::tree`].
    pub fn tree(&self, forecast: &Forecast, shows_math: bool) -> Result<Tree, Error> {
        forecast.tree(&self.spec, &self.device, self.engine, &self.law(&forecast.schedule), shows_math)
    }

    /// The node of this scope in the [tree](Self::tree) of its forecast with single operations, and what its energy and time go to.
    ///
    /// # Errors
    /// [`Error::Predict`] for a scope that the tree does not have.
    pub fn explain(&self, forecast: &Forecast, tree: &Tree, scope: &str) -> Result<(NodeId, Explanation), Error> {
        let (id, law) = (find_node(tree, scope)?, self.law(&forecast.schedule));
        let law = law.on(&self.device, self.engine, forecast.schedule.is_served());
        Ok((id, forecast.explain(tree, id, &law)))
    }
}

impl Forecast {
    /// Whether the figures of a row are a forecast's, by its provenance.
    pub fn is_of(row: &RequestRow) -> bool {
        row.further("provenance").is_some_and(|words| words == FROM_DATA_SHEET || words.starts_with(CALIBRATED))
    }

    /// Fills in the figures of a row, with their intervals, where they come from, and marks. Those of a measured row, whose other columns stay,
    /// become its `measured_provenance` and `measured_marks`.
    pub fn fill_in(&self, row: &mut RequestRow) {
        if !Self::is_of(row) {
            for title in ["provenance", "marks"] {
                if let Some(cell) = row.further(title).filter(|cell| !cell.is_empty()).map(str::to_owned) {
                    row.set_further(&format!("measured_{title}"), cell);
                }
            }
        }
        row.figures = self.figures.into();
        [row.low, row.high] = self.interval.map(Into::into);
        row.set_further("provenance", self.provenance.as_str());
        let marks: Vec<&str> = self.notes.iter().map(Note::mark).collect();
        row.set_further("marks", marks.join(" "));
    }
}
