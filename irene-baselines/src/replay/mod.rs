use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;

use super::{
    Acquisition, Measured, Plan, Source, converged_at,
    curves::{Curve, Replay, Step},
    learned,
    stopping::PUBLISHED_ERROR,
};
use crate::{
    Candidate, Dataset, Describer, Error, Measure, Result,
    space::Embedding,
    surrogate::{AdaBoostLearner, DecisionTreeLearner, LawLearner, Learner},
};

/// A learner and what chooses its data.
pub struct Way {
    /// Its name in reports.
    pub name: String,
    /// The learner.
    pub learner: Box<dyn Learner>,
    /// What chooses.
    pub acquisition: Acquisition,
}

impl Way {
    /// Named by what it consists of.
    pub fn new(learner: Box<dyn Learner>, acquisition: Acquisition) -> Self {
        Self { name: format!("{}, {}", learner.name(), acquisition.name()), learner, acquisition }
    }

    /// Ours.
    pub fn ours() -> Self {
        Self::new(Box::new(LawLearner), Acquisition::OpenVariance)
    }

    /// As ProTran does: boosted trees, and the largest sum of standard deviations of 64.
    pub fn published() -> Self {
        Self::new(Box::new(AdaBoostLearner::published()), Acquisition::MaxDeviation { drawn: 64 })
    }

    /// Ours, theirs with either kind of trees, and both learners on designs chosen at random.
    pub fn compared() -> Vec<Self> {
        vec![
            Self::ours(),
            Self::new(Box::new(LawLearner), Acquisition::Random),
            Self::published(),
            Self::new(Box::new(DecisionTreeLearner), Acquisition::MaxDeviation { drawn: 64 }),
            Self::new(Box::new(AdaBoostLearner::published()), Acquisition::Random),
        ]
    }
}

/// Which records tell how good surrogates are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judged {
    /// All that are not measured yet, while there are at least so many: fewer say little.
    Rest(usize),
    /// A share of the records, drawn by the seed, that are never measured.
    HeldOut(f64),
}

/// How recorded data is replayed.
pub struct ReplayOptions {
    /// What is compared.
    pub ways: Vec<Way>,
    /// What is measured.
    pub measures: Vec<Measure>,
    /// Seeds 0, 1 and so on: each draws other records to start with, for all ways the same.
    pub seeds: usize,
    /// Records to start with.
    pub start: usize,
    /// Records measured between two fits.
    pub batch: usize,
    /// Most records that are measured.
    pub limit: Option<usize>,
    /// Which records tell.
    pub judged: Judged,
    /// Mean squared error, of figures divided by twice the largest of the campaign's first 16, that counts as converged.
    pub error: f64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            ways: Way::compared(),
            measures: Measure::ALL.to_vec(),
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
/// [`Error::Data`] for too few records, a missing figure, or if `stop` is raised before the end; what describing a design says.
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
        let steps = pool.steps(&options.ways[way], options, seed, stop)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, runs.len());
        Ok(steps)
    };
    let mut of_runs = runs.par_iter().map(of_run).collect::<Result<Vec<_>>>()?.into_iter();
    let curve = |way: &Way| {
        let steps: Vec<Vec<Step>> = of_runs.by_ref().take(options.seeds).collect();
        let converged = steps.iter().map(|steps| converged(steps, options.error)).collect();
        Curve { name: way.name.clone(), steps, converged }
    };
    let curves = options.ways.iter().map(curve).collect();
    let (device, measures, error) = (data.device.clone(), options.measures.clone(), options.error);
    Ok(Replay { device, records: pool.measured.len(), measures, error, curves })
}

fn converged(steps: &[Step], error: f64) -> Option<usize> {
    let squared: Vec<Vec<f64>> =
        steps.iter().map(|step| step.errors.iter().map(|errors| errors.squared).collect()).collect();
    converged_at(steps.iter().map(|step| step.samples).zip(squared.iter().map(Vec::as_slice)), error)
}

/// The records of a device.
struct Pool {
    measured: Vec<Measured>,
    places: HashMap<Embedding, usize>,
    scales: Vec<f64>,
}

impl Pool {
    fn new(data: &Dataset, describer: &Describer, options: &ReplayOptions) -> Result<Self> {
        let of = |record| Measured::of_record(record, describer);
        let measured = data.records.iter().map(of).collect::<Result<Vec<_>>>()?;
        for &measure in &options.measures {
            data.figures(measure)?;
        }
        let scales = learned::scales(&measured, &options.measures)?;
        let places = measured
            .iter()
            .enumerate()
            .map(|(place, measured)| (measured.candidate.embedding.clone(), place))
            .collect();
        let pool = Self { measured, places, scales };
        let (held, fewest) = match options.judged {
            Judged::Rest(fewest) => (0, fewest.max(1)),
            Judged::HeldOut(share) => (pool.held_out(share), 0),
        };
        let (device, start, seeds) = (&data.device, options.start, options.seeds);
        if pool.places.len() < start + held + fewest || start == 0 || seeds == 0 || options.batch == 0 {
            let (there_are, judged) = (pool.places.len(), held + fewest);
            let reason = format!(
                "{device}: a replay from {start} records, {judged} others to judge by, {} a round and {seeds} seeds does \
                 not work with {there_are} records",
                options.batch
            );
            return Err(Error::Data(reason));
        }
        Ok(pool)
    }

    /// How many records a share is.
    fn held_out(&self, share: f64) -> usize {
        ((share.clamp(0.0, 1.0) * self.measured.len() as f64).round() as usize).max(1)
    }

    /// One way with one seed.
    fn steps(&self, way: &Way, options: &ReplayOptions, seed: u64, stop: &AtomicBool) -> Result<Vec<Step>> {
        let (held, fewest) = match options.judged {
            Judged::Rest(fewest) => (BTreeSet::new(), fewest.max(1)),
            Judged::HeldOut(share) => {
                // Drawn apart from those to start with.
                let places = crate::evaluate::shuffled(self.measured.len(), seed ^ 0x5EED);
                (places.into_iter().take(self.held_out(share)).collect(), 0)
            }
        };
        let open = (0..self.measured.len()).filter(|place| !held.contains(place));
        let candidates: Vec<Candidate> = open.map(|place| self.measured[place].candidate.clone()).collect();
        let plan = Plan {
            learner: way.learner.as_ref(),
            acquisition: way.acquisition,
            source: Source::Listed(&candidates),
            measures: &options.measures,
            scales: Some(&self.scales),
            start: options.start,
            batch: options.batch,
            seed,
        };
        let most = candidates.len().saturating_sub(fewest).min(options.limit.unwrap_or(usize::MAX));
        let mut measured = self.look_up(plan.next(&[])?);
        let mut steps = Vec::new();
        while measured.len() <= most {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Data("stopped before the replay was at its end".into()));
            }
            let learned = plan.learn(&measured)?;
            let judges: Vec<Measured> = if held.is_empty() {
                let known: HashSet<&Embedding> = measured.iter().map(|m| &m.candidate.embedding).collect();
                self.measured.iter().filter(|m| !known.contains(&m.candidate.embedding)).cloned().collect()
            } else {
                held.iter().map(|&place| self.measured[place].clone()).collect()
            };
            let errors = learned.errors(&judges)?;
            let expected = learned.expected_error(&judges.iter().map(|judge| &judge.candidate).collect::<Vec<_>>());
            steps.push(Step { samples: measured.len(), errors, expected });
            let next = plan.choose(&learned, &measured)?;
            if next.is_empty() {
                break;
            }
            measured.extend(self.look_up(next));
        }
        Ok(steps)
    }

    fn look_up(&self, candidates: Vec<Candidate>) -> Vec<Measured> {
        let place =
            |candidate: Candidate| self.places.get(&candidate.embedding).map(|&place| self.measured[place].clone());
        candidates.into_iter().filter_map(place).collect()
    }
}
