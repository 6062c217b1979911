use std::{fmt, str::FromStr};

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::{Pcg64Mcg, rand_core::Rng};

/// Ways to spread designs over a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// Each number of the embedding by itself, its choices equally likely.
    Uniform,
    /// Owen-scrambled Sobol points (Burley, 2020).
    Sobol,
    /// One point in each of as many equal parts of every number's range.
    LatinHypercube,
    /// Van der Corput sequences of a prime base a number, their digits permuted at random.
    Halton,
    /// Halton with equal steps in place of the first sequence.
    Hammersley,
}

impl Sampling {
    /// All ways.
    pub const ALL: [Self; 5] = [Self::Uniform, Self::Sobol, Self::LatinHypercube, Self::Halton, Self::Hammersley];

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Sobol => "sobol",
            Self::LatinHypercube => "latin-hypercube",
            Self::Halton => "halton",
            Self::Hammersley => "hammersley",
        }
    }

    /// This many points, a list for each dimension: the index of its choice in each point.
    pub(super) fn columns(self, choices: &[u32], count: usize, seed: u64) -> Vec<Vec<u32>> {
        let mut seeds = Pcg64Mcg::seed_from_u64(seed);
        let whole = seeds.next_u64() as u32;
        let column = |(dimension, &choices): (usize, &u32)| {
            let mut rng = Pcg64Mcg::seed_from_u64(seeds.next_u64());
            let index = |x: f64| ((x * f64::from(choices)) as u32).min(choices.saturating_sub(1));
            let points: Vec<f64> = match self {
                Self::Uniform => return (0..count).map(|_| rng.random_range(0..choices.max(1))).collect(),
                Self::Sobol => (0..count).map(|point| sobol(point, dimension, whole)).collect(),
                Self::LatinHypercube => latin(count, &mut rng),
                Self::Hammersley if dimension == 0 => steps(count, &mut rng),
                Self::Hammersley => van_der_corput(count, prime(dimension - 1), &mut rng),
                Self::Halton => van_der_corput(count, prime(dimension), &mut rng),
            };
            points.into_iter().map(index).collect()
        };
        choices.iter().enumerate().map(column).collect()
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Sampling {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|sampling| sampling.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("`{name}` is no way to sample, expected one of {names}"))
    }
}

/// The sequences are of 2^16 points in 256 dimensions; beyond them others, of other seeds, go on.
fn sobol(point: usize, dimension: usize, seed: u32) -> f64 {
    let (block, point) = ((point >> 16) as u32, (point & 0xffff) as u32);
    let (padding, dimension) = ((dimension >> 8) as u32, (dimension & 0xff) as u32);
    f64::from(sobol_burley::sample(point, dimension, seed.wrapping_add(block << 8).wrapping_add(padding)))
}

fn latin(count: usize, rng: &mut Pcg64Mcg) -> Vec<f64> {
    let mut parts: Vec<usize> = (0..count).collect();
    parts.shuffle(rng);
    parts.into_iter().map(|part| (part as f64 + rng.random::<f64>()) / count as f64).collect()
}

fn steps(count: usize, rng: &mut Pcg64Mcg) -> Vec<f64> {
    let shift: f64 = rng.random();
    (0..count).map(|part| (part as f64 + shift) / count as f64).collect()
}

/// The digits of each point's number in this base, permuted place by place, mirrored behind the point.
fn van_der_corput(count: usize, base: usize, rng: &mut Pcg64Mcg) -> Vec<f64> {
    /// Finer than the most choices.
    const FINEST: f64 = 1.0 / (1_u64 << 32) as f64;
    let mut points = vec![0.0; count];
    let (mut place, mut scale) = (1_usize, 1.0 / base as f64);
    while scale > FINEST {
        let mut digits: Vec<usize> = (0..base).collect();
        digits.shuffle(rng);
        for (index, point) in points.iter_mut().enumerate() {
            *point += digits[index / place % base] as f64 * scale;
        }
        place = place.saturating_mul(base);
        scale /= base as f64;
    }
    points
}

/// The primes from 2 on, by index.
fn prime(index: usize) -> usize {
    let is_prime = |number: &usize| (2..).take_while(|it| it * it <= *number).all(|it| !number.is_multiple_of(it));
    (2..).filter(is_prime).nth(index).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_primes() {
        assert_eq!((0..6).map(prime).collect::<Vec<_>>(), [2, 3, 5, 7, 11, 13]);
        assert_eq!(prime(192), 1171);
    }

    /// In 64 points each of 16 equal parts is hit as often as it should: exactly where the sequence says so, and by no more
    /// than one too few or too many where its base is no divisor.
    #[test]
    fn points_are_spread_evenly_over_every_dimension() {
        for sampling in [Sampling::Sobol, Sampling::LatinHypercube, Sampling::Halton, Sampling::Hammersley] {
            let columns = sampling.columns(&[16; 3], 64, 5);
            for (dimension, column) in columns.iter().enumerate() {
                let hits: Vec<_> = (0..16).map(|part| column.iter().filter(|it| **it == part).count()).collect();
                let slack = match (sampling, dimension) {
                    (Sampling::Halton, 1 | 2) | (Sampling::Hammersley, 2) => 3,
                    _ => 0,
                };
                assert!(hits.iter().all(|hits| hits.abs_diff(4) <= slack), "{sampling} {dimension}: {hits:?}");
            }
        }
    }

    #[test]
    fn uniform_choices_are_equally_likely() {
        let column = &Sampling::Uniform.columns(&[6], 60_000, 1)[0];
        let hits = (0..6).map(|choice| column.iter().filter(|it| **it == choice).count() as f64);
        // Chi-squared with 5 degrees of freedom is above 20.5 once in a thousand seeds.
        assert!(hits.map(|hits| (hits - 1e4).powi(2) / 1e4).sum::<f64>() < 20.5);
    }

    #[test]
    fn long_sequences_and_many_dimensions_go_on() {
        for sampling in Sampling::ALL {
            let columns = sampling.columns(&[7; 300], 3, 0);
            assert!(columns.iter().flatten().all(|index| *index < 7) && columns.len() == 300);
            assert_eq!(sampling.columns(&[1 << 24], 70_000, 0)[0].len(), 70_000);
            assert_eq!(sampling.name().parse(), Ok(sampling));
        }
        assert!("grid".parse::<Sampling>().unwrap_err().contains("expected one of uniform, sobol, latin-hypercube"));
    }
}
