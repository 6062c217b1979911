use std::sync::Arc;

use irene_devices::Engine;
use irene_models::{ModelSpec, Run, TaskHead};
use irene_predict::{Forecast, Memory, Note, Part, Setting};
use irene_regress::DeviceProfile;
use irene_requests::Figures;
use irene_tree::{Kernels, Mark, Precision, Quantity, Tree};
use serde::Serialize;

use crate::{Error, Result, Selection};

/// The basis of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum Basis {
    /// A profile that was learned from measurements on the machine.
    Profile,
    /// The device's data sheet.
    DataSheet,
    /// Its data sheet, with requests that were measured on it.
    Calibrated,
}

/// The measure that energies are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum By {
    /// A generated token; a token of the prompt if nothing is generated.
    Token,
    /// A request: one sequence of the batch.
    Request,
}

/// The mark of a run on a measured machine that its memory has no room for.
pub(crate) const DOES_NOT_FIT: &str = "does_not_fit";

/// The beginning of the remark that goes with it.
const NO_ROOM: &str = "does not fit";

/// The remark of a run on a measured machine without the head that data sheets count.
const WITHOUT_HEAD: &str = "the language model's head is left out; head=lm counts it";

/// The mark of a data sheet's energy with the machine around the devices.
pub(crate) const AT_THE_WALL: &str = "at_the_wall";
/// That of a calibration by a meter that counts more than the devices.
pub(crate) const WHOLE_MACHINE: &str = "whole_machine";

/// The figures of a selection, without the tree.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// The selection, with the device that it was answered for.
    pub selection: Selection,
    /// The model, with the fields that the selection changes.
    pub model: Arc<ModelSpec>,
    /// The device.
    pub device: String,
    /// The basis of the answer.
    pub basis: Basis,
    /// The engine, of a data sheet.
    pub engine: Option<&'static Engine>,
    /// The number formats.
    pub precision: Precision,
    /// How operations become kernels.
    pub kernels: Kernels,
    /// The figures that a user asks for.
    pub figures: Figures,
    /// The lower ends of the figures' 90% intervals.
    pub low: Figures,
    /// The upper ends of the figures' 90% intervals.
    pub high: Figures,
    /// The memory of one GPU, of a data sheet.
    pub memory: Option<Memory>,
    /// Sequences that run at once, while some run.
    pub running: Option<f64>,
    /// Requests that wait for those.
    pub waiting: Option<f64>,
    /// The prompt's part of a request.
    pub prompt: Option<Part>,
    /// A generated token's part.
    pub token: Option<Part>,
    /// Remarks beside the figures, a sentence each.
    pub notes: Vec<String>,
    /// The notes as words for programs.
    pub marks: Vec<&'static str>,
    /// Where the figures come from.
    pub provenance: String,
}

/// The figures of a selection, and the tree with the energy of every part of the model.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The figures.
    pub estimate: Estimate,
    /// The tree with the energy of every node.
    pub tree: Tree,
    /// The number of requests that the tree covers.
    pub requests: f64,
}

impl Estimate {
    pub(crate) fn of_sheet(selection: &Selection, setting: &Setting, forecast: &Forecast) -> Self {
        let [low, high] = forecast.interval.map(Into::into);
        let basis = if setting.is_calibrated(forecast) { Basis::Calibrated } else { Basis::DataSheet };
        let mut selection = named(selection, &setting.device.name);
        // Those that attention is spread over too, where the selection says nothing of it.
        selection.row.parallel = setting.request.parallel;
        Self {
            selection,
            model: Arc::clone(&setting.spec),
            device: setting.device.name.clone(),
            basis,
            engine: Some(setting.engine),
            precision: setting.request.precision,
            kernels: setting.request.kernels,
            figures: forecast.figures.into(),
            low,
            high,
            memory: Some(forecast.memory),
            running: Some(forecast.running),
            waiting: Some(forecast.waiting),
            prompt: Some(forecast.prompt),
            token: forecast.token,
            notes: forecast.notes.iter().map(ToString::to_string).chain(setting.spec.notes().iter().cloned()).collect(),
            marks: forecast.notes.iter().map(Note::mark).collect(),
            provenance: forecast.provenance.clone(),
        }
    }

    /// Tokens of a request by which energies are compared: those generated, or those read where none are.
    pub fn tokens(&self) -> f64 {
        match self.selection.generated() {
            0 => self.selection.prompt() as f64,
            generated => generated as f64,
        }
    }

    /// Joules by a measure.
    pub fn energy_j(&self, by: By) -> Option<f64> {
        self.by(by, self.figures.energy_per_request_j)
    }

    /// The interval of the energy by a measure, J.
    pub fn energy_interval_j(&self, by: By) -> Option<[f64; 2]> {
        let ends = [self.low, self.high].map(|end| self.by(by, end.energy_per_request_j));
        Some([ends[0]?, ends[1]?])
    }

    fn by(&self, by: By, of_request: Option<f64>) -> Option<f64> {
        let parts = if by == By::Token { self.tokens() } else { 1.0 };
        Some(of_request? / parts)
    }

    /// The remark that a measured machine's memory has no room for the run, where it has none.
    pub(crate) fn too_large(&self) -> Option<&str> {
        let is_marked = self.marks.contains(&DOES_NOT_FIT);
        self.notes.iter().map(String::as_str).find(|note| is_marked && note.starts_with(NO_ROOM))
    }

    /// Bytes of one GPU's memory that are taken.
    pub(crate) fn memory_bytes(&self) -> Option<f64> {
        self.memory.map(|memory| memory.total())
    }
}

impl Answer {
    pub(crate) fn of_sheet(selection: &Selection, setting: &Setting, forecast: &Forecast) -> Result<Self> {
        let tree = setting.tree(forecast, selection.shows_math)?;
        Ok(Self { estimate: Estimate::of_sheet(selection, setting, forecast), tree, requests: forecast.requests() })
    }

    pub(crate) fn measured(
        selection: &Selection,
        model: Arc<ModelSpec>,
        device: String,
        profile: &DeviceProfile,
        run: Run,
    ) -> Result<Self> {
        let tree = irene_predict::predict(&model, run, profile)?;
        let requests = tree.size.sequences as f64;
        let root = |quantity| tree.root().get(quantity);
        let energy = |quantity| {
            let of_request = root(quantity).map(|joules| joules / requests);
            let tokens = run.generate as f64;
            let energy_per_token_j = of_request.filter(|_| run.generate > 0).map(|joules| joules / tokens);
            Figures { energy_per_request_j: of_request, energy_per_token_j, ..Figures::default() }
        };
        let latency_s = root(Quantity::PredictedLatency);
        let tokens_per_s =
            latency_s.filter(|_| run.generate > 0).map(|seconds| requests * run.generate as f64 / seconds);
        let power_w = root(Quantity::PredictedPower);
        let figures = Figures { latency_s, power_w, tokens_per_s, ..energy(Quantity::PredictedEnergy) };
        if figures.energy_per_request_j.is_none_or(|joules| joules <= 0.0) {
            return Err(Error::setting("device", format!("the profile of {device} gives no energy for {tree}")));
        }
        let too_large = profile.memory_needed(&tree).is_some().then_some(DOES_NOT_FIT);
        let marks = tree.root().marks.iter().map(Mark::name).chain(too_large).collect();
        let head = lacks_head(selection, &model, run)?.then(|| WITHOUT_HEAD.to_owned());
        let notes = profile.notes(&tree).into_iter().chain(head).chain(model.notes().iter().cloned()).collect();
        let estimate = Estimate {
            selection: named(selection, &device),
            model,
            device,
            basis: Basis::Profile,
            engine: None,
            precision: run.precision,
            kernels: run.kernels,
            figures,
            low: energy(Quantity::PredictedLow),
            high: energy(Quantity::PredictedHigh),
            memory: None,
            running: None,
            waiting: None,
            prompt: None,
            token: None,
            notes,
            marks,
            provenance: profile.provenance.basis().to_owned(),
        };
        Ok(Self { estimate, tree, requests })
    }

    /// The factor from a figure of the whole tree to that figure by a measure.
    pub(crate) fn share_of_tree(&self, by: By) -> f64 {
        let parts = if by == By::Token { self.estimate.tokens() } else { 1.0 };
        1.0 / (self.requests * parts)
    }
}

/// Whether a decoder runs without its head, which the selection does not say.
fn lacks_head(selection: &Selection, model: &ModelSpec, run: Run) -> Result<bool> {
    let is_usual = selection.head.is_none() && run.head == TaskHead::None && run.generate == 0;
    let goes_on = model.heads().contains(&TaskHead::Lm) && !model.gives_no_tokens();
    Ok(is_usual && goes_on && model.cache(run.kernels)?.is_some())
}

fn named(selection: &Selection, device: &str) -> Selection {
    let mut named = selection.clone();
    named.row.device = Some(device.to_owned());
    named
}
