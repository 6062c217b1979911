use std::collections::HashSet;

use irene_models::flexibert::Design;
use rayon::prelude::*;

use crate::{
    Candidate, Describer, Error, Measure, Record, Result,
    active::{Acquisition, Learned, Measured},
    space::{DesignSpace, Embedding, Sampling},
    surrogate::LawLearner,
};

/// Designs that are looked at for each that is measured.
const POOL: usize = 512;

/// Of a pool of designs the one that active learning measures next ([`Acquisition::OpenVariance`]).
pub(super) fn next_design(describer: &Describer, done: &[&Record], seed: u64) -> Result<Design> {
    let measured: Vec<Measured> =
        done.iter().map(|record| Measured::of_record(record, describer)).collect::<Result<_>>()?;
    let known: HashSet<&Embedding> = measured.iter().map(|measured| &measured.candidate.embedding).collect();
    let described: Vec<Candidate> = pool(describer.space(), done.len(), seed)?
        .into_par_iter()
        .map(|design| describer.describe(design))
        .collect::<Result<_>>()?;
    let pool: Vec<&Candidate> = described.iter().filter(|candidate| !known.contains(&candidate.embedding)).collect();
    let has_all = |measure: &Measure| done.iter().all(|record| record.measures.get(*measure).is_some());
    let measures: Vec<Measure> = Measure::ALL.into_iter().filter(has_all).collect();
    // Relative variances need no scales.
    let learned = Learned::fit(&LawLearner, &measured, &measures, vec![1.0; measures.len()], seed)?;
    let chosen = Acquisition::OpenVariance.choose(&learned, &measured, &pool, 1, seed);
    let chosen = chosen.first().map(|&place| pool[place].design.clone());
    chosen.ok_or_else(|| Error::Search("every design is measured".into()))
}

/// Enough designs that some are not measured yet.
fn pool(space: &DesignSpace, measured: usize, seed: u64) -> Result<Vec<Design>> {
    let there_are = space.count().as_u64().map_or(usize::MAX, |count| count as usize);
    super::balanced(space, Sampling::Sobol, (POOL + measured).min(there_are), seed)
}
