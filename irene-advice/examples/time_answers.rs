//! How long do answers take? The middle of several runs on a warm lookup, as a server has it, and the first on a new one:
//! `cargo run --release -p irene-advice --example time_answers`, with a word for those alone that have it in their titles.

#![allow(clippy::print_stdout)] // an example may print

use std::time::{Duration, Instant};

use irene_advice::{Bounds, Change, Lookup, PlanOptions, Result, Selection};

const RUNS: usize = 9;

fn main() -> Result<()> {
    let llama = Selection::batch("Llama-3.1-8B", 1, 1)
        .changed(&Change::list("device=h100-sxm;concurrency=32;seq_len=512;generate=256")?)?;
    let bert = Selection::batch("bert-base-uncased", 8, 128);
    let changes = Change::list("weights=int4;num_hidden_layers=16;hidden_act=relu")?;
    timed("what if, three changes of Llama-3.1-8B on h100-sxm", |lookup| {
        lookup.what_if(&llama, &changes).map(|comparison| format!("{} nodes", comparison.nodes.len()))
    })?;
    for (name, selection) in [("Llama-3.1-8B on h100-sxm", &llama), ("bert-base-uncased on gtx-1080-ti", &bert)] {
        timed(&format!("suggest for {name}"), |lookup| {
            lookup.suggest(selection, Bounds::default()).map(|found| format!("{} suggestions", found.suggestions.len()))
        })?;
    }
    for (model, max_gpus) in [("Llama-3.1-8B", 8), ("Llama-3.1-70B", 8), ("Qwen3-30B-A3B", 8), ("Llama-3.1-8B", 16)] {
        let selection = Selection::batch(model, 1, 1).changed(&Change::list("rate=20;seq_len=512;generate=256")?)?;
        let options = PlanOptions { max_gpus, ..PlanOptions::default() };
        timed(&format!("plan for {model}, 20 requests a second, up to {max_gpus} GPUs"), |lookup| {
            let plan = lookup.plan(&selection, &options)?;
            Ok(format!("{} ways, {} fitting", plan.considered, plan.fitting))
        })?;
    }
    Ok(())
}

/// The time of the first answer, and the middle of those after it.
fn timed(title: &str, answer: impl Fn(&Lookup) -> Result<String>) -> Result<()> {
    if std::env::args().nth(1).is_some_and(|word| !title.contains(&word)) {
        return Ok(());
    }
    let lookup = Lookup::bundled();
    let mut times = Vec::new();
    let mut size = String::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        size = answer(&lookup)?;
        times.push(start.elapsed());
    }
    let first = times.remove(0);
    times.sort();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    println!("{title}: {:.1} ms, the first {:.1} ms ({size})", ms(times[times.len() / 2]), ms(first));
    Ok(())
}
