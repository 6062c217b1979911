//! Trees in IrEne's interchange form.

use irene_tree::{Quantity, Tree, jsonl};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::problem::Problem;

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

pub(crate) fn raw(tree: &Tree) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(jsonl::to_json(tree)).map_err(|error| Problem::refused(&error))
}

/// The whole tree's energy, J.
pub(crate) fn energy(tree: &Tree) -> Result<f64, Problem> {
    let energy = tree.root().get(Quantity::PredictedEnergy);
    energy.ok_or_else(|| Problem::malformed(format!("{tree}: the predictor says nothing of the whole")))
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
