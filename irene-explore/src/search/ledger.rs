use std::{
    collections::{HashMap, HashSet},
    fmt, mem,
};

use rand_pcg::Pcg64Mcg;

use super::{
    archive::Archive,
    evaluation::Evaluation,
    hypervolume::hypervolume,
    outcome::{Outcome, Solution, TracePoint},
    problem::{Problem, Score, SearchLimits, SearchProgress, Variation},
};
use crate::{Error, Result};

/// About the number of steps of a trace.
const STEPS: usize = 50;

/// Random draws without a new design, after which a space counts as used up.
const PATIENCE: usize = 1000;

/// A design and how it is judged.
#[derive(Clone, Debug)]
pub struct Scored<G> {
    /// The design.
    pub genome: G,
    /// Its score.
    pub score: Score,
}

/// The books of a search: the evaluations spent, the designs met, and the best of them. A [`Search`](super::Search) asks for designs
/// to be [scored](Self::score) while there is [room](Self::room), and ends with the [outcome](Self::outcome).
pub struct Ledger<'a, V: Variation> {
    /// The searched designs, objective and constraints.
    pub problem: &'a Problem<'a, V>,
    limits: &'a SearchLimits<'a>,
    spent: usize,
    known: HashMap<V::Genome, Score>,
    archive: Archive<V::Genome>,
    nearest: Option<(f64, Evaluation)>,
    reference: Option<Vec<f64>>,
    snapshots: Vec<Snapshot>,
}

impl<V: Variation> fmt::Debug for Ledger<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, limits, spent, .. } = self;
        let mut fields = f.debug_struct("Ledger");
        fields.field("problem", problem).field("limits", limits).field("spent", spent).finish_non_exhaustive()
    }
}

struct Snapshot {
    evaluations: usize,
    costs: Vec<Vec<f64>>,
}

impl<'a, V: Variation> Ledger<'a, V> {
    /// Empty books.
    ///
    /// # Errors
    /// [`Error::Search`] for limits that make no sense.
    pub fn new(problem: &'a Problem<'a, V>, limits: &'a SearchLimits<'a>) -> Result<Self> {
        limits.check(problem.objective)?;
        Ok(Self {
            problem,
            limits,
            spent: 0,
            known: HashMap::new(),
            archive: Archive::new(limits.front),
            nearest: None,
            reference: limits.reference.map(<[f64]>::to_vec),
            snapshots: Vec::new(),
        })
    }

    /// Empty books of a search that follows one cost; `method` names it in errors.
    ///
    /// # Errors
    /// [`Error::Search`] for an objective of several costs, and for limits that make no sense.
    pub fn with_one_cost(problem: &'a Problem<'a, V>, limits: &'a SearchLimits<'a>, method: &str) -> Result<Self> {
        if problem.objective.dimensions() != 1 {
            let objective = problem.objective;
            return Err(Error::Search(format!(
                "{method} follows one cost, and {objective} has several: use evolution, or weights(..) of them"
            )));
        }
        Self::new(problem, limits)
    }

    /// Evaluations left; none once told to stop.
    pub fn room(&self) -> usize {
        if self.limits.stopped() { 0 } else { self.limits.evaluations - self.spent }
    }

    /// The score of a design met before.
    pub fn known(&self, genome: &V::Genome) -> Option<&Score> {
        self.known.get(genome)
    }

    /// Counts evaluations made elsewhere; no more than there is room for.
    pub fn spend(&mut self, evaluations: usize) {
        self.spent += evaluations.min(self.limits.evaluations - self.spent);
    }

    /// This many designs not met before, all of the starts among them; fewer where the space has no more.
    pub fn fresh(&self, starts: &[V::Genome], count: usize, rng: &mut Pcg64Mcg) -> Vec<V::Genome> {
        let mut seen = HashSet::new();
        let mut genomes: Vec<_> = starts.iter().filter(|&start| seen.insert(start.clone())).cloned().collect();
        let mut draws = 0;
        while genomes.len() < count && draws < PATIENCE {
            let Some(genome) = self.problem.variation.random(rng) else { break };
            draws += 1;
            if self.known(&genome).is_none() && seen.insert(genome.clone()) {
                genomes.push(genome);
                draws = 0;
            }
        }
        genomes
    }

    /// Evaluates designs not met before, as many of them as there is room for.
    ///
    /// # Errors
    /// Whatever evaluating them says; [`Error::Search`] if a figure that is asked for is missing.
    pub fn score(&mut self, mut genomes: Vec<V::Genome>) -> Result<Vec<Scored<V::Genome>>> {
        genomes.truncate(self.room());
        if genomes.is_empty() {
            return Ok(Vec::new());
        }
        let evaluations = (self.problem.evaluate)(&genomes)?;
        if evaluations.len() != genomes.len() {
            let reason = format!("{} evaluations came back for {} designs", evaluations.len(), genomes.len());
            return Err(Error::Search(reason));
        }
        let mut scored = Vec::with_capacity(genomes.len());
        for (genome, evaluation) in genomes.into_iter().zip(evaluations) {
            self.spent += 1;
            let score = Score::of(self.problem.objective, self.problem.constraints, &evaluation)?;
            self.enter(&genome, &score, evaluation)?;
            self.known.insert(genome.clone(), score.clone());
            scored.push(Scored { genome, score });
        }
        self.note(&scored);
        Ok(scored)
    }

    fn enter(&mut self, genome: &V::Genome, score: &Score, figures: Evaluation) -> Result<()> {
        if !score.is_feasible() {
            if self.nearest.is_none_or(|(violation, _)| score.violation < violation) {
                self.nearest = Some((score.violation, figures));
            }
        } else if self.archive.takes(&score.costs) {
            let feasibility = self.problem.constraints.feasibility(&figures)?;
            let (design, costs) = (genome.clone(), score.costs.clone());
            self.archive.insert(Solution { design, figures, costs, feasibility, evaluation: self.spent });
        }
        Ok(())
    }

    fn note(&mut self, scored: &[Scored<V::Genome>]) {
        if self.reference.is_none() {
            self.reference = worst(scored);
        }
        let last = self.snapshots.last().map_or(0, |snapshot| snapshot.evaluations);
        if last == 0 || self.spent - last >= self.limits.evaluations / STEPS || self.room() == 0 {
            self.snapshot();
        }
        if let Some(progress) = self.limits.progress {
            progress(&SearchProgress {
                evaluations: self.spent,
                budget: self.limits.evaluations,
                front: self.archive.members().len(),
                best: self.best(),
            });
        }
    }

    fn snapshot(&mut self) {
        let costs = self.archive.members().iter().map(|member| member.costs.clone()).collect();
        self.snapshots.push(Snapshot { evaluations: self.spent, costs });
    }

    fn best(&self) -> Option<f64> {
        match self.archive.members() {
            [only] if only.costs.len() == 1 => Some(only.costs[0]),
            _ => None,
        }
    }

    /// The best designs found; `method` names the search.
    ///
    /// # Errors
    /// [`Error::Search`] if no design keeps the constraints.
    pub fn outcome(mut self, method: &'static str) -> Result<Outcome<V::Genome>> {
        if self.archive.members().is_empty() {
            return Err(self.in_vain());
        }
        self.archive.settle();
        self.snapshots.pop_if(|last| last.evaluations == self.spent);
        self.snapshot();
        let reference = self.reference.take().filter(|reference| reference.len() > 1);
        let trace =
            mem::take(&mut self.snapshots).iter().map(|snapshot| snapshot.point(reference.as_deref())).collect();
        Ok(Outcome {
            method,
            objective: self.problem.objective.to_string(),
            constraints: self.problem.constraints.to_string(),
            seed: self.limits.seed,
            budget: self.limits.evaluations,
            evaluations: self.spent,
            stopped: self.limits.stopped(),
            reference,
            front: self.archive.into_members(),
            trace,
        })
    }

    /// The error of a search that found no design.
    fn in_vain(&self) -> Error {
        let (count, constraints) = (self.known.len(), self.problem.constraints);
        let reason = match &self.nearest {
            None if self.limits.stopped() => "the search was stopped before it evaluated a design".to_owned(),
            None => "the design space has no designs".to_owned(),
            Some((violation, _)) if violation.is_infinite() => {
                format!(
                    "all {count} designs evaluated have figures that are not finite numbers: the predictions are at fault"
                )
            }
            Some((_, nearest)) => match constraints.explain(nearest) {
                Ok(near) => format!(
                    "none of {count} designs evaluated keeps {constraints}; the nearest has {near}: relax the bound, widen the space or \
                     raise the budget"
                ),
                Err(error) => return error,
            },
        };
        Error::Search(reason)
    }
}

impl Snapshot {
    fn point(&self, reference: Option<&[f64]>) -> TracePoint {
        let costs: Vec<_> = self.costs.iter().map(Vec::as_slice).collect();
        let best = match (reference, costs.as_slice()) {
            (None, [[only]]) => Some(*only),
            _ => None,
        };
        let hypervolume = reference.map(|reference| hypervolume(&costs, reference));
        TracePoint { evaluations: self.evaluations, front: costs.len(), best, hypervolume }
    }
}

/// The worst of each cost and a tenth of its range (of itself where there is none).
fn worst<G>(scored: &[Scored<G>]) -> Option<Vec<f64>> {
    let finite: Vec<_> = scored.iter().map(|one| &one.score.costs).filter(|costs| costs[0].is_finite()).collect();
    let of = |cost: usize| {
        let values = finite.iter().map(|costs| costs[cost]);
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        high + 0.1 * if high > low { high - low } else { high.abs() }
    };
    finite.first().map(|costs| (0..costs.len()).map(of).collect())
}
