use rand::seq::SliceRandom;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::{
    ledger::{Ledger, Scored},
    outcome::Outcome,
    problem::{Problem, Search, SearchLimits, Variation},
};
use crate::Result;

/// Hill climbing by neighbours, for an objective with one cost: from each start, then from random designs, to the best of the first batch of
/// neighbours with a better one, until no neighbour is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Climb {
    /// Neighbours evaluated at a time.
    pub batch: usize,
}

impl Default for Climb {
    fn default() -> Self {
        Self { batch: 32 }
    }
}

impl<V: Variation> Search<V> for Climb {
    fn name(&self) -> &'static str {
        "climb"
    }

    fn run(&self, problem: &Problem<'_, V>, limits: &SearchLimits<'_>) -> Result<Outcome<V::Genome>> {
        let mut ledger = Ledger::with_one_cost(problem, limits, "climbing")?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        let mut starts = problem.starts.iter().cloned();
        while ledger.room() > 0 {
            let Some(start) = starts.next().or_else(|| ledger.fresh(&[], 1, &mut rng).pop()) else { break };
            self.climb(&mut ledger, start, &mut rng)?;
        }
        ledger.outcome(Search::<V>::name(self))
    }
}

impl Climb {
    /// Climbs from a design to one without better neighbours.
    ///
    /// # Errors
    /// As [`Ledger::score`].
    pub fn climb<V: Variation>(&self, ledger: &mut Ledger<'_, V>, start: V::Genome, rng: &mut Pcg64Mcg) -> Result<()> {
        let Some(mut current) = met(ledger, start)? else { return Ok(()) };
        while let Some(better) = self.step(ledger, &current, rng)? {
            current = better;
        }
        Ok(())
    }

    fn step<V: Variation>(
        &self,
        ledger: &mut Ledger<'_, V>,
        current: &Scored<V::Genome>,
        rng: &mut Pcg64Mcg,
    ) -> Result<Option<Scored<V::Genome>>> {
        let mut neighbours = ledger.problem.variation.neighbours(&current.genome);
        neighbours.shuffle(rng);
        let (known, new): (Vec<_>, Vec<_>) = neighbours.into_iter().partition(|genome| ledger.known(genome).is_some());
        let scored =
            known.into_iter().filter_map(|genome| ledger.known(&genome).cloned().map(|score| Scored { genome, score }));
        if let Some(better) = best(scored, current) {
            return Ok(Some(better));
        }
        for batch in new.chunks(self.batch.max(1)) {
            if let Some(better) = best(ledger.score(batch.to_vec())?, current) {
                return Ok(Some(better));
            }
        }
        Ok(None)
    }
}

/// A design with its score, from now or from earlier; None if there is no room to evaluate it.
fn met<V: Variation>(ledger: &mut Ledger<'_, V>, genome: V::Genome) -> Result<Option<Scored<V::Genome>>> {
    match ledger.known(&genome).cloned() {
        Some(score) => Ok(Some(Scored { genome, score })),
        None => Ok(ledger.score(vec![genome])?.pop()),
    }
}

fn best<G>(candidates: impl IntoIterator<Item = Scored<G>>, current: &Scored<G>) -> Option<Scored<G>> {
    let best = candidates.into_iter().min_by(|a, b| a.score.compare(&b.score))?;
    best.score.compare(&current.score).is_lt().then_some(best)
}
