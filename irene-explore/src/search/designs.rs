//! A [`DesignSpace`] as something to search: designs vary as their embeddings.

use irene_models::flexibert::{Design, LayerDesign};
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::Rng};

use super::{gradient::Relaxation, problem::Variation};
use crate::{
    Error, Result,
    space::{DesignSpace, Embedding, Sampling},
};

/// Random designs come from one half or the other of [`DesignSpace::sample_balanced`], as ProTran draws them. What is no embedding of a
/// design in the space has no neighbours and varies into itself; scoring it says what is wrong with it.
impl Variation for DesignSpace {
    type Genome = Embedding;

    fn random(&self, rng: &mut Pcg64Mcg) -> Embedding {
        let seed = rng.next_u64();
        let both = self.sample_balanced(Sampling::Uniform, 2, seed);
        // A half may be too small for that.
        let mut designs = both.or_else(|_| self.sample(Sampling::Uniform, 1, seed)).unwrap_or_default();
        let picked = rng.random_range(0..designs.len().max(1));
        let nothing = || Embedding::from(vec![0; self.embedding_len()]);
        if picked < designs.len() {
            self.embed(&designs.swap_remove(picked)).unwrap_or_else(|_| nothing())
        } else {
            nothing()
        }
    }

    fn mutate(&self, genome: &Embedding, rng: &mut Pcg64Mcg) -> Embedding {
        let mut mutated = || self.embed(&DesignSpace::mutate(self, &self.design_of(genome)?, rng)?);
        mutated().unwrap_or_else(|_| genome.clone())
    }

    fn crossover(&self, one: &Embedding, other: &Embedding, rng: &mut Pcg64Mcg) -> Embedding {
        let mut crossed =
            || self.embed(&DesignSpace::crossover(self, &self.design_of(one)?, &self.design_of(other)?, rng)?);
        crossed().unwrap_or_else(|_| one.clone())
    }

    fn neighbours(&self, genome: &Embedding) -> Vec<Embedding> {
        let all = || -> Result<Vec<_>> {
            DesignSpace::neighbours(self, &self.design_of(genome)?)?.map(|design| self.embed(&design)).collect()
        };
        all().unwrap_or_default()
    }
}

/// The box around the embeddings of a space, with a function on it: the objective that a surrogate with a gradient predicts.
pub struct RelaxedSpace<'a> {
    space: &'a DesignSpace,
    largest: Embedding,
    value_and_gradient: &'a ValueAndGradient<'a>,
}

/// Says the value at a point of the box, and writes the gradient.
pub type ValueAndGradient<'a> = dyn Fn(&[f64], &mut [f64]) -> f64 + Sync + 'a;

impl<'a> RelaxedSpace<'a> {
    /// Of a space.
    ///
    /// # Errors
    /// [`Error::Outside`] or [`Error::Search`] if the space has no designs.
    pub fn new(space: &'a DesignSpace, value_and_gradient: &'a ValueAndGradient<'a>) -> Result<Self> {
        let empty = || Error::Search("the design space has no designs".to_owned());
        let largest = largest(space).ok_or_else(empty)?;
        Ok(Self { space, largest: space.embed(&largest)?, value_and_gradient })
    }
}

/// The last choice everywhere, which has the largest index everywhere.
fn largest(space: &DesignSpace) -> Option<Design> {
    let layer = LayerDesign {
        hidden: *space.hidden.last()?,
        heads: vec![*space.operations.last()?; *space.heads.last()?],
        feed_forward: vec![*space.feed_forward.last()?; *space.stacks.last()?],
    };
    Design::new(vec![layer; *space.layers.last()?]).ok()
}

impl Relaxation<Embedding> for RelaxedSpace<'_> {
    fn bounds(&self) -> Vec<(f64, f64)> {
        self.largest.coordinates().into_iter().map(|last| (0.0, last)).collect()
    }

    fn value_and_gradient(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        (self.value_and_gradient)(point, gradient)
    }

    fn snap(&self, point: &[f64]) -> Option<Embedding> {
        let mut indices: Vec<u32> =
            point.iter().zip(self.largest.iter()).map(|(x, &last)| (x.round() as u32).min(last)).collect();
        let layers = *self.space.layers.get(*indices.first()? as usize)?;
        // What is beyond the layers counts for nothing, and is written 0.
        indices.iter_mut().skip(1 + 3 * layers).for_each(|index| *index = 0);
        let embedding = Embedding::from(indices);
        self.space.design_of(&embedding).is_ok().then_some(embedding)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rand_pcg::rand_core::SeedableRng;
    use rayon::prelude::*;

    use super::*;
    use crate::{
        search::{
            Adam, Climb, Evaluation, Evolution, Gradient, Limits, Problem, Quantity, Random, Search, synthetic::exactly,
        },
        space::parameters,
    };

    /// Scores the designs of embeddings on all cores.
    pub(in crate::search) fn score_designs(
        space: &DesignSpace,
        embeddings: &[Embedding],
        score: impl Fn(Design) -> Result<Evaluation> + Sync,
    ) -> Result<Vec<Evaluation>> {
        embeddings.par_iter().map(|embedding| score(space.design_of(embedding)?)).collect()
    }

    /// Figures that follow size, so that a search has something to find.
    pub(in crate::search) fn by_size(design: Design) -> Result<Evaluation> {
        let millions = parameters(&design) as f64 / 1e6;
        let depth = design.layers().len() as f64;
        Ok(exactly(&[
            (Quantity::Accuracy, 1.0 - 1.0 / (1.0 + 0.1 * depth + 0.01 * millions)),
            (Quantity::Latency, 1e-3 * (depth + 0.1 * millions)),
            (Quantity::Energy, 0.01 * millions),
            (Quantity::PeakPower, 10.0 + millions / depth),
        ]))
    }

    #[test]
    fn designs_vary_inside_their_space() {
        let space = DesignSpace::published();
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        for _ in 0..50 {
            let [one, other] = [(); 2].map(|()| space.random(&mut rng));
            let child = Variation::crossover(&space, &one, &other, &mut rng);
            for genome in [&one, &child, &Variation::mutate(&space, &child, &mut rng)] {
                assert!(space.design_of(genome).is_ok());
            }
        }
        let genome = space.random(&mut rng);
        let neighbours = Variation::neighbours(&space, &genome);
        assert!(neighbours.len() > 50 && !neighbours.contains(&genome));
        assert!(Variation::neighbours(&space, &Embedding::from(vec![])).is_empty());
    }

    #[test]
    fn both_searches_of_the_published_space_find_compromises_and_evolution_finds_better_ones() {
        let space = DesignSpace::published();
        let problem = Problem {
            variation: &space,
            objective: &"pareto".parse().unwrap(),
            constraints: &"peak_power <= 60 W".parse().unwrap(),
            evaluate: &|embeddings: &[Embedding]| score_designs(&space, embeddings, by_size),
            starts: &[],
        };
        let reference = [0.0, 0.05, 4.0, 60.0];
        let limits = Limits { reference: Some(&reference), ..Limits::new(2000, 0) };
        let volumes = [&Evolution::default() as &dyn Search<DesignSpace>, &Random::default()]
            .map(|by| by.run(&problem, &limits).unwrap().hypervolume(&reference));
        assert!(volumes[0] > volumes[1] && volumes[1] > 0.0, "{volumes:?}");
    }

    #[test]
    fn a_gradient_on_the_relaxed_space_ends_in_a_design() {
        let space = DesignSpace::published();
        let few_layers = |point: &[f64], gradient: &mut [f64]| {
            gradient.fill(1.0);
            point.iter().sum()
        };
        let relaxation = RelaxedSpace::new(&space, &few_layers).unwrap();
        assert_eq!(relaxation.bounds()[..4], [(0.0, 5.0), (0.0, 3.0), (0.0, 257.0), (0.0, 21804.0)]);
        let problem = Problem {
            variation: &space,
            objective: &"energy".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &|embeddings: &[Embedding]| score_designs(&space, embeddings, by_size),
            starts: &[],
        };
        let search = Gradient { relaxation: &relaxation, adam: Adam::default(), climb: Climb::default() };
        let outcome = search.run(&problem, &Limits::new(2000, 0)).unwrap();
        let smallest = space.design_of(&outcome.front[0].design).unwrap();
        assert_eq!((smallest.layers().len(), smallest.layers()[0].hidden), (2, 128));
        let mut none = space.clone();
        none.heads.clear();
        assert!(RelaxedSpace::new(&none, &few_layers).is_err());
        assert_eq!(none.random(&mut Pcg64Mcg::seed_from_u64(0)).len(), 37);
    }

    #[test]
    fn a_start_outside_the_space_is_named() {
        let space = DesignSpace::published();
        let problem = Problem {
            variation: &space,
            objective: &"energy".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &|embeddings: &[Embedding]| score_designs(&space, embeddings, by_size),
            starts: &[Embedding::from(vec![9; 37])],
        };
        let error = Evolution::default().run(&problem, &Limits::new(100, 0)).unwrap_err().to_string();
        assert!(error.contains("outside the design space"), "{error}");
    }
}
