use std::collections::HashSet;

use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::{
    ledger::Ledger,
    outcome::Outcome,
    problem::{Limits, Problem, Search, Variation},
};
use crate::Result;

/// Random designs, none twice: the floor that other searches have to beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// Designs evaluated at a time.
    pub batch: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { batch: 200 }
    }
}

impl<V: Variation> Search<V> for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn run(&self, problem: &Problem<'_, V>, limits: &Limits<'_>) -> Result<Outcome<V::Genome>> {
        let mut ledger = Ledger::new(problem, limits)?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        let mut starts = problem.starts;
        while ledger.room() > 0 {
            let genomes = fresh(&ledger, starts, self.batch.max(1), &mut rng);
            starts = &[];
            if genomes.is_empty() {
                break;
            }
            ledger.score(genomes)?;
        }
        ledger.outcome(Search::<V>::name(self))
    }
}

/// Draws without a new design, after which the space counts as used up.
const PATIENCE: usize = 1000;

/// So many designs not met before, all of the starts among them; fewer where the space has no more.
pub(super) fn fresh<V: Variation>(
    ledger: &Ledger<'_, V>,
    starts: &[V::Genome],
    count: usize,
    rng: &mut Pcg64Mcg,
) -> Vec<V::Genome> {
    let mut seen = HashSet::new();
    let mut genomes: Vec<_> = starts.iter().filter(|&start| seen.insert(start.clone())).cloned().collect();
    let mut draws = 0;
    while genomes.len() < count && draws < PATIENCE {
        let genome = ledger.problem.variation.random(rng);
        draws += 1;
        if ledger.known(&genome).is_none() && seen.insert(genome.clone()) {
            genomes.push(genome);
            draws = 0;
        }
    }
    genomes
}
