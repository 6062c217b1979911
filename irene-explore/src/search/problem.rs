use std::{
    cmp::Ordering,
    fmt,
    hash::Hash,
    sync::atomic::{self, AtomicBool},
};

use rand_pcg::Pcg64Mcg;

use super::{constraint::Constraints, evaluation::Evaluation, objective::Objective, outcome::Outcome};
use crate::{Error, Result};

/// How designs vary.
pub trait Variation: Sync {
    /// A type that stands for a design; equal values stand for the same design.
    type Genome: Clone + Eq + Hash + Send + Sync;

    /// A random design; None if there are none.
    fn random(&self, rng: &mut Pcg64Mcg) -> Option<Self::Genome>;

    /// A design like another.
    fn mutate(&self, genome: &Self::Genome, rng: &mut Pcg64Mcg) -> Self::Genome;

    /// A design with choices of two others.
    fn crossover(&self, one: &Self::Genome, other: &Self::Genome, rng: &mut Pcg64Mcg) -> Self::Genome;

    /// The designs that differ by one step, or a fixed choice of them.
    fn neighbours(&self, genome: &Self::Genome) -> Vec<Self::Genome>;
}

/// Predicts designs: one evaluation each, in their order.
pub type Evaluate<'a, G> = dyn Fn(&[G]) -> Result<Vec<Evaluation>> + 'a;

/// The problem that a search solves.
pub struct Problem<'a, V: Variation> {
    /// The designs.
    pub variation: &'a V,
    /// The objective.
    pub objective: &'a Objective,
    /// The constraints.
    pub constraints: &'a Constraints,
    /// Predicts designs.
    pub evaluate: &'a Evaluate<'a, V::Genome>,
    /// Designs to begin with, before random ones.
    pub starts: &'a [V::Genome],
}

impl<V: Variation> fmt::Debug for Problem<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objective, constraints, .. } = self;
        let mut fields = f.debug_struct("Problem");
        fields.field("objective", objective).field("constraints", constraints).finish_non_exhaustive()
    }
}

/// The budget and the settings of a search.
#[derive(Clone)]
pub struct SearchLimits<'a> {
    /// Evaluations in all.
    pub evaluations: usize,
    /// The seed of all that is random.
    pub seed: u64,
    /// The most points of a front to keep; the most crowded ones are dropped.
    pub front: usize,
    /// The worst costs that count for the hypervolume, so that outcomes compare; without one, the worst of what was evaluated first and a
    /// tenth of its range.
    pub reference: Option<&'a [f64]>,
    /// Ends the search after the batch that is being evaluated.
    pub stop: Option<&'a AtomicBool>,
    /// Told after each batch.
    pub progress: Option<&'a dyn Fn(&SearchProgress)>,
}

impl fmt::Debug for SearchLimits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evaluations, seed, front, reference, .. } = self;
        let mut fields = f.debug_struct("SearchLimits");
        fields.field("evaluations", evaluations).field("seed", seed).field("front", front);
        fields.field("reference", reference).finish_non_exhaustive()
    }
}

impl SearchLimits<'_> {
    /// Limits of this many evaluations, and of 500 points of a front.
    pub fn new(evaluations: usize, seed: u64) -> Self {
        Self { evaluations, seed, front: 500, reference: None, stop: None, progress: None }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(atomic::Ordering::Relaxed))
    }

    pub(super) fn check(&self, objective: &Objective) -> Result<()> {
        let wrong = |reason: String| Err(Error::Search(reason));
        if self.evaluations == 0 || self.front == 0 {
            return wrong("a search needs 1 or more evaluations, and 1 or more points to keep".to_owned());
        }
        match self.reference {
            Some(reference) if reference.len() != objective.dimensions() => wrong(format!(
                "the reference has {} costs, the objective {objective} has {}",
                reference.len(),
                objective.dimensions()
            )),
            Some(reference) if !reference.iter().all(|cost| cost.is_finite()) => {
                wrong("the reference has to be finite".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The progress of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchProgress {
    /// Evaluations made.
    pub evaluations: usize,
    /// Evaluations in all.
    pub budget: usize,
    /// Points of the front found.
    pub front: usize,
    /// The least of the only cost.
    pub best: Option<f64>,
}

/// The score of a design.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The costs, infinite if a figure is not a finite number.
    pub costs: Vec<f64>,
    /// How far it is from keeping the constraints; 0 if it does.
    pub violation: f64,
}

impl Score {
    pub(super) fn of(objective: &Objective, constraints: &Constraints, evaluation: &Evaluation) -> Result<Self> {
        let (costs, violation) = (objective.costs(evaluation)?, constraints.violation(evaluation)?);
        let known = violation.is_finite() && costs.iter().all(|cost| cost.is_finite());
        Ok(if known {
            Self { costs, violation }
        } else {
            Self { costs: vec![f64::INFINITY; costs.len()], violation: f64::INFINITY }
        })
    }

    /// Whether it keeps the constraints.
    pub(super) fn is_feasible(&self) -> bool {
        self.violation <= 0.0
    }

    /// The smaller violation first, then the smaller first cost.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.violation.total_cmp(&other.violation).then_with(|| self.costs[0].total_cmp(&other.costs[0]))
    }
}

/// A way to search.
pub trait Search<V: Variation> {
    /// Its name in options and reports.
    fn name(&self) -> &'static str;

    /// The best designs that it finds.
    ///
    /// # Errors
    /// [`Error::Search`] if no design keeps the constraints (with how near one came), a figure is asked for that evaluations do not have, or
    /// a setting makes no sense; whatever evaluating says.
    fn run(&self, problem: &Problem<'_, V>, limits: &SearchLimits<'_>) -> Result<Outcome<V::Genome>>;
}
