use std::collections::{BTreeMap, HashMap};

use irene_numerics::{mean, quantile};
use irene_tree::{Level, NodeId, Quantity, Tree};

use crate::{Error, Result, paper};

/// Percentage errors 100·|P - G| / G of predicted energies P against ground truth G.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    percentages: Vec<f64>,
}

impl Errors {
    /// The number of nodes.
    pub fn count(&self) -> usize {
        self.percentages.len()
    }

    /// The mean; None without errors.
    pub fn mean(&self) -> Option<f64> {
        mean(&self.percentages)
    }

    /// The error that this share of the nodes does not exceed, between two of theirs in proportion; None without errors.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.percentages.clone();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, share)
    }

    /// The share of nodes with an error of at most this many percent: the paper's figure 3.
    pub fn share_within(&self, percent: f64) -> Option<f64> {
        let within = self.percentages.iter().filter(|error| **error <= percent).count();
        (!self.percentages.is_empty()).then(|| within as f64 / self.percentages.len() as f64)
    }
}

/// Errors of one or more trees, by level and by instance type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// By level.
    pub by_level: BTreeMap<Level, Errors>,
    /// By instance type, in the spelling of its first node.
    pub by_instance_type: BTreeMap<String, Errors>,
    /// Errors of latency and GPU energy by the predicted quantity and the level, for nodes where both are measured and predicted.
    pub by_figure: BTreeMap<(Quantity, Level), Errors>,
    /// By level, the number of nodes in their interval, and of nodes with an interval.
    within: BTreeMap<Level, [usize; 2]>,
}

/// The quantities that are predicted beside the energy, each with its measured counterpart.
const FIGURES: [(Quantity, Quantity); 2] =
    [(Quantity::PredictedLatency, Quantity::Latency), (Quantity::PredictedGpuEnergy, Quantity::GpuEnergy)];

impl Evaluation {
    /// The mean error of a level, in percent.
    pub fn mean(&self, level: Level) -> Option<f64> {
        self.by_level.get(&level)?.mean()
    }

    /// The share of a level's nodes with the ground truth in their interval; None if no node has an interval.
    pub fn coverage(&self, level: Level) -> Option<f64> {
        self.within.get(&level).map(|[within, all]| *within as f64 / *all as f64)
    }

    /// Adds every node of a tree that carries both energies.
    ///
    /// # Errors
    /// [`Error::GroundTruth`] for a ground truth of zero; [`Error::Unmatched`] for a measured node without a prediction.
    pub fn add(&mut self, tree: &Tree) -> Result<()> {
        for id in tree.ids().filter(|&id| tree.node(id).get(Quantity::GroundTruthEnergy).is_some()) {
            self.add_node(tree, id, tree, id)?;
        }
        Ok(())
    }

    fn add_node(&mut self, truth: &Tree, id: NodeId, predicted: &Tree, predicted_id: NodeId) -> Result<()> {
        let node = truth.node(id);
        let Some(joules) = paper::measured_energy(truth, id)? else { return Ok(()) };
        let Some(prediction) = predicted.node(predicted_id).get(Quantity::PredictedEnergy) else {
            // Some methods do not predict single operations.
            if node.level() == Level::Math {
                return Ok(());
            }
            return Err(Error::Unmatched(format!("{predicted}, node `{}`: no predicted_energy", node.scope())));
        };
        let error = 100.0 * (prediction - joules).abs() / joules;
        self.by_level.entry(node.level()).or_default().percentages.push(error);
        let get = |quantity| predicted.node(predicted_id).get(quantity);
        if let (Some(low), Some(high)) = (get(Quantity::PredictedLow), get(Quantity::PredictedHigh)) {
            let [within, all] = self.within.entry(node.level()).or_default();
            *within += usize::from((low..=high).contains(&joules));
            *all += 1;
        }
        for (figure, measured) in FIGURES {
            if let (Some(figure_value), Some(value)) = (get(figure), node.get(measured).filter(|value| *value > 0.0)) {
                let error = 100.0 * (figure_value - value).abs() / value;
                self.by_figure.entry((figure, node.level())).or_default().percentages.push(error);
            }
        }
        let known = self.by_instance_type.keys().find(|known| node.is_instance_of(known)).cloned();
        let instance_type = known.unwrap_or_else(|| node.instance_type().to_owned());
        self.by_instance_type.entry(instance_type).or_default().percentages.push(error);
        Ok(())
    }
}

/// Compares predicted trees with the truth, node by node: the nth node of the same scope and instance type in the nth tree of the same
/// model and size, or in the only one that was predicted. Ids are not compared: another program may have numbered the same nodes in another
/// order.
///
/// # Errors
/// [`Error::Unmatched`] for a measured node that was not predicted; [`Error::GroundTruth`] for a ground truth of zero.
pub fn evaluate(truth: &[Tree], predicted: &[Tree]) -> Result<Evaluation> {
    let mut places: HashMap<String, BTreeMap<usize, (&Tree, NodeId)>> = HashMap::new();
    for (tree, id, which, key) in keys(predicted) {
        places.entry(key).or_default().insert(which, (tree, id));
    }
    let mut evaluation = Evaluation::default();
    for (tree, id, which, key) in keys(truth) {
        if tree.node(id).get(Quantity::GroundTruthEnergy).is_none() {
            continue;
        }
        let found = places.get(&key).and_then(|all| {
            let only = || all.values().next().filter(|_| all.len() == 1);
            all.get(&which).or_else(only).copied()
        });
        let Some((predicted, predicted_id)) = found else {
            let (scope, instance_type) = (tree.node(id).scope(), tree.node(id).instance_type());
            let count = |trees: &[Tree]| trees.iter().filter(|other| other.to_string() == tree.to_string()).count();
            let [measured, given] = [count(truth), count(predicted)];
            let reason = if places.contains_key(&key) && given < measured {
                format!("{measured} measured trees of {tree}, {given} predicted: give one, or as many")
            } else {
                format!("{tree}, node `{scope}`: the predictions have no such {instance_type}")
            };
            return Err(Error::Unmatched(reason));
        };
        evaluation.add_node(tree, id, predicted, predicted_id)?;
    }
    if evaluation.by_level.is_empty() {
        return Err(Error::Unmatched("no node of the truth has a ground_truth_energy".into()));
    }
    Ok(evaluation)
}

/// Each node with the number of its tree among those of the same model and size, and a key that is the same in two files.
fn keys(trees: &[Tree]) -> Vec<(&Tree, NodeId, usize, String)> {
    let mut trees_seen: HashMap<String, usize> = HashMap::new();
    let mut keys = Vec::new();
    for tree in trees {
        let which = trees_seen.entry(tree.to_string()).or_default();
        *which += 1;
        let mut seen: HashMap<(&str, String), usize> = HashMap::new();
        for id in tree.ids() {
            let (scope, instance_type) = (tree.node(id).scope(), tree.node(id).instance_type().to_ascii_lowercase());
            let place = seen.entry((scope, instance_type.clone())).or_default();
            *place += 1;
            keys.push((tree, id, *which, format!("{tree} {scope} {instance_type} {place}")));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    fn tree(truth: f64, prediction: Option<f64>) -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        let node = builder.leaf("root", "Linear", Level::Ml, None);
        node.set(Quantity::GroundTruthEnergy, truth);
        node.set(Quantity::PredictedEnergy, prediction.unwrap_or(f64::NAN));
        builder.finish().unwrap()
    }

    #[test]
    fn errors_are_relative_to_the_truth() {
        let truth = [tree(2.0, None)];
        let evaluation = evaluate(&truth, &[tree(9.0, Some(2.5))]).unwrap();
        assert_eq!(evaluation.mean(Level::Ml), Some(25.0));
        assert_eq!(evaluation.by_instance_type["Linear"].share_within(24.0), Some(0.0));
        assert_eq!(evaluation.by_instance_type["Linear"].quantile(0.9), Some(25.0));
    }

    #[test]
    fn measurements_of_two_sessions_are_compared_in_order_or_with_the_only_prediction() {
        let truth = [tree(2.0, None), tree(4.0, None)];
        let errors = |predicted: &[Tree]| {
            evaluate(&truth, predicted).map(|found| found.by_level[&Level::Ml].percentages.clone())
        };
        assert_eq!(errors(&[tree(1.0, Some(2.0))]).unwrap(), [0.0, 50.0]);
        let two = [tree(1.0, Some(2.0)), tree(1.0, Some(3.0))];
        assert_eq!(errors(&two).unwrap(), [0.0, 25.0]);
        let three = [tree(2.0, None), tree(4.0, None), tree(3.0, None)];
        let refused = evaluate(&three, &two).unwrap_err().to_string();
        assert!(refused.contains("3 measured trees of m 1x1, 2 predicted: give one, or as many"), "{refused}");
    }

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_two_in_the_middle() {
        let mut evaluation = Evaluation::default();
        for predicted in [2.0, 2.5, 3.0, 9.0] {
            evaluation.add(&tree(2.0, Some(predicted))).unwrap();
        }
        assert_eq!(evaluation.by_level[&Level::Ml].quantile(0.5), Some(37.5));
    }

    #[test]
    fn a_missing_prediction_or_a_truth_of_zero_is_an_error() {
        assert!(
            evaluate(&[tree(2.0, None)], &[tree(2.0, None)]).unwrap_err().to_string().contains("no predicted_energy")
        );
        assert!(evaluate(&[tree(2.0, None)], &[]).unwrap_err().to_string().contains("no such Linear"));
        let zero = evaluate(&[tree(0.0, None)], &[tree(0.0, Some(1.0))]).unwrap_err();
        assert!(zero.to_string().contains("must be above 0, found 0"), "{zero}");
    }
}
