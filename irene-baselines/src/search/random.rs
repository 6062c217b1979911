use irene_explore::{
    Result,
    search::{Ledger, Outcome, Problem, Search, SearchLimits, Variation},
};
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

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

    fn run(&self, problem: &Problem<'_, V>, limits: &SearchLimits<'_>) -> Result<Outcome<V::Genome>> {
        let mut ledger = Ledger::new(problem, limits)?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        let mut starts = problem.starts;
        while ledger.room() > 0 {
            let genomes = ledger.fresh(starts, self.batch.max(1), &mut rng);
            starts = &[];
            if genomes.is_empty() {
                break;
            }
            ledger.score(genomes)?;
        }
        ledger.outcome(Search::<V>::name(self))
    }
}

#[cfg(test)]
mod tests {
    use irene_explore::{
        Describer, Measure,
        learning::{DesignFeature, PredictedValue},
        search::{Criterion, Evaluation, Evolution},
        space::DesignSpace,
    };
    use irene_models::flexibert::Design;

    use super::*;

    /// Figures that follow size, so that a search has something to find.
    fn by_size(describer: &Describer, designs: &[Design]) -> Result<Vec<Evaluation>> {
        let score = |design: &Design| {
            let features = describer.describe(design.clone())?.features;
            let (millions, depth) =
                (features.get(DesignFeature::Parameters) / 1e6, features.get(DesignFeature::Layers));
            let figures = [
                (Criterion::Accuracy, 1.0 - 1.0 / (1.0 + 0.1 * depth + 0.01 * millions)),
                (Criterion::Of(Measure::Latency), 1e-3 * (depth + 0.1 * millions)),
                (Criterion::Of(Measure::Energy), 0.01 * millions),
                (Criterion::Of(Measure::PeakPower), 10.0 + millions / depth),
            ];
            let figures = figures.map(|(criterion, value)| (criterion, PredictedValue { value, deviation: 0.0 }));
            Ok(figures.into_iter().fold(Evaluation::new(), |all, (criterion, figure)| all.with(criterion, figure)))
        };
        designs.iter().map(score).collect()
    }

    #[test]
    fn evolution_beats_random_designs_on_every_seed() {
        let space = DesignSpace::published();
        let describer = Describer::new(space.clone());
        let problem = Problem {
            variation: &space,
            objective: &"pareto".parse().unwrap(),
            constraints: &"peak_power <= 60 W".parse().unwrap(),
            evaluate: &|designs: &[Design]| by_size(&describer, designs),
            starts: &[],
        };
        let reference = [0.0, 0.05, 4.0, 60.0];
        for seed in 0..5 {
            let limits = SearchLimits { reference: Some(&reference), ..SearchLimits::new(2000, seed) };
            let [more, less] = [&Evolution::default() as &dyn Search<DesignSpace>, &Random::default()].map(|by| {
                let outcome = by.run(&problem, &limits).unwrap();
                assert_eq!(outcome.evaluations, 2000);
                outcome.hypervolume(&reference)
            });
            assert!(more > less && less > 0.0, "seed {seed}: {more} for {less}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_designs_and_a_small_space_ends_the_search() {
        let mut space = DesignSpace::find("small").unwrap();
        (space.layers, space.hidden, space.heads) = (vec![1], vec![32], vec![2]);
        space.feed_forward.truncate(1);
        let describer = Describer::new(space.clone());
        let there_are = space.count().as_u64().unwrap() as usize;
        let problem = Problem {
            variation: &space,
            objective: &"latency".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &|designs: &[Design]| by_size(&describer, designs),
            starts: &[],
        };
        let front = |seed| Random::default().run(&problem, &SearchLimits::new(3, seed)).unwrap().front;
        assert_eq!(front(1), front(1));
        let all = Random::default().run(&problem, &SearchLimits::new(10_000, 0)).unwrap();
        assert_eq!(all.evaluations, there_are);
    }
}
