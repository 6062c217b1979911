//! Recorded campaigns, replayed: how many measurements active learning would have needed.

mod acquisition;
mod curves;
mod learned;

use std::{
    collections::BTreeSet,
    fmt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use irene_explore::{
    Candidate, Dataset, Describer, Error, Measure, Result,
    learning::{CostLawLearner, Learner, shuffled},
};
use irene_numerics::GOLDEN;
use rayon::prelude::*;

pub use self::{
    acquisition::Acquisition,
    curves::{Curve, Replay, Samples},
    learned::MeanErrors,
};
use self::{
    curves::{Step, converged_at},
    learned::{Learned, Measured},
};
use crate::{boosted::AdaBoostLearner, decision_tree::DecisionTreeLearner};

/// The squared error that ProTran stops at, of figures divided by twice the largest of the campaign's first 16.
const PUBLISHED_ERROR: f64 = 0.005;

/// A learner and how its data is chosen.
pub struct Way {
    /// Its name in reports.
    pub name: String,
    /// The learner.
    pub learner: Box<dyn Learner>,
    /// How its data is chosen.
    pub acquisition: Acquisition,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, acquisition, learner: _ } = self;
        f.debug_struct("Way").field("name", name).field("acquisition", acquisition).finish_non_exhaustive()
    }
}

impl Way {
    /// Named by what it consists of.
    pub fn new(learner: Box<dyn Learner>, acquisition: Acquisition) -> Self {
        Self { name: format!("{}, {}", learner.name(), acquisition.name()), learner, acquisition }
    }

    /// Our learner and choice.
    pub fn ours() -> Self {
        Self::new(Box::new(CostLawLearner), Acquisition::OpenVariance)
    }

    /// ProTran's learner and choice: boosted trees, and the largest sum of standard deviations of 64 designs.
    pub fn published() -> Self {
        Self::new(Box::new(AdaBoostLearner), Acquisition::MaxDeviation { drawn: 64 })
    }

    /// Ours, ProTran's with either kind of trees, and both learners on designs chosen at random.
    pub fn compared() -> Vec<Self> {
        vec![
            Self::ours(),
            Self::new(Box::new(CostLawLearner), Acquisition::Random),
            Self::published(),
            Self::new(Box::new(DecisionTreeLearner), Acquisition::MaxDeviation { drawn: 64 }),
            Self::new(Box::new(AdaBoostLearner), Acquisition::Random),
        ]
    }
}

/// The records that surrogates are judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judged {
    /// All that are not measured yet, while there are at least this many of them.
    Rest(usize),
    /// A share of the records, drawn by the seed, that are never measured.
    HeldOut(f64),
}

/// How recorded data is replayed.
#[derive(Debug)]
pub struct ReplayOptions {
    /// The ways that are compared.
    pub ways: Vec<Way>,
    /// The measures.
    pub measures: Vec<Measure>,
    /// Seeds 0, 1 and so on: each draws other records to start with, for all ways the same.
    pub seeds: usize,
    /// Records to start with.
    pub start: usize,
    /// Records measured between two fits.
    pub batch: usize,
    /// Most records that are measured, those to start with among them.
    pub limit: Option<usize>,
    /// The records that surrogates are judged by.
    pub judged: Judged,
    /// Mean squared error, of figures divided by twice the largest of the campaign's first 16, that counts as converged.
    pub error: f64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            ways: Way::compared(),
            measures: Measure::INFERENCE.to_vec(),
            seeds: 10,
            start: 4,
            batch: 1,
            limit: None,
            judged: Judged::Rest(10),
            error: PUBLISHED_ERROR,
        }
    }
}

/// Replays a device's records as if each was measured when it is asked for. `progress` hears how many of all runs are done.
///
/// # Errors
/// [`Error::Data`] for too few records, a limit below those to start with, a missing figure, or if `stop` is raised before the end; the
/// error of describing a design.
pub fn replay(
    data: &Dataset,
    describer: &Describer,
    options: &ReplayOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
    stop: &AtomicBool,
) -> Result<Replay> {
    let pool = Pool::new(data, describer, options)?;
    let runs: Vec<(usize, u64)> =
        (0..options.ways.len()).flat_map(|way| (0..options.seeds as u64).map(move |seed| (way, seed))).collect();
    let done = AtomicUsize::new(0);
    let of_run = |&(way, seed): &(usize, u64)| {
        let steps = pool.steps(&options.ways[way], seed, stop)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, runs.len());
        Ok(steps)
    };
    let mut of_runs = runs.par_iter().map(of_run).collect::<Result<Vec<_>>>()?.into_iter();
    let curve = |way: &Way| {
        let steps: Vec<Vec<Step>> = of_runs.by_ref().take(options.seeds).collect();
        let converged = steps.iter().map(|steps| converged_at(steps, options.error)).collect();
        Curve { name: way.name.clone(), steps, converged }
    };
    let curves = options.ways.iter().map(curve).collect();
    let (device, measures, error) = (data.device.clone(), options.measures.clone(), options.error);
    Ok(Replay { device, records: pool.records.len(), measures, error, curves })
}

/// The records of a device.
struct Pool<'a> {
    options: &'a ReplayOptions,
    records: Vec<Measured>,
    scales: Vec<f64>,
    /// How many records are held out to judge by.
    held: usize,
    /// How many are left to judge by at least, where none are held out.
    fewest: usize,
}

impl<'a> Pool<'a> {
    fn new(data: &Dataset, describer: &Describer, options: &'a ReplayOptions) -> Result<Self> {
        if options.measures.is_empty() {
            return Err(Error::Data("a replay needs at least one measure".into()));
        }
        let records = learned::measured(data, describer, &options.measures)?;
        let (scales, there_are) = (learned::scales(&records), records.len());
        let (held, fewest) = match options.judged {
            Judged::Rest(fewest) => (0, fewest.max(1)),
            Judged::HeldOut(share) => (((share.clamp(0.0, 1.0) * there_are as f64).round() as usize).max(1), 0),
        };
        let (device, start, seeds) = (&data.device, options.start, options.seeds);
        if there_are < start + held + fewest || start == 0 || seeds == 0 || options.batch == 0 {
            return Err(Error::Data(format!(
                "{device}: a replay from {start} records, {} others to judge by, {} a round and {seeds} seeds does not work with \
                 {there_are} records",
                held + fewest,
                options.batch
            )));
        }
        if let Some(limit) = options.limit.filter(|limit| *limit < start) {
            return Err(Error::Data(format!(
                "{device}: a replay from {start} records cannot end at {limit}; raise the limit, or start with fewer"
            )));
        }
        Ok(Self { options, records, scales, held, fewest })
    }

    /// Replays one way with one seed.
    fn steps(&self, way: &Way, seed: u64, stop: &AtomicBool) -> Result<Vec<Step>> {
        // Drawn apart from those to start with.
        let places = shuffled(self.records.len(), seed ^ 0x5EED);
        let held: BTreeSet<usize> = places.into_iter().take(self.held).collect();
        let open: Vec<usize> = (0..self.records.len()).filter(|place| !held.contains(place)).collect();
        let most = open.len().saturating_sub(self.fewest).min(self.options.limit.unwrap_or(usize::MAX));
        let first = shuffled(open.len(), seed).into_iter().take(self.options.start);
        let mut measured: Vec<usize> = first.map(|at| open[at]).collect();
        let mut steps = Vec::new();
        while measured.len() <= most {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Data("stopped before the replay was at its end".into()));
            }
            let known = self.at(&measured);
            let learned = Learned::fit(way.learner.as_ref(), &known, &self.scales, seed)?;
            let left: Vec<usize> = open.iter().copied().filter(|place| !measured.contains(place)).collect();
            let judges =
                if held.is_empty() { self.at(&left) } else { self.at(&held.iter().copied().collect::<Vec<_>>()) };
            let (errors, expected) = (learned.errors(&judges), learned.expected_error(&judges));
            steps.push(Step { samples: measured.len(), errors, expected });
            let [known, pool] = [known, self.at(&left)].map(candidates);
            let seed = seed_of(seed, measured.len());
            let next = way.acquisition.choose(&learned, &known, &pool, self.options.batch, seed);
            if next.is_empty() {
                break;
            }
            measured.extend(next.into_iter().map(|at| left[at]));
        }
        Ok(steps)
    }

    fn at(&self, places: &[usize]) -> Vec<&Measured> {
        places.iter().map(|&place| &self.records[place]).collect()
    }
}

fn candidates(measured: Vec<&Measured>) -> Vec<&Candidate> {
    measured.into_iter().map(|measured| &measured.candidate).collect()
}

/// A seed for each count of measured designs.
fn seed_of(seed: u64, measured: usize) -> u64 {
    seed.wrapping_mul(GOLDEN).wrapping_add(measured as u64 + 1)
}
