use irene_tree::{Level, Mark, Marks, Node, NodeId, Quantity, Tree};
use serde_json::{Map, Value};

use crate::Result;

/// What is predicted of a node, or of its own part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// s.
    pub(crate) latency: Option<f64>,
    /// J at the wall.
    pub(crate) energy: f64,
    /// J by the GPU's driver.
    pub(crate) gpu_energy: Option<f64>,
    /// How far off the energy may be for all that is known before it is tried on held-out trees, in e-folds.
    pub(crate) deviation: f64,
    /// How far its interval reaches at least, in e-folds.
    pub(crate) least_reach: f64,
}

impl Figures {
    /// The figures of so many runs.
    fn times(self, times: f64) -> Self {
        let scaled = |figure: f64| times * figure;
        Self {
            latency: self.latency.map(scaled),
            energy: scaled(self.energy),
            gpu_energy: self.gpu_energy.map(scaled),
            ..self
        }
    }

    /// With the figures of a part added. Deviations of parts go together: all are of one machine.
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

/// What is predicted of one node of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prediction {
    /// None for a node that the method says nothing of.
    pub(crate) figures: Option<Figures>,
    /// What the children do not account for, J.
    pub(crate) own: Option<f64>,
    pub(crate) marks: Marks,
    /// The features outside the training range, and by which factor they are beyond the nearest value that was seen.
    pub(crate) beyond: Vec<(&'static str, f64)>,
}

impl Prediction {
    /// Of a leaf, or the own part of a module.
    pub(crate) fn of(figures: Figures) -> Self {
        Self { figures: Some(figures), own: Some(figures.energy), ..Self::default() }
    }

    /// Marked by the features that are outside the training range, if any are.
    pub(crate) fn beyond(mut self, distances: impl Iterator<Item = (&'static str, Option<f64>)>) -> Self {
        self.beyond = distances.filter_map(|(feature, factor)| Some((feature, factor?))).collect();
        if !self.beyond.is_empty() {
            self.marks.insert(Mark::Extrapolated);
        }
        self
    }

    /// Takes over the marks of a part.
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

fn sum(a: Option<Figures>, b: Option<Figures>) -> Option<Figures> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.with(&b)),
        (a, b) => a.or(b),
    }
}

/// Predictions for a tree whose modules are the sum of their children and an own part: `part` gives a leaf, or a module's own
/// part.
pub(crate) fn sum_up(tree: &Tree, mut part: impl FnMut(NodeId) -> Result<Prediction>) -> Result<Vec<Prediction>> {
    let mut predictions = vec![Prediction::default(); tree.nodes().len()];
    for id in tree.ids().rev() {
        let own = part(id)?;
        let below = &mut predictions[id.index()];
        (below.figures, below.own) = (sum(below.figures, own.figures), own.own);
        below.mark_as(&own);
        if let Some(parent) = tree.parent(id) {
            let (above, below) = predictions.split_at_mut(id.index());
            let (above, below) = (&mut above[parent.index()], &below[0]);
            above.figures = sum(above.figures, below.figures.map(|figures| figures.times(tree.node(id).times())));
            above.mark_as(below);
        }
    }
    Ok(predictions)
}

/// Writes predictions into a tree, with intervals where it is known how far off they are: of a node's level and figures, and whether it
/// lies outside the training range.
pub(crate) fn write(
    tree: &mut Tree,
    predictions: &[Prediction],
    interval: impl Fn(Level, &Figures, bool) -> Option<[f64; 2]>,
) {
    tree.clear_predictions();
    for (node, prediction) in tree.nodes_mut().iter_mut().zip(predictions) {
        let Some(figures) = prediction.figures else { continue };
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        node.set(Quantity::PredictedEnergy, figures.energy);
        node.set(Quantity::OwnEnergy, known(prediction.own));
        node.set(Quantity::PredictedLatency, known(figures.latency));
        node.set(Quantity::PredictedPower, known(figures.latency.filter(|s| *s > 0.0).map(|s| figures.energy / s)));
        node.set(Quantity::PredictedGpuEnergy, known(figures.gpu_energy));
        let extrapolated = prediction.marks.contains(Mark::Extrapolated);
        if let Some([low, high]) = interval(node.level(), &figures, extrapolated) {
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
