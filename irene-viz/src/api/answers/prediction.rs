//! One selection.

use irene_advice::{Answer, ComponentShare, FigureSet, MemoryBytes, Settings};
use irene_predict::Part;
use irene_regress::{Bottleneck, DeviceProfile, PRICE_PER_KWH, bottlenecks, kwh_per_million};
use irene_tree::{Quantity, Tree};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::{TreeLine, energy, raw};
use crate::{api::selection::sizes, app::App, problem::Problem};

/// A selection with what it takes, node by node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Prediction {
    selection: Settings,
    /// The selection in words.
    title: String,
    /// The figures that a user asks for.
    figures: FigureSet,
    /// The least that is likely: the lower end of 90% intervals.
    low: FigureSet,
    /// The most that is likely.
    high: FigureSet,
    /// The parts of the model, most first: joules of a request.
    components: Vec<ComponentShare>,
    /// Absent where a request is a single pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    phases: Option<Phases>,
    /// The memory of one GPU, by a data sheet.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryBytes>,
    /// Requests that the tree is of.
    requests: f64,
    /// Runs of equal layers in the tree, which can be shown as one.
    repeats: Vec<Repeated>,
    /// Words for what is to be known beside the figures; the predictor's notes say it in sentences.
    marks: Vec<&'static str>,
    /// The model's sizes by the names that `set` takes, as its config has them.
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    #[serde(flatten)]
    of_tree: TreePrediction,
}

/// A tree with its energies.
#[derive(Serialize, ToSchema)]
pub(crate) struct TreePrediction {
    /// IrEne's interchange form, with features, energies, intervals and marks.
    #[schema(value_type = TreeLine)]
    tree: Box<RawValue>,
    /// The energy by instance type, most first.
    bottlenecks: Vec<Share>,
    cost: Cost,
    predictor: PredictorEntry,
}

/// Trees with their energies.
#[derive(Serialize, ToSchema)]
pub(crate) struct Predictions {
    pub(crate) predictions: Vec<TreePrediction>,
}

/// The own energy of all nodes of one instance type.
#[derive(Serialize, ToSchema)]
pub(crate) struct Share {
    instance_type: String,
    level: &'static str,
    count: usize,
    energy_j: f64,
    /// The share of the whole tree's energy, from 0 to 1.
    share: f64,
}

/// A request's parts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Phases {
    /// The prompt.
    prompt: Phase,
    /// A generated token; absent where none follows the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Phase>,
}

/// A part of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Phase {
    /// On all GPUs.
    energy_j: f64,
    latency_s: f64,
}

impl From<Part> for Phase {
    fn from(part: Part) -> Self {
        Self { energy_j: part.joules, latency_s: part.seconds }
    }
}

/// Equal layers that follow one another.
#[derive(Serialize, ToSchema)]
pub(crate) struct Repeated {
    /// The first of them.
    scope: String,
    count: usize,
}

/// The cost of a million runs of the tree, of a million requests and of a million tokens; electricity alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cost {
    energy_kwh_per_million: f64,
    price_usd_per_million: f64,
    price_per_kwh_usd: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_kwh_per_million_requests: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_usd_per_million_requests: Option<f64>,
    /// Tokens that are generated; absent where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_kwh_per_million_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_usd_per_million_tokens: Option<f64>,
}

impl Cost {
    fn of(tree: &Tree) -> Result<Self, Problem> {
        let kwh = kwh_per_million(energy(tree)?);
        Ok(Self {
            energy_kwh_per_million: kwh,
            price_usd_per_million: kwh * PRICE_PER_KWH,
            price_per_kwh_usd: PRICE_PER_KWH,
            energy_kwh_per_million_requests: None,
            price_usd_per_million_requests: None,
            energy_kwh_per_million_tokens: None,
            price_usd_per_million_tokens: None,
        })
    }

    fn with(self, figures: FigureSet) -> Self {
        let requests = figures.energy_per_request_j.map(kwh_per_million);
        let tokens = figures.energy_per_token_j.map(kwh_per_million);
        let price = |kwh: Option<f64>| kwh.map(|kwh| kwh * PRICE_PER_KWH);
        Self {
            energy_kwh_per_million_requests: requests,
            price_usd_per_million_requests: price(requests),
            energy_kwh_per_million_tokens: tokens,
            price_usd_per_million_tokens: price(tokens),
            ..self
        }
    }
}

/// The predictor.
#[derive(Serialize, ToSchema)]
pub(crate) struct PredictorEntry {
    device: String,
    /// The method of a measured machine's predictor, or `data_sheet`.
    method: String,
    /// `predicted`, or `predicted from estimated energies` if a power model stood in for a meter in the training data; of a data sheet,
    /// `estimated from its data sheet`.
    provenance: String,
    /// Whether the energies rest on a model of the power.
    estimated: bool,
    training_data: String,
    /// Remarks on the whole: that the training energies are uncertain, that requests wait for room in the cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl PredictorEntry {
    fn by_profile(device: &str, profile: &DeviceProfile, notes: Vec<String>) -> Self {
        Self {
            device: device.to_owned(),
            method: profile.predictor.method().to_owned(),
            provenance: profile.provenance.basis().to_owned(),
            estimated: profile.provenance.estimated,
            training_data: profile.provenance.training_data.clone(),
            notes,
        }
    }

    fn of(app: &App, answer: &Answer) -> Self {
        let irene_advice::Estimate { device, notes, provenance, .. } = &answer.estimate;
        if let Some(known) = app.measured(&answer.estimate) {
            return Self::by_profile(device, &known.profile, notes.clone());
        }
        let sheet = irene_devices::Catalogue::find(device).ok();
        let source = sheet.and_then(|sheet| sheet.sources.get("data_sheet").cloned());
        Self {
            device: device.clone(),
            method: "data_sheet".to_owned(),
            provenance: provenance.clone(),
            estimated: true,
            training_data: source.unwrap_or_else(|| "its data sheet".to_owned()),
            notes: notes.clone(),
        }
    }
}

impl TreePrediction {
    fn new(tree: &Tree, cost: Cost, predictor: PredictorEntry) -> Result<Self, Problem> {
        let share = |row: Bottleneck| Share {
            instance_type: row.instance_type,
            level: row.level.name(),
            count: row.count,
            energy_j: row.energy_j,
            share: row.share,
        };
        let bottlenecks = bottlenecks(tree, Quantity::PredictedEnergy).into_iter().map(share).collect();
        Ok(Self { tree: raw(tree)?, bottlenecks, cost, predictor })
    }

    /// A tree of which no more is known.
    pub(crate) fn by_profile(tree: &Tree, device: &str, profile: &DeviceProfile) -> Result<Self, Problem> {
        let predictor = PredictorEntry::by_profile(device, profile, profile.notes(tree));
        Self::new(tree, Cost::of(tree)?, predictor)
    }
}

impl Prediction {
    pub(crate) fn of(app: &App, answer: &Answer) -> Result<Self, Problem> {
        let (tree, estimate) = (&answer.tree, &answer.estimate);
        let figures = FigureSet::from(estimate.figures);
        let prompt = estimate.prompt.filter(|_| estimate.selection.generated() > 0);
        let repeats = tree.repeats().into_iter();
        let repeated = |repeat: irene_tree::Repeat| Repeated {
            scope: tree.node(repeat.first).scope().to_owned(),
            count: repeat.count,
        };
        Ok(Self {
            selection: estimate.settings(),
            title: estimate.selection.to_string(),
            figures,
            low: estimate.low.into(),
            high: estimate.high.into(),
            components: answer.component_shares(),
            phases: prompt.map(|prompt| Phases { prompt: prompt.into(), token: estimate.token.map(Phase::from) }),
            memory: estimate.memory(),
            requests: answer.requests,
            repeats: repeats.map(repeated).collect(),
            marks: estimate.marks.clone(),
            config: sizes(&estimate.model),
            of_tree: TreePrediction::new(tree, Cost::of(tree)?.with(figures), PredictorEntry::of(app, answer))?,
        })
    }
}
