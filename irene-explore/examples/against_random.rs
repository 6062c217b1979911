//! How much more NSGA-II finds than random search with the same budget: the hypervolume over latency, energy and peak power that the
//! surrogates of each device predict, on 10 seeds.
//!
//! `cargo run --release -p irene-explore --example against_random -- DATA.json...`
#![allow(clippy::print_stdout)]

use std::{collections::BTreeMap, path::Path};

use irene_explore::{
    Candidate, Dataset, Describer, Error, Measure, Result,
    search::{Evolution, Limits, Objective, Predicted, Problem, Random, Search},
    space::{DesignSpace, Embedding},
    surrogate::{LawLearner, Learner, Surrogates},
};

const BUDGET: usize = 4000;
const SEEDS: u64 = 10;

fn main() -> Result<()> {
    println!("{:28} {:>20} {:>20}  wins", "device", "evolution", "random");
    std::env::args().skip(1).try_for_each(|path| compare(path.as_ref()))
}

fn compare(path: &Path) -> Result<()> {
    let data = Dataset::read(path)?;
    let space = DesignSpace::published();
    let describer = Describer::new(space.clone());
    let candidates = describer.describe_all(&data)?;
    let candidates: Vec<&Candidate> = candidates.iter().collect();
    let mut measures = BTreeMap::new();
    let mut reference = Vec::new();
    for measure in Measure::ALL {
        let figures = data.figures(measure)?;
        let surrogate = LawLearner.fit(&candidates, &figures, 0)?.saved();
        measures.insert(measure, surrogate.ok_or_else(|| Error::Data("no surrogate".into()))?);
        // Nothing worse than what was measured counts.
        reference.push(figures.into_iter().fold(0.0, f64::max));
    }
    let surrogates = Surrogates::new(data.device.clone(), data.records.len(), space.clone(), measures);
    let predicted = Predicted { describer: &describer, surrogates: &surrogates, accuracy: None };
    let objective: Objective = "pareto(latency, energy, peak_power)".parse()?;
    let constraints = "".parse()?;
    let evaluate = |embeddings: &[Embedding]| predicted.evaluate(embeddings);
    let (objective, constraints) = (&objective, &constraints);
    let problem = Problem { variation: &space, objective, constraints, evaluate: &evaluate, starts: &[] };
    let whole: f64 = reference.iter().product();
    let share = |search: &dyn Search<DesignSpace>, seed| -> Result<f64> {
        let limits = Limits { reference: Some(&reference), ..Limits::new(BUDGET, seed) };
        Ok(search.run(&problem, &limits)?.hypervolume(&reference) / whole)
    };
    let (mut evolution, mut random) = (Vec::new(), Vec::new());
    for seed in 0..SEEDS {
        evolution.push(share(&Evolution::default(), seed)?);
        random.push(share(&Random::default(), seed)?);
    }
    let range = |shares: &[f64]| {
        let (low, high) =
            shares.iter().fold((f64::INFINITY, 0.0f64), |(low, high), share| (low.min(*share), high.max(*share)));
        format!("{low:.4} to {high:.4}")
    };
    let wins = evolution.iter().zip(&random).filter(|(evolution, random)| evolution > random).count();
    println!("{:28} {:>20} {:>20}  {wins} of {SEEDS}", data.device, range(&evolution), range(&random));
    Ok(())
}
