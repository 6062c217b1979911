#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use irene_explore::{surrogate::*, *};
use rayon::prelude::*;
use std::time::Instant;
fn main() {
    let describer = Describer::new(space::DesignSpace::published());
    let data = Dataset::read("/work/shared/data/protran/gpu_a100_b128_r3.json".as_ref()).unwrap();
    let c: Vec<Candidate> = data.records.iter().map(|r| describer.describe(r.design.clone()).unwrap()).collect();
    let refs: Vec<&Candidate> = c.iter().collect();
    let s: Vec<Box<dyn Surrogate>> =
        Measure::ALL.iter().map(|m| LawLearner.fit(&refs, &data.figures(*m).unwrap(), 0).unwrap()).collect();
    let t = Instant::now();
    let designs = describer.space().sample_balanced(space::Sampling::Uniform, 100_000, 1).unwrap();
    println!("sampling {:.2} s", t.elapsed().as_secs_f64());
    let t = Instant::now();
    let described: Vec<Candidate> = designs.into_par_iter().map(|d| describer.describe(d).unwrap()).collect();
    println!("describing {:.2} s", t.elapsed().as_secs_f64());
    let t = Instant::now();
    let sum: f64 = described.par_iter().map(|c| s.iter().map(|s| s.predict(c).value).sum::<f64>()).sum();
    println!("predicting {:.2} s {sum}", t.elapsed().as_secs_f64());
}
