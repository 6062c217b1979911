use std::collections::HashSet;

use irene_models::flexibert::Design;
use rayon::prelude::*;

use crate::{
    Candidate, Describer, Error, Measure, Record, Result,
    space::{DesignSpace, ModelHash, Sampling},
    surrogate::{LawLearner, Learner, Surrogate},
};

/// Designs that are looked at for each that is measured.
const POOL: usize = 512;

/// Of a pool of designs the one of whose figures the surrogates know least.
pub(super) fn next_design(describer: &Describer, done: &[&Record], seed: u64) -> Result<Design> {
    let measured: HashSet<ModelHash> = done.iter().map(|record| ModelHash::of(&record.design)).collect();
    let pool: Vec<Candidate> = pool(describer.space(), done.len(), seed)?
        .into_par_iter()
        .filter(|design| !measured.contains(&ModelHash::of(design)))
        .map(|design| describer.describe(design))
        .collect::<Result<_>>()?;
    let surrogates = surrogates(describer, done, seed)?;
    let unknown: Vec<f64> = pool.par_iter().map(|candidate| uncertainty(&surrogates, candidate)).collect();
    let most = (0..pool.len()).max_by(|&a, &b| unknown[a].total_cmp(&unknown[b]).then(b.cmp(&a)));
    let chosen = most.and_then(|place| pool.into_iter().nth(place));
    chosen.map(|candidate| candidate.design).ok_or_else(|| Error::Search("every design is measured".into()))
}

/// Enough designs that some are not measured yet.
fn pool(space: &DesignSpace, measured: usize, seed: u64) -> Result<Vec<Design>> {
    let there_are = space.count().as_u64().map_or(usize::MAX, |count| count as usize);
    super::balanced(space, Sampling::Sobol, (POOL + measured).min(there_are), seed)
}

/// One of each measure that every record has.
fn surrogates(describer: &Describer, done: &[&Record], seed: u64) -> Result<Vec<Box<dyn Surrogate>>> {
    let candidates: Vec<Candidate> =
        done.iter().map(|record| describer.describe(record.design.clone())).collect::<Result<_>>()?;
    let candidates: Vec<&Candidate> = candidates.iter().collect();
    let figures = |measure| done.iter().map(|record| record.measures.get(measure)).collect::<Option<Vec<f64>>>();
    Measure::ALL.into_iter().filter_map(figures).map(|figures| LawLearner.fit(&candidates, &figures, seed)).collect()
}

/// The deviations as shares of what is expected, over all measures.
fn uncertainty(surrogates: &[Box<dyn Surrogate>], candidate: &Candidate) -> f64 {
    let shares = surrogates.iter().map(|surrogate| {
        let prediction = surrogate.predict(candidate);
        prediction.deviation / prediction.value
    });
    // One that is no number would come first.
    Some(shares.sum()).filter(|sum: &f64| sum.is_finite()).unwrap_or(0.0)
}
