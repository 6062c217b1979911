use irene_explore::{
    Measure, Result,
    search::{Constraints, Criterion, Evolution, Objective, Predicted, Problem, Search, SearchLimits},
    space::DesignSpace,
};
use irene_models::flexibert::Design;

use super::random::Random;

/// The hypervolumes that searches with equal budgets find, a seed each, as shares of the volume below a reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    /// By [`Evolution`].
    pub evolution: Vec<f64>,
    /// By [`Random`].
    pub random: Vec<f64>,
}

impl Contest {
    /// Searches for the best compromises of all measures that a device's surrogates predict, with seeds 0, 1 and so on. `reference` has
    /// the worst of each measure that counts, in the order of [`Measure::ALL`].
    ///
    /// # Errors
    /// An error of a search.
    pub fn hold(predicted: &Predicted<'_>, reference: &[f64], budget: usize, seeds: u64) -> Result<Self> {
        let known = Measure::ALL.into_iter().filter(|measure| predicted.surrogates.measures.contains_key(measure));
        let objective = Objective::Pareto(known.map(Criterion::from).collect());
        let evaluate = |designs: &[Design]| predicted.evaluate(designs);
        let (space, constraints) = (predicted.describer.space(), Constraints::default());
        let problem = Problem {
            variation: space,
            objective: &objective,
            constraints: &constraints,
            evaluate: &evaluate,
            starts: &[],
        };
        let whole: f64 = reference.iter().product();
        let shares = |search: &dyn Search<DesignSpace>| -> Result<Vec<f64>> {
            let share = |seed| {
                let limits = SearchLimits { reference: Some(reference), ..SearchLimits::new(budget, seed) };
                Ok(search.run(&problem, &limits)?.hypervolume(reference) / whole)
            };
            (0..seeds).map(share).collect()
        };
        Ok(Self { evolution: shares(&Evolution::default())?, random: shares(&Random::default())? })
    }

    /// Seeds in which evolution finds more.
    pub fn wins(&self) -> usize {
        self.evolution.iter().zip(&self.random).filter(|(evolution, random)| evolution > random).count()
    }
}
