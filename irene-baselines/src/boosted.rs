use irene_explore::{
    Candidate, Error, Result,
    learning::{Learner, PredictedValue, Saved, Surrogate},
};
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

use crate::{
    decision_tree::{Columns, DecisionTree},
    records::{Records, check, embeddings},
};

/// Learns [`AdaBoost`] on the published embedding: the surrogate that ProTran chooses (Tuli and Jha).
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdaBoostLearner;

/// The most trees that ProTran takes.
const MOST_TREES: usize = 500;

impl Learner for AdaBoostLearner {
    fn name(&self) -> &'static str {
        "adaboost"
    }

    fn fit(&self, candidates: &[&Candidate], figures: &[f64], seed: u64) -> Result<Box<dyn Surrogate>> {
        Ok(Box::new(AdaBoost::fit(MOST_TREES, &embeddings(candidates), figures, seed)?))
    }
}

/// AdaBoost.R2 (Drucker, "Improving regressors using boosting techniques", 1997) of full-depth trees, linear loss, with the rules of
/// scikit-learn's `AdaBoostRegressor`.
///
/// Each tree learns from a bootstrap sample drawn by the records' weights p. With the losses Lᵢ = |ŷᵢ − yᵢ| / max |ŷ − y| and
/// L̄ = Σ pᵢ Lᵢ, β = L̄ / (1 − L̄): a record's weight is multiplied by β^(1 − Lᵢ) and the tree weighs ln 1/β. It stops at a tree
/// without loss, or before one with L̄ ≥ ½. The value is the weighted median of the trees, the deviation their standard deviation
/// (around their mean).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct AdaBoost {
    /// Whether trees weigh in the deviation as they do in the value. ProTran takes them as equals, and so does [`fit`](Self::fit); a file may
    /// say otherwise.
    weighted_deviation: bool,
    weights: Vec<f64>,
    trees: Vec<DecisionTree>,
}

impl AdaBoost {
    /// Fits at most so many trees to rows of coordinates and their figures.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no records, or their numbers or lengths do not fit.
    fn fit(most: usize, rows: &[Vec<f64>], figures: &[f64], seed: u64) -> Result<Self> {
        let columns = Columns::new(Records::new(rows, figures)?);
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut shares = vec![1.0 / rows.len() as f64; rows.len()];
        let mut model = Self { weighted_deviation: false, weights: vec![], trees: vec![] };
        while model.trees.len() < most {
            let tree = columns.grow(figures, &bootstrap(&shares, &mut random), &mut random);
            let losses = losses(&tree, rows, figures, &shares);
            let loss: f64 = losses.iter().zip(&shares).map(|(loss, share)| loss * share).sum();
            if loss >= 0.5 && !model.trees.is_empty() {
                break;
            }
            let beta = loss / (1.0 - loss);
            let last = loss <= 0.0 || loss >= 0.5;
            model.weights.push(if last { 1.0 } else { -beta.ln() });
            model.trees.push(tree);
            if last || !reweigh(&mut shares, &losses, beta) {
                break;
            }
        }
        Ok(model)
    }

    /// The prediction at these coordinates (a missing one counts as 0).
    pub(crate) fn at(&self, coordinates: &[f64]) -> PredictedValue {
        let mut votes: Vec<(f64, f64)> =
            self.trees.iter().map(|tree| tree.value(coordinates)).zip(self.weights.iter().copied()).collect();
        votes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = self.weights.iter().sum();
        let mut sum = 0.0;
        let median = votes.iter().find(|(_, weight)| {
            sum += weight;
            sum >= 0.5 * total
        });
        let value = median.or(votes.last()).map_or(0.0, |vote| vote.0);
        if !self.weighted_deviation {
            votes.iter_mut().for_each(|vote| vote.1 = 1.0);
        }
        PredictedValue { value, deviation: spread(&votes) }
    }
}

impl Surrogate for AdaBoost {
    fn predict(&self, candidate: &Candidate) -> PredictedValue {
        self.at(&candidate.coordinates())
    }

    fn saved(&self) -> Option<Saved> {
        Saved::of("ada-boost", self)
    }
}

/// How often each record is drawn, in as many draws as there are records.
fn bootstrap(shares: &[f64], random: &mut Pcg64Mcg) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = shares
        .iter()
        .map(|share| {
            sum += share;
            sum
        })
        .collect();
    let mut counts = vec![0; shares.len()];
    for _ in shares {
        let drawn = random.random::<f64>() * sum;
        // Rounding could lead past the last.
        let at = sums.partition_point(|&sum| sum <= drawn).min(shares.len() - 1);
        counts[at] += 1;
    }
    counts
}

/// Absolute errors, as shares of the largest among the records that still weigh.
fn losses(tree: &DecisionTree, rows: &[Vec<f64>], figures: &[f64], shares: &[f64]) -> Vec<f64> {
    let mut losses: Vec<f64> = rows.iter().zip(figures).map(|(row, figure)| (tree.value(row) - figure).abs()).collect();
    let weighing = losses.iter().zip(shares).filter(|(_, share)| **share > 0.0);
    let largest = weighing.map(|(loss, _)| *loss).fold(0.0, f64::max);
    if largest > 0.0 {
        losses.iter_mut().for_each(|loss| *loss /= largest);
    }
    losses
}

/// The less a record's loss, the less it weighs next; false if nothing is left.
fn reweigh(shares: &mut [f64], losses: &[f64], beta: f64) -> bool {
    for (share, loss) in shares.iter_mut().zip(losses).filter(|(share, _)| **share > 0.0) {
        *share *= beta.powf(1.0 - loss);
    }
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    sum.is_normal()
}

/// The standard deviation of weighted values.
fn spread(votes: &[(f64, f64)]) -> f64 {
    let total: f64 = votes.iter().map(|vote| vote.1).sum();
    let mean = votes.iter().map(|(value, weight)| value * weight).sum::<f64>() / total;
    (votes.iter().map(|(value, weight)| weight * (value - mean).powi(2)).sum::<f64>() / total).sqrt()
}

/// The fields as read, before any check.
#[derive(Deserialize)]
struct Raw {
    weighted_deviation: bool,
    weights: Vec<f64>,
    trees: Vec<DecisionTree>,
}

impl TryFrom<Raw> for AdaBoost {
    type Error = Error;

    fn try_from(Raw { weighted_deviation, weights, trees }: Raw) -> Result<Self> {
        if trees.is_empty() || trees.len() != weights.len() {
            return Err(Error::Data(format!("AdaBoost: {} trees with {} weights", trees.len(), weights.len())));
        }
        if trees.iter().any(|tree| tree.width() != trees[0].width()) {
            return Err(Error::Data("AdaBoost: trees of different widths".into()));
        }
        check("AdaBoost: weight", &weights)?;
        if let Some(at) = weights.iter().position(|weight| *weight <= 0.0) {
            return Err(Error::Data(format!("AdaBoost: weight {at} must be above 0, found {}", weights[at])));
        }
        Ok(Self { weighted_deviation, weights, trees })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn fit(rows: &[Vec<f64>], figures: &[f64], seed: u64) -> AdaBoost {
        AdaBoost::fit(60, rows, figures, seed).unwrap()
    }

    #[test]
    fn it_learns_and_stays_within_the_range_of_the_figures() {
        let (rows, figures) = synthetic::records(150, 1);
        let (unseen, truth) = synthetic::records(80, 2);
        let model = fit(&rows, &figures, 7);
        let predictions: Vec<f64> = unseen.iter().map(|row| model.at(row).value).collect();
        let (least, most) = synthetic::range(&figures);
        assert!(predictions.iter().all(|value| (least..=most).contains(value)));
        assert!(synthetic::r2(&predictions, &truth) > 0.6, "{}", synthetic::r2(&predictions, &truth));
        let tree = DecisionTree::fit(&rows, &figures, 7).unwrap();
        let of_tree: Vec<f64> = unseen.iter().map(|row| tree.value(row)).collect();
        assert!(synthetic::r2(&predictions, &truth) > synthetic::r2(&of_tree, &truth));
    }

    #[test]
    fn deviations_are_those_of_the_trees() {
        let (rows, figures) = synthetic::records(40, 3);
        let model = fit(&rows, &figures, 0);
        let weighted = AdaBoost { weighted_deviation: true, ..model.clone() }.at(&rows[0]).deviation;
        let values: Vec<f64> = model.trees.iter().map(|tree| tree.value(&rows[0])).collect();
        let (_, deviation) = irene_numerics::moments(values);
        assert!((model.at(&rows[0]).deviation - deviation).abs() < 1e-12 * (1.0 + deviation));
        assert!(weighted > 0.0 && weighted < 3.0 * deviation);
    }

    #[test]
    fn the_median_is_by_weight() {
        let leaf = |value| DecisionTree::fit(&[vec![0.0]], &[value], 0).unwrap();
        let model = AdaBoost {
            weighted_deviation: true,
            weights: vec![1.0, 1.0, 3.0],
            trees: vec![leaf(9.0), leaf(1.0), leaf(5.0)],
        };
        assert_eq!(model.at(&[0.0]).value, 5.0);
        assert!((model.at(&[0.0]).deviation - 6.4f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_record_and_equal_figures_stop_after_a_tree() {
        for (rows, figures) in [(vec![vec![1.0]], vec![3.0]), (vec![vec![1.0], vec![2.0]], vec![3.0, 3.0])] {
            let model = fit(&rows, &figures, 0);
            assert_eq!((model.trees.len(), model.at(&[9.0])), (1, PredictedValue { value: 3.0, deviation: 0.0 }));
        }
        assert!(AdaBoost::fit(60, &[vec![f64::NAN]], &[1.0], 0).is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_model_and_a_file_keeps_it() {
        let (rows, figures) = synthetic::records(30, 4);
        let model = fit(&rows, &figures, 5);
        assert_eq!(model, fit(&rows, &figures, 5));
        assert_ne!(model, fit(&rows, &figures, 6));
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<AdaBoost>(&text).unwrap(), model);
        let broken = text.replacen("\"weights\":[", "\"weights\":[-1.0,", 1);
        assert!(serde_json::from_str::<AdaBoost>(&broken).is_err());
    }
}
