use irene_tree::{Mark, Marks, Node, NodeId, Quantity, Tree};
use serde_json::{Map, Value};

use crate::{Result, interval::Uncertainty};

/// Predicted latency and energies of a node, or of its own part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PredictedCost {
    /// s.
    pub(crate) latency: Option<f64>,
    /// J at the wall.
    pub(crate) energy: f64,
    /// J by the GPU's driver.
    pub(crate) gpu_energy: Option<f64>,
}

impl PredictedCost {
    pub(crate) const NONE: Self = Self { latency: Some(0.0), energy: 0.0, gpu_energy: Some(0.0) };

    /// Latency, energy and GPU energy; NaN for one that is not known.
    pub(crate) fn figures(self) -> [f64; 3] {
        [self.latency.unwrap_or(f64::NAN), self.energy, self.gpu_energy.unwrap_or(f64::NAN)]
    }

    /// The cost with these figures.
    pub(crate) fn of([latency, energy, gpu_energy]: [f64; 3]) -> Self {
        let known = |figure: f64| Some(figure).filter(|figure| !figure.is_nan());
        Self { latency: known(latency), energy, gpu_energy: known(gpu_energy) }
    }

    /// The cost with each figure times its factor.
    pub(crate) fn scaled(self, factors: [f64; 3]) -> Self {
        let figures = self.figures();
        Self::of(std::array::from_fn(|figure| factors[figure] * figures[figure]))
    }

    /// The cost of this many runs.
    fn times(self, times: f64) -> Self {
        self.scaled([times; 3])
    }

    /// The sum with a part.
    fn with(self, part: &Self) -> Self {
        let add = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        Self {
            latency: add(self.latency, part.latency),
            energy: self.energy + part.energy,
            gpu_energy: add(self.gpu_energy, part.gpu_energy),
        }
    }
}

/// The prediction of one node of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodePrediction {
    /// None for a node that the method does not predict.
    pub(crate) cost: Option<PredictedCost>,
    /// The energy beside the children's, J.
    pub(crate) own: Option<f64>,
    /// How far off the energy of the leaf, or of the module's own part, may be.
    pub(crate) uncertainty: Uncertainty,
    /// Whether the energy is the sum of the children's and the own part, rather than predicted for the node as a whole.
    pub(crate) is_sum: bool,
    pub(crate) marks: Marks,
    /// The features outside the training range, with the factor by which each is beyond the nearest value that was seen.
    pub(crate) beyond: Vec<(&'static str, f64)>,
}

impl NodePrediction {
    /// The prediction of a leaf, of a module's own part, or of a node as a whole.
    pub(crate) fn of(cost: PredictedCost, uncertainty: Uncertainty) -> Self {
        Self { cost: Some(cost), own: Some(cost.energy), uncertainty, ..Self::default() }
    }

    /// Marks the prediction if any feature is outside the training range.
    pub(crate) fn beyond(mut self, distances: impl Iterator<Item = (&'static str, Option<f64>)>) -> Self {
        self.beyond = distances.filter_map(|(feature, factor)| Some((feature, factor?))).collect();
        if !self.beyond.is_empty() {
            self.marks.insert(Mark::Extrapolated);
        }
        let farthest = self.beyond.iter().map(|(_, factor)| factor.ln()).fold(0.0, f64::max);
        self.uncertainty.distance = farthest;
        self
    }

    /// Adds the marks of a part.
    pub(crate) fn mark_as(&mut self, part: &Self) {
        self.marks.extend(part.marks.iter());
        for &(feature, factor) in &part.beyond {
            match self.beyond.iter_mut().find(|(known, _)| *known == feature) {
                Some((_, known)) => *known = known.max(factor),
                None => self.beyond.push((feature, factor)),
            }
        }
    }
}

fn sum(a: Option<PredictedCost>, b: Option<PredictedCost>) -> Option<PredictedCost> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.with(&b)),
        (a, b) => a.or(b),
    }
}

/// Predicts a tree whose modules cost the sum of their children and an own part: `part` gives the cost of a leaf, or of a module's own
/// part, and sees what is predicted below it.
pub(crate) fn sum_up(
    tree: &Tree,
    mut part: impl FnMut(NodeId, &mut [NodePrediction]) -> Result<NodePrediction>,
) -> Result<Vec<NodePrediction>> {
    let mut predictions = vec![NodePrediction::default(); tree.nodes().len()];
    for id in tree.ids().rev() {
        let own = part(id, &mut predictions)?;
        let below = &mut predictions[id.index()];
        (below.cost, below.own) = (sum(below.cost, own.cost), own.own);
        (below.uncertainty, below.is_sum) = (own.uncertainty, true);
        below.mark_as(&own);
        if let Some(parent) = tree.parent(id) {
            let (above, below) = predictions.split_at_mut(id.index());
            let (above, below) = (&mut above[parent.index()], &below[0]);
            above.cost = sum(above.cost, below.cost.map(|cost| cost.times(tree.node(id).times())));
            above.mark_as(below);
        }
    }
    Ok(predictions)
}

/// Writes predictions into a tree, with the interval of each node where it is known.
pub(crate) fn write(tree: &mut Tree, predictions: &[NodePrediction], intervals: &[Option<[f64; 2]>]) {
    tree.clear_predictions();
    let intervals = intervals.iter().copied().chain(std::iter::repeat(None));
    for ((node, prediction), interval) in tree.nodes_mut().iter_mut().zip(predictions).zip(intervals) {
        let Some(cost) = prediction.cost else { continue };
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        node.set(Quantity::PredictedEnergy, cost.energy);
        node.set(Quantity::OwnEnergy, known(prediction.own));
        node.set(Quantity::PredictedLatency, known(cost.latency));
        node.set(Quantity::PredictedPower, known(cost.latency.filter(|s| *s > 0.0).map(|s| cost.energy / s)));
        node.set(Quantity::PredictedGpuEnergy, known(cost.gpu_energy));
        if let Some([low, high]) = interval {
            node.set(Quantity::PredictedLow, low);
            node.set(Quantity::PredictedHigh, high);
        }
        node.marks = prediction.marks;
        if !prediction.beyond.is_empty() {
            let factors = prediction.beyond.iter().map(|&(feature, factor)| (feature.to_owned(), Value::from(factor)));
            let factors: Map<String, Value> = factors.collect();
            node.extra.get_or_insert_default().insert(Node::EXTRAPOLATED_FIELD.into(), factors.into());
        }
    }
}
