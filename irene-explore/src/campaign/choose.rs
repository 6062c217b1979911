use std::collections::HashSet;

use irene_models::flexibert::Design;
use rayon::prelude::*;

use crate::{
    Candidate, Describer, Error, Measure, Record, Result,
    learning::{CostLawLearner, Learner, Surrogate, candidate::PUBLISHED_SEQ_LEN, most_open},
    space::{DesignSpace, Embedding, Sampling},
};

/// Designs that are looked at for each that is measured.
const POOL: usize = 512;

/// The design that active learning measures next: of a pool the one that is [most open](most_open).
pub(super) fn next_design(describer: &Describer, done: &[&Record], seed: u64) -> Result<Design> {
    let measured: Vec<Candidate> =
        done.iter().map(|record| describer.describe_record(record)).collect::<Result<_>>()?;
    let seq_len = done.iter().find_map(|record| record.conditions.seq_len).unwrap_or(PUBLISHED_SEQ_LEN);
    let known: HashSet<&Embedding> = measured.iter().map(|candidate| &candidate.embedding).collect();
    let described: Vec<Candidate> = pool(describer.space(), done.len(), seed)?
        .into_par_iter()
        .map(|design| describer.describe_at(design, seq_len))
        .collect::<Result<_>>()?;
    let pool: Vec<&Candidate> = described.iter().filter(|candidate| !known.contains(&candidate.embedding)).collect();
    let measured: Vec<&Candidate> = measured.iter().collect();
    let surrogates: Vec<Box<dyn Surrogate>> = Measure::ALL
        .into_iter()
        .filter_map(|measure| done.iter().map(|record| record.measures.get(measure)).collect::<Option<Vec<f64>>>())
        .map(|figures| CostLawLearner.fit(&measured, &figures, seed))
        .collect::<Result<_>>()?;
    let chosen = most_open(&surrogates, &measured, &pool, 1).first().map(|&place| pool[place].design.clone());
    chosen.ok_or_else(|| Error::Search("every design is measured".into()))
}

/// More designs than are measured.
fn pool(space: &DesignSpace, measured: usize, seed: u64) -> Result<Vec<Design>> {
    let there_are = space.count().as_u64().map_or(usize::MAX, |count| count as usize);
    super::balanced(space, Sampling::Sobol, (POOL + measured).min(there_are), seed)
}
