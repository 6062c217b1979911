//! Problems with known answers, for tests.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::{Criterion, Evaluation, Objective, Outcome, Problem, Search, SearchLimits, Variation};
use crate::{Measure, Result, learning::PredictedValue};

/// Whole numbers in a cube.
pub(super) struct Grid {
    pub(super) dimensions: usize,
    pub(super) levels: u16,
}

impl Variation for Grid {
    type Genome = Vec<u16>;

    fn random(&self, rng: &mut Pcg64Mcg) -> Option<Vec<u16>> {
        Some((0..self.dimensions).map(|_| rng.random_range(0..self.levels)).collect())
    }

    fn mutate(&self, genome: &Vec<u16>, rng: &mut Pcg64Mcg) -> Vec<u16> {
        let mut mutant = genome.clone();
        let place = rng.random_range(0..self.dimensions);
        let near = rng.random_bool(0.5);
        let step = rng.random_range(0..3);
        mutant[place] = if near {
            (genome[place] + step).saturating_sub(1).min(self.levels - 1)
        } else {
            rng.random_range(0..self.levels)
        };
        mutant
    }

    fn crossover(&self, one: &Vec<u16>, other: &Vec<u16>, rng: &mut Pcg64Mcg) -> Vec<u16> {
        one.iter().zip(other).map(|(&a, &b)| if rng.random_bool(0.5) { a } else { b }).collect()
    }

    fn neighbours(&self, genome: &Vec<u16>) -> Vec<Vec<u16>> {
        let moved = |place: usize, value: Option<u16>| {
            let value = value.filter(|&value| value < self.levels)?;
            let mut neighbour = genome.clone();
            neighbour[place] = value;
            Some(neighbour)
        };
        let both =
            |place: usize| [moved(place, genome[place].checked_sub(1)), moved(place, genome[place].checked_add(1))];
        (0..self.dimensions).flat_map(both).flatten().collect()
    }
}

impl Grid {
    fn shares<'a>(&'a self, genome: &'a [u16]) -> impl Iterator<Item = f64> + 'a {
        genome.iter().map(|&x| f64::from(x) / f64::from(self.levels - 1))
    }

    /// ZDT1 (Zitzler, Deb and Thiele, Evolutionary Computation 8(2), 2000); its front is `energy = 1 - sqrt(latency)`.
    pub(super) fn zdt1(&self, genome: &[u16]) -> Evaluation {
        let first = self.shares(genome).next().unwrap_or(0.0);
        let rest: f64 = self.shares(genome).skip(1).sum();
        let g = 1.0 + 9.0 * rest / (self.dimensions - 1) as f64;
        exactly(&[
            (Criterion::Of(Measure::Latency), first),
            (Criterion::Of(Measure::Energy), g * (1.0 - (first / g).sqrt())),
        ])
    }

    /// DTLZ2 of four costs (Deb, Thiele, Laumanns and Zitzler, CEC 2002), the first as `accuracy = 1 - cost`; its front is a part of a sphere.
    pub(super) fn dtlz2(&self, genome: &[u16]) -> Evaluation {
        let shares: Vec<_> = self.shares(genome).collect();
        let radius = 1.0 + shares[3..].iter().map(|x| (x - 0.5).powi(2)).sum::<f64>();
        let [(a_sin, a_cos), (b_sin, b_cos), (c_sin, c_cos)] =
            [0, 1, 2].map(|i| (shares[i] * std::f64::consts::FRAC_PI_2).sin_cos());
        let costs = [a_cos * b_cos * c_cos, a_cos * b_cos * c_sin, a_cos * b_sin, a_sin].map(|cost| radius * cost);
        exactly(&[
            (Criterion::Accuracy, 1.0 - costs[0]),
            (Criterion::Of(Measure::Latency), costs[1]),
            (Criterion::Of(Measure::Energy), costs[2]),
            (Criterion::Of(Measure::PeakPower), costs[3]),
        ])
    }

    /// A stand-in for a design of 37 numbers: the first says how many layers of three numbers count; more of everything is slower and more
    /// accurate, with falling returns, and kinds differ in what they cost.
    pub(super) fn transformer(&self, genome: &[u16]) -> Evaluation {
        let shares: Vec<_> = self.shares(genome).collect();
        let layers = 2 + (shares[0] * 10.0).round() as usize;
        let (mut flops, mut bytes, mut capacity, mut widest) = (0.0, 0.0, 0.0, 0.0_f64);
        for layer in shares[1..].chunks(3).take(layers) {
            let (width, forward, kind) = (0.2 + layer[0], 0.2 + layer[1], layer[2]);
            flops += width * width * (1.0 + (7.0 * kind).sin().abs()) + 2.0 * width * forward;
            bytes += width * (width + forward);
            capacity += width.sqrt() * (1.0 + 0.5 * (5.0 * kind).cos()) + 0.6 * forward.sqrt();
            widest = widest.max(width * forward);
        }
        let latency = 0.002 + 0.001 * flops + 0.0004 * layers as f64;
        exactly(&[
            (Criterion::Accuracy, 0.9 - 0.4 * (-capacity / 8.0).exp()),
            (Criterion::Of(Measure::Latency), latency),
            (Criterion::Of(Measure::Energy), latency * (20.0 + 4.0 * bytes / flops) + 0.01 * bytes),
            (Criterion::Of(Measure::PeakPower), 15.0 + 10.0 * widest + 0.3 * bytes),
        ])
    }
}

/// Figures without spread.
pub(super) fn exactly(figures: &[(Criterion, f64)]) -> Evaluation {
    figures
        .iter()
        .fold(Evaluation::new(), |of, &(criterion, value)| of.with(criterion, PredictedValue { value, deviation: 0.0 }))
}

/// A search of a grid.
pub(super) fn search(
    by: &dyn Search<Grid>,
    grid: &Grid,
    of: impl Fn(&[u16]) -> Evaluation,
    objective: &str,
    constraints: &str,
    limits: &SearchLimits<'_>,
) -> Result<Outcome<Vec<u16>>> {
    let objective: Objective = objective.parse()?;
    let evaluate = |genomes: &[Vec<u16>]| Ok(genomes.iter().map(|genome| of(genome)).collect());
    let problem = Problem {
        variation: grid,
        objective: &objective,
        constraints: &constraints.parse()?,
        evaluate: &evaluate,
        starts: &[],
    };
    by.run(&problem, limits)
}
