use serde::Serialize;

use super::{evaluation::Evaluation, hypervolume::hypervolume};

/// The result of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome<G> {
    /// The way it was searched.
    pub method: &'static str,
    /// The objective.
    pub objective: String,
    /// The constraints.
    pub constraints: String,
    /// The seed of all that is random.
    pub seed: u64,
    /// Evaluations allowed.
    pub budget: usize,
    /// Evaluations made.
    pub evaluations: usize,
    /// Whether it was told to stop early.
    pub stopped: bool,
    /// The worst costs that count for the hypervolume, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Vec<f64>>,
    /// The best compromises of designs that keep the constraints, by their costs, one for equal costs; of one cost, the best.
    pub front: Vec<Solution<G>>,
    /// The states on the way.
    pub trace: Vec<TracePoint>,
}

/// A design of a front.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Solution<G> {
    /// The design.
    pub design: G,
    /// Its predicted figures.
    pub figures: Evaluation,
    /// Its costs.
    pub costs: Vec<f64>,
    /// The probability that it keeps the constraints.
    pub feasibility: f64,
    /// The evaluation that found it, counted from 1.
    pub evaluation: usize,
}

/// The state of a search after some evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TracePoint {
    /// Evaluations made.
    pub evaluations: usize,
    /// Points of the front.
    pub front: usize,
    /// The least of the only cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<f64>,
    /// The hypervolume of the front below the reference, if there are several costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervolume: Option<f64>,
}

impl<G> Outcome<G> {
    /// The hypervolume of the front below a reference.
    pub fn hypervolume(&self, reference: &[f64]) -> f64 {
        let costs: Vec<_> = self.front.iter().map(|found| found.costs.as_slice()).collect();
        hypervolume(&costs, reference)
    }
}
