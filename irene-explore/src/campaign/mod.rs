//! Measuring campaigns: which designs of a space are measured, in which order, by which of several machines; and with the feature
//! `profile`, the measuring.
//!
//! ```
//! use irene_explore::{campaign::{Campaign, SamplingPlan, Shard}, space::{DesignSpace, Sampling}};
//! # fn main() -> irene_explore::Result<()> {
//! let space = DesignSpace::find("small")?;
//! let shard = Shard::new(1, 4)?;
//! let campaign = Campaign::new(space, SamplingPlan::Samples(10), Sampling::Sobol, 0, shard)?;
//! let first = campaign.next(&[])?.expect("nothing is measured yet");
//! assert_eq!(first.order, 1);
//! # Ok(())
//! # }
//! ```

mod choose;
mod file;
#[cfg(feature = "profile")]
mod measure;
mod shard;

use std::collections::HashSet;

use irene_models::flexibert::Design;
use serde_json::{Value, json};

#[cfg(feature = "profile")]
pub use self::measure::DesignProfiler;
pub use self::{file::RecordFile, shard::Shard};
use crate::{
    Describer, Error, Record, Result,
    space::{DesignSpace, Sampling},
};

/// How a campaign chooses its designs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingPlan {
    /// This many, spread over the space.
    Samples(usize),
    /// This many in all: the first spread over the space, each further one chosen by [`most_open`](crate::learning::most_open).
    Active {
        /// Designs in all.
        budget: usize,
        /// Designs that come first.
        initial: usize,
    },
}

impl SamplingPlan {
    /// Actively with a budget, of which eight designs or a third come first, but as many as a surrogate needs.
    pub fn active(budget: usize) -> Self {
        const FIRST: usize = 8;
        Self::Active { budget, initial: budget.div_ceil(3).clamp(FEWEST, FIRST) }
    }

    /// The same for a campaign that these records began: as many designs come first as they say.
    #[must_use]
    pub fn resuming(self, begun: &[Record]) -> Self {
        let stated = |record: &Record| record.conditions.measuring.as_ref()?.get(ACTIVE_AFTER)?.as_u64();
        match (self, begun.iter().find_map(stated)) {
            (Self::Active { budget, .. }, Some(initial)) => Self::Active { budget, initial: initial as usize },
            (plan, _) => plan,
        }
    }

    /// Designs in all.
    pub fn designs(self) -> usize {
        match self {
            Self::Samples(count) => count,
            Self::Active { budget, .. } => budget,
        }
    }

    fn planned(self) -> usize {
        match self {
            Self::Samples(count) => count,
            Self::Active { budget, initial } => initial.min(budget),
        }
    }
}

/// The setting with the designs that come first in an active campaign.
const ACTIVE_AFTER: &str = "active_after";

/// Records that a surrogate learns from at least.
const FEWEST: usize = 3;

/// Which designs are measured, in which order.
#[derive(Debug)]
pub struct Campaign {
    describer: Describer,
    plan: SamplingPlan,
    sampling: Sampling,
    seed: u64,
    shard: Shard,
    /// The designs known from the start, by their order.
    planned: Vec<Design>,
}

/// The next design of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its place in the whole campaign, from 0.
    pub order: usize,
    /// The design.
    pub design: Design,
}

impl Campaign {
    /// A campaign in a space. `sampling` and `seed` decide the designs, and the shard which of them are measured here.
    ///
    /// # Errors
    /// [`Error::Search`] if the space has fewer designs; [`Error::Data`] for a plan that cannot be followed.
    pub fn new(space: DesignSpace, plan: SamplingPlan, sampling: Sampling, seed: u64, shard: Shard) -> Result<Self> {
        if let SamplingPlan::Active { budget, initial } = plan {
            if shard != Shard::WHOLE {
                let reason = "an active campaign has no parts: each design is chosen by all before";
                return Err(Error::Data(reason.into()));
            }
            if initial < FEWEST && budget > initial {
                return Err(Error::Data(format!(
                    "an active campaign begins with at least {FEWEST} designs, not {initial}"
                )));
            }
        }
        let there_are = space.count();
        if there_are.as_u64().is_some_and(|count| count < plan.designs() as u64) {
            let asked = plan.designs();
            return Err(Error::Search(format!("{asked} different designs were asked for where there are {there_are}")));
        }
        let planned = balanced(&space, sampling, plan.planned(), seed)?;
        Ok(Self { describer: Describer::new(space), plan, sampling, seed, shard, planned })
    }

    /// The settings that decide its designs, for the field `measuring` of its records.
    pub fn settings(&self) -> Value {
        let space = self.describer.space().digest();
        let mut settings = json!({ "space": space, "sampling": self.sampling.name(), "seed": self.seed });
        if let SamplingPlan::Active { initial, .. } = self.plan {
            settings[ACTIVE_AFTER] = initial.into();
        }
        settings
    }

    /// The orders that are measured here.
    pub fn orders(&self) -> impl Iterator<Item = usize> {
        let shard = self.shard;
        (0..self.plan.designs()).filter(move |&order| shard.has(order))
    }

    /// The first design that these records do not have; None if they have all.
    ///
    /// # Errors
    /// An error of learning surrogates, in an active campaign.
    pub fn next(&self, done: &[Record]) -> Result<Option<Step>> {
        let orders: HashSet<usize> = done.iter().filter_map(|record| record.order).collect();
        let Some(order) = self.orders().find(|order| !orders.contains(order)) else { return Ok(None) };
        let design = match self.planned.get(order) {
            Some(design) => design.clone(),
            None => {
                let before: Vec<&Record> =
                    done.iter().filter(|record| record.order.is_some_and(|its| its < order)).collect();
                choose::next_design(&self.describer, &before, self.seed.wrapping_add(order as u64))?
            }
        };
        Ok(Some(Step { order, design }))
    }
}

/// As [`DesignSpace::sample_balanced`], designs of few heads and of many in turn, so that any first part is balanced too. Where a
/// half of the space is too small, from the whole.
fn balanced(space: &DesignSpace, sampling: Sampling, count: usize, seed: u64) -> Result<Vec<Design>> {
    let Ok(mut few) = space.sample_balanced(sampling, count, seed) else { return space.sample(sampling, count, seed) };
    let many = few.split_off(count.div_ceil(2));
    let mut many = many.into_iter();
    Ok(few.into_iter().flat_map(|design| [Some(design), many.next()]).flatten().collect())
}

#[cfg(test)]
mod tests {
    use irene_models::flexibert::LayerDesign;

    use super::*;
    use crate::{Measure, Measures};

    fn campaign(plan: SamplingPlan, shard: Shard) -> Campaign {
        Campaign::new(DesignSpace::find("small").unwrap(), plan, Sampling::Sobol, 3, shard).unwrap()
    }

    /// A made-up measurement: time and energy about in proportion to parameters.
    fn measured(step: Step) -> Record {
        let widths = |layer: &LayerDesign| layer.hidden * (layer.hidden + layer.feed_forward.iter().sum::<usize>());
        let parameters = step.design.layers().iter().map(widths).sum::<usize>() as f64;
        let wobble = 1.0 + 0.1 * (parameters * 1e-3).sin();
        let figures = Measures::default().with(Measure::Latency, 1e-8 * parameters * wobble);
        let measures = figures.with(Measure::Energy, parameters);
        Record::new(step.order, step.design, measures)
    }

    fn all(campaign: &Campaign, mut done: Vec<Record>) -> Vec<Record> {
        while let Some(step) = campaign.next(&done).unwrap() {
            done.push(measured(step));
        }
        done
    }

    #[test]
    fn shards_together_measure_what_the_whole_campaign_does() {
        let whole = all(&campaign(SamplingPlan::Samples(11), Shard::WHOLE), Vec::new());
        let mut merged: Vec<Record> = (0..4)
            .flat_map(|index| all(&campaign(SamplingPlan::Samples(11), Shard::new(index, 4).unwrap()), Vec::new()))
            .collect();
        merged.sort_by_key(|record| record.order);
        assert_eq!(merged, whole);
        // The whole campaign measures a record that a shard lost.
        merged.remove(5);
        let mut filled = all(&campaign(SamplingPlan::Samples(11), Shard::WHOLE), merged);
        filled.sort_by_key(|record| record.order);
        assert_eq!(filled, whole);
    }

    #[test]
    fn an_active_campaign_goes_on_as_if_it_had_not_been_cut_off() {
        let short = all(&campaign(SamplingPlan::Active { budget: 6, initial: 4 }, Shard::WHOLE), Vec::new());
        let long = all(&campaign(SamplingPlan::Active { budget: 8, initial: 4 }, Shard::WHOLE), Vec::new());
        assert_eq!(long[..6], short);
        assert_eq!(all(&campaign(SamplingPlan::Active { budget: 8, initial: 4 }, Shard::WHOLE), short), long);
        let hashes: HashSet<&String> = long.iter().map(|record| &record.hash).collect();
        assert_eq!(hashes.len(), 8);
    }

    #[test]
    fn plans_that_cannot_be_followed_are_refused() {
        let space = || DesignSpace::find("small").unwrap();
        let refused = |space, plan, shard| match Campaign::new(space, plan, Sampling::Sobol, 0, shard) {
            Err(error) => error.to_string(),
            Ok(_) => String::new(),
        };
        let half = Shard::new(0, 2).unwrap();
        assert!(refused(space(), SamplingPlan::active(9), half).starts_with("an active campaign has no parts"));
        let early = SamplingPlan::Active { budget: 9, initial: 2 };
        assert!(refused(space(), early, Shard::WHOLE).contains("at least 3 designs, not 2"));
        let mut tiny = space();
        (tiny.layers, tiny.hidden, tiny.heads) = (vec![1], vec![32], vec![2]);
        (tiny.feed_forward, tiny.operations) = (vec![64], tiny.operations[..2].to_vec());
        assert_eq!(tiny.count().as_u64(), Some(6));
        let most = SamplingPlan::Samples(7);
        assert_eq!(refused(tiny.clone(), most, Shard::WHOLE), "7 different designs were asked for where there are 6");
        // A campaign may measure the whole space.
        let every =
            Campaign::new(tiny, SamplingPlan::Active { budget: 6, initial: 3 }, Sampling::Sobol, 0, Shard::WHOLE);
        assert_eq!(all(&every.unwrap(), Vec::new()).len(), 6);
    }

    #[test]
    fn a_first_part_is_balanced_too() {
        let designs = balanced(&DesignSpace::find("small").unwrap(), Sampling::Sobol, 7, 0).unwrap();
        let heads: Vec<usize> = designs.iter().map(|design| design.layers()[0].heads.len()).collect();
        assert_eq!(heads, [2, 4, 2, 4, 2, 4, 2]);
    }
}
