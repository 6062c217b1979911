//! Replays recorded devices: `replay [--ours] [--limit SAMPLES] [--without ORDER,...] FILE.json... [FOLDER]`, curves into the folder.
#![allow(clippy::print_stdout)]

use std::{path::Path, sync::atomic::AtomicBool};

use irene_explore::{
    Dataset, Describer, Result,
    active::{Judged, ReplayOptions, replay},
    space::DesignSpace,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_asked = |option: &str| arguments.iter().position(|argument| argument == option);
    let given = |option| is_asked(option).and_then(|at| arguments.get(at + 1)).map_or("", String::as_str);
    let left_out: Vec<usize> = given("--without").split(',').filter_map(|order| order.parse().ok()).collect();
    let limit: Option<usize> = given("--limit").parse().ok();
    let folder = arguments.last().map(Path::new).filter(|last| last.is_dir());
    let describer = Describer::new(DesignSpace::published());
    for path in arguments.iter().filter(|argument| argument.ends_with(".json")) {
        let mut data = Dataset::read(Path::new(path))?;
        data.records.retain(|record| record.order.is_none_or(|order| !left_out.contains(&order)));
        for (judged, kind) in [(Judged::Rest(10), "rest"), (Judged::HeldOut(0.2), "held-out")] {
            let mut options = ReplayOptions { judged, limit, ..ReplayOptions::default() };
            // Ours; ours at random; theirs, with boosted trees and with one.
            options.ways.truncate(if is_asked("--ours").is_some() { 2 } else { 4 });
            let replay = replay(&data, &describer, &options, &|_, _| {}, &AtomicBool::new(false))?;
            println!("{judged:?} {}", replay.summary());
            if let [ours, .., boosted, _] = &replay.curves[..] {
                println!("as low as {} ever: {:?}\n", boosted.name, replay.samples_to_match(ours, boosted));
            }
            let Some(folder) = folder else { continue };
            for (form, text) in
                [("csv", replay.to_csv()), ("svg", replay.to_svg()), ("samples.csv", replay.samples_csv())]
            {
                let file = folder.join(format!("{}-{kind}.{form}", data.device));
                std::fs::write(&file, text)
                    .map_err(|source| irene_explore::Error::Io { path: file.clone(), source })?;
            }
        }
    }
    Ok(())
}
