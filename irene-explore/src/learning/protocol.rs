use rayon::prelude::*;

use crate::{
    Candidate, Measure, Result,
    learning::{
        evaluate::{HeldOutRecord, Split, shuffled},
        surrogate::Learner,
    },
};

/// Which records of a device are predicted from which others. Predictions serve for more than designs drawn like those that were
/// measured, so their intervals have to hold for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Parts of the records at random, each from the others.
    Random,
    /// Each part of the campaign after the first from all before it, with intervals for [later](super::PredictedValue::later)
    /// measurements.
    Later,
    /// The designs of each hidden size (of the first layer) from those of other sizes.
    HiddenSize,
    /// The designs of each number of layers from those of other numbers.
    Depth,
    /// All others from [`FEW`](Self::FEW) at random.
    Few,
}

/// Parts that records are split into.
const PARTS: usize = 5;
/// Records to learn from, and to predict, at least.
const FEWEST_KEPT: usize = 8;
const FEWEST_HELD: usize = 4;

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Random, Self::Later, Self::HiddenSize, Self::Depth, Self::Few];
    /// How few records [`Few`](Self::Few) learns from.
    pub const FEW: usize = 8;

    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Later => "later",
            Self::HiddenSize => "hidden-size",
            Self::Depth => "depth",
            Self::Few => "few",
        }
    }

    /// Learns from some records and predicts others, given in the order of the campaign. [`Random`](Self::Random) and [`Few`](Self::Few)
    /// draw `repeats` times; the other protocols give the same records every time and run once. All but `Random` skip groups of fewer than
    /// four records, and training sets of fewer than eight.
    ///
    /// # Errors
    /// The learner's error.
    pub fn hold_out(
        self,
        learner: &dyn Learner,
        (candidates, figures): (&[Candidate], &[f64]),
        measure: Measure,
        repeats: usize,
        seed: u64,
    ) -> Result<Vec<HeldOutRecord>> {
        let splits = self.splits(candidates, repeats, seed);
        let enough = |split: &&Split| split.kept.len() >= FEWEST_KEPT && split.held.len() >= FEWEST_HELD;
        let splits: Vec<&Split> = splits.iter().filter(|split| self == Self::Random || enough(split)).collect();
        let of_splits = splits.par_iter().map(|split| split.predict(learner, candidates, figures, seed));
        let mut held_out: Vec<HeldOutRecord> = of_splits.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        if self == Self::Later {
            held_out.iter_mut().for_each(|held| held.prediction = held.prediction.later(measure));
        }
        Ok(held_out)
    }

    fn splits(self, candidates: &[Candidate], repeats: usize, seed: u64) -> Vec<Split> {
        let count = candidates.len();
        let parts = |part: usize| count * part / PARTS;
        match self {
            Self::Random => Split::at_random(count, PARTS, repeats, seed),
            Self::Later => (1..PARTS)
                .map(|part| Split {
                    repeat: 0,
                    kept: (0..parts(part)).collect(),
                    held: (parts(part)..parts(part + 1)).collect(),
                })
                .collect(),
            Self::HiddenSize => by_group(candidates, |one| one.design.layers().first().map(|layer| layer.hidden)),
            Self::Depth => by_group(candidates, |one| one.design.layers().len()),
            Self::Few => (0..repeats)
                .map(|repeat| {
                    let order = shuffled(count, seed.wrapping_add(repeat as u64));
                    Split::hold_out(count, repeat, order.into_iter().skip(Self::FEW).collect())
                })
                .collect(),
        }
    }
}

/// Leaves each group of designs out in turn.
fn by_group<G: Ord>(candidates: &[Candidate], group: impl Fn(&Candidate) -> G) -> Vec<Split> {
    let groups: Vec<G> = candidates.iter().map(group).collect();
    let mut all: Vec<&G> = groups.iter().collect();
    all.sort_unstable();
    all.dedup();
    let of = |group: &G| (0..groups.len()).filter(|&record| groups[record] == *group).collect();
    all.into_iter().map(|group| Split::hold_out(groups.len(), 0, of(group))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        learning::{CostLawLearner, SurrogateErrors},
        made_up::{candidates, latency, noise},
    };

    /// Designs in a campaign of 60, and their latencies on a device that becomes a fifth slower after two thirds of it and that takes the
    /// designs of one layer for cheaper than any law says.
    fn campaign() -> (Vec<Candidate>, Vec<f64>) {
        let candidates = candidates(60, 0);
        let step = |order: usize| if order < 40 { 1.0 } else { 1.2 };
        let shallow = |one: &Candidate| if one.design.layers().len() == 1 { 0.85 } else { 1.0 };
        let figures = candidates.iter().enumerate().map(|(at, one)| latency(one) * noise(at) * step(at) * shallow(one));
        let figures = figures.collect();
        (candidates, figures)
    }

    fn held_out(protocol: Protocol, measure: Measure) -> Vec<HeldOutRecord> {
        let (candidates, figures) = campaign();
        protocol.hold_out(&CostLawLearner, (&candidates, &figures), measure, 3, 0).unwrap()
    }

    #[test]
    fn intervals_hold_by_every_protocol() {
        for protocol in Protocol::ALL {
            let found = SurrogateErrors::of(held_out(protocol, Measure::Latency).iter()).unwrap();
            assert!((82.0..=100.0).contains(&found.covered), "{}: {found:?}", protocol.name());
            assert!(found.half_width < 60.0, "{}: {found:?}", protocol.name());
        }
    }

    #[test]
    fn what_is_measured_later_needs_wider_intervals() {
        let covered = |measure| SurrogateErrors::of(held_out(Protocol::Later, measure).iter()).unwrap().covered;
        // Peak power has no steps, which this is not.
        assert!(covered(Measure::PeakPower) < covered(Measure::Latency) - 5.0);
    }

    #[test]
    fn each_protocol_predicts_from_others_alone() {
        let (candidates, _) = campaign();
        for protocol in Protocol::ALL {
            let splits = protocol.splits(&candidates, 2, 0);
            for Split { kept, held, .. } in &splits {
                assert!(held.iter().all(|record| !kept.contains(record)), "{}", protocol.name());
            }
            let held: usize = splits.iter().map(|split| split.held.len()).sum();
            let expected = match protocol {
                Protocol::Random => 2 * 60,
                Protocol::Later => 48,
                Protocol::HiddenSize | Protocol::Depth => 60,
                Protocol::Few => 2 * 52,
            };
            assert_eq!(held, expected, "{}", protocol.name());
        }
        let depth = |record: &usize| candidates[*record].design.layers().len();
        for Split { kept, held, .. } in Protocol::Depth.splits(&candidates, 1, 0) {
            assert!(kept.iter().all(|record| depth(record) != depth(&held[0])));
        }
        assert!(Protocol::Later.splits(&candidates, 1, 0).iter().all(|split| split.kept.last() < split.held.first()));
    }
}
