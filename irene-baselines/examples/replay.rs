//! Replays recorded devices without some of their records, judged in both ways:
//! `cargo run -p irene-baselines --example replay -- [--ours] [--limit SAMPLES] [--without ORDER,...] FILE.json...`
#![allow(clippy::print_stdout)] // what it is for

use std::{path::Path, sync::atomic::AtomicBool};

use irene_baselines::{Judged, ReplayOptions, replay};
use irene_explore::{Dataset, Describer, Result, space::DesignSpace};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let place = |option: &str| arguments.iter().position(|argument| argument == option);
    let given = |option| place(option).and_then(|at| arguments.get(at + 1)).map_or("", String::as_str);
    let left_out: Vec<usize> = given("--without").split(',').filter_map(|order| order.parse().ok()).collect();
    let limit: Option<usize> = given("--limit").parse().ok();
    let describer = Describer::new(DesignSpace::published());
    for path in arguments.iter().filter(|argument| argument.ends_with(".json")) {
        let mut data = Dataset::read(Path::new(path))?;
        data.records.retain(|record| record.order.is_none_or(|order| !left_out.contains(&order)));
        for judged in [Judged::Rest(10), Judged::HeldOut(0.2)] {
            let mut options = ReplayOptions { judged, limit, ..ReplayOptions::default() };
            // Ours; ours at random; theirs, with boosted trees and with one.
            options.ways.truncate(if place("--ours").is_some() { 2 } else { 4 });
            let replay = replay(&data, &describer, &options, &|_, _| {}, &AtomicBool::new(false))?;
            println!("{judged:?} {}", replay.summary());
        }
    }
    Ok(())
}
