//! The answers, as the OpenAPI document has them.

use irene_regress::{Bottleneck, PRICE_PER_KWH, bottlenecks, kwh_per_million};
use irene_tree::{Quantity, Tree, jsonl};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{app::Device, problem::Problem};

/// Built-in models.
#[derive(Serialize, ToSchema)]
pub(crate) struct Models {
    pub(crate) models: Vec<Model>,
}

/// A built-in model.
#[derive(Serialize, ToSchema)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// The config's `model_type`.
    pub(crate) architecture: String,
    /// The authors' name for the model and its like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) series: Option<String>,
    /// `decoder`, `embedder` or `encoder`.
    pub(crate) task: &'static str,
    pub(crate) num_parameters: Option<f64>,
    /// Parameters that one token meets, where experts leave out the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active_parameters: Option<u64>,
    pub(crate) layers: Option<usize>,
    pub(crate) hidden_size: Option<usize>,
    /// Positions that the model has; a sequence may be no longer.
    pub(crate) max_seq_len: Option<usize>,
}

/// Machines that can be predicted for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Devices {
    pub(crate) devices: Vec<DeviceEntry>,
}

/// How a device's energies are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeviceKind {
    /// By a predictor that was made from measurements on it.
    Measured,
    /// By its data sheet.
    DataSheet,
}

/// A machine, and what its predictor was made from, or its data sheet.
#[derive(Serialize, ToSchema)]
#[schema(title = "Device")]
pub(crate) struct DeviceEntry {
    pub(crate) name: String,
    pub(crate) kind: DeviceKind,
    pub(crate) description: String,
    pub(crate) method: String,
    /// The measurements, or the address of the data sheet.
    pub(crate) training_data: String,
    /// Whether the energies rest on a model of the power: that of a data sheet, or one that stood in for a meter in the training data.
    pub(crate) estimated: bool,
    /// Least and greatest batch size of the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_sizes: Option<[usize; 2]>,
    /// Least and greatest sequence length of the training data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq_lens: Option<[usize; 2]>,
    #[serde(flatten)]
    pub(crate) sheet: Option<DataSheet>,
}

/// What a device's data sheet says; of a measured machine, that of its GPU.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataSheet {
    /// The name that its maker gives it.
    title: String,
    vendor: &'static str,
    /// The generation of its processor.
    architecture: String,
    class: &'static str,
    /// The year in which it came out.
    year: u16,
    memory_gib: f64,
    /// 10⁹ bytes a second.
    bandwidth_gb_s: f64,
    tdp_w: f64,
    /// Power when idle, where it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_w: Option<f64>,
}

impl DataSheet {
    pub(crate) fn of(device: &irene_devices::Device) -> Self {
        Self {
            title: device.title.clone(),
            vendor: device.vendor.name(),
            architecture: device.architecture.clone(),
            class: device.class.name(),
            year: device.year,
            memory_gib: device.memory_gib,
            bandwidth_gb_s: device.bandwidth_gb_s,
            tdp_w: device.tdp_w,
            idle_w: device.idle_w,
        }
    }
}

/// Engines that serve models.
#[derive(Serialize, ToSchema)]
pub(crate) struct Engines {
    pub(crate) engines: Vec<EngineEntry>,
}

/// An engine of one generation.
#[derive(Serialize, ToSchema)]
#[schema(title = "Engine")]
pub(crate) struct EngineEntry {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) program: &'static str,
    /// Its usual kernels.
    pub(crate) kernels: &'static str,
    /// Whether it replaces sequences that have ended while others run: whether it takes a concurrency or a rate.
    pub(crate) is_continuous: bool,
}

/// A tree with its energies.
#[derive(Serialize, ToSchema)]
pub(crate) struct Prediction {
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
    pub(crate) predictions: Vec<Prediction>,
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

/// The cost of a million runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cost {
    energy_kwh_per_million: f64,
    price_usd_per_million: f64,
    price_per_kwh_usd: f64,
}

/// The predictor.
#[derive(Serialize, ToSchema)]
pub(crate) struct PredictorEntry {
    device: String,
    method: String,
    /// `predicted`, or `predicted from estimated energies` if a power model stood in for a meter in the training data.
    provenance: &'static str,
    /// Whether the energies rest on a power model's estimates.
    estimated: bool,
    training_data: String,
    /// What a reader has to know of the whole: that the training energies are uncertain, that the model does not fit the device's memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Prediction {
    pub(crate) fn of(tree: &Tree, device: &str, profile: &irene_regress::DeviceProfile) -> Result<Self, Problem> {
        let kwh = kwh_per_million(energy(tree)?);
        let share = |row: Bottleneck| Share {
            instance_type: row.instance_type,
            level: row.level.name(),
            count: row.count,
            energy_j: row.energy_j,
            share: row.share,
        };
        Ok(Self {
            tree: raw(tree)?,
            bottlenecks: bottlenecks(tree, Quantity::PredictedEnergy).into_iter().map(share).collect(),
            cost: Cost {
                energy_kwh_per_million: kwh,
                price_usd_per_million: kwh * PRICE_PER_KWH,
                price_per_kwh_usd: PRICE_PER_KWH,
            },
            predictor: PredictorEntry {
                device: device.to_owned(),
                method: profile.predictor.method().to_owned(),
                provenance: profile.provenance.basis(),
                estimated: profile.provenance.estimated,
                training_data: profile.provenance.training_data.clone(),
                notes: profile.notes(tree),
            },
        })
    }

    pub(crate) fn on(tree: &Tree, device: &Device) -> Result<Self, Problem> {
        Self::of(tree, &device.name, &device.profile)
    }
}

/// A tree by its shapes alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Trace {
    #[schema(value_type = TreeLine)]
    tree: Box<RawValue>,
}

impl Trace {
    pub(crate) fn of(tree: &Tree) -> Result<Self, Problem> {
        Ok(Self { tree: raw(tree)? })
    }
}

fn raw(tree: &Tree) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(jsonl::to_json(tree)).map_err(|error| Problem::refused(&error))
}

/// The whole tree's energy, J.
pub(crate) fn energy(tree: &Tree) -> Result<f64, Problem> {
    let energy = tree.root().get(Quantity::PredictedEnergy);
    energy.ok_or_else(|| Problem::malformed(format!("{tree}: the predictor says nothing of the whole")))
}

/// Two selections, node by node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Comparison {
    pub(crate) a: Whole,
    pub(crate) b: Whole,
    /// b's energy minus a's, J.
    pub(crate) difference_j: f64,
    /// b's energy over a's.
    pub(crate) ratio: f64,
    pub(crate) nodes: Vec<NodePair>,
    pub(crate) by_type: Vec<TypePair>,
}

/// A whole model at a size.
#[derive(Serialize, ToSchema)]
pub(crate) struct Whole {
    pub(crate) model: String,
    pub(crate) batch_size: usize,
    pub(crate) seq_len: usize,
    pub(crate) device: String,
    /// Whether the energies rest on a power model's estimates, which stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) energy_j: f64,
    pub(crate) energy_per_token_j: f64,
}

/// A node of a, b or both; the difference is absent if only one has it.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodePair {
    pub(crate) scope: String,
    pub(crate) instance_type: String,
    #[serde(rename = "type")]
    pub(crate) level: &'static str,
    pub(crate) a_j: Option<f64>,
    pub(crate) b_j: Option<f64>,
    pub(crate) difference_j: Option<f64>,
}

/// The own energy of all nodes of one instance type in both.
#[derive(Serialize, ToSchema)]
pub(crate) struct TypePair {
    pub(crate) instance_type: String,
    pub(crate) level: &'static str,
    pub(crate) a_j: f64,
    pub(crate) b_j: f64,
    pub(crate) difference_j: f64,
}

/// A model at several sizes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sweep {
    pub(crate) model: String,
    pub(crate) device: String,
    /// Whether the energies rest on a power model's estimates, which stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) cells: Vec<Cell>,
}

/// One size.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cell {
    pub(crate) batch_size: usize,
    pub(crate) seq_len: usize,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) extrapolated: bool,
}

/// The figures of one run.
#[derive(Serialize, ToSchema)]
pub(crate) struct Figures {
    energy_j: f64,
    energy_low_j: Option<f64>,
    energy_high_j: Option<f64>,
    energy_per_token_j: f64,
    latency_s: Option<f64>,
}

impl Figures {
    pub(crate) fn energy_j(&self) -> f64 {
        self.energy_j
    }

    pub(crate) fn of(tree: &Tree) -> Result<Self, Problem> {
        let (root, energy) = (tree.root(), energy(tree)?);
        Ok(Self {
            energy_j: energy,
            energy_low_j: root.get(Quantity::PredictedLow),
            energy_high_j: root.get(Quantity::PredictedHigh),
            energy_per_token_j: per_token(tree, energy),
            latency_s: root.get(Quantity::PredictedLatency),
        })
    }
}

pub(crate) fn per_token(tree: &Tree, energy: f64) -> f64 {
    energy / tree.tokens() as f64
}

/// All built-in models at one size, least energy first; a model that cannot take the size is left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct Leaderboard {
    /// Whether the energies rest on a power model's estimates, which stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) entries: Vec<Entry>,
}

/// A model at the size.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    pub(crate) model: String,
    pub(crate) num_parameters: Option<f64>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// Energy against task accuracy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tradeoff {
    /// Whether the energies rest on a power model's estimates, which stood in for a meter in the training data.
    pub(crate) estimated: bool,
    pub(crate) points: Vec<Point>,
}

/// A model with its accuracy.
#[derive(Serialize, ToSchema)]
pub(crate) struct Point {
    pub(crate) model: String,
    pub(crate) accuracy: f64,
    pub(crate) energy_j: f64,
    /// Whether no other model is at least as accurate for at most the energy, and better in one of them.
    pub(crate) is_on_front: bool,
}

/// A line of IrEne's interchange format.
#[derive(Serialize, ToSchema)]
pub(crate) struct TreeLine {
    model_name: String,
    batch_size: usize,
    seq_len: usize,
    frontend_tree: Node,
}

/// A node of a tree. An absent number is unknown.
#[derive(Serialize, ToSchema)]
#[schema(no_recursion)]
pub(crate) struct Node {
    id: String,
    scope: String,
    parent_name: String,
    /// Depth, 0 for the root.
    level: usize,
    instance_type: String,
    #[serde(rename = "type")]
    #[schema(example = "ml")]
    kind: String,
    /// Millions, by IrEne's counting rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    flops: Option<f64>,
    /// J, measured or estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    ground_truth_energy: Option<f64>,
    /// s, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    times_mean: Option<f64>,
    /// J.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_energy: Option<f64>,
    /// J, the lower end of the 90% interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_energy_low: Option<f64>,
    /// J, the upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_energy_high: Option<f64>,
    /// J that the children do not account for.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_energy: Option<f64>,
    /// s.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_times_mean: Option<f64>,
    /// W.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_power: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<Vec<String>>,
    child_nodes_obj: Vec<Node>,
    child_nodes: Vec<String>,
}
