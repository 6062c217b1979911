//! Made-up measurements of designs, for tests.

use crate::{
    Candidate, Conditions, Dataset, Describer, Measure, Measures, Record,
    learning::{DesignFeature, PredictedValue, Surrogate},
    space::{DesignSpace, ModelHash, Sampling},
};

/// Designs of the space `small`.
pub(crate) fn candidates(count: usize, seed: u64) -> Vec<Candidate> {
    let space = DesignSpace::find("small").unwrap();
    let designs = space.sample(Sampling::Sobol, count, seed).unwrap();
    let describer = Describer::new(space);
    designs.into_iter().map(|design| describer.describe(design).unwrap()).collect()
}

/// The latency of a device that takes 1 ms, and 10 ns for each parameter.
pub(crate) fn latency(candidate: &Candidate) -> f64 {
    1e-3 + 1e-8 * candidate.features.get(DesignFeature::Parameters)
}

/// Predicts the same figure of every design.
#[derive(Clone, Copy)]
pub(crate) struct Always(pub(crate) PredictedValue);

impl Surrogate for Always {
    fn predict(&self, _: &Candidate) -> PredictedValue {
        self.0
    }
}

/// Some 2% up or down, far from regular, and repeatable.
pub(crate) fn noise(order: usize) -> f64 {
    1.0 + 0.02 * ((order * order * 7 + 3 * order) as f64).sin()
}

/// Their latencies in a campaign, times a factor by their order.
pub(crate) fn dataset(candidates: &[Candidate], factor: impl Fn(usize) -> f64) -> Dataset {
    let record = |(order, candidate): (usize, &Candidate)| Record {
        hash: ModelHash::of(&candidate.design).to_string(),
        order: Some(order),
        design: candidate.design.clone(),
        measures: Measures::default().with(Measure::Latency, latency(candidate) * factor(order)),
        accuracy: None,
        energy_provenance: None,
        conditions: Conditions::default(),
    };
    Dataset { device: "made up".into(), records: candidates.iter().enumerate().map(record).collect() }
}
