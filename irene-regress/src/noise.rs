//! The uncertainty of trees' own measurements: half the 95% interval of a node's latency and energy, from the rounds of its measurement.

use irene_numerics::NORMAL_90;
use irene_tree::{Level, Node, Quantity, Tree};

/// The spread of repeated measurements, as a share, where a tree says nothing.
pub(crate) const NOISE: f64 = 0.01;

/// The spread where a node was measured in one round, which cannot tell: as a share. It is a guess.
const UNKNOWN: f64 = 0.1;

/// Half a 95% interval in standard deviations. Few rounds have wider ones, and their own spread is as unsure.
const STANDARD_DEVIATIONS: f64 = 1.96;

/// Half a 90% interval in halves of 95% intervals.
const NINETY_OF_NINETY_FIVE: f64 = NORMAL_90 / STANDARD_DEVIATIONS;

/// Half the 95% interval of a node's figure, as a share of it; None where the tree does not say how it was measured.
fn half_width(node: &Node, quantity: Quantity) -> Option<f64> {
    let value = node.get(quantity).filter(|value| *value > 0.0)?;
    match node.half_width(quantity) {
        Some(half_width) => Some(half_width / value).filter(|share| share.is_finite() && *share >= 0.0),
        None => node.measured_rounds().map(|_| STANDARD_DEVIATIONS * UNKNOWN),
    }
}

/// How many measurements of the usual spread a node's figure is worth: 1 where the tree does not say, less the wider its interval.
pub(crate) fn worth(node: &Node, quantity: Quantity, usual: f64) -> f64 {
    let spread = half_width(node, quantity).unwrap_or_default() / STANDARD_DEVIATIONS;
    usual * usual / (usual * usual + spread * spread)
}

/// The same of a node's latency, energy and energy by the GPU's driver, which is read as the latency is.
pub(crate) fn worths(node: &Node, usual: f64) -> [f64; 3] {
    let [time, energy] = [Quantity::Latency, Quantity::GroundTruthEnergy].map(|figure| worth(node, figure, usual));
    [time, energy, time]
}

/// Half the 95% interval of the energies of some trees, as a share.
///
/// The nodes of a tree may all be off alike, so their intervals are added up; those of several trees average out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfEnergies {
    is_known: bool,
    precision: f64,
}

impl OfEnergies {
    pub(crate) fn add(&mut self, tree: &Tree) {
        let known = of_tree(tree);
        self.is_known |= known.is_some();
        self.precision += known.unwrap_or_default().max(STANDARD_DEVIATIONS * NOISE).powi(-2);
    }

    /// None where none of the trees says how it was measured.
    pub(crate) fn share(&self) -> Option<f64> {
        self.is_known.then(|| self.precision.sqrt().recip())
    }
}

fn of_energies<'t>(trees: impl IntoIterator<Item = &'t Tree>) -> Option<f64> {
    let mut energies = OfEnergies::default();
    trees.into_iter().for_each(|tree| energies.add(tree));
    energies.share()
}

fn of_tree(tree: &Tree) -> Option<f64> {
    let (mut half_widths, mut energies) = (0.0, 0.0);
    for node in tree.nodes().iter().filter(|node| node.level() == Level::Ml) {
        let Some(joules) = node.get(Quantity::GroundTruthEnergy).filter(|joules| *joules > 0.0) else { continue };
        if let Some(share) = half_width(node, Quantity::GroundTruthEnergy) {
            half_widths += share * joules;
            energies += joules;
        }
    }
    (energies > 0.0).then(|| half_widths / energies)
}

/// The reach, e-folds, that the uncertainty of these trees' energies adds to 90% intervals of what is learned from them.
pub(crate) fn reach(trees: &[&Tree]) -> f64 {
    of_energies(trees.iter().copied()).map_or(0.0, |share| (NINETY_OF_NINETY_FIVE * share).ln_1p())
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};
    use serde_json::json;

    use super::*;

    fn tree(measurement: Option<serde_json::Value>) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        let node = builder.leaf("root", "Linear", Level::Ml, None);
        node.set(Quantity::GroundTruthEnergy, 0.18);
        if let Some(measurement) = measurement {
            node.extra.get_or_insert_default().insert(Node::MEASUREMENT_FIELD.into(), measurement);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn trees_that_do_not_say_how_they_were_measured_count_as_ever() {
        assert_eq!(of_energies([&tree(None)]), None);
        assert_eq!(worth(tree(None).root(), Quantity::GroundTruthEnergy, NOISE), 1.0);
    }

    #[test]
    fn what_is_measured_badly_counts_little_and_is_said() {
        let bad = tree(Some(json!({"energy_half_width": 0.28, "rounds": 3})));
        assert!(worth(bad.root(), Quantity::GroundTruthEnergy, NOISE) < 1e-3);
        let share = of_energies([&bad]).unwrap();
        assert!((share - 0.28 / 0.18).abs() < 1e-12, "{share}");
        let good = tree(Some(json!({"energy_half_width": 0.0036, "rounds": 5})));
        let both = of_energies([&bad, &good]).unwrap();
        assert!(both < 0.02 && both > 0.0199, "{both}");
    }

    #[test]
    fn one_round_does_not_tell_its_spread() {
        let once = tree(Some(json!({"rounds": 1})));
        assert!((of_energies([&once]).unwrap() - 0.196).abs() < 1e-12);
    }
}
