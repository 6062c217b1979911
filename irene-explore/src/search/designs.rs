//! A [`DesignSpace`] as something to search: designs are their own genomes.

use irene_models::flexibert::Design;
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::Rng};

use super::problem::Variation;
use crate::space::{DesignSpace, Sampling};

/// Random designs come from one half or the other of [`DesignSpace::sample_balanced`], as ProTran draws them.
impl Variation for DesignSpace {
    type Genome = Design;

    fn random(&self, rng: &mut Pcg64Mcg) -> Option<Design> {
        let seed = rng.next_u64();
        let both = self.sample_balanced(Sampling::Uniform, 2, seed);
        // A half may be too small for that.
        let mut designs = both.or_else(|_| self.sample(Sampling::Uniform, 1, seed)).ok()?;
        let picked = (!designs.is_empty()).then(|| rng.random_range(0..designs.len()))?;
        Some(designs.swap_remove(picked))
    }

    fn mutate(&self, design: &Design, rng: &mut Pcg64Mcg) -> Design {
        DesignSpace::mutate(self, design, rng)
    }

    fn crossover(&self, one: &Design, other: &Design, rng: &mut Pcg64Mcg) -> Design {
        DesignSpace::crossover(self, one, other, rng)
    }

    fn neighbours(&self, design: &Design) -> Vec<Design> {
        DesignSpace::neighbours(self, design).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand_pcg::rand_core::SeedableRng;
    use rayon::prelude::*;

    use super::*;
    use crate::{
        Describer, Measure, Result,
        learning::DesignFeature,
        search::{Climb, Criterion, Evaluation, Evolution, Problem, Search, SearchLimits, synthetic::exactly},
    };

    /// Figures that follow size, so that a search has something to find; what is outside the space is named.
    fn by_size(describer: &Describer, designs: &[Design]) -> Result<Vec<Evaluation>> {
        let score = |design: &Design| {
            let features = describer.describe(design.clone())?.features;
            let [millions, depth] = [DesignFeature::Parameters, DesignFeature::Layers].map(|one| features.get(one));
            let millions = millions / 1e6;
            Ok(exactly(&[
                (Criterion::Accuracy, 1.0 - 1.0 / (1.0 + 0.1 * depth + 0.01 * millions)),
                (Criterion::Of(Measure::Latency), 1e-3 * (depth + 0.1 * millions)),
                (Criterion::Of(Measure::Energy), 0.01 * millions),
                (Criterion::Of(Measure::PeakPower), 10.0 + millions / depth),
            ]))
        };
        designs.par_iter().map(score).collect()
    }

    #[test]
    fn a_space_without_designs_is_named() {
        let mut none = DesignSpace::published();
        none.heads.clear();
        let describer = Describer::new(none.clone());
        assert_eq!(none.random(&mut Pcg64Mcg::seed_from_u64(0)), None);
        let problem = Problem {
            variation: &none,
            objective: &"energy".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &|designs: &[Design]| by_size(&describer, designs),
            starts: &[],
        };
        for by in [&Evolution::default() as &dyn Search<DesignSpace>, &Climb::default()] {
            let error = by.run(&problem, &SearchLimits::new(100, 0)).unwrap_err().to_string();
            assert_eq!(error, "the design space has no designs");
        }
    }

    #[test]
    fn a_start_outside_the_space_is_named() {
        let (space, small) = (DesignSpace::published(), DesignSpace::find("small").unwrap());
        let describer = Describer::new(space.clone());
        let starts = small.sample(Sampling::Sobol, 1, 0).unwrap();
        let problem = Problem {
            variation: &space,
            objective: &"energy".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &|designs: &[Design]| by_size(&describer, designs),
            starts: &starts,
        };
        let error = Evolution::default().run(&problem, &SearchLimits::new(100, 0)).unwrap_err().to_string();
        assert!(error.contains("outside the design space"), "{error}");
    }
}
