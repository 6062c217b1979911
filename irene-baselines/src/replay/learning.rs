use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{Acquisition, Learned, Measured, Stopping, learned};
use crate::{
    Candidate, Describer, Error, Measure, Measures, Result,
    space::{Embedding, Sampling},
    surrogate::Learner,
};

/// Measures designs: a device, or what is recorded of one.
pub trait Oracle {
    /// The figures of one design.
    ///
    /// # Errors
    /// Whatever keeps it from measuring; learning ends with it.
    fn measure(&mut self, candidate: &Candidate) -> Result<Measures>;
}

impl<F: FnMut(&Candidate) -> Result<Measures>> Oracle for F {
    fn measure(&mut self, candidate: &Candidate) -> Result<Measures> {
        self(candidate)
    }
}

/// Where designs to choose from come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// These and no others.
    Listed(&'a [Candidate]),
    /// A space: designs drawn anew for each round.
    Space {
        /// Of the space.
        describer: &'a Describer,
        /// How they are drawn.
        sampling: Sampling,
        /// How many a round; published with 64.
        fresh: usize,
    },
}

/// How designs are chosen to be measured.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// What learns from those that are measured.
    pub learner: &'a dyn Learner,
    /// What chooses the next.
    pub acquisition: Acquisition,
    /// Where designs come from.
    pub source: Source<'a>,
    /// What is measured.
    pub measures: &'a [Measure],
    /// What each measure is divided by where they are added up; twice the largest of the first 16 figures if nothing is said.
    pub scales: Option<&'a [f64]>,
    /// Designs drawn at random before anything is learned.
    pub start: usize,
    /// Designs that are chosen at once.
    pub batch: usize,
    /// The same seed chooses the same designs.
    pub seed: u64,
}

/// What a stopping rule looks at.
pub(super) struct Standing<'a> {
    pub(super) measured: &'a [Measured],
    /// Expected errors after each of the last rounds.
    pub(super) expected: &'a [f64],
}

/// Why learning ended.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stopped {
    /// By a rule.
    Rule(Stopping),
    /// All designs of the list are measured.
    Exhausted,
    /// By the flag.
    Asked,
}

/// What learning led to.
pub struct Learning {
    /// What was measured, in order, those given at the start included: given to [`run`], it goes on from there.
    pub measured: Vec<Measured>,
    /// From all of it; nothing if it ended before there was enough.
    pub learned: Option<Learned>,
    /// The mean relative error that is expected over designs not measured, of the measure where it is largest.
    pub expected_error: Option<f64>,
    /// Why it ended.
    pub stopped: Stopped,
}

impl Plan<'_> {
    /// # Errors
    /// [`Error::Data`] for what cannot work, before anything is measured.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::Data(reason));
        if self.measures.is_empty() {
            return refuse("active learning needs at least one measure".into());
        }
        if self.start == 0 || self.batch == 0 {
            return refuse("active learning needs at least one design to start with and one a round".into());
        }
        match self.source {
            Source::Listed(all) if all.len() < self.start => {
                refuse(format!("{} designs to start with were asked for where there are {}", self.start, all.len()))
            }
            Source::Space { fresh, .. } if fresh < self.batch => {
                refuse(format!("{} designs a round cannot be chosen of {fresh}; draw more", self.batch))
            }
            _ => Ok(()),
        }
    }

    /// Surrogates from what is measured.
    ///
    /// # Errors
    /// As [`Learned::fit`].
    pub fn learn(&self, measured: &[Measured]) -> Result<Learned> {
        let scales = match self.scales {
            Some(scales) if scales.len() == self.measures.len() => scales.to_vec(),
            _ => learned::scales(measured, self.measures)?,
        };
        Learned::fit(self.learner, measured, self.measures, scales, self.seed)
    }

    /// Designs that could be measured next to these.
    fn open(&self, measured: &[Measured]) -> Result<Vec<Candidate>> {
        let known: HashSet<&Embedding> = measured.iter().map(|measured| &measured.candidate.embedding).collect();
        let is_new = |candidate: &Candidate| !known.contains(&candidate.embedding);
        match self.source {
            Source::Listed(all) => Ok(all.iter().filter(|candidate| is_new(candidate)).cloned().collect()),
            Source::Space { describer, sampling, fresh } => {
                let designs = describer.space().sample(sampling, fresh, self.seed_of(measured.len()))?;
                let all = designs.into_iter().map(|design| describer.describe(design)).collect::<Result<Vec<_>>>()?;
                Ok(all.into_iter().filter(|candidate| is_new(candidate)).collect())
            }
        }
    }

    /// The designs to start with.
    fn first(&self) -> Result<Vec<Candidate>> {
        match self.source {
            Source::Listed(all) => {
                let places = crate::evaluate::shuffled(all.len(), self.seed);
                Ok(places.into_iter().take(self.start).map(|place| all[place].clone()).collect())
            }
            Source::Space { describer, sampling, .. } => {
                let designs = describer.space().sample_balanced(sampling, self.start, self.seed)?;
                designs.into_iter().map(|design| describer.describe(design)).collect()
            }
        }
    }

    /// A seed for each count of measured designs.
    fn seed_of(&self, measured: usize) -> u64 {
        self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(measured as u64 + 1)
    }

    /// How many were measured when the last round began.
    fn round_start(&self, measured: usize) -> usize {
        measured - measured.saturating_sub(self.start) % self.batch
    }

    /// What to measure next, from what was: the designs to start with, then a batch, less what is measured of it. The answer hangs
    /// on nothing else. Nothing, if all of a list is measured.
    ///
    /// # Errors
    /// [`Error::Data`] for a missing figure or a plan that cannot work; what the learner says of too few.
    pub fn next(&self, measured: &[Measured]) -> Result<Vec<Candidate>> {
        self.check()?;
        let (next, begun) = if measured.len() < self.start {
            let mut first = self.first()?;
            // Others that were measured before stand in for the last.
            let known = measured.iter().filter(|known| first.iter().all(|c| c.embedding != known.candidate.embedding));
            first.truncate(self.start - known.count());
            (first, measured)
        } else {
            let (before, begun) = measured.split_at(self.round_start(measured.len()));
            let learned = self.learn(before)?;
            (self.choose(&learned, before)?, begun)
        };
        let is_new = |candidate: &Candidate| begun.iter().all(|known| known.candidate.embedding != candidate.embedding);
        Ok(next.into_iter().filter(is_new).collect())
    }

    /// The next batch, by what was learned from these.
    pub(super) fn choose(&self, learned: &Learned, measured: &[Measured]) -> Result<Vec<Candidate>> {
        let mut open = self.open(measured)?;
        let pool: Vec<&Candidate> = open.iter().collect();
        let seed = self.seed_of(measured.len());
        let places = self.acquisition.choose(learned, measured, &pool, self.batch, seed);
        let mut chosen: Vec<Option<Candidate>> = open.drain(..).map(Some).collect();
        Ok(places.into_iter().filter_map(|place| chosen.get_mut(place)?.take()).collect())
    }

    /// The error that is expected of designs not measured.
    fn expected_error(&self, learned: &Learned, measured: &[Measured]) -> Result<f64> {
        let open = self.open(measured)?;
        Ok(learned.expected_error(&open.iter().collect::<Vec<_>>()))
    }

    /// Expected errors after the last rounds before this one.
    fn expected_before(&self, measured: &[Measured], rounds: usize) -> Result<Vec<f64>> {
        let mut expected = Vec::new();
        let mut end = self.round_start(measured.len());
        while expected.len() + 1 < rounds && end >= self.start + self.batch {
            end -= self.batch;
            expected.push(self.expected_error(&self.learn(&measured[..end])?, &measured[..end])?);
        }
        expected.reverse();
        Ok(expected)
    }
}

/// Measures and learns until a rule, the flag or the end of a list says to stop. `measured` is what was measured before: what an
/// earlier run told `on_measured` one by one, or nothing. Rules are asked after each round.
///
/// # Errors
/// [`Error::Data`] for a plan that cannot work or a figure that is missing; what the oracle and the learner say.
pub fn run(
    plan: &Plan<'_>,
    rules: &[Stopping],
    mut measured: Vec<Measured>,
    oracle: &mut dyn Oracle,
    stop: &AtomicBool,
    on_measured: &mut dyn FnMut(&Measured) -> Result<()>,
) -> Result<Learning> {
    plan.check()?;
    let rounds = rules.iter().map(|rule| rule.rounds()).max().unwrap_or(0);
    let budget =
        rules.iter().filter_map(|rule| if let Stopping::Budget(most) = rule { Some(*most) } else { None }).min();
    let mut expected = if rounds > 1 { plan.expected_before(&measured, rounds)? } else { Vec::new() };
    loop {
        let is_round = measured.len() >= plan.start && plan.round_start(measured.len()) == measured.len();
        let learned = if is_round { Some(plan.learn(&measured)?) } else { None };
        if let Some(learned) = &learned {
            expected.push(plan.expected_error(learned, &measured)?);
        }
        let standing = Standing { measured: &measured, expected: &expected };
        let mut stopped = stop.load(Ordering::Relaxed).then_some(Stopped::Asked);
        for rule in rules.iter().filter(|rule| is_round || matches!(rule, Stopping::Budget(_))) {
            if stopped.is_none() && rule.says(plan, &standing)? {
                stopped = Some(Stopped::Rule(*rule));
            }
        }
        let next = match (&stopped, &learned) {
            (Some(_), _) => Vec::new(),
            (None, Some(learned)) => plan.choose(learned, &measured)?,
            (None, None) => plan.next(&measured)?,
        };
        if next.is_empty() {
            let expected_error = is_round.then(|| expected.last().copied()).flatten();
            let stopped = stopped.unwrap_or(Stopped::Exhausted);
            return Ok(Learning { measured, learned, expected_error, stopped });
        }
        for candidate in next {
            if stop.load(Ordering::Relaxed) || budget.is_some_and(|most| measured.len() >= most) {
                break;
            }
            let measures = oracle.measure(&candidate)?;
            let new = Measured { candidate, measures };
            for &measure in plan.measures {
                new.figure(measure)?;
            }
            on_measured(&new)?;
            measured.push(new);
        }
    }
}
