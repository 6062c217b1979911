//! How long do learning a device, scoring a design space and searching it take?
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up should stop, and say so
#![allow(missing_docs)]

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use irene_explore::{
    Candidate, Describer, Measure,
    learning::{CostLawLearner, DesignFeature, Learner, Surrogate, Surrogates},
    search::{Constraints, Evolution, Objective, Predicted, Problem, Search, SearchLimits},
    space::{DesignSpace, Sampling},
};
use irene_models::flexibert::Design;
use rayon::prelude::*;

/// Records of a device, and designs of a space.
const RECORDS: usize = 240;
const DESIGNS: usize = 100_000;

fn describe(describer: &Describer, count: usize, seed: u64) -> Vec<Candidate> {
    let designs = describer.space().sample_balanced(Sampling::Uniform, count, seed).unwrap();
    designs.into_par_iter().map(|design| describer.describe(design).unwrap()).collect()
}

/// Figures that a device might have: a law, and noise of 10% that is the same every time.
fn figures(candidates: &[Candidate]) -> Vec<f64> {
    let figure = |(index, candidate): (usize, &Candidate)| {
        let cost = |feature| candidate.features.get(feature);
        let law = 3.0
            + 2e-3 * cost(DesignFeature::Flops)
            + 2e-8 * cost(DesignFeature::Parameters)
            + 0.1 * cost(DesignFeature::Heads);
        law * (0.1 * ((index * index * 7 + 3 * index) as f64).sin()).exp()
    };
    candidates.iter().enumerate().map(figure).collect()
}

fn learn(criterion: &mut Criterion) {
    let describer = Describer::new(DesignSpace::published());
    let candidates = describe(&describer, RECORDS, 0);
    let (figures, candidates) = (figures(&candidates), candidates.iter().collect::<Vec<_>>());
    criterion.bench_function("fit a law to one measure of 240 records", |bench| {
        bench.iter(|| CostLawLearner.fit(black_box(&candidates), &figures, 0).map(|_| ()).unwrap());
    });
}

fn score(criterion: &mut Criterion) {
    let space = DesignSpace::published();
    let describer = Describer::new(space.clone());
    let candidates = describe(&describer, RECORDS, 0);
    let figures = figures(&candidates);
    let candidates: Vec<&Candidate> = candidates.iter().collect();
    let law = || -> Box<dyn Surrogate> { CostLawLearner.fit(&candidates, &figures, 0).unwrap() };
    let measures: BTreeMap<_, _> = Measure::ALL.map(|measure| (measure, law())).into();
    let device = "bench".into();
    let surrogates =
        Surrogates { device, records: RECORDS, space: space.clone(), seq_len: 128, estimated: false, measures };
    let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
    let designs: Vec<Design> = describe(&describer, DESIGNS, 1).into_iter().map(|candidate| candidate.design).collect();
    let mut group = criterion.benchmark_group("explore");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("score 100,000 designs, features included", |bench| {
        bench.iter(|| predicted.evaluate(black_box(&designs)).unwrap());
    });
    let objective: Objective = "pareto(latency, energy, peak_power)".parse().unwrap();
    let constraints: Constraints = "".parse().unwrap();
    let evaluate = |designs: &[Design]| predicted.evaluate(designs);
    let (objective, constraints) = (&objective, &constraints);
    let problem = Problem { variation: &space, objective, constraints, evaluate: &evaluate, starts: &[] };
    group.bench_function("search by 100,000 evaluations", |bench| {
        bench.iter(|| Evolution::default().run(&problem, &SearchLimits::new(DESIGNS, 0)).unwrap());
    });
    group.finish();
}

criterion_group!(name = benches; config = irene_benches::criterion(); targets = learn, score);
criterion_main!(benches);
