use irene_tree::{Level, Mark, Marks, Node, NodeId, Quantity, Tree};
use serde_json::{Map, Value};

use crate::Result;

/// Predicted latency and energies of a node, or of its own part, with how far off they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PredictedCost {
    /// s.
    pub(crate) latency: Option<f64>,
    /// J at the wall.
    pub(crate) energy: f64,
    /// J by the GPU's driver.
    pub(crate) gpu_energy: Option<f64>,
    /// A guess of how far off the energy may be, in e-folds, before it is tried on held-out trees.
    pub(crate) deviation: f64,
    /// The least reach of the energy's interval, in e-folds.
    pub(crate) least_reach: f64,
}

impl PredictedCost {
    /// The cost of this many runs.
    fn times(self, times: f64) -> Self {
        let scaled = |figure: f64| times * figure;
        Self {
            latency: self.latency.map(scaled),
            energy: scaled(self.energy),
            gpu_energy: self.gpu_energy.map(scaled),
            ..self
        }
    }

    /// The sum with a part. Deviations of parts do not cancel: all are of one machine.
    fn with(self, part: &Self) -> Self {
        let add = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
        let energy = self.energy + part.energy;
        let mean = |own: f64, part_s: f64| {
            if energy > 0.0 { (own * self.energy + part_s * part.energy) / energy } else { own.max(part_s) }
        };
        let deviation = mean(self.deviation, part.deviation);
        let least_reach = mean(self.least_reach, part.least_reach);
        Self {
            latency: add(self.latency, part.latency),
            energy,
            gpu_energy: add(self.gpu_energy, part.gpu_energy),
            deviation,
            least_reach,
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
    pub(crate) marks: Marks,
    /// The features outside the training range, with the factor by which each is beyond the nearest value that was seen.
    pub(crate) beyond: Vec<(&'static str, f64)>,
}

impl NodePrediction {
    /// The prediction of a leaf, or of a module's own part.
    pub(crate) fn of(cost: PredictedCost) -> Self {
        Self { cost: Some(cost), own: Some(cost.energy), ..Self::default() }
    }

    /// Marks the prediction if any feature is outside the training range.
    pub(crate) fn beyond(mut self, distances: impl Iterator<Item = (&'static str, Option<f64>)>) -> Self {
        self.beyond = distances.filter_map(|(feature, factor)| Some((feature, factor?))).collect();
        if !self.beyond.is_empty() {
            self.marks.insert(Mark::Extrapolated);
        }
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
/// part.
pub(crate) fn sum_up(
    tree: &Tree,
    mut part: impl FnMut(NodeId) -> Result<NodePrediction>,
) -> Result<Vec<NodePrediction>> {
    let mut predictions = vec![NodePrediction::default(); tree.nodes().len()];
    for id in tree.ids().rev() {
        let own = part(id)?;
        let below = &mut predictions[id.index()];
        (below.cost, below.own) = (sum(below.cost, own.cost), own.own);
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

/// Writes predictions into a tree. `interval` gives the ends of a node's interval, if they are known, by its level, its cost and whether
/// it is outside the training range.
pub(crate) fn write(
    tree: &mut Tree,
    predictions: &[NodePrediction],
    interval: impl Fn(Level, &PredictedCost, bool) -> Option<[f64; 2]>,
) {
    tree.clear_predictions();
    for (node, prediction) in tree.nodes_mut().iter_mut().zip(predictions) {
        let Some(cost) = prediction.cost else { continue };
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        node.set(Quantity::PredictedEnergy, cost.energy);
        node.set(Quantity::OwnEnergy, known(prediction.own));
        node.set(Quantity::PredictedLatency, known(cost.latency));
        node.set(Quantity::PredictedPower, known(cost.latency.filter(|s| *s > 0.0).map(|s| cost.energy / s)));
        node.set(Quantity::PredictedGpuEnergy, known(cost.gpu_energy));
        let extrapolated = prediction.marks.contains(Mark::Extrapolated);
        if let Some([low, high]) = interval(node.level(), &cost, extrapolated) {
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
