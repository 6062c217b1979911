use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use irene_devices::Catalogue;
use irene_models::{ModelSpec, Run};
use irene_predict::Calibration;
use irene_regress::{DeviceProfile, Track};
use irene_tree::Tree;

use super::usage;
use crate::settings;

/// Where a device is from that the command line does not name.
pub(crate) const OF_SETTINGS: &str = "device of the configuration file (`irene config`)";

/// The choice of the predictor.
#[derive(clap::Args)]
pub(crate) struct PredictorArgs {
    /// A device of `irene devices`. `irene predict` takes several with commas between: those, and one without a measured profile, are
    /// predicted from their data sheets [default: gtx-1080-ti]
    #[arg(long, value_name = "NAME", conflicts_with = "predictor")]
    pub(crate) device: Option<String>,
    /// The measurements of the model that are needed [default: specs for a device with a measured profile, data-sheet
    /// for all others]
    #[arg(long, value_enum, conflicts_with = "predictor")]
    method: Option<TrackName>,
    /// A predictor file of `irene train` or `irene calibrate`
    #[arg(long, value_name = "FILE")]
    pub(crate) predictor: Option<PathBuf>,
    #[arg(skip)]
    calibration: OnceLock<Option<Arc<Calibration>>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TrackName {
    /// Latency and driver energy of every node
    Measured,
    /// The same of the primitives; modules and models are inferred
    Primitives,
    /// Nothing of the model: the machine was measured, and architecture and input size are enough
    Specs,
    /// Nothing, not even the machine: `irene predict` takes the device's data sheet
    DataSheet,
}

impl TrackName {
    fn track(self) -> Result<Track> {
        Ok(match self {
            Self::Measured => Track::Measured,
            Self::Primitives => Track::Primitives,
            Self::Specs => Track::Specs,
            Self::DataSheet => return usage("--method data-sheet belongs to `irene predict`"),
        })
    }
}

/// A profile and its name.
pub(crate) struct NamedProfile {
    pub(crate) name: String,
    pub(crate) profile: DeviceProfile,
}

impl PredictorArgs {
    /// The devices that are asked for, or that of the settings; None where neither says one, or a predictor file is given.
    pub(crate) fn devices(&self) -> Option<Vec<String>> {
        let of_settings = || settings::get().device.as_deref().filter(|_| self.predictor.is_none());
        let names = self.device.as_deref().or_else(of_settings)?;
        Some(names.split(',').map(|name| name.trim().to_owned()).collect())
    }

    /// The predictor file that is asked for, or that of the settings.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        let is_given = self.predictor.is_some() || self.device.is_some() || self.method.is_some();
        self.predictor.as_ref().or(settings::get().predictor.as_ref().filter(|_| !is_given))
    }

    /// The same for ways on several devices, of which it knows one.
    pub(crate) fn file_beside_devices(&self) -> Option<&PathBuf> {
        let of_settings = || settings::get().predictor.as_ref().filter(|_| self.method.is_none());
        self.predictor.as_ref().or_else(of_settings)
    }

    /// The measured requests of the predictor file, if it rests on such.
    pub(crate) fn calibration(&self) -> Result<Option<Arc<Calibration>>> {
        let Some(path) = self.file() else { return Ok(None) };
        if let Some(known) = self.calibration.get() {
            return Ok(known.clone());
        }
        let found = Calibration::read(path)?.map(Arc::new);
        Ok(self.calibration.get_or_init(|| found).clone())
    }

    /// Whether a data sheet is asked for.
    pub(crate) fn is_of_data_sheet(&self) -> bool {
        matches!(self.method, Some(TrackName::DataSheet))
    }

    /// Whether nodes that were measured are asked for.
    pub(crate) fn asks_for_track(&self) -> bool {
        self.method.is_some() && !self.is_of_data_sheet()
    }

    /// The predictor that is asked for, or that of the settings, or the usual one.
    pub(crate) fn load(&self) -> Result<NamedProfile> {
        if let Some(path) = self.file() {
            if let Some(calibration) = self.calibration()? {
                return Err(of_requests(path, &calibration));
            }
            return Ok(NamedProfile { name: path.display().to_string(), profile: DeviceProfile::read(path)? });
        }
        let name = device(self.device.as_deref());
        let track = self.method.map_or(Ok(Track::Specs), TrackName::track)?;
        let profile = DeviceProfile::bundled_for(name, track).map_err(|error| with_data_sheet(name, error));
        let profile = if self.device.is_none() { profile.context(OF_SETTINGS)? } else { profile? };
        Ok(NamedProfile { name: name.to_owned(), profile })
    }
}

/// The error of a file that knows requests where trees are predicted.
fn of_requests(path: &Path, calibration: &Calibration) -> anyhow::Error {
    let (path, provenance) = (path.display(), &calibration.provenance);
    anyhow!(
        "{path} is {provenance} and knows nothing of measured trees: it answers for models, and `irene predict` takes it for sheets of \
         requests too"
    )
}

/// The error of a device without a profile, whose data sheet predicts models alone.
fn with_data_sheet(name: &str, error: irene_regress::Error) -> anyhow::Error {
    match Catalogue::find(name) {
        Ok(device) => anyhow!(
            "{} has a data sheet, which answers for models, and no measured profile, which trees need; measured are {}",
            device.name,
            DeviceProfile::bundled_names().collect::<Vec<_>>().join(", ")
        ),
        Err(_) => error.into(),
    }
}

/// The device that is asked for, or that of the settings, or the usual one.
pub(crate) fn device(given: Option<&str>) -> &str {
    given.or(settings::get().device.as_deref()).unwrap_or(DeviceProfile::DEFAULT_DEVICE)
}

impl NamedProfile {
    pub(crate) fn predict(&self, tree: &mut Tree) -> Result<()> {
        self.explained(self.profile.predict(tree))
    }

    /// The tree of a run of a model, with its energies.
    pub(crate) fn predicted(&self, spec: &ModelSpec, run: Run) -> Result<Tree> {
        match irene_predict::predict(spec, run, &self.profile) {
            Ok(tree) => Ok(tree),
            Err(irene_predict::Error::Predict(error)) => self.explained(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the predictor's name and method to an error about missing features.
    pub(crate) fn explained<T>(&self, result: irene_regress::Result<T>) -> Result<T> {
        let method = self.profile.predictor.method();
        match result {
            Err(error @ irene_regress::Error::MissingFeature(_)) => {
                Err(error).with_context(|| format!("{} (method {method}) needs features these nodes lack", self.name))
            }
            result => Ok(result?),
        }
    }
}
