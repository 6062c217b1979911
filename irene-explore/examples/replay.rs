//! Replays the records of devices: `replay FILE... OUT [--ours]`.
#![allow(clippy::print_stdout)]
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

use irene_explore::{Dataset, Describer, Result, active::*, space::DesignSpace, surrogate::*};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let describer = Describer::new(DesignSpace::published());
    for path in args.iter().filter(|a| a.ends_with(".json")) {
        let data = Dataset::read(Path::new(path))?;
        let mut options = ReplayOptions::default();
        if args.iter().any(|a| a == "--ours") {
            options.ways = vec![
                Way::ours(),
                Way::new(Box::new(LawLearner), Acquisition::RelativeDeviation),
                Way::new(Box::new(LawLearner), Acquisition::MaxDeviation { drawn: 0 }),
                Way::new(Box::new(LawLearner), Acquisition::Random),
                Way::new(Box::new(GaussianProcessLearner::MaternLinear), Acquisition::MaxDeviation { drawn: 0 }),
            ];
        }
        for judged in [Judged::Rest(10), Judged::HeldOut(0.2)] {
            options.judged = judged;
            if !args.iter().any(|a| a == "--ours") {
                options.ways = Way::compared();
                options.ways.truncate(if judged == Judged::Rest(10) { 4 } else { 3 });
            }
            let clock = Instant::now();
            let replay = replay(&data, &describer, &options, &|_, _| {}, &AtomicBool::new(false))?;
            println!("{judged:?} {:.0} s\n{}", clock.elapsed().as_secs_f64(), replay.summary());
            for c in &replay.curves {
                println!("   {:?}", c.converged);
                let m = c.means();
                for n in [4, 5, 6, 8, 10, 16, 24] {
                    if let Some((s, e, x)) = m.iter().find(|m| m.0 == n) {
                        let e: Vec<String> =
                            e.iter().map(|e| format!("{:.4}/{:.1}%", e.squared, 100.0 * e.relative)).collect();
                        print!("   {s}: {} exp {:.1}%", e.join(" "), 100.0 * x);
                    }
                }
                println!();
            }
            if let Some(out) = args.last().filter(|o| Path::new(o).is_dir()) {
                let kind = if judged == Judged::Rest(10) { "rest" } else { "held-out" };
                for (name, text) in
                    [("csv", replay.to_csv()), ("svg", replay.to_svg()), ("samples.csv", replay.samples_csv())]
                {
                    std::fs::write(Path::new(out).join(format!("{}-{kind}.{name}", data.device)), text).ok();
                }
            }
        }
    }
    Ok(())
}
