#![allow(clippy::print_stdout, clippy::unwrap_used)]
use irene_explore::{evaluate::*, surrogate::*, *};
fn main() {
    let describer = Describer::new(space::DesignSpace::published());
    let repeats: usize = std::env::args().nth(1).map_or(2, |n| n.parse().unwrap());
    for name in ["gpu_a100_b128_r3", "cpu_m1-pro_b32_r1", "gpu_m1-pro_b32_r3", "cpu_rpi_b1_r1", "cpu_jetson-nano_b1_r1"]
    {
        let data = Dataset::read(format!("/work/shared/data/protran/{name}.json").as_ref()).unwrap();
        let candidates: Vec<Candidate> =
            data.records.iter().map(|r| describer.describe(r.design.clone()).unwrap()).collect();
        print!("{name:24}");
        for m in Measure::ALL {
            let y = data.figures(m).unwrap();
            let t = std::time::Instant::now();
            let c: Vec<&Candidate> = candidates.iter().collect();
            LawLearner.fit(&c, &y, 0).unwrap();
            let t = t.elapsed();
            let held = crossvalidate(&LawLearner, &candidates, &y, 5, repeats, 0).unwrap();
            let e = Errors::of(held.iter()).unwrap();
            print!(
                "  {} {:5.2}/{:5.2} cov {:4.1} ({:4.1} ms)",
                m.name(),
                e.mean,
                e.median,
                e.covered,
                t.as_secs_f64() * 1e3
            );
        }
        println!();
    }
}
