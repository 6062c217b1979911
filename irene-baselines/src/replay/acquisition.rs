use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64Mcg;

use super::{
    field::{Field, Gain},
    learned::{Learned, Measured, relative_deviation},
};
use crate::{Candidate, Error, Result};

/// What makes a design worth measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acquisition {
    /// Ours: the largest sum of relative variances that surrogates state, by the variance that the designs measured so far leave
    /// open whatever was measured of them. The first says where this device is hard to tell, the second keeps from measuring the
    /// same again.
    OpenVariance,
    /// The most that a measurement is expected to take from the variance that is left open of all designs, each of which counts by
    /// the relative variance that surrogates state for it.
    ExpectedReduction,
    /// The largest sum of relative deviations.
    RelativeDeviation,
    /// Of so many designs, drawn anew for each choice, the largest sum of standard deviations, each divided by twice the largest of
    /// the first 16 figures: as ProTran does (Tuli and Jha), with 64.
    MaxDeviation {
        /// How many are looked at; 0 for all.
        drawn: usize,
    },
    /// Any.
    Random,
}

impl Acquisition {
    /// All of them, ours first.
    pub const ALL: [Self; 5] = [
        Self::OpenVariance,
        Self::ExpectedReduction,
        Self::RelativeDeviation,
        Self::MaxDeviation { drawn: 64 },
        Self::Random,
    ];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenVariance => "open-variance",
            Self::ExpectedReduction => "expected-reduction",
            Self::RelativeDeviation => "relative-deviation",
            Self::MaxDeviation { .. } => "max-deviation",
            Self::Random => "random",
        }
    }

    /// The one with this name.
    ///
    /// # Errors
    /// [`Error::Data`] that lists the names there are.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|acquisition| acquisition.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Data(format!("unknown acquisition `{name}`; there are {names}"))
        })
    }

    /// Places in the pool of the designs to measure next, best first; fewer where the pool has fewer.
    pub fn choose(
        self,
        learned: &Learned,
        measured: &[Measured],
        pool: &[&Candidate],
        batch: usize,
        seed: u64,
    ) -> Vec<usize> {
        let mut places: Vec<usize> = (0..pool.len()).collect();
        places.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        match self {
            Self::Random => {}
            Self::OpenVariance | Self::ExpectedReduction => {
                let spread = |candidate: &&Candidate| {
                    learned.predict(candidate).map(|prediction| relative_deviation(prediction).powi(2)).sum::<f64>()
                };
                let worth: Vec<f64> = pool.iter().map(spread).collect();
                let gain = if self == Self::OpenVariance { Gain::Own } else { Gain::OfAll };
                return Field::new(measured, pool).best(gain, &worth, batch);
            }
            Self::RelativeDeviation => {
                by_largest(&mut places, |place| learned.predict(pool[place]).map(relative_deviation).sum());
            }
            Self::MaxDeviation { drawn } => {
                if drawn > 0 {
                    places.truncate(drawn.max(batch));
                }
                let deviation = |place: usize| {
                    let deviations = learned.predict(pool[place]).zip(&learned.scales);
                    deviations.map(|(prediction, scale)| prediction.deviation / scale).sum()
                };
                by_largest(&mut places, deviation);
            }
        }
        places.truncate(batch);
        places
    }
}

/// Sorts, the largest first; what is alike stays as it is.
fn by_largest(places: &mut Vec<usize>, worth: impl Fn(usize) -> f64) {
    let mut all: Vec<(f64, usize)> = places.iter().map(|&place| (worth(place), place)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    *places = all.into_iter().map(|(_, place)| place).collect();
}
