use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

use super::{
    local::{Climb, single},
    outcome::Outcome,
    problem::{Limits, Problem, Search, Variation},
};
use crate::{Error, Result};

/// Gradient steps on the input, kept inside a box whose sides all count as 1 (Kingma and Ba, "Adam: A method for stochastic optimization",
/// 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Steps at most.
    pub steps: usize,
    /// The first step's length, as a share of a side; it falls to a tenth.
    pub rate: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { steps: 100, rate: 0.05 }
    }
}

/// Where a descent was lowest.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The point.
    pub point: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// How often the value was asked for.
    pub evaluations: usize,
}

/// Descends from a point in a box. The closure says the value at a point and writes the gradient; what is not finite ends the descent.
pub fn minimise(
    bounds: &[(f64, f64)],
    start: Vec<f64>,
    adam: &Adam,
    value_and_gradient: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let mut point = start;
    point.resize(bounds.len(), 0.0);
    clamp(&mut point, bounds);
    let mut gradient = vec![0.0; bounds.len()];
    let mut steps = irene_numerics::Adam::new(bounds.len(), adam.rate).with_epsilon(1e-12);
    let mut least = Minimum { point: point.clone(), value: f64::INFINITY, evaluations: 0 };
    for step in 1..=adam.steps {
        let value = value_and_gradient(&point, &mut gradient);
        least.evaluations = step;
        if !value.is_finite() || gradient.iter().any(|slope| !slope.is_finite()) {
            break;
        }
        if value < least.value {
            (least.value, least.point) = (value, point.clone());
        }
        // In shares of the sides.
        let slopes: Vec<f64> = gradient.iter().zip(bounds).map(|(slope, (low, high))| slope * (high - low)).collect();
        let mut moves = vec![0.0; bounds.len()];
        steps.set_rate(adam.rate * 0.1_f64.powf(step as f64 / adam.steps as f64));
        steps.step(&mut moves, &slopes);
        for ((x, share), (low, high)) in point.iter_mut().zip(moves).zip(bounds) {
            *x += share * (high - low);
        }
        clamp(&mut point, bounds);
    }
    least
}

fn clamp(point: &mut [f64], bounds: &[(f64, f64)]) {
    for (x, &(low, high)) in point.iter_mut().zip(bounds) {
        *x = x.max(low).min(high);
    }
}

/// A space of designs with what lies between them.
pub trait Relaxation<G>: Sync {
    /// The least and the most of each coordinate.
    fn bounds(&self) -> Vec<(f64, f64)>;

    /// What to make small at a point (the objective, with a penalty for constraints where there are any), and its gradient.
    fn value_and_gradient(&self, point: &[f64], gradient: &mut [f64]) -> f64;

    /// The nearest design, if there is one.
    fn snap(&self, point: &[f64]) -> Option<G>;
}

/// Descents on a relaxed space from random points, each snapped to the nearest design and polished by [`Climb`], until the budget is spent;
/// a gradient step counts as an evaluation. BOSHNAS searches this way, with second-order steps and without the climb (Tuli, Dedhia, Tuli
/// and Jha, "FlexiBERT: Are current Transformer architectures too homogeneous and rigid?", JAIR 77, 2023).
pub struct Gradient<'a, G> {
    /// What to descend on.
    pub relaxation: &'a dyn Relaxation<G>,
    /// How.
    pub adam: Adam,
    /// How to polish.
    pub climb: Climb,
}

impl<V: Variation> Search<V> for Gradient<'_, V::Genome> {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn run(&self, problem: &Problem<'_, V>, limits: &Limits<'_>) -> Result<Outcome<V::Genome>> {
        let bounds = self.checked_bounds()?;
        let mut ledger = single(problem, limits, "a gradient")?;
        let mut rng = Pcg64Mcg::seed_from_u64(limits.seed);
        for start in problem.starts {
            self.climb.climb(&mut ledger, start.clone(), &mut rng)?;
        }
        while ledger.room() > 0 {
            let start = bounds.iter().map(|(low, high)| low + (high - low) * rng.random::<f64>()).collect();
            // The design that it ends in has to be evaluated too.
            let adam = Adam { steps: self.adam.steps.min(ledger.room().saturating_sub(1)), ..self.adam };
            let descend =
                &mut |point: &[f64], gradient: &mut [f64]| self.relaxation.value_and_gradient(point, gradient);
            let minimum = minimise(&bounds, start, &adam, descend);
            ledger.spend(minimum.evaluations);
            match self.relaxation.snap(&minimum.point).filter(|genome| ledger.known(genome).is_none()) {
                Some(genome) => self.climb.climb(&mut ledger, genome, &mut rng)?,
                // So that a relaxation without a new design to snap to comes to an end.
                None => ledger.spend(1),
            }
        }
        ledger.outcome(Search::<V>::name(self))
    }
}

impl<G> Gradient<'_, G> {
    fn checked_bounds(&self) -> Result<Vec<(f64, f64)>> {
        let bounds = self.relaxation.bounds();
        let sound = |&(low, high): &(f64, f64)| low.is_finite() && high.is_finite() && low <= high;
        match bounds.iter().position(|side| !sound(side)) {
            Some(i) => Err(Error::Search(format!("the relaxed space has no range in coordinate {i}: {:?}", bounds[i]))),
            None if self.adam.steps == 0 || !(self.adam.rate > 0.0 && self.adam.rate.is_finite()) => {
                Err(Error::Search(format!("{:?}: a descent needs 1 or more steps, and a rate above 0", self.adam)))
            }
            None => Ok(bounds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{
        Quantity,
        synthetic::{Grid, exactly},
    };

    /// A bowl with its bottom at 0.3 of each side.
    struct Bowl(Grid);

    impl Bowl {
        fn depth(&self, point: &[f64]) -> f64 {
            point.iter().map(|x| (x / f64::from(self.0.levels - 1) - 0.3).powi(2)).sum()
        }
    }

    impl Relaxation<Vec<u16>> for Bowl {
        fn bounds(&self) -> Vec<(f64, f64)> {
            vec![(0.0, f64::from(self.0.levels - 1)); self.0.dimensions]
        }

        fn value_and_gradient(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
            let side = f64::from(self.0.levels - 1);
            for (slope, x) in gradient.iter_mut().zip(point) {
                *slope = 2.0 * (x / side - 0.3) / side;
            }
            self.depth(point)
        }

        fn snap(&self, point: &[f64]) -> Option<Vec<u16>> {
            Some(point.iter().map(|x| x.round() as u16).collect())
        }
    }

    #[test]
    fn a_descent_ends_at_the_bottom_or_the_wall() {
        let adam = Adam { steps: 400, rate: 0.05 };
        for (bounds, bottom) in [((-4.0, 8.0), 1.0), ((2.0, 8.0), 2.0), ((-9.0, -5.0), -5.0)] {
            let minimum = minimise(&[bounds; 3], vec![bounds.0, bounds.1, 6.0], &adam, &mut |point, gradient| {
                for (slope, x) in gradient.iter_mut().zip(point) {
                    *slope = 2.0 * (x - 1.0);
                }
                point.iter().map(|x| (x - 1.0).powi(2)).sum()
            });
            assert!(minimum.point.iter().all(|x| (x - bottom).abs() < 0.02), "{minimum:?}");
        }
    }

    #[test]
    fn a_descent_ends_where_there_is_no_number() {
        let minimum = minimise(&[(0.0, 1.0)], vec![], &Adam::default(), &mut |_, _| f64::NAN);
        assert_eq!((minimum.evaluations, minimum.point), (1, vec![0.0]));
    }

    #[test]
    fn a_gradient_search_finds_the_bottom_and_keeps_to_its_budget() {
        let bowl = Bowl(Grid { dimensions: 20, levels: 101 });
        let evaluate = |genomes: &[Vec<u16>]| {
            let depth = |genome: &Vec<u16>| bowl.depth(&genome.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            Ok(genomes.iter().map(|genome| exactly(&[(Quantity::Energy, 1.0 + depth(genome))])).collect())
        };
        let problem = Problem {
            variation: &bowl.0,
            objective: &"energy".parse().unwrap(),
            constraints: &"".parse().unwrap(),
            evaluate: &evaluate,
            starts: &[],
        };
        let search = Gradient { relaxation: &bowl, adam: Adam::default(), climb: Climb::default() };
        let outcome = search.run(&problem, &Limits::new(2000, 3)).unwrap();
        assert_eq!((outcome.front[0].costs[0], outcome.evaluations), (1.0, 2000));
        assert_eq!(outcome.trace.last().unwrap().best, Some(1.0));
    }
}
