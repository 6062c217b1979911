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
            let orders: Vec<_> = data.records.iter().map(|r| r.order).collect();
            let held = crossvalidate_in_campaign(&LawLearner, &candidates, &y, &orders, 5, repeats, 0).unwrap();
            let [d, s, p] = [&held.design, &held.shown, &held.placed].map(|h| Errors::of(h.iter()).unwrap());
            print!(
                "  {} {:5.2} shown {:5.2} placed {:5.2} cov {:4.1} {:4.1} {:4.1} ({:4.1} ms)",
                m.name(),
                d.mean,
                s.mean,
                p.mean,
                d.covered,
                s.covered,
                p.covered,
                t.as_secs_f64() * 1e3
            );
        }
        println!();
    }
}
