use std::{collections::BTreeMap, fmt};

use irene_explore::{
    Error, Measure, Result,
    search::{Climb, Criterion, Ledger, Objective, Outcome, Problem, Search, SearchLimits},
    space::{DesignSpace, Embedding},
};
use irene_models::flexibert::Design;
use rand::RngExt;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use crate::{Boshnas, boshnas::optimise_input};

/// A function of an embedding's coordinates: its value and its gradient.
pub type ValueAndGradient<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + Sync + 'a;

/// BOSHNAS's search (Tuli, Dedhia, Tuli and Jha, "FlexiBERT: Are current Transformer architectures too homogeneous and rigid?", JAIR 77,
/// 2023): descents from random points of the box around a space's embeddings, each to the nearest design. Unlike the published one it
/// polishes that design by [`Climb`]. A gradient counts as an evaluation.
pub struct Gradient<'a> {
    /// The function to descend on, such as [`relaxed`] gives.
    pub function: &'a ValueAndGradient<'a>,
    /// Steps of a descent.
    pub steps: usize,
    /// How the design that a descent ends in is polished.
    pub climb: Climb,
}

impl fmt::Debug for Gradient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, climb, function: _ } = self;
        f.debug_struct("Gradient").field("steps", steps).field("climb", climb).finish_non_exhaustive()
    }
}

impl<'a> Gradient<'a> {
    /// Descents of 32 steps.
    pub fn new(function: &'a ValueAndGradient<'a>) -> Self {
        Self { function, steps: 32, climb: Climb::default() }
    }
}

/// Gradients that a step takes.
const GRADIENTS: usize = 3;

impl Search<DesignSpace> for Gradient<'_> {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn run(&self, problem: &Problem<'_, DesignSpace>, limits: &SearchLimits<'_>) -> Result<Outcome<Design>> {
        let space = problem.variation;
        let bounds: Vec<(f64, f64)> =
            space.embedding_choices().into_iter().map(|choices| (0.0, f64::from(choices) - 1.0)).collect();
        if bounds.iter().any(|(_, last)| *last < 0.0) {
            return Err(Error::Search("the design space has no designs".into()));
        }
        let mut ledger = Ledger::with_one_cost(problem, limits, "a gradient")?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        for start in problem.starts {
            self.climb.climb(&mut ledger, start.clone(), &mut rng)?;
        }
        while ledger.room() > 0 {
            let start: Vec<f64> = bounds.iter().map(|(_, last)| last * rng.random::<f64>()).collect();
            // The last value and the design that the descent ends in have to be evaluated too.
            let steps = self.steps.min(ledger.room().saturating_sub(2) / GRADIENTS);
            let (point, _) = optimise_input(self.function, &start, &bounds, steps, rng.next_u64())?;
            ledger.spend(GRADIENTS * steps);
            match nearest(space, &point).filter(|design| ledger.known(design).is_none()) {
                Some(design) => self.climb.climb(&mut ledger, design, &mut rng)?,
                // This ends descents that find no new design.
                None => ledger.spend(1),
            }
        }
        ledger.outcome(self.name())
    }
}

/// The nearest design of a point in the box.
fn nearest(space: &DesignSpace, point: &[f64]) -> Option<Design> {
    let mut indices: Vec<u32> = point.iter().map(|x| x.round() as u32).collect();
    let layers = *space.layers.get(*indices.first()? as usize)?;
    // Numbers beyond the layers stand for nothing, and are written 0.
    indices.iter_mut().skip(1 + 3 * layers).for_each(|index| *index = 0);
    space.design_of(&Embedding::from(indices)).ok()
}

/// An objective between designs with its gradient, by the networks of each measure, for [`Gradient`]. Accuracy has no gradient here; it is
/// left to the climb that polishes.
///
/// # Errors
/// [`Error::Search`] for an objective of several costs, and for a measure without networks.
pub fn relaxed<'a>(
    objective: &Objective,
    networks: &'a BTreeMap<Measure, Boshnas>,
) -> Result<impl Fn(&[f64]) -> (f64, Vec<f64>) + Sync + use<'a>> {
    let of = |criterion: Criterion| {
        let known = criterion.measure().and_then(|measure| networks.get(&measure));
        known.ok_or_else(|| {
            Error::Search(format!("a gradient needs networks of {criterion}: fit some, or search by evolution"))
        })
    };
    let terms: Vec<(&Boshnas, f64)> = match objective {
        Objective::Pareto(criteria) if criteria.len() == 1 => vec![(of(criteria[0])?, 1.0)],
        Objective::Weighted(weights) => weights
            .iter()
            .filter(|weight| !weight.criterion.is_sought())
            .map(|weight| Ok((of(weight.criterion)?, weight.weight / weight.scale)))
            .collect::<Result<_>>()?,
        _ => return Err(Error::Search("a gradient follows one cost: give one criterion or weights(...)".into())),
    };
    Ok(move |point: &[f64]| {
        let (mut sum, mut gradient) = (0.0, vec![0.0; point.len()]);
        for (networks, weight) in &terms {
            let (value, slopes) = networks.gradient(point, 0.0);
            sum += weight * value;
            gradient.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += weight * slope);
        }
        (sum, gradient)
    })
}

#[cfg(test)]
mod tests {
    use irene_explore::{learning::PredictedValue, search::Evaluation, space::Sampling};

    use super::*;
    use crate::BoshnasLearner;

    /// The distance of an embedding from three tenths of each side of the box.
    fn depth(space: &DesignSpace, point: &[f64]) -> (f64, Vec<f64>) {
        let mut gradient = Vec::with_capacity(point.len());
        let mut sum = 0.0;
        for (x, choices) in point.iter().zip(space.embedding_choices()) {
            let side = f64::from(choices.max(2) - 1);
            let off = x / side - 0.3;
            sum += off * off;
            gradient.push(2.0 * off / side);
        }
        (sum, gradient)
    }

    fn outcome(space: &DesignSpace, function: &ValueAndGradient<'_>, budget: usize) -> Result<Outcome<Design>> {
        let evaluate = |designs: &[Design]| {
            let of = |design: &Design| {
                let value = 1.0 + depth(space, &space.embed(design)?.coordinates()).0;
                Ok(Evaluation::new().with(Measure::Energy, PredictedValue { value, deviation: 0.0 }))
            };
            designs.iter().map(of).collect()
        };
        let problem = Problem {
            variation: space,
            objective: &"energy".parse()?,
            constraints: &"".parse()?,
            evaluate: &evaluate,
            starts: &[],
        };
        Gradient::new(function).run(&problem, &SearchLimits::new(budget, 3))
    }

    #[test]
    fn a_descent_ends_in_a_better_design_than_most_and_keeps_to_its_budget() {
        let space = DesignSpace::find("small").unwrap();
        let found = outcome(&space, &|point| depth(&space, point), 600).unwrap();
        assert_eq!(found.evaluations, 600);
        let mut drawn: Vec<f64> = space
            .sample(Sampling::Uniform, 600, 0)
            .unwrap()
            .iter()
            .map(|design| 1.0 + depth(&space, &space.embed(design).unwrap().coordinates()).0)
            .collect();
        drawn.sort_by(f64::total_cmp);
        assert!(found.front[0].costs[0] < drawn[3], "{} {:?}", found.front[0].costs[0], &drawn[..4]);
    }

    #[test]
    fn functions_and_spaces_without_sense_end_the_search() {
        let space = DesignSpace::find("small").unwrap();
        let nothing = |point: &[f64]| (f64::NAN, vec![f64::NAN; point.len()]);
        assert_eq!(outcome(&space, &nothing, 200).unwrap().evaluations, 200);
        let mut none = space.clone();
        none.heads.clear();
        let error = outcome(&none, &nothing, 200).unwrap_err().to_string();
        assert_eq!(error, "the design space has no designs");
    }

    #[test]
    fn only_measures_with_networks_have_a_gradient_and_only_one_cost_is_followed() {
        let space = DesignSpace::find("small").unwrap();
        let designs = space.sample(Sampling::Sobol, 12, 0).unwrap();
        let rows: Vec<Vec<f64>> = designs.iter().map(|design| space.embed(design).unwrap().coordinates()).collect();
        let figures: Vec<f64> = rows.iter().map(|row| 1.0 + depth(&space, row).0).collect();
        let latency = Boshnas::fit(&BoshnasLearner::of(&space), &rows, &figures, 0).unwrap();
        let networks = BTreeMap::from([(Measure::Latency, latency)]);
        let refused = |objective: &str| relaxed(&objective.parse().unwrap(), &networks).err().unwrap().to_string();
        assert!(refused("energy").contains("needs networks of energy"));
        assert!(refused("pareto(latency, energy)").contains("follows one cost"));
        let at = |objective: &str| relaxed(&objective.parse().unwrap(), &networks).unwrap()(&rows[0]);
        let ((value, gradient), (halved, flatter)) = (at("latency"), at("weights(accuracy=1, latency=1/2 s)"));
        assert!((halved - value / 2.0).abs() < 1e-12 && gradient.iter().any(|slope| *slope != 0.0));
        assert!(gradient.iter().zip(&flatter).all(|(slope, half)| (slope / 2.0 - half).abs() < 1e-12));
    }
}
