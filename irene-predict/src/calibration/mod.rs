//! A device as its data sheet and one's own measurements of whole requests have it.

mod constants;
mod figures;
mod left_out;
mod likeness;
mod part;
mod tokens;
mod trial;

use std::{borrow::Cow, collections::BTreeSet, path::Path};

use irene_devices::{Device, Engine, FROM_DATA_SHEET, Law};
use irene_numerics::{drawn, median};
use irene_regress::Store;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

pub use self::{
    left_out::LeftOutError,
    trial::{TrialError, try_calibrations},
};
use self::{
    likeness::Place,
    part::{Part, PartData},
};
use crate::{Error, Host, Measured, Schedule, fit::Serving};

/// The law of a device, moved by requests that were measured on it: each engine by its own.
///
/// ```
/// use irene_predict::{Calibration, Measured, Service, ServiceOptions};
/// use irene_requests::RequestReader;
///
/// let sheet = "model,device,engine,concurrency,prompt,generated,energy_per_token_j,itl_s
/// Llama-3.1-8B,l4,vllm-0.11,8,500,200,0.62,0.07";
/// let service = Service::new(ServiceOptions::default());
/// let rows = RequestReader::new("mine.csv", sheet.as_bytes())?.collect::<Result<Vec<_>, _>>()?;
/// let measured: Vec<Measured> = rows.iter().map(|row| Measured::of("mine.csv", row, &service).unwrap()).collect();
/// let calibration = Calibration::of(&measured)?;
/// assert_eq!(calibration.provenance.to_string(), "calibrated on 1 measured request of l4");
///
/// let service = Service::new(ServiceOptions { calibration: Some(calibration.into()), ..Default::default() });
/// let before = rows[0].figures.energy_per_token_j.unwrap();
/// let after = service.setting(&rows[0]).unwrap().forecast()?.figures.energy_per_token_j.unwrap();
/// assert!((after / before).ln().abs() < 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The device.
    pub device: Device,
    /// The measurements behind it.
    pub provenance: CalibrationProvenance,
    parts: Vec<Part>,
}

/// The requests that a calibration rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationProvenance {
    /// The device.
    pub device: String,
    /// How many there are. If an engine has more than 400, 400 of them are drawn.
    pub rows: usize,
    /// The models.
    pub models: Vec<String>,
    /// The engines.
    pub engines: Vec<String>,
    /// Whether some of their energies are a power model's estimates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The meter of their energies, if it counts more than the devices: so do predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// SHA-256 of settings and measured figures.
    pub digest: String,
    /// The program that made it.
    pub made_by: String,
}

impl std::fmt::Display for CalibrationProvenance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, device, .. } = self;
        let requests = if *rows == 1 { "request" } else { "requests" };
        if self.estimated {
            return write!(f, "{CALIBRATED}{rows} {requests} of {device} with estimated energies");
        }
        write!(f, "{CALIBRATED}{rows} measured {requests} of {device}")
    }
}

/// How the provenance of each calibrated figure begins.
pub(crate) const CALIBRATED: &str = "calibrated on ";

/// The method in the header of files.
const METHOD: &str = "requests";

/// If an engine has more rows, so many of them are drawn: they tell nearly as much.
const MOST_ROWS: usize = 400;

impl Calibration {
    /// The law of the data sheet, moved by measurements of one device.
    ///
    /// # Errors
    /// [`Error::Calibration`] for no measurements, or those of several devices or of meters that count different things.
    pub fn of(measured: &[Measured]) -> Result<Self, Error> {
        Self::from_law(Law::shipped(), measured)
    }

    /// As [`of`](Self::of), from another law.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn from_law(law: &Law, measured: &[Measured]) -> Result<Self, Error> {
        let fault = |reason: &str| Error::Calibration { origin: "calibration".into(), reason: reason.into() };
        let device = &measured.first().ok_or_else(|| fault("no measured requests; one is the least"))?.device;
        if measured.iter().any(|one| one.device != *device) {
            return Err(fault("measurements of several devices; calibrate each by itself"));
        }
        let meter = meter(measured).map_err(|reason| fault(&reason))?;
        let key = |one: &Measured| (one.engine.name, one.is_served());
        let keys: BTreeSet<_> = measured.iter().map(key).collect();
        let part = |of: (&str, bool)| {
            let all: Vec<&Measured> = measured.iter().filter(|one| key(one) == of).collect();
            let some: Vec<&Measured> = drawn(all.len(), MOST_ROWS).into_iter().map(|place| all[place]).collect();
            Part::of(law, &some)
        };
        let parts: Vec<Part> = keys.iter().map(|of| part(*of)).collect::<Option<_>>().ok_or_else(|| {
            fault("the measurements cannot be brought together with the data sheet: check their units")
        })?;
        let words = |words: BTreeSet<&str>| words.into_iter().map(str::to_owned).collect();
        let provenance = CalibrationProvenance {
            device: device.name.clone(),
            rows: parts.iter().map(|part| part.data.rows).sum(),
            models: words(measured.iter().map(|one| one.model.as_str()).collect()),
            engines: words(keys.iter().map(|(engine, _)| *engine).collect()),
            estimated: measured.iter().any(|one| one.is_estimated),
            meter,
            digest: digest(measured),
            made_by: concat!("irene-predict ", env!("CARGO_PKG_VERSION")).into(),
        };
        Ok(Self { device: device.clone(), provenance, parts })
    }

    /// The calibration of an engine, if requests of it were measured.
    fn part(&self, device: &Device, engine: &Engine, is_served: bool) -> Option<&Part> {
        let is_it = |part: &&Part| part.data.engine == engine.name && part.data.is_served == is_served;
        self.parts.iter().find(is_it).filter(|_| device.name == self.device.name)
    }

    /// Whether requests of an engine on a device were measured.
    pub(crate) fn knows(&self, device: &Device, engine: &Engine, is_served: bool) -> bool {
        self.part(device, engine, is_served).is_some()
    }

    /// Whether energies of these were measured.
    pub(crate) fn knows_energy(&self, device: &Device, engine: &Engine, is_served: bool) -> bool {
        self.part(device, engine, is_served).is_some_and(Part::knows_energy)
    }

    /// How far off calibrations on all other measurements are on each: on the time, the power at the measured time, the energy, the time to the
    /// first token and that between tokens. Repeats of one setting are left out together and count once. A calibration that was read from a file
    /// does not know.
    pub fn left_out(&self) -> [Vec<LeftOutError>; 5] {
        [0, 1, 2, 3, 4].map(|figure| self.parts.iter().flat_map(|part| part.left_out[figure].iter().copied()).collect())
    }

    /// The power that the meter of the measurements counts beside the devices, W: the median of the engines. None where it counts these alone.
    pub fn beside_w(&self) -> Option<f64> {
        let of = |part: &Part| {
            let modes = part.data.law.engines.get(&part.data.engine)?;
            modes.of(part.data.is_served)?.beside_w
        };
        median(self.parts.iter().filter_map(of))
    }

    /// The machine around a device that was measured with it, for what was not: its energy is of the same then.
    pub(crate) fn host_of(&self, device: &Device) -> Option<Host> {
        self.beside_w().filter(|_| device.name == self.device.name).map(Host::Watts)
    }

    /// The times to the first token and between tokens of a setting, over those of its law ([`law`](Self::law)), and the standard deviations of
    /// their logarithms; None where nothing was measured of its engine.
    pub(crate) fn token_times(
        &self,
        model: &str,
        device: &Device,
        engine: &'static Engine,
        schedule: &Schedule,
    ) -> Option<[[f64; 2]; 2]> {
        let part = self.part(device, engine, schedule.is_served())?;
        Some(part.token_times(&Serving::of(schedule.clone(), device, engine), &Place::of(model, schedule)))
    }

    /// The law of a measured request's setting: that of the data sheet where nothing was measured of its engine.
    pub fn law_of(&self, one: &Measured) -> Cow<'_, Law> {
        self.law(&one.model, &one.device, one.engine, &one.serving.schedule)
    }

    /// The law of a setting on a device under an engine: that of the data sheet where nothing was measured.
    pub(crate) fn law(
        &self,
        model: &str,
        device: &Device,
        engine: &'static Engine,
        schedule: &Schedule,
    ) -> Cow<'_, Law> {
        match self.part(device, engine, schedule.is_served()) {
            Some(part) => {
                Cow::Owned(part.law_at(&Serving::of(schedule.clone(), device, engine), &Place::of(model, schedule)))
            }
            None => Cow::Borrowed(Law::shipped()),
        }
    }

    /// The bytes of a predictor file. Equal measurements give equal bytes.
    ///
    /// # Errors
    /// [`Error::Predict`] if they cannot be put together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut store = Store::new(METHOD);
        let parts: Vec<&PartData> = self.parts.iter().map(|part| &part.data).collect();
        set(&mut store, "device", &self.device)?;
        set(&mut store, "provenance", &self.provenance)?;
        set(&mut store, "parts", &parts)?;
        Ok(store.to_bytes()?)
    }

    /// Reads a predictor file: None for one of another method.
    ///
    /// # Errors
    /// [`Error::Predict`] if it cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let origin = path.display().to_string();
        let fault = |reason: String| irene_regress::Error::PredictorFile { origin: origin.clone(), reason };
        let read = std::fs::read(path).map_err(|source| irene_regress::Error::Io { path: path.to_owned(), source });
        let found = read.map_err(Error::from).and_then(|bytes| Self::from_bytes(&origin, &bytes));
        found.map_err(|error| irene_tree::file_fault(path).map_or(error, |reason| fault(reason).into()))
    }

    /// Reads the bytes of a predictor file; `origin` names it in errors. None for one of another method.
    ///
    /// # Errors
    /// [`Error::Predict`] if it is damaged.
    pub fn from_bytes(origin: &str, bytes: &[u8]) -> Result<Option<Self>, Error> {
        let store = Store::from_bytes(origin, bytes)?;
        if store.get("method")? != METHOD {
            return Ok(None);
        }
        let parts = get::<Vec<PartData>>(&store, "parts")?.into_iter().map(Part::new).collect::<Option<_>>();
        let parts =
            parts.ok_or_else(|| store.error("header field `parts` has numbers that no calibration has".into()))?;
        let device: Device = get(&store, "device")?;
        if let Some(fault) = device.fault() {
            return Err(store.error(format!("header field `device`: {fault}")).into());
        }
        Ok(Some(Self { device, provenance: get(&store, "provenance")?, parts }))
    }

    /// Where figures come from, in words.
    pub(crate) fn basis(&self, device: &Device, engine: &Engine, is_served: bool) -> String {
        match self.part(device, engine, is_served) {
            Some(part) => CalibrationProvenance { rows: part.data.rows, ..self.provenance.clone() }.to_string(),
            None => FROM_DATA_SHEET.to_owned(),
        }
    }
}

/// The meter of energies that count more than the devices; an error for meters that count different things.
fn meter(measured: &[Measured]) -> Result<Option<String>, String> {
    let metered = measured.iter().filter(|one| one.watts.or(one.joules).is_some());
    let meters: BTreeSet<Option<&String>> = metered.map(|one| one.meter.as_ref()).collect();
    let name =
        |meter: &Option<&String>| meter.map_or_else(|| "one of the GPUs alone".to_owned(), |name| format!("`{name}`"));
    if meters.len() > 1 {
        let names: Vec<String> = meters.iter().map(name).collect();
        return Err(format!(
            "the energies are of meters that count different things ({}): calibrate on the rows of each by itself",
            names.join(", ")
        ));
    }
    Ok(meters.into_iter().flatten().next().cloned())
}

fn set(store: &mut Store, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let value = serde_json::to_value(value).map_err(|error| store.error(error.to_string()))?;
    store.set(name, value);
    Ok(())
}

fn get<T: DeserializeOwned>(store: &Store, name: &str) -> Result<T, Error> {
    let value = store.get_value(name)?.clone();
    Ok(serde_json::from_value(value).map_err(|error| store.error(format!("header field `{name}`: {error}")))?)
}

fn digest(measured: &[Measured]) -> String {
    let mut hash = Sha256::new();
    for one in measured {
        hash.update(format!("{} {} {} {}\n", one.model, one.engine.name, one.is_served(), one.label()));
        for figure in [one.seconds, one.watts, one.joules].into_iter().chain(one.token_times) {
            hash.update(figure.unwrap_or(f64::NAN).to_le_bytes());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
