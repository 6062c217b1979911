use irene_explore::{Candidate, learning::most_open};
use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;

use super::learned::Learned;

/// How the next design to measure is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acquisition {
    /// Ours: [`most_open`].
    OpenVariance,
    /// As ProTran (Tuli and Jha), with 64: of so many designs, drawn anew for each choice, the largest sum of standard deviations, each
    /// divided by twice the largest of the campaign's first 16 figures.
    MaxDeviation {
        /// How many are looked at; 0 for all.
        drawn: usize,
    },
    /// A random design.
    Random,
}

impl Acquisition {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenVariance => "open-variance",
            Self::MaxDeviation { .. } => "max-deviation",
            Self::Random => "random",
        }
    }

    /// Places in the pool of the designs to measure next, best first; fewer where the pool has fewer.
    pub(super) fn choose(
        self,
        learned: &Learned,
        measured: &[&Candidate],
        pool: &[&Candidate],
        batch: usize,
        seed: u64,
    ) -> Vec<usize> {
        let mut places: Vec<usize> = (0..pool.len()).collect();
        places.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        match self {
            Self::OpenVariance => return most_open(&learned.surrogates, measured, pool, batch),
            Self::MaxDeviation { drawn } => {
                if drawn > 0 {
                    places.truncate(drawn.max(batch));
                }
                places = by_deviation(&places, learned, pool);
            }
            Self::Random => {}
        }
        places.truncate(batch);
        places
    }
}

/// Places by the scaled sum of standard deviations, the largest first; places alike stay in their order.
fn by_deviation(places: &[usize], learned: &Learned, pool: &[&Candidate]) -> Vec<usize> {
    let deviation = |place: usize| -> f64 {
        let surrogates = learned.surrogates.iter().zip(&learned.scales);
        surrogates.map(|(surrogate, scale)| surrogate.predict(pool[place]).deviation / scale).sum()
    };
    let mut all: Vec<(f64, usize)> = places.iter().map(|&place| (deviation(place), place)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, place)| place).collect()
}
