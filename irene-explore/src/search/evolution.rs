use std::collections::HashSet;

use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::{
    ledger::{Ledger, Scored},
    outcome::Outcome,
    pareto::{crowding_distances, sort_by_dominance},
    problem::{Problem, Search, SearchLimits, Variation},
    thinning::spread_out,
};
use crate::{Error, Result};

/// NSGA-II with constrained domination (Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II",
/// IEEE Transactions on Evolutionary Computation 6(2), 2002). Feasible designs go before infeasible ones; infeasible ones by how far they miss;
/// feasible ones by front, then by crowding. The last front that enters a generation is thinned out one design at a time, which spreads three
/// and more costs better than crowding distances do. No design is evaluated twice; the outcome keeps the best of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evolution {
    /// Designs of a generation, 2 or more.
    pub population: usize,
    /// The probability that a child has two parents.
    pub crossover: f64,
    /// The probability that a child of two parents is also mutated; a child of one always is.
    pub mutation: f64,
}

impl Default for Evolution {
    fn default() -> Self {
        Self { population: 200, crossover: 0.9, mutation: 0.7 }
    }
}

/// A parent and what a tournament looks at.
struct Ranked<G> {
    genome: G,
    rank: usize,
    crowding: f64,
}

impl<V: Variation> Search<V> for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
    }

    fn run(&self, problem: &Problem<'_, V>, limits: &SearchLimits<'_>) -> Result<Outcome<V::Genome>> {
        self.check()?;
        let mut ledger = Ledger::new(problem, limits)?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        let genomes = ledger.fresh(problem.starts, self.population, &mut rng);
        let mut population = ledger.score(genomes)?;
        while ledger.room() > 0 && !population.is_empty() {
            let parents = ranked(&mut population, self.population);
            let children = self.children(&ledger, &parents, &mut rng);
            if children.is_empty() {
                break;
            }
            population.extend(ledger.score(children)?);
        }
        ledger.outcome(Search::<V>::name(self))
    }
}

impl Evolution {
    fn check(&self) -> Result<()> {
        let probable = |probability: f64| (0.0..=1.0).contains(&probability);
        if self.population >= 2 && probable(self.crossover) && probable(self.mutation) {
            return Ok(());
        }
        Err(Error::Search(format!("{self:?}: a population has 2 or more designs, and a probability is 0 to 1")))
    }

    /// As many new designs as a population has; fewer where the space has no more.
    fn children<V: Variation>(
        &self,
        ledger: &Ledger<'_, V>,
        parents: &[Ranked<V::Genome>],
        rng: &mut Pcg64Mcg,
    ) -> Vec<V::Genome> {
        /// Mutations of a child that was met before, until it is new.
        const STRIDES: usize = 4;
        let mut seen = HashSet::new();
        let mut children = Vec::with_capacity(self.population);
        for _ in 0..4 * self.population {
            if children.len() == self.population {
                return children;
            }
            let mut child = self.child(ledger.problem.variation, parents, rng);
            let is_old = |child: &V::Genome| ledger.known(child).is_some() || seen.contains(child);
            for _ in 0..STRIDES {
                if !is_old(&child) {
                    break;
                }
                child = ledger.problem.variation.mutate(&child, rng);
            }
            if !is_old(&child) {
                seen.insert(child.clone());
                children.push(child);
            }
        }
        // The neighbourhood is used up: random designs go on.
        let strangers = ledger.fresh(&[], self.population - children.len(), rng);
        children.extend(strangers.into_iter().filter(|stranger| !seen.contains(stranger)));
        children
    }

    fn child<V: Variation>(&self, variation: &V, parents: &[Ranked<V::Genome>], rng: &mut Pcg64Mcg) -> V::Genome {
        let one = tournament(parents, rng);
        if !rng.random_bool(self.crossover) {
            return variation.mutate(&one.genome, rng);
        }
        let child = variation.crossover(&one.genome, &tournament(parents, rng).genome, rng);
        if rng.random_bool(self.mutation) { variation.mutate(&child, rng) } else { child }
    }
}

/// The better of two.
fn tournament<'a, G>(parents: &'a [Ranked<G>], rng: &mut Pcg64Mcg) -> &'a Ranked<G> {
    let [one, other] = [(); 2].map(|()| &parents[rng.random_range(0..parents.len())]);
    let order = one.rank.cmp(&other.rank).then_with(|| other.crowding.total_cmp(&one.crowding));
    if order.is_le() { one } else { other }
}

/// Leaves the best in the population, and ranks them.
fn ranked<G: Clone>(population: &mut Vec<Scored<G>>, count: usize) -> Vec<Ranked<G>> {
    let (mut chosen, mut parents) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (rank, mut front) in fronts(population).into_iter().enumerate() {
        let costs =
            |front: &[usize]| -> Vec<&[f64]> { front.iter().map(|&i| population[i].score.costs.as_slice()).collect() };
        if front.len() > count - chosen.len() {
            front = spread_out(&costs(&front), count - chosen.len()).into_iter().map(|at| front[at]).collect();
        }
        for (&i, crowding) in front.iter().zip(crowding_distances(&costs(&front))) {
            parents.push(Ranked { genome: population[i].genome.clone(), rank, crowding });
        }
        chosen.append(&mut front);
        if chosen.len() == count {
            break;
        }
    }
    *population = chosen.iter().map(|&i| population[i].clone()).collect();
    parents
}

/// Fronts of the designs that keep the constraints, then each of the others by itself, the nearest first.
fn fronts<G>(population: &[Scored<G>]) -> Vec<Vec<usize>> {
    let (feasible, mut rest): (Vec<_>, Vec<_>) =
        (0..population.len()).partition(|&i| population[i].score.is_feasible());
    let costs: Vec<_> = feasible.iter().map(|&i| population[i].score.costs.as_slice()).collect();
    let sorted = sort_by_dominance(&costs).into_iter().map(|front| front.into_iter().map(|i| feasible[i]).collect());
    let mut fronts: Vec<Vec<_>> = sorted.collect();
    rest.sort_by(|&i, &j| population[i].score.violation.total_cmp(&population[j].score.violation));
    fronts.extend(rest.into_iter().map(|i| vec![i]));
    fronts
}
