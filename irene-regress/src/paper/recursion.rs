use irene_features::FeatureSet;
use irene_numerics::Adam;
use irene_tree::{Level, Tree};

use super::{
    leaves::Leaves,
    measured_energy,
    rows::{MOST, Rows},
    weighting::Weighting,
};
use crate::{Result, TreeSource, table::Table};

/// How a node's energy follows from its children's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// A weighted sum of the children's predictions, learned over whole trees (equations 3 and 4).
    End2End,
    /// The same sum, learned on the children's true energies (equation 5).
    StepWise,
    /// The sum of the children's predictions (equation 2).
    PredictedSum,
    /// A regression on each node's own features.
    Unstructured,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::End2End, Self::StepWise, Self::PredictedSum, Self::Unstructured];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::End2End => "end2end",
            Self::StepWise => "stepwise",
            Self::PredictedSum => "predicted-sum",
            Self::Unstructured => "unstructured",
        }
    }

    /// The strategy with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// The authors' settings.
const EPOCHS: usize = 8;
const LEARNING_RATE: f32 = 1e-3;

/// A node for training.
struct Sample {
    /// Its place among the tree's distinct rows of features.
    row: u32,
    parent: u32,
    /// How often it runs in its parent.
    times: f64,
    /// Its true energy, J; NaN where it was not measured.
    truth: f64,
    /// For a leaf its predicted energy, J.
    leaf: Option<f64>,
}

/// One tree: pre-order samples, and its distinct rows of features.
struct Problem {
    samples: Vec<Sample>,
    rows: Table,
}

/// Learns the weighting: Adam, one step a tree, trees in their order.
pub(super) fn train(
    trees: &dyn TreeSource,
    features: &FeatureSet,
    leaves: &Leaves,
    strategy: Strategy,
    seed: u64,
) -> Result<Weighting> {
    let mut rows = Rows::new(features.len());
    // The training rows are put together once, as long as they are few.
    let (mut kept, mut kept_rows) = (Vec::new(), 0);
    trees.each(&mut |tree| {
        let problem = prepare(tree, features, leaves)?;
        for row in 0..problem.rows.len() {
            rows.insert(problem.rows.row(row), problem.rows.count(row));
        }
        kept_rows += problem.rows.len();
        if kept_rows <= MOST {
            kept.push(problem);
        } else {
            kept = Vec::new();
        }
        Ok(())
    })?;
    let mut learner = Learner::new(Weighting::initial(rows.scaler(features.len()), seed), strategy);
    if kept_rows > MOST {
        for _ in 0..EPOCHS {
            trees.each(&mut |tree| {
                let problem = prepare(tree, features, leaves)?;
                learner.step(&problem, &learner.terms(&problem));
                Ok(())
            })?;
        }
    } else {
        let terms: Vec<Vec<f32>> = kept.iter().map(|problem| learner.terms(problem)).collect();
        for _ in 0..EPOCHS {
            kept.iter().zip(&terms).for_each(|(problem, terms)| learner.step(problem, terms));
        }
    }
    Ok(learner.weighting)
}

/// The weighting as it is learned.
struct Learner {
    weighting: Weighting,
    strategy: Strategy,
    adam: Adam<f32>,
    /// The bias learns with the weights, as the last of them.
    gradient: Vec<f32>,
}

impl Learner {
    fn new(weighting: Weighting, strategy: Strategy) -> Self {
        let width = weighting.weights.len() + 1;
        Self { weighting, strategy, adam: Adam::new(width, LEARNING_RATE), gradient: vec![0.0; width] }
    }

    /// The polynomial terms of a tree's distinct rows.
    fn terms(&self, problem: &Problem) -> Vec<f32> {
        let mut terms = Vec::with_capacity(problem.rows.len() * self.weighting.weights.len());
        problem.rows.distinct().for_each(|row| self.weighting.terms(row, &mut terms));
        terms
    }

    fn step(&mut self, problem: &Problem, terms: &[f32]) {
        let width = self.weighting.weights.len();
        let rows = || terms.chunks_exact(width);
        let scores: Vec<f64> = rows().map(|terms| self.weighting.score_of(terms)).collect();
        self.gradient.fill(0.0);
        for (slope, terms) in problem.slopes(&scores, self.strategy).into_iter().zip(rows()) {
            let slope = slope as f32;
            self.gradient.iter_mut().zip(terms).for_each(|(sum, term)| *sum += slope * term);
            self.gradient[width] += slope;
        }
        let parameters = self.weighting.weights.iter_mut().chain(std::iter::once(&mut self.weighting.bias));
        self.adam.step(parameters, &self.gradient);
    }
}

fn prepare(tree: &Tree, features: &FeatureSet, leaves: &Leaves) -> Result<Problem> {
    let mut rows = Table::new(features.len());
    let mut samples = Vec::with_capacity(tree.nodes().len());
    let mut new_index = vec![0; tree.nodes().len()];
    for id in tree.ids() {
        let node = tree.node(id);
        if node.level() == Level::Math {
            continue;
        }
        let truth = measured_energy(tree, id)?.unwrap_or(f64::NAN);
        let values = features.row(tree, id)?;
        new_index[id.index()] = samples.len() as u32;
        samples.push(Sample {
            row: rows.insert(&values, 1),
            parent: tree.parent(id).map_or(0, |parent| new_index[parent.index()]),
            times: node.times(),
            truth,
            leaf: match node.level() {
                Level::Ml => Some(leaves.predict(tree, id, &values)?.unwrap_or(0.0)),
                _ => None,
            },
        });
    }
    Ok(Problem { samples, rows })
}

impl Problem {
    /// The derivative of the loss by each distinct row's score.
    ///
    /// The loss is Σ ((E - G) / G)² over the nodes that are not leaves and were measured (equation 4).
    fn slopes(&self, scores: &[f64], strategy: Strategy) -> Vec<f64> {
        match strategy {
            Strategy::Unstructured => self.unstructured_slopes(scores),
            sum => self.weighted_sum_slopes(scores, sum == Strategy::StepWise),
        }
    }

    /// E(n) = Σ t(c)·α(c)·E(c) of children that run t times, or with their true energies Σ t(c)·α(c)·G(c), which is learned from only where all
    /// of them are known.
    fn weighted_sum_slopes(&self, scores: &[f64], on_truth: bool) -> Vec<f64> {
        let shares: Vec<f64> = scores.iter().map(|&score| Weighting::share(score)).collect();
        let mut energies: Vec<f64> = self.samples.iter().map(|sample| sample.leaf.unwrap_or(0.0)).collect();
        // The energy of a node that its parent sums.
        let handed = |index: usize, energies: &[f64]| {
            if on_truth { self.samples[index].truth } else { energies[index] }
        };
        for index in (1..self.samples.len()).rev() {
            let sample = &self.samples[index];
            energies[sample.parent as usize] += sample.times * shares[sample.row as usize] * handed(index, &energies);
        }

        // Down the tree: ∂L/∂E of a node is the sum of its own loss's and of its share of its parent's.
        let mut by_energy = vec![0.0; self.samples.len()];
        let mut by_score = vec![0.0; scores.len()];
        for (index, sample) in self.samples.iter().enumerate() {
            if index > 0 {
                let above = sample.times * by_energy[sample.parent as usize];
                let row = sample.row as usize;
                // Above 0 all energies of its siblings are known.
                if above != 0.0 {
                    by_score[row] += above * handed(index, &energies) * Weighting::share_slope(scores[row]);
                }
                if !on_truth {
                    by_energy[index] = above * shares[row];
                }
            }
            if sample.leaf.is_none() {
                by_energy[index] += loss_slope(energies[index], sample.truth);
            }
        }
        by_score
    }

    /// E(n) = w·f(n) + b.
    fn unstructured_slopes(&self, scores: &[f64]) -> Vec<f64> {
        let mut by_score = vec![0.0; scores.len()];
        for sample in self.samples.iter().filter(|sample| sample.leaf.is_none()) {
            by_score[sample.row as usize] += loss_slope(scores[sample.row as usize], sample.truth);
        }
        by_score
    }
}

/// The derivative of ((E - G) / G)² by E; 0 if either is not known.
fn loss_slope(energy: f64, truth: f64) -> f64 {
    if truth.is_nan() || energy.is_nan() { 0.0 } else { 2.0 * (energy - truth) / (truth * truth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        let sample = |row, parent, times, truth, leaf| Sample { row, parent, times, truth, leaf };
        // root(3 a(leaf, leaf), leaf), two leaves alike
        let samples = vec![
            sample(0, 0, 1.0, 20.0, None),
            sample(1, 0, 3.0, 6.0, None),
            sample(2, 1, 1.0, 2.0, Some(2.1)),
            sample(2, 1, 1.0, 2.0, Some(2.1)),
            sample(3, 0, 1.0, 3.0, Some(2.9)),
        ];
        Problem { samples, rows: Table::new(0) }
    }

    /// The loss written out, to hold the closed-form gradient against.
    fn loss(scores: &[f64], strategy: Strategy) -> f64 {
        let share = |row: usize| Weighting::share(scores[row]);
        let relative = |energy: f64, truth: f64| ((energy - truth) / truth).powi(2);
        let (module, root) = match strategy {
            Strategy::Unstructured => (scores[1], scores[0]),
            Strategy::StepWise => (2.0 * share(2) * 2.0, 3.0 * share(1) * 6.0 + share(3) * 3.0),
            _ => {
                let module = 2.0 * share(2) * 2.1;
                (module, 3.0 * share(1) * module + share(3) * 2.9)
            }
        };
        relative(module, 6.0) + relative(root, 20.0)
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let scores = [0.3, -0.2, 0.7, 0.1];
        for strategy in [Strategy::End2End, Strategy::StepWise, Strategy::Unstructured] {
            let slopes = problem().slopes(&scores, strategy);
            for row in 0..scores.len() {
                let step = 1e-6;
                let moved = |by: f64| {
                    let mut scores = scores;
                    scores[row] += by;
                    loss(&scores, strategy)
                };
                let expected = (moved(step) - moved(-step)) / (2.0 * step);
                assert!((slopes[row] - expected).abs() < 1e-8, "{strategy:?} row {row}: {} {expected}", slopes[row]);
            }
        }
    }

    #[test]
    fn strategies_are_found_by_name() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::from_name(strategy.name()), Some(strategy));
        }
    }
}
